//! Where there is no sandbox there are no workers.

use anyhow::{Result, bail};

use super::{Call, Declared, Failure, Limits, Prepared, Program, Task, Turn};

/// A worker that can't be.
pub enum Worker {}

impl Worker {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: &Program, _: &Limits) -> Result<Worker> {
        bail!("a worker needs a sandbox, and there is none on {}", std::env::consts::OS)
    }

    pub fn describe(&mut self, _: &str) -> Result<Declared, Failure> {
        match *self {}
    }

    pub fn open(&mut self, _: &Task<'_>) -> Result<(), Failure> {
        match *self {}
    }

    pub fn prepare(&mut self) -> Result<Prepared, Failure> {
        match *self {}
    }

    pub fn relocate(&mut self) -> Result<f64, Failure> {
        match *self {}
    }

    pub fn evict(&mut self, _: usize) -> Result<(), Failure> {
        match *self {}
    }

    pub fn room(&self, _: Call, _: usize) -> usize {
        match *self {}
    }

    pub fn run(&mut self, _: Call, _: usize, _: &[f32], _: bool) -> Result<Turn, Failure> {
        match *self {}
    }

    pub fn memory_bytes(&self) -> usize {
        match *self {}
    }

    pub fn id(&self) -> u32 {
        match *self {}
    }
}

/// There is no Landlock.
pub fn landlock_version() -> i64 {
    0
}
