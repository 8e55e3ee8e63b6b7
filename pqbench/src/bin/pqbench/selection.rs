//! Which variants a command is about.

use clap::builder::PossibleValuesParser;
use pqbench::{fixture::sift_geometry, verify::supported_geometry};
use pqscan::{
    Geometry,
    registry::{self, Variant},
};

#[derive(clap::Args)]
pub struct Selection {
    /// Only these variants, separated by commas or by giving the option again [default: all]
    #[arg(long = "variant", value_name = "NAME", value_delimiter = ',', value_parser = variant_names(), hide_possible_values = true)]
    names: Vec<String>,
    /// All variants, which is the default
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

/// Only a registered name is one; the parser suggests the nearest.
pub fn variant_names() -> PossibleValuesParser {
    PossibleValuesParser::new(registry::all().iter().map(|variant| variant.name))
}

impl Selection {
    /// The chosen variants. All of them include those that can't run here, to be reported as skipped; one that is named
    /// must run in at least one of the shapes, or in any if there are none.
    pub fn variants(&self, geometries: &[Geometry]) -> Result<Vec<&'static Variant>, pqscan::Error> {
        if self.names.is_empty() {
            return Ok(registry::all().to_vec());
        }
        let mut chosen: Vec<&'static Variant> = Vec::new();
        for name in &self.names {
            let any = || supported_geometry(registry::find(name).ok()?);
            let first = geometries.first().copied().or_else(any).unwrap_or_else(sift_geometry);
            let select = |geometry| registry::select(Some(name), geometry, usize::MAX);
            let others = geometries.iter().skip(1);
            let variant =
                others.fold(select(first), |found, &other| found.or_else(|error| select(other).or(Err(error))))?;
            if !chosen.iter().any(|other| std::ptr::eq(*other, variant)) {
                chosen.push(variant);
            }
        }
        Ok(chosen)
    }
}
