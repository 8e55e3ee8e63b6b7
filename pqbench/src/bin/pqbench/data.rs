//! Which data sets a command runs on.

use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits, embedded},
    report::units::parse_count,
};
use pqscan::Geometry;

#[derive(clap::Args)]
pub struct DataArgs {
    /// The data set: embedded, embedded-text, sift1m, synthetic, worst-case, or a folder with a manifest.json
    /// [default: all that are embedded; for selftest the first]
    #[arg(long, value_name = "NAME|DIR", help_heading = "Data")]
    fixture: Option<String>,
    /// Only the first N codes (200000, 64k, 1m)
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Data")]
    num_base: Option<usize>,
    /// Only the first N queries
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Data")]
    queries: Option<usize>,
}

impl DataArgs {
    fn specs(&self) -> Vec<&str> {
        self.fixture.as_deref().map_or_else(|| embedded().collect(), |spec| vec![spec])
    }

    /// The shape of each data set.
    pub fn geometries(&self) -> anyhow::Result<Vec<Geometry>> {
        self.specs().into_iter().map(Fixture::geometry_of).collect()
    }

    /// Loads or generates each.
    pub fn open(&self, quiet: bool) -> anyhow::Result<Vec<Fixture>> {
        self.specs().into_iter().map(|spec| self.open_one(spec, quiet)).collect()
    }

    /// The same for the first only.
    pub fn open_first(&self, quiet: bool) -> anyhow::Result<Fixture> {
        self.open_one(self.specs()[0], quiet)
    }

    fn open_one(&self, spec: &str, quiet: bool) -> anyhow::Result<Fixture> {
        let progress = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let limits = Limits { num_base: self.num_base, num_queries: self.queries };
        let fixture = Fixture::open(spec, limits, &progress)?;
        progress.finish_and_clear();
        Ok(fixture)
    }
}
