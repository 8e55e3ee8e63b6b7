//! The shape of a quantizer on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use pqscan::{Bits, Metric};

pub fn bits_parser() -> impl TypedValueParser<Value = Bits> {
    PossibleValuesParser::new(["4", "8"]).map(|bits| if bits == "4" { Bits::Four } else { Bits::Eight })
}

pub fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    PossibleValuesParser::new(Metric::ALL.iter().map(|metric| metric.name()))
        .map(|name| *Metric::ALL.iter().find(|metric| metric.name() == name).expect("clap admits these names only"))
}
