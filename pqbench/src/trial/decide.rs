//! One decision: keep, discard or inconclusive.
//!
//! All that a trial found goes in as [`Findings`], and [`decide`] looks at nothing else: no clock, no file, no opinion
//! of the variant. A ratio is the candidate's time (or memory) over the incumbent's, so below 1 is better. The limits
//! are constants of this file, and whoever builds findings can't choose them, but for what a trial declares in public.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    measure::statistics::{Estimate, geomean},
    run::Machine,
};

/// The noise band: a smaller gain is none. A calibration that finds a wider one widens what a keep has to leave behind.
pub const BAND: f64 = 0.01;
/// Seeds on which a keep has to win.
pub const SEEDS: usize = 2;
/// Any other workload may take so much of the incumbent's time.
pub const WORKLOAD_LIMIT: f64 = 1.02;
/// On the worst data a kernel may take so much of the plain loop's time: 0.8 of its speed.
pub const WORST_CASE_LIMIT: f64 = 1.25;
/// Memory and preparation may be so much of the incumbent's, unless more is declared.
pub const RESOURCE_LIMIT: f64 = 1.1;
/// How far beyond its limit a guard's interval may reach while its value holds. A guard gets less time than the target,
/// so its interval is wider; asked to lie below the limit as a whole, it would make most good trials inconclusive.
/// With this, a keep certainly costs no other workload more than 5 %.
pub const DOUBT: f64 = 0.03;
/// Keeps after which one is measured against the best ever: many small losses within the band add up.
pub const RATCHET: usize = 10;
/// Days for which a calibration counts.
pub const FRESH_DAYS: i64 = 7;

/// What becomes of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It lands.
    Keep,
    /// It does not, and there is no point in trying it again.
    Discard,
    /// It does not, but nobody knows: a quieter machine or more rounds may tell.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What becomes of the edit.
    pub verdict: Verdict,
    /// One sentence for people.
    pub reason: String,
}

/// How a worker ended that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// An answer is not the reference's.
    Wrong,
    /// A signal, or an exit that nobody asked for.
    Crash,
    /// No answer in time.
    Timeout,
    /// More memory than it may have.
    Memory,
    /// More CPU time than wall time.
    Threads,
    /// Faster than the codes can be read.
    TooFast,
    /// It does not compile.
    Build,
    /// Its source has what a kernel may not contain.
    Lint,
    /// The machine was too restless to measure anything.
    Noise,
}

impl fmt::Display for EndKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// A bad end and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its name.
    pub kind: EndKind,
    /// The case, the signal, the line: what to look at.
    pub detail: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

/// The workload that a trial is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name: `images`, `1m`, `lists`, ...
    pub name: String,
    /// The candidate's time over the incumbent's, for each seed; one or two, none after a bad end.
    pub ratios: Vec<Estimate>,
}

/// Something that may not become worse than a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// The workload, or what else is watched.
    pub name: String,
    /// The candidate's over the incumbent's; in the worst case over the plain loop's.
    pub ratio: Estimate,
    /// What the ratio may be at most.
    pub limit: f64,
}

/// What a guard says to a keep.
#[derive(Clone, Copy, PartialEq)]
enum Guarded {
    Held,
    /// It may be broken.
    InDoubt,
    /// It certainly is.
    Broken,
}

impl Guard {
    /// Another workload than the target.
    pub fn workload(name: &str, ratio: Estimate) -> Guard {
        Guard { name: name.to_owned(), ratio, limit: WORKLOAD_LIMIT }
    }

    /// The data that filters hate: the candidate's time over that of `scalar`.
    pub fn worst_case(against_scalar: Estimate) -> Guard {
        Guard { name: "worst-case against scalar".to_owned(), ratio: against_scalar, limit: WORST_CASE_LIMIT }
    }

    /// The memory of the prepared codes; `declared` is a larger limit that the trial asked for.
    pub fn memory(ratio: Estimate, declared: Option<f64>) -> Guard {
        Guard { name: "memory".to_owned(), ratio, limit: declared.unwrap_or(0.0).max(RESOURCE_LIMIT) }
    }

    /// The time to prepare the codes; `declared` is a larger limit that the trial asked for.
    pub fn preparation(ratio: Estimate, declared: Option<f64>) -> Guard {
        Guard { name: "preparation".to_owned(), ratio, limit: declared.unwrap_or(0.0).max(RESOURCE_LIMIT) }
    }

