//! What can be wrong with what the library was given.

use std::fmt;

use crate::geometry::{MAX_DIM, MAX_SUB_QUANTIZERS};

/// What can be wrong with what the library was given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// There is no such quantizer.
    Geometry {
        /// Dimensions asked for.
        dim: usize,
        /// Sub-quantizers asked for.
        m: usize,
    },
    /// Something has another length than its shape makes it.
    Length {
        /// What: `the query`, `the codebook`, ...
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that it should have, or at least.
        expected: usize,
        /// What is counted: `values`, `bytes`, ...
        unit: &'static str,
    },
    /// A value is not a number that it may be.
    Value {
        /// What: `the query`, `the codebook`, ...
        what: &'static str,
        /// Where it stands in that.
        at: usize,
        /// The value.
        value: f32,
        /// What it may be: `a finite number`, ...
        expected: &'static str,
    },
    /// The length of a query under [`Metric::Cosine`](crate::Metric::Cosine) is zero, so it has no direction.
    ZeroLength,
    /// More codes than the places of one list can count, which is 2^32 - 1.
    TooManyCodes(usize),
    /// Columns of codes overlap.
    Stride {
        /// From one column to the next.
        stride: usize,
        /// Codes in a column.
        num_vectors: usize,
    },
    /// A code that there is not.
    Place {
        /// Where it was said to be.
        place: usize,
        /// Codes in the list.
        num_vectors: usize,
    },
    /// What belongs to one codebook was used with another.
    OtherCodebook,
    /// `PQBENCH_CPU` has a word that is neither a level nor `-feature`.
    Mask {
        /// The whole value.
        mask: String,
        /// The word that means nothing.
        word: String,
    },
    /// No variant has this name.
    UnknownVariant {
        /// The name asked for.
        name: String,
        /// The names that there are.
        choices: Vec<&'static str>,
    },
    /// Two variants, of different crates, are registered under one name.
    DuplicateVariant {
        /// The name.
        name: &'static str,
        /// The source files that register it.
        files: Vec<&'static str>,
    },
    /// The variant is there, but not for this CPU, this shape or this use.
    CannotRun {
        /// The variant's name.
        name: &'static str,
        /// Why: `needs avx512vbmi`.
        reason: String,
        /// The names that can run.
        choices: Vec<&'static str>,
    },
    /// No exact variant is registered that this CPU can run in this shape.
    NoVariant,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Geometry { dim, m } => write!(
                f,
                "{dim} dimensions and {m} sub-quantizers make no quantizer: dimensions are from 1 to {MAX_DIM}, \
                 sub-quantizers from 1 to {MAX_SUB_QUANTIZERS}, and divide the dimensions"
            ),
            Error::Length { what, found, expected, unit } => {
                write!(f, "{what} has {found} {unit}, expected {expected}")
            }
            Error::Value { what, at, value, expected } => {
                write!(f, "value {at} of {what} is {value}, expected {expected}")
            }
            Error::ZeroLength => f.write_str("the query's length is zero, so it has no cosine with anything"),
            Error::TooManyCodes(count) => write!(f, "{count} codes are more than one list can count (2^32 - 1)"),
            Error::Stride { stride, num_vectors } => {
                write!(f, "columns of {num_vectors} codes overlap with a stride of {stride}")
            }
            Error::Place { place, num_vectors } => write!(f, "there is no code {place} in a list of {num_vectors}"),
            Error::OtherCodebook => f.write_str("the query belongs to another codebook than the list"),
            Error::Mask { mask, word } => {
                let levels: Vec<_> = crate::cpu::LEVELS.iter().map(|(name, _)| *name).collect();
                write!(
                    f,
                    "{}='{mask}': '{word}' is neither a level ({}; first place only) nor a feature to take away \
                     ('-avx2'; `pqbench cpu` lists the features)",
                    crate::cpu::MASK_VARIABLE,
                    levels.join(", ")
                )
            }
            Error::UnknownVariant { name, choices } => {
                write!(f, "there is no variant '{name}'; choose one of: {}", choices.join(", "))
            }
            Error::DuplicateVariant { name, files } => {
                write!(f, "the variant name '{name}' is registered more than once: {}", files.join(", "))
            }
            Error::CannotRun { name, reason, choices } => {
                write!(f, "the variant '{name}' can't run here: {reason}; choose one of: {}", choices.join(", "))
            }
            Error::NoVariant => f.write_str("no exact variant is registered that this CPU can run in this shape"),
        }
    }
}

impl std::error::Error for Error {}

/// Checks that something has its length.
pub(crate) fn check_length(what: &'static str, found: usize, expected: usize, unit: &'static str) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, found, expected, unit }) }
}

/// Checks that all values are as `is_fine` wants them.
pub(crate) fn check_values(
    what: &'static str,
    values: &[f32],
    expected: &'static str,
    is_fine: impl Fn(f32) -> bool,
) -> Result<(), Error> {
    // All of them, for that is SIMD, and an early end is not.
    if values.iter().fold(true, |all, &value| all & is_fine(value)) {
        return Ok(());
    }
    let at = values.iter().position(|&value| !is_fine(value)).unwrap_or(0);
    Err(Error::Value { what, at, value: values[at], expected })
}
