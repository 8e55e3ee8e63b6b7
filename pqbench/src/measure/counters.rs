//! Hardware counters: what a code costs in cycles, instructions and cache misses, where the system lets us look.

use crate::run::Counters;

/// Runs `work`, which scans `codes` codes, under the counters.
///
/// # Errors
/// In words, why nothing could be counted.
#[cfg(target_os = "linux")]
pub fn count(codes: f64, work: impl FnOnce() -> anyhow::Result<()>) -> Result<Counters, String> {
    use perf_event::{
        Builder, Group,
        events::{Cache, CacheId, CacheOp, CacheResult, Hardware},
    };

    let misses = |which| Cache { which, operation: CacheOp::READ, result: CacheResult::MISS };
    let why = |error: std::io::Error| {
        format!(
            "no hardware counters: {error} (a virtual machine often has none; else set kernel.perf_event_paranoid to 2 or \
             less)"
        )
    };
    let mut group = Group::new().map_err(why)?;
    let cycles = group.add(&Builder::new(Hardware::CPU_CYCLES)).map_err(why)?;
    let instructions = group.add(&Builder::new(Hardware::INSTRUCTIONS)).map_err(why)?;
    // Some CPUs have no event for these; the others still count.
    let l1_misses = group.add(&Builder::new(misses(CacheId::L1D))).ok();
    let llc_misses = group.add(&Builder::new(misses(CacheId::LL))).ok();
    group.enable().map_err(why)?;
    let done = work();
    group.disable().map_err(why)?;
    done.map_err(|error| error.to_string())?;
    let counts = group.read().map_err(why)?;
    Ok(Counters {
        cycles_per_code: counts[&cycles] as f64 / codes,
        instructions_per_code: counts[&instructions] as f64 / codes,
        l1d_misses_per_code: l1_misses.map(|counter| counts[&counter] as f64 / codes),
        llc_misses_per_code: llc_misses.map(|counter| counts[&counter] as f64 / codes),
    })
}

/// As on Linux, but never there.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn count(_: f64, _: impl FnOnce() -> anyhow::Result<()>) -> Result<Counters, String> {
    Err(format!("no hardware counters: not supported on {}", std::env::consts::OS))
}
