//! Which data a command runs on.

use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits},
    report::units::parse_count,
};
use pqscan::Geometry;

#[derive(clap::Args)]
pub struct DataArgs {
    /// The data set: embedded, sift1m, synthetic, worst-case, or a folder with a manifest.json
    #[arg(long, value_name = "NAME|DIR", default_value = "embedded", help_heading = "Data")]
    fixture: String,
    /// Only the first N codes (200000, 64k, 1m)
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Data")]
    num_base: Option<usize>,
    /// Only the first N queries
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "Data")]
    queries: Option<usize>,
}

impl DataArgs {
    /// Its shape.
    pub fn geometry(&self) -> anyhow::Result<Geometry> {
        Fixture::geometry_of(&self.fixture)
    }

    /// Loads or generates it.
    pub fn open(&self, quiet: bool) -> anyhow::Result<Fixture> {
        let progress = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let limits = Limits { num_base: self.num_base, num_queries: self.queries };
        let fixture = Fixture::open(&self.fixture, limits, &progress)?;
        progress.finish_and_clear();
        Ok(fixture)
    }
}
