use std::fmt;

/// What can be wrong with what the library was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
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
    /// The variant is there, but not for this CPU or not for this use.
    CannotRun {
        /// The variant's name.
        name: &'static str,
        /// Why: `needs avx512vbmi`.
        reason: String,
        /// The names that can run.
        choices: Vec<&'static str>,
    },
    /// A codebook, codes or query of the wrong size or with a value that is no number.
    Input(String),
    /// The variant does not support what it was to prepare.
    Declined(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
            Error::Input(what) | Error::Declined(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