    /// The first queries of a turn, which do not count for the target: no place to hide work.
    pub fn settling(ratio: Estimate) -> Guard {
        Guard { name: "first queries of a turn".to_owned(), ratio, limit: RESOURCE_LIMIT }
    }

    /// The target against the best that there ever was, where [`is_ratchet_due`].
    pub fn best_ever(ratio: Estimate) -> Guard {
        Guard { name: "best ever".to_owned(), ratio, limit: 1.0 + BAND }
    }

    fn state(&self) -> Guarded {
        let Guard { ratio, limit, .. } = self;
        if !is_sound(ratio) || !limit.is_finite() {
            Guarded::InDoubt
        } else if ratio.certain.0 > *limit {
            Guarded::Broken
        } else if ratio.value > *limit || ratio.certain.1 > limit * (1.0 + DOUBT) {
            Guarded::InDoubt
        } else {
            Guarded::Held
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} (at most {:.2})", self.name, told(&self.ratio), self.limit)
    }
}

/// Whether `pqbench selftest --loop` has shown that this machine's verdicts can be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Calibration {
    /// There is none.
    #[default]
    Missing,
    /// There is one of another machine, or of this one under another mask.
    OtherMachine {
        /// Its CPU.
        cpu: String,
    },
    /// There is one, but too old.
    Stale {
        /// When it was made, RFC 3339, UTC.
        measured: String,
    },
    /// There is one that counts.
    Fresh {
        /// When it was made, RFC 3339, UTC.
        measured: String,
        /// The noise band that it found; see [`BAND`].
        band: f64,
    },
}

impl Calibration {
    /// What a calibration of the machine `of`, `measured` then, is worth on `here` and `now`.
    pub fn judge(measured: Timestamp, of: &Machine, band: f64, here: &Machine, now: Timestamp) -> Calibration {
        let age = now.duration_since(measured);
        let measured = measured.to_string();
        if of != here {
            Calibration::OtherMachine { cpu: of.cpu.clone() }
        } else if age.is_negative() || age > SignedDuration::from_hours(24 * FRESH_DAYS) {
            Calibration::Stale { measured }
        } else {
            Calibration::Fresh { measured, band }
        }
    }

    /// The noise band.
    ///
    /// # Errors
    /// Why there is none, and what to do about it, in words.
    pub fn band(&self) -> Result<f64, String> {
        let why = match self {
            Calibration::Fresh { band, .. } if band.is_finite() => return Ok(band.max(BAND)),
            Calibration::Fresh { band, .. } => format!("the calibration's noise band is {band}"),
            Calibration::Missing => "this machine is not calibrated".to_owned(),
            Calibration::OtherMachine { cpu } => format!("the calibration is of another machine ({cpu})"),
            Calibration::Stale { measured } => {
                format!("the calibration of {measured} is not of the last {FRESH_DAYS} days")
            }
        };
        Err(format!("{why}: run `pqbench selftest --loop`"))
    }
}

/// All that a trial found, and all that the decision is made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The workload that the trial is about.
    pub target: Target,
    /// What may not become worse.
    pub guards: Vec<Guard>,
    /// The candidate's worker ended badly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Lines of code that the edit adds, without blank ones and comments.
    pub lines_added: usize,
    /// Lines of code that it removes, likewise.
    pub lines_removed: usize,
    /// Whether verdicts of this machine can be believed.
    pub calibration: Calibration,
}

/// Decides, by the first of these rules that fits:
///
/// | findings | verdict |
/// | --- | --- |
/// | the worker ended by `noise` | inconclusive |
/// | it ended badly otherwise | discard |
/// | no calibration of this machine that is fresh; nothing measured; figures that are none | inconclusive |
/// | the target's 99 % interval is beyond the noise band on one seed, and leaves no gain on the other | inconclusive |
/// | no gain of 1 % is possible on one of the seeds, and it is no tie that may be kept | discard |
/// | a guard's whole 99 % interval lies beyond its limit | discard |
/// | the target's 99 % interval is not beyond the band and allows a gain; or a second seed is missing | inconclusive |
/// | a guard's value is beyond its limit, or its interval reaches [`DOUBT`] beyond | inconclusive |
/// | what is left: certainly faster on both seeds, or a tie that may be kept | keep |
///
/// A tie may be kept where the edit removes more lines than it adds, each interval ends within 1 % of the incumbent,
/// and the middle of the values is not above 1: at most the incumbent's time.
///
/// Without a calibration it is inconclusive and not an error, so that the trial still leaves its record; a command asks
/// [`Calibration::band`] before it spends minutes.
pub fn decide(findings: &Findings) -> Decision {
    let (verdict, reason) = verdict(findings);
    Decision { verdict, reason }
}

