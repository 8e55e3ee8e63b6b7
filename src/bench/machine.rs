//! The machine that a run is made on.

use std::{env, fs, thread};

use crate::{
    bench::run::Machine,
    cpu::{self, Feature},
};

impl Machine {
    /// This machine.
    ///
    /// # Errors
    /// `PQBENCH_CPU` is not a mask.
    pub fn here() -> Result<Machine, crate::Error> {
        Ok(Machine {
            cpu: cpu_name().unwrap_or_else(|| "unknown CPU".to_owned()),
            arch: env::consts::ARCH.to_owned(),
            os: env::consts::OS.to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            features: cpu::features()?.iter().map(Feature::name).map(str::to_owned).collect(),
            mask: env::var(cpu::MASK_VARIABLE).ok().filter(|mask| !mask.is_empty()),
        })
    }
}

/// The CPU's own name, from where Linux shows it.
fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name")?;
    Some(name.trim().to_owned())
}
