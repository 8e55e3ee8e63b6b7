//! What machine this is, and how quiet it is. What a system does not tell stays unknown.

use std::{env, fs};

use pqscan::cpu;

use crate::{run::Machine, threads::num_threads};

impl Machine {
    /// This machine.
    ///
    /// # Errors
    /// `PQBENCH_CPU` is not a mask.
    pub fn here() -> Result<Machine, pqscan::Error> {
        Ok(Machine {
            cpu: cpu_name().unwrap_or_else(|| format!("unknown {} CPU", env::consts::ARCH)),
            arch: env::consts::ARCH.to_owned(),
            os: env::consts::OS.to_owned(),
            cores: num_threads(),
            features: cpu::features()?.iter().map(|feature| feature.name().to_owned()).collect(),
            mask: env::var(cpu::MASK_VARIABLE).ok().filter(|mask| !mask.is_empty()),
        })
    }
}

/// The CPU's name as the system gives it; Linux on aarch64 knows the maker's numbers only.
fn cpu_name() -> Option<String> {
    if cfg!(target_os = "macos") {
        let told = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        return String::from_utf8(told.stdout).ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let value = |key: &str| {
        let of_key =
            |line: &str| line.split_once(':').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned());
        cpuinfo.lines().find_map(of_key)
    };
    match (value("model name"), value("cpu family"), value("model")) {
        // Hypervisors tend to hide the marketing name; the numbers still tell the generation.
        (Some(name), Some(family), Some(model)) => Some(format!("{name} (family {family}, model {model})")),
        (Some(name), ..) => Some(name),
        _ => Some(format!("CPU implementer {}, part {}", value("CPU implementer")?, value("CPU part")?)),
    }
}

/// Bytes of the last-level cache.
pub fn last_level_cache() -> Option<usize> {
    let size = |index: usize| {
        let size = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()?;
        let (number, unit) = size.trim().split_at(size.trim().find(|c: char| !c.is_ascii_digit())?);
        Some(number.parse::<usize>().ok()? << if unit == "M" { 20 } else { 10 })
    };
    (0..8).filter_map(size).max()
}

/// Bytes of memory that are free for use.
pub fn available_memory() -> Option<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()? << 10)
}

/// How busy the machine is, at one moment.
pub struct Load {
    /// Processes that ran or wanted to, mean of the last minute.
    average: Option<f64>,
    /// Of the first core.
    mhz: Option<f64>,
    /// Time that the hypervisor gave to others, and all time, in ticks.
    stolen: Option<(f64, f64)>,
}

impl Load {
    /// Looks.
    pub fn now() -> Load {
        Load { average: load_average(), mhz: mhz(), stolen: stolen() }
    }

    /// What happened between `before` and this that makes times less trustworthy, and what to do about it.
    pub fn warnings(&self, before: &Load, cores: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(average) = before.average.filter(|&average| average > 0.5 * cores as f64) {
            warnings.push(format!(
                "the load average was {average:.1} on {cores} cores before the measurement began: end what else runs"
            ));
        }
        if cores <= 2 {
            warnings.push(format!(
                "only {cores} cores: whatever else runs takes time from the measurement; leave the machine alone meanwhile"
            ));
        }
        if let (Some(before), Some(after)) = (before.mhz, self.mhz)
            && (after / before - 1.0).abs() > 0.05
        {
            warnings.push(format!(
                "the CPU's frequency went from {before:.0} to {after:.0} MHz: fix it (`cpupower frequency-set -g \
                 performance`, turbo off) or let the machine cool down"
            ));
        }
        if let (Some(before), Some(after)) = (before.stolen, self.stolen) {
            let share = (after.0 - before.0) / (after.1 - before.1);
            if share > 0.01 {
                warnings.push(format!(
                    "the hypervisor gave {:.0} % of the time to other machines: repeat at a quieter hour or elsewhere",
                    100.0 * share
                ));
            }
        }
        warnings
    }
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn mhz() -> Option<f64> {
    if let Ok(khz) = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") {
        return khz.trim().parse::<f64>().ok().map(|khz| khz / 1e3);
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

fn stolen() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; the guest columns behind are part of the first two.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_cores() {
        let machine = Machine::here().unwrap();
        assert!(!machine.cpu.is_empty() && machine.cores > 0);
    }

    #[test]
    fn a_restless_machine_is_told_from_a_quiet_one() {
        let load = |average, mhz, stolen| Load { average: Some(average), mhz: Some(mhz), stolen: Some((stolen, 0.0)) };
        let later = |mhz, stolen| Load { average: None, mhz: Some(mhz), stolen: Some((stolen, 1000.0)) };
        assert_eq!(later(2600.0, 5.0).warnings(&load(0.1, 2600.0, 0.0), 8), Vec::<String>::new());
        for (before, after, word) in [
            (load(7.0, 2600.0, 0.0), later(2600.0, 0.0), "load average"),
            (load(0.1, 3600.0, 0.0), later(2600.0, 0.0), "frequency"),
            (load(0.1, 2600.0, 0.0), later(2600.0, 50.0), "hypervisor"),
        ] {
            let warnings = after.warnings(&before, 8);
            assert!(warnings.len() == 1 && warnings[0].contains(word), "{warnings:?}");
        }
    }
}