/// Whether a second seed is worth measuring: it is where a keep follows if it says what the first one says. Ask when
/// the guards are measured, or as soon as the first seed is.
pub fn needs_second_seed(findings: &Findings) -> bool {
    let [only] = findings.target.ratios[..] else { return false };
    let mut findings = findings.clone();
    findings.target.ratios.push(only);
    decide(&findings).verdict == Verdict::Keep
}

/// Whether the next keep, after so many `keeps`, is measured against the best ever.
pub fn is_ratchet_due(keeps: usize) -> bool {
    (keeps + 1).is_multiple_of(RATCHET)
}

fn verdict(findings: &Findings) -> (Verdict, String) {
    if let Some(end) = &findings.end {
        let verdict = if end.kind == EndKind::Noise { Verdict::Inconclusive } else { Verdict::Discard };
        return (verdict, end.to_string());
    }
    let band = match findings.calibration.band() {
        Ok(band) => band,
        Err(why) => return (Verdict::Inconclusive, why),
    };
    let (verdict, mut reason) = verdict_of_target(findings, band);
    let guards = |state| {
        let guards: Vec<_> =
            findings.guards.iter().filter(|guard| guard.state() == state).map(Guard::to_string).collect();
        (!guards.is_empty()).then(|| guards.join(", "))
    };
    if verdict == Verdict::Discard {
        return (verdict, reason);
    }
    if let Some(broken) = guards(Guarded::Broken) {
        return (Verdict::Discard, format!("{reason}; but worse: {broken}"));
    }
    if let (Verdict::Keep, Some(doubts)) = (verdict, guards(Guarded::InDoubt)) {
        return (Verdict::Inconclusive, format!("{reason}; but perhaps worse: {doubts}"));
    }
    if verdict == Verdict::Keep && !findings.guards.is_empty() {
        reason += "; no guard is broken";
    }
    (verdict, reason)
}

/// The verdict if there were no guards.
fn verdict_of_target(findings: &Findings, band: f64) -> (Verdict, String) {
    let Findings { target: Target { name, ratios }, lines_added, lines_removed, .. } = findings;
    if ratios.is_empty() {
        return (Verdict::Inconclusive, format!("{name} was not measured"));
    }
    let figures = ratios.iter().map(told).collect::<Vec<_>>().join(", on another seed ");
    let measured = format!("{name} takes {figures} of the incumbent's time");
    let say = |verdict, why: String| (verdict, format!("{measured}: {why}"));
    if !ratios.iter().all(is_sound) {
        return say(Verdict::Inconclusive, "these are no figures".to_owned());
    }
    let is_gain = |ratio: &Estimate| ratio.certain.1 < 1.0 - band;
    let is_none = |ratio: &Estimate| ratio.certain.0 > 1.0 - BAND;
    let removes_code = lines_removed > lines_added;
    let may_be_kept = |ratio: &Estimate| ratio.certain.1 <= 1.0 + BAND;
    let middle = geomean(&ratios.iter().map(|ratio| ratio.value).collect::<Vec<_>>());

    let (verdict, why) = if ratios.iter().all(is_gain) {
        (Verdict::Keep, "faster".to_owned())
    } else if removes_code && ratios.iter().all(may_be_kept) && middle <= 1.0 {
        (Verdict::Keep, format!("no slower, with {} lines less", lines_removed - lines_added))
    } else if ratios.iter().any(is_gain) && ratios.iter().any(is_none) {
        return say(Verdict::Inconclusive, "the seeds contradict each other".to_owned());
    } else if ratios.iter().any(is_none) {
        // What removes code has one more way to be kept, which closes where it is certainly slower, or well known.
        let is_slower = ratios.iter().any(|ratio| ratio.certain.0 > 1.0) || ratios.iter().all(may_be_kept);
        return match (removes_code, is_slower) {
            (false, _) => say(Verdict::Discard, format!("no gain of {} is possible", percent(BAND))),
            (true, true) => say(Verdict::Discard, "fewer lines, but slower".to_owned()),
            (true, false) => {
                say(Verdict::Inconclusive, "fewer lines, but it is not certain that it is no slower".to_owned())
            }
        };
    } else {
        return say(Verdict::Inconclusive, format!("the gain is not certainly beyond {}", percent(band)));
    };
    if ratios.len() < SEEDS {
        return say(Verdict::Inconclusive, format!("{why}, but a second seed was not measured"));
    }
    say(verdict, why)
}

