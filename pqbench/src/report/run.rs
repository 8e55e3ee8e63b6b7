//! How a run is told: the columns of the ranking, what was measured where, and what to know before believing it.

use serde_json::Value;

use super::{
    Column, Document, Row, Table, number, rows,
    units::{bytes, duration, grouped, percent, significant},
    word,
};
use crate::run::{Run, Status, Stopped, VariantResult};

const COLUMNS: &[Column] = &[
    Column::numbers("rank", "#", |row| number(row, "rank", grouped)),
    Column::words("name", "name", |row| word(row, "name").to_owned()),
    Column::words("status", "status", status),
    Column::numbers("ns_per_query", "ns/query", |row| number(row, "ns_per_query", grouped)),
    Column::numbers("speedup", "speed-up", speedup),
    Column::numbers("codes_per_second", "G codes/s", |row| number(row, "codes_per_second", |v| significant(v / 1e9))),
    Column::numbers("roofline_share", "roofline", |row| number(row, "roofline_share", percent)),
    Column::numbers("recall_at_10", "recall@10", recall),
    Column::numbers("agreement", "agreement", |row| number(row, "agreement", |v| format!("{v:.3}"))),
    Column::numbers("prepare_seconds", "prepare", |row| number(row, "prepare_seconds", duration)),
    Column::numbers("memory_bytes", "memory", |row| number(row, "memory_bytes", bytes)),
    Column::numbers("p50_ns", "p50", |row| number(row, "p50_ns", nanoseconds)),
    Column::numbers("p90_ns", "p90", |row| number(row, "p90_ns", nanoseconds)),
    Column::numbers("p99_ns", "p99", |row| number(row, "p99_ns", nanoseconds)),
    Column::numbers("max_ns", "max", |row| number(row, "max_ns", nanoseconds)),
];

const NUM_BASE: Column = Column::numbers("num_base", "codes", |row| number(row, "num_base", grouped));

const COUNTERS: &[Column] = &[
    Column::numbers("cycles_per_code", "cycles/code", |row| number(row, "cycles_per_code", significant)),
    Column::numbers("instructions_per_code", "instr/code", |row| number(row, "instructions_per_code", significant)),
    Column::numbers("l1d_misses_per_code", "L1 misses/code", |row| number(row, "l1d_misses_per_code", significant)),
    Column::numbers("llc_misses_per_code", "LLC misses/code", |row| number(row, "llc_misses_per_code", significant)),
];

fn nanoseconds(ns: f64) -> String {
    duration(ns / 1e9)
}

/// A variant's figures as one row: the counters among the others, the raw samples left to JSON.
fn flat(variant: &VariantResult) -> Row {
    let mut row = rows(std::slice::from_ref(variant)).remove(0);
    row.remove("samples");
    row.remove("counters");
    for column in COUNTERS {
        row.insert(column.name.to_owned(), Value::Null);
    }
    row.extend(variant.counters.iter().flat_map(|counters| rows(std::slice::from_ref(counters)).remove(0)));
    row
}

fn status(row: &Row) -> String {
    match (word(row, "status"), word(row, "reason")) {
        (status, "") => status.to_owned(),
        (status, reason) => format!("{status}: {reason}"),
    }
}

/// A variant that was measured may have a recall that nobody knows.
fn recall(row: &Row) -> String {
    match (word(row, "status"), &row["recall_at_10"]) {
        ("ok", Value::Null) => "not known".to_owned(),
        _ => number(row, "recall_at_10", |v| format!("{v:.4}")),
    }
}

/// The ratio and how far its interval reaches, as a share of it.
fn speedup(row: &Row) -> String {
    let figure = |name| row.get(name).and_then(Value::as_f64);
    let Some(ratio) = figure("speedup") else { return String::new() };
    match (figure("ratio_low"), figure("ratio_high")) {
        (Some(low), Some(high)) if low < high => {
            format!("{}x ±{}", significant(ratio), percent((high - ratio).max(ratio - low) / ratio))
        }
        _ => format!("{}x", significant(ratio)),
    }
}

/// A report of several saved runs, each under its name.
pub fn document_of(runs: &[(String, Run)]) -> Document<'_> {
    if let [(_, run)] = runs {
        return run.document();
    }
    let json: Vec<&Run> = runs.iter().map(|(_, run)| run).collect();
    let runs: Vec<(String, &Run)> = runs.iter().flat_map(|(name, run)| run.named_parts(name)).collect();
    let mut rows = Vec::new();
    for (name, run) in &runs {
        for row in run.rows(true) {
            rows.push(Row::from_iter([("run".to_owned(), Value::from(name.as_str()))].into_iter().chain(row)));
        }
    }
    let mut columns = vec![Column::words("run", "run", |row| word(row, "run").to_owned()), NUM_BASE];
    columns.extend(COLUMNS);
    let mut document = Document::new("pqbench report", &json, rows, columns);
    for (name, run) in &runs {
        document.before.extend([&run.what(), &run.machine_line(), &run.method()].map(|line| format!("{name}: {line}")));
        document.after.extend(run.warnings.iter().map(|warning| format!("warning: {name}: {warning}")));
    }
    document.runs = runs;
    document
}

