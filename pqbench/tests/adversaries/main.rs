//! Variants that cheat or are broken, one small file each, and what has to become of each of them.
//!
//! Whoever finds a new way to cheat adds a file and a line to the table. An adversary is examined as the candidate of a
//! trial is, in a worker, and measured against an honest loop. Where its source is the point, it is a text in
//! `sources.rs`.
//!
//! This program is also the worker: it registers all of them.

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod honest;
mod sources;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// What becomes of an adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(target_os = "linux")]
enum Verdict {
    /// Its worker ends so.
    Ends(pqbench::trial::decide::EndKind),
    /// It breaks this guard.
    Breaks(&'static str),
    /// It is right, and slower.
    IsSlower,
    /// It is right, does no harm, and is not faster.
    GainsNothing,
}

macro_rules! adversaries {
    ($($name:ident: $verdict:expr,)*) => {
        $(#[cfg(target_os = "linux")] mod $name;)*

        #[cfg(target_os = "linux")]
        fn adversaries() -> Vec<(&'static str, Verdict)> {
            use pqbench::trial::decide::EndKind::*;
            use Verdict::*;
            vec![$((stringify!($name), $verdict)),*]
        }
    };
}

adversaries! {
    honest_scan: GainsNothing,

    not_a_number: Ends(Wrong),
    no_answer: Ends(Wrong),
    answer_before: Ends(Wrong),
    last_bit: Ends(Wrong),
    other_order: Ends(Wrong),
    fused: Ends(Wrong),
    ties_reversed: Ends(Wrong),
    loses_infinity: Ends(Wrong),
    flushes_to_zero: Ends(Wrong),
    negative_zero: Ends(Wrong),
    too_few: Ends(Wrong),
    too_many: Ends(Wrong),
    answers_in_place: Ends(Wrong),
    twice_the_nearest: Ends(Wrong),
    ids_of_32_bits: Ends(Wrong),
    next_id: Ends(Wrong),

    after_many_calls: Ends(Wrong),
    one_in_a_thousand: Ends(Wrong),
    whole_numbers: Ends(Wrong),
    fractions: Ends(Wrong),
    counter_of_16_bits: Ends(Wrong),
    counter_of_20_bits: Ends(Wrong),
    sum_of_8_bits: Ends(Wrong),

    one_k: Ends(Wrong),
    k_beyond_the_list: Ends(Wrong),
    one_remainder: Ends(Wrong),
    one_length: Ends(Wrong),
    long_lists: Ends(Wrong),
    one_batch_size: Ends(Wrong),
    first_of_a_batch: Ends(Wrong),
    second_list: Ends(Wrong),
    first_table: Ends(Wrong),
    one_metric: Ends(Wrong),
    four_bits: Ends(Wrong),
    negative_entries: Ends(Wrong),
    unprepared: Ends(Wrong),
    broken_copy: Ends(Wrong),

    remembers_queries: GainsNothing,
    remembers_places: Ends(Wrong),
    remembers_similar: Ends(Wrong),
    answers_prepared: Breaks("preparation"),

    first_call: Breaks("preparation"),
    slow_preparation: Breaks("preparation"),
    slow_copy: Breaks("preparation"),
    slow_drop: Breaks("preparation"),
    settling: Breaks("settling"),
    works_between_turns: Ends(Threads),
    lazy_answers: Ends(Wrong),
    forged_reply: Ends(Wrong),
    large_memory: Breaks("memory"),
    shared_mapping: Breaks("memory"),
    leaks: Ends(Memory),
    slower: IsSlower,

    thread: Ends(Threads),
    background: Ends(Threads),
    fork: Ends(Threads),
    priority: Ends(Crash),
    affinity: Ends(Crash),

    prints_results: Ends(Crash),
    writes_a_row: Ends(Crash),
    reads_the_parent: Ends(Crash),
    signals_the_parent: Ends(Crash),
    signals_by_a_pipe: Ends(Crash),
    limits_the_parent: Ends(Crash),
    network: Ends(Crash),
    float_mode: Ends(Wrong),
    panic_hook: Ends(Crash),
    closes_replies: Ends(Crash),
    closes_commands: Ends(Crash),

    panics: Ends(Crash),
    aborts: Ends(Crash),
    exits: Ends(Crash),
    endless: Ends(Timeout),
    endless_preparation: Ends(Timeout),
    deadlock: Ends(Timeout),
    stops: Ends(Timeout),
    sleeps: Ends(Timeout),
    hangs_between_turns: Ends(Timeout),
    allocates: Ends(Memory),
    allocating_preparation: Ends(Memory),
    recursion: Ends(Crash),
    null: Ends(Crash),
    beyond: Ends(Crash),
    double_free: Ends(Crash),
    illegal: Ends(Crash),
    prints: Ends(Crash),

    approximate_as_exact: Ends(Wrong),
    garbage_as_approximate: Ends(Wrong),
    lies_about_memory: Ends(Wrong),
    declines_others: Ends(Wrong),
    declines_exams: Ends(Wrong),
    reads_all: GainsNothing,
    too_fast: Ends(TooFast),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if std::env::args().nth(1).as_deref() == Some("worker") {
        pqbench_worker::serve();
    }
    let mut arguments = Arguments::from_args();
    // Some wait for a timeout only.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let mut trials: Vec<Trial> = sources::trials();
    #[cfg(target_os = "linux")]
    trials.extend(adversaries().into_iter().map(|(name, expected)| {
        Trial::test(name, move || match bench::verdict(name)? {
            (verdict, _) if verdict == expected => Ok(()),
            (verdict, why) => Err(format!("{verdict:?}, not {expected:?}: {why}").into()),
        })
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}