/// Whether this is a ratio at all. A division by nothing must not win.
fn is_sound(ratio: &Estimate) -> bool {
    let Estimate { value, certain: (low, high), .. } = *ratio;
    0.0 < low && low <= value && value <= high && high.is_finite()
}

fn told(ratio: &Estimate) -> String {
    let Estimate { value, certain: (low, high), .. } = ratio;
    format!("{value:.4} [{low:.4}, {high:.4}]")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use Verdict::{Discard, Inconclusive, Keep};

    use super::*;

    /// An estimate whose 99 % interval reaches so far below and above.
    fn ratio(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, low: (value + low) / 2.0, high: (value + high) / 2.0, certain: (low, high) }
    }

    /// A gain of 5 % on two seeds, all guards held, no line more or less.
    fn faster() -> Findings {
        Findings {
            target: Target { name: "images".to_owned(), ratios: vec![ratio(0.95, 0.94, 0.96); 2] },
            guards: vec![
                Guard::workload("1k", ratio(1.0, 0.98, 1.02)),
                Guard::worst_case(ratio(1.1, 1.08, 1.12)),
                Guard::memory(ratio(1.0, 1.0, 1.0), None),
                Guard::preparation(ratio(1.02, 0.99, 1.05), None),
            ],
            calibration: Calibration::Fresh { measured: "2026-11-28T10:15:02Z".to_owned(), band: 0.004 },
            lines_added: 3,
            lines_removed: 3,
            ..Findings::default()
        }
    }

    fn on_target(ratios: &[(f64, f64, f64)]) -> Findings {
        let mut findings = faster();
        findings.target.ratios = ratios.iter().map(|&(value, low, high)| ratio(value, low, high)).collect();
        findings
    }

    fn shorter(ratios: &[(f64, f64, f64)]) -> Findings {
        Findings { lines_added: 2, lines_removed: 9, ..on_target(ratios) }
    }

    fn guarded(guard: Guard) -> Findings {
        let mut findings = faster();
        findings.guards.push(guard);
        findings
    }

    fn ended(kind: EndKind) -> Findings {
        Findings { end: Some(End { kind, detail: "query 7".to_owned() }), ..faster() }
    }

    fn calibrated(calibration: Calibration) -> Findings {
        Findings { calibration, ..faster() }
    }

    fn of_band(band: f64) -> Calibration {
        Calibration::Fresh { measured: String::new(), band }
    }

    #[test]
    fn the_decision_as_a_table() {
        let unknown = ratio(f64::NAN, f64::NAN, f64::NAN);
        let nan = f64::NAN;
        let table: &[(Findings, Verdict, &str)] = &[
            // The target.
            (faster(), Keep, "images takes 0.9500 [0.9400, 0.9600], on another seed 0.9500"),
            (faster(), Keep, "no guard is broken"),
            (Findings { guards: Vec::new(), ..faster() }, Keep, "faster"),
            (on_target(&[(0.985, 0.98, 0.9899), (0.985, 0.98, 0.9899)]), Keep, "faster"),
            (on_target(&[(0.985, 0.98, 0.99), (0.985, 0.98, 0.9899)]), Inconclusive, "not certainly beyond 1.0 %"),
            (on_target(&[(0.98, 0.97, 0.985)]), Inconclusive, "a second seed was not measured"),
            (on_target(&[(0.98, 0.97, 0.985), (0.985, 0.975, 0.995)]), Inconclusive, "not certainly beyond"),
            (on_target(&[(0.98, 0.97, 0.985), (1.0, 0.995, 1.005)]), Inconclusive, "contradict"),
            (on_target(&[(1.0, 0.995, 1.005), (0.98, 0.97, 0.985)]), Inconclusive, "contradict"),
            (on_target(&[(1.0, 0.995, 1.005)]), Discard, "no gain of 1.0 % is possible"),
            (on_target(&[(0.992, 0.9901, 0.995)]), Discard, "no gain"),
            (on_target(&[(0.992, 0.99, 0.995)]), Inconclusive, "not certainly"),
            (on_target(&[(1.05, 1.04, 1.06)]), Discard, "no gain"),
            (on_target(&[(1.05, 0.9, 1.2)]), Inconclusive, "not certainly"),
            (on_target(&[(0.985, 0.975, 0.995), (0.995, 0.9901, 0.999)]), Discard, "no gain"),
            (on_target(&[]), Inconclusive, "images was not measured"),
            // Figures that are none never win.
            (on_target(&[(nan, nan, nan), (0.9, 0.8, 0.95)]), Inconclusive, "no figures"),
            (on_target(&[(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]), Inconclusive, "no figures"),
            (on_target(&[(-1.0, -2.0, -0.5), (0.9, 0.8, 0.95)]), Inconclusive, "no figures"),
            (on_target(&[(0.9, 0.95, 0.8), (0.9, 0.95, 0.8)]), Inconclusive, "no figures"),
            (on_target(&[(f64::INFINITY, 1.0, f64::INFINITY)]), Inconclusive, "no figures"),
            // A tie.
            (on_target(&[(0.999, 0.992, 1.005), (0.999, 0.992, 1.005)]), Discard, "no gain"),
            (shorter(&[(0.999, 0.992, 1.005), (0.999, 0.992, 1.005)]), Keep, "no slower, with 7 lines less"),
            (shorter(&[(1.0, 0.98, 1.01), (1.0, 0.98, 1.01)]), Keep, "no slower"),
            (shorter(&[(1.001, 0.995, 1.006), (0.998, 0.992, 1.004)]), Keep, "no slower"),
            (shorter(&[(1.001, 0.995, 1.006), (1.001, 0.995, 1.006)]), Discard, "fewer lines, but slower"),
            (shorter(&[(1.001, 0.98, 1.011)]), Inconclusive, "not certainly"),
            (shorter(&[(1.01, 0.995, 1.03)]), Inconclusive, "not certain that it is no slower"),
            (shorter(&[(1.006, 1.001, 1.03)]), Discard, "fewer lines, but slower"),
            (shorter(&[(0.999, 0.992, 1.005)]), Inconclusive, "second seed"),
            (shorter(&[(0.95, 0.94, 0.96), (0.95, 0.94, 0.96)]), Keep, "faster"),
            // Guards.
            (guarded(Guard::workload("1m", ratio(1.04, 1.021, 1.06))), Discard, "but worse: 1m 1.0400"),
            (guarded(Guard::workload("1m", ratio(1.021, 1.0, 1.04))), Inconclusive, "perhaps worse: 1m"),
            (guarded(Guard::workload("1m", ratio(1.02, 1.01, 1.03))), Keep, ""),
            (guarded(Guard::workload("1m", ratio(1.0, 0.95, 1.05))), Keep, ""),
            (guarded(Guard::workload("1m", ratio(1.0, 0.9, 1.1))), Inconclusive, "perhaps worse: 1m"),
            (guarded(Guard::workload("1m", unknown)), Inconclusive, "perhaps worse"),
            (guarded(Guard::worst_case(ratio(1.3, 1.26, 1.34))), Discard, "worst-case against scalar"),
            (guarded(Guard::worst_case(ratio(1.26, 1.24, 1.28))), Inconclusive, "worst-case"),
            (guarded(Guard::memory(ratio(1.11, 1.11, 1.11), None)), Discard, "memory 1.1100"),
            (guarded(Guard::memory(ratio(1.4, 1.4, 1.4), Some(1.5))), Keep, ""),
            (guarded(Guard::memory(ratio(1.6, 1.6, 1.6), Some(1.5))), Discard, "memory"),
            (guarded(Guard::memory(ratio(1.05, 1.05, 1.05), Some(0.5))), Keep, ""),
            (guarded(Guard::memory(ratio(f64::INFINITY, f64::INFINITY, f64::INFINITY), None)), Inconclusive, "memory"),
            (guarded(Guard::memory(ratio(9.0, 9.0, 9.0), Some(f64::INFINITY))), Inconclusive, "memory"),
            (guarded(Guard::preparation(ratio(1.5, 1.2, 1.8), None)), Discard, "preparation"),
            (guarded(Guard::preparation(ratio(1.5, 1.2, 1.8), Some(2.0))), Keep, ""),
            (guarded(Guard::best_ever(ratio(1.02, 1.011, 1.03))), Discard, "best ever"),
            (guarded(Guard::best_ever(ratio(1.005, 0.99, 1.02))), Keep, ""),
            (
                Findings { guards: vec![Guard::workload("1k", ratio(1.2, 1.1, 1.3))], ..on_target(&[(1.0, 0.9, 1.1)]) },
                Discard,
                "1k",
            ),
            (
                Findings { guards: vec![Guard::workload("1k", ratio(1.0, 0.8, 1.2))], ..on_target(&[(1.0, 0.9, 1.1)]) },
                Inconclusive,
                "not certainly",
            ),
            // Bad ends.
            (ended(EndKind::Wrong), Discard, "wrong: query 7"),
            (ended(EndKind::Crash), Discard, "crash: query 7"),
            (ended(EndKind::Timeout), Discard, "timeout: query 7"),
            (ended(EndKind::Memory), Discard, "memory: query 7"),
            (ended(EndKind::Threads), Discard, "threads: query 7"),
            (ended(EndKind::TooFast), Discard, "too-fast: query 7"),
            (ended(EndKind::Build), Discard, "build: query 7"),
            (ended(EndKind::Lint), Discard, "lint: query 7"),
            (ended(EndKind::Noise), Inconclusive, "noise: query 7"),
            (Findings { calibration: Calibration::Missing, ..ended(EndKind::Wrong) }, Discard, "wrong"),
            // The calibration.
            (calibrated(Calibration::Missing), Inconclusive, "not calibrated"),
            (calibrated(Calibration::OtherMachine { cpu: "Z80".to_owned() }), Inconclusive, "machine (Z80)"),
            (calibrated(Calibration::Stale { measured: "2026-01-01".to_owned() }), Inconclusive, "of 2026-01-01"),
            (calibrated(of_band(nan)), Inconclusive, "band is NaN"),
            (calibrated(of_band(0.03)), Keep, ""),
            (calibrated(of_band(0.045)), Inconclusive, "not certainly beyond 4.5 %"),
            (
                Findings { calibration: of_band(0.045), ..on_target(&[(1.0, 0.995, 1.005)]) },
                Discard,
                "no gain of 1.0 %",
            ),
        ];
        for (findings, verdict, word) in table {
            let decision = decide(findings);
            assert_eq!(decision.verdict, *verdict, "{decision:?} of {findings:?}");
            assert!(decision.reason.contains(word), "'{word}' is not in '{}'", decision.reason);
        }
    }

    #[test]
    fn a_second_seed_is_measured_where_the_first_one_wins() {
        let table = [
            (on_target(&[(0.95, 0.94, 0.96)]), true),
            (on_target(&[(0.985, 0.975, 0.995)]), false),
            (on_target(&[(1.0, 0.995, 1.005)]), false),
            (shorter(&[(0.999, 0.992, 1.005)]), true),
            (on_target(&[]), false),
            (faster(), false),
            (
                Findings {
                    guards: vec![Guard::workload("1k", ratio(1.2, 1.1, 1.3))],
                    ..on_target(&[(0.9, 0.8, 0.95)])
                },
                false,
            ),
            (Findings { calibration: Calibration::Missing, ..on_target(&[(0.9, 0.8, 0.95)]) }, false),
        ];
        for (findings, expected) in table {
            assert_eq!(needs_second_seed(&findings), expected, "{findings:?}");
        }
    }

    #[test]
    fn a_calibration_counts_on_its_machine_and_for_a_week() {
        let here = crate::report::sample::run().machine;
        let other = Machine { cpu: "Z80".to_owned(), ..here.clone() };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let made = at("2026-11-20T00:00:00Z");
        let judge = |of, now| Calibration::judge(made, of, 0.013, &here, at(now));
        assert_eq!(judge(&here, "2026-11-27T00:00:00Z").band(), Ok(0.013));
        assert!(matches!(judge(&here, "2026-11-27T00:00:01Z"), Calibration::Stale { .. }));
        assert!(matches!(judge(&here, "2026-11-19T00:00:00Z"), Calibration::Stale { .. }));
        assert_eq!(judge(&other, "2026-11-21T00:00:00Z"), Calibration::OtherMachine { cpu: "Z80".to_owned() });
    }

    #[test]
    fn every_tenth_keep_is_measured_against_the_best() {
        assert_eq!((0..31).filter(|&keeps| is_ratchet_due(keeps)).collect::<Vec<_>>(), [9, 19, 29]);
    }

    #[test]
    fn the_ends_have_the_names_that_records_rely_on() {
        use EndKind::{Build, Crash, Lint, Memory, Noise, Threads, Timeout, TooFast, Wrong};
        let kinds = [Wrong, Crash, Timeout, Memory, Threads, TooFast, Build, Lint, Noise];
        let names = ["wrong", "crash", "timeout", "memory", "threads", "too-fast", "build", "lint", "noise"];
        for (kind, name) in kinds.into_iter().zip(names) {
            assert_eq!(kind.to_string(), name);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert_eq!(End { kind: Wrong, detail: "query 7: id 3".to_owned() }.to_string(), "wrong: query 7: id 3");
    }
}
