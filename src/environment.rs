//! The environment variables, and how a program keeps them out.

use std::sync::atomic::{AtomicU8, Ordering};

/// What [`ignore_environment`] knows.
static ENVIRONMENT: AtomicU8 = AtomicU8::new(UNREAD);
const UNREAD: u8 = 0;
const READ: u8 = 1;
const IGNORED: u8 = 2;

/// Makes the library ignore `PQBENCH_VARIANT` and `PQBENCH_CPU`, for a program whose users' environment must not reach
/// into it. Whether it came in time: before either was read.
pub fn ignore_environment() -> bool {
    let before = ENVIRONMENT.compare_exchange(UNREAD, IGNORED, Ordering::AcqRel, Ordering::Acquire);
    before != Err(READ)
}

/// An environment variable, unless they are [ignored](ignore_environment) or it is empty.
pub(crate) fn read(name: &str) -> Option<String> {
    let before = ENVIRONMENT.compare_exchange(UNREAD, READ, Ordering::AcqRel, Ordering::Acquire);
    if before == Err(IGNORED) {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}