impl Run {
    /// The run as a report.
    pub fn document(&self) -> Document<'_> {
        if self.others.is_empty() { self.single_document() } else { self.document_of_parts() }
    }

    /// A table for each data set.
    fn document_of_parts(&self) -> Document<'_> {
        let mut document = Document::new("pqbench", self, Vec::new(), Vec::new());
        document.before.push(self.machine_line());
        document.tables.clear();
        for part in self.parts() {
            let name = &part.fixture.name;
            let single = part.single_document();
            for Table { rows, columns, .. } in single.tables {
                let field = || [("fixture".to_owned(), Value::from(name.as_str()))].into_iter();
                let rows = rows.into_iter().map(|row| field().chain(row).collect()).collect();
                document.tables.push(Table { before: vec![part.what(), part.method()], rows, columns });
            }
            document.after.extend(part.warnings.iter().map(|warning| format!("warning: {name}: {warning}")));
            document.runs.push((name.clone(), part));
        }
        document.after.extend(self.counters_note.clone());
        let winners: Vec<String> = self.parts().filter_map(Run::winner).collect();
        document.after.extend((!winners.is_empty()).then(|| format!("fastest: {}", winners.join("; "))));
        document
    }

    /// The fastest exact variant on this data, in words.
    fn winner(&self) -> Option<String> {
        let mut exact = self.variants.iter().filter(|variant| variant.fidelity == "exact");
        let first = exact.next()?;
        let equals = match exact.filter(|other| other.rank == first.rank).count() {
            0 => String::new(),
            more => format!(" (and {more} that can't be told from it)"),
        };
        Some(format!(
            "{}{equals} on {}, {}x the speed of {}",
            first.name,
            self.fixture.name,
            significant(first.speedup?),
            self.baseline
        ))
    }

    fn single_document(&self) -> Document<'_> {
        let is_sweep = !self.sizes.is_empty();
        let mut columns = Vec::new();
        columns.extend(is_sweep.then_some(NUM_BASE));
        columns.extend(COLUMNS);
        let counted = self.variants.iter().any(|variant| variant.counters.is_some());
        columns.extend(counted.then_some(COUNTERS).into_iter().flatten());
        let mut document = Document::new("pqbench", self, self.rows(is_sweep), columns);
        document.before = vec![self.what(), self.machine_line(), self.method()];
        document.after = self.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        document.after.extend(self.counters_note.clone());
        document.runs = vec![(String::new(), self)];
        document
    }

    /// A row for each variant, at each size of a sweep; `with_size` says for how many codes.
    fn rows(&self, with_size: bool) -> Vec<Row> {
        let mut lists: Vec<(usize, &[VariantResult])> =
            self.sizes.iter().map(|size| (size.num_base, size.variants.as_slice())).collect();
        if lists.is_empty() {
            lists.push((self.fixture.num_base, &self.variants));
        }
        let mut rows = Vec::new();
        for (num_base, variants) in lists {
            for variant in variants {
                let size = with_size.then(|| ("num_base".to_owned(), Value::from(num_base)));
                rows.push(size.into_iter().chain(flat(variant)).collect());
            }
        }
        rows
    }

    /// The data, in one line.
    pub fn what(&self) -> String {
        let fixture = &self.fixture;
        format!(
            "{} ({}): {} codes of {}x{} bit, {} dimensions, {}, {} queries, the {} nearest",
            fixture.name,
            fixture.source,
            grouped(fixture.num_base as f64),
            fixture.num_sub_vectors,
            fixture.bits,
            fixture.dim,
            fixture.metric,
            grouped(fixture.num_queries as f64),
            self.protocol.k
        )
    }

    /// The machine, in one line.
    pub fn machine_line(&self) -> String {
        let machine = &self.machine;
        let plural = if machine.cores == 1 { "" } else { "s" };
        let mask = machine.mask.as_ref().map(|mask| format!(", PQBENCH_CPU={mask}")).unwrap_or_default();
        format!("{}, {} core{plural}, {} {}{mask}", machine.cpu, machine.cores, machine.os, machine.arch)
    }

    /// How it was measured, in one line.
    pub fn method(&self) -> String {
        let protocol = &self.protocol;
        let rounds = || self.sizes.iter().map(|size| size.rounds);
        let mut line = match (rounds().min(), rounds().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most} interleaved rounds at each size"),
            _ => format!("{} interleaved rounds", self.rounds),
        };
        line += &format!(" (seed {})", protocol.seed);
        if protocol.batch > 1 {
            line += &format!(", {} queries a call", protocol.batch);
        }
        if protocol.cold {
            line += ", codes evicted from the caches before each query";
        }
        let limit = duration(protocol.max_seconds);
        line += &match protocol.stopped {
            Stopped::Precision => format!(", until each ratio was known to ±{}", percent(protocol.precision)),
            Stopped::MaxTime => format!(", until its share of --max-time, {limit}, was over"),
            Stopped::Interrupted => ", until interrupted: what was measured by then".to_owned(),
        };
        let num_base = grouped(self.fixture.num_base as f64);
        line + &format!("; only to read {num_base} codes takes {}", duration(self.roofline_ns / 1e9))
    }

    /// Whether some variant gave a wrong answer.
    pub fn has_wrong_answers(&self) -> bool {
        self.parts().flat_map(|part| &part.variants).any(|variant| variant.status == Status::Wrong)
    }
}
