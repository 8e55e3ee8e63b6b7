//! The process in which one build of a kernel runs, and what it and the bench say to each other.
//!
//! The bench believes nothing that this process says of time, of memory or of right and wrong: it reads the kernel's
//! account of the process, and checks every answer itself. So this is a thin harness: it takes codes and queries, calls
//! the engine, and puts the answers where they can be read.
//!
//! ```text
//! bench                                             worker
//!   command: 8 words, and the bytes it announces  ──► standard input
//!   reply: 4 words, and a text                    ◄── REPLIES
//!   queries, answers, times of calls              ◄─► SHARED, memory that both have
//! ```
//! A turn with hundreds of queries costs one command and one reply. Standard output goes nowhere, and the standard error
//! is shown to people if the worker dies.

pub mod protocol;
#[cfg(unix)]
mod serve;

#[cfg(unix)]
pub use serve::serve;
