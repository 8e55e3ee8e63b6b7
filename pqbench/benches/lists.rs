//! One query over many lists, as an inverted file asks it, against one list of the same codes; and what their
//! preparation costs.
//!
//! `cargo bench -p pqbench --bench lists` for all variants, with `-- NAME...` for some. Each round times all three ways
//! with the same queries, which begins by turns; a ratio is formed within a round, and the median is shown. All three
//! must give one answer.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits},
    measure::statistics::{median, quantile},
    report::units::{grouped, significant},
    run::Machine,
};
use pqscan::{
    Codebook, Codes, List, Query, ScanOptions, TopK, cpu,
    registry::{self, Fidelity, Variant},
};

/// Codes of a list, and lists that a query visits.
const LENGTH: usize = 1_000;
const VISITED: usize = 20;
const K: usize = 10;
const ROUNDS: usize = 31;
/// Queries of a round.
const QUERIES: usize = 40;

/// What a query goes through, and whether it has a table for each list.
type Way<'a> = (&'a [List], usize, bool);

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let fixture = Fixture::open("embedded", Limits::default(), &ProgressBar::hidden())?;
    let groups = fixture.num_base() / (LENGTH * VISITED);
    ensure!(groups > 0, "the data set has fewer codes than {VISITED} lists of {LENGTH}");
    println!(
        "{}: {} of {} lists of {} codes a query, {}x{} bit, the {K} nearest; {}, one thread\n",
        fixture.name,
        VISITED,
        groups * VISITED,
        grouped(LENGTH as f64),
        fixture.geometry.m(),
        fixture.geometry.bits().count(),
        Machine::here()?.cpu
    );
    println!(
        "| variant | one list of {}, µs | {VISITED} lists, one table | {VISITED} lists, a table each | prepare, µs a code | \
         bytes a code |\n| --- | ---: | ---: | ---: | ---: | ---: |",
        grouped((LENGTH * VISITED) as f64)
    );
    if names.is_empty() {
        measure(&fixture, groups, None)?;
    }
    for variant in registry::all() {
        let skipped =
            variant.unavailable(cpu::features()?).is_some() || variant.unsupported(fixture.geometry).is_some();
        if !skipped
            && variant.fidelity == Fidelity::Exact
            && (names.is_empty() || names.iter().any(|name| name == variant.name))
        {
            measure(&fixture, groups, Some(variant))?;
        }
    }
    Ok(())
}

/// Prints the row of a variant, or of those that are selected for the lengths of the lists.
fn measure(fixture: &Fixture, groups: usize, variant: Option<&'static Variant>) -> Result<()> {
    let codebook = fixture.codebook()?;
    let short = lists(fixture, &codebook, LENGTH, variant)?;
    let long = lists(fixture, &codebook, LENGTH * VISITED, variant)?;
    // The codebook has its groups by now.
    let begin = Instant::now();
    drop(lists(fixture, &codebook, LENGTH, variant)?);
    let num_codes = (short.len() * LENGTH) as f64;
    let prepare = begin.elapsed().as_secs_f64() * 1e6 / num_codes;
    let bytes = short.iter().map(List::memory_bytes).sum::<usize>() as f64 / num_codes;

    let ways: [Way<'_>; 3] = [(&long, 1, false), (&short, VISITED, false), (&short, VISITED, true)];
    let vectors: Vec<&[f32]> = fixture.queries().collect();
    let mut query = codebook.query(vectors[0])?;
    for (at, vector) in vectors.iter().enumerate() {
        let mut answer = |way| ask(&mut query, vector, way, at % groups);
        let expected = answer(ways[0])?;
        ensure!(answer(ways[1])? == expected && answer(ways[2])? == expected, "query {at} has several answers");
    }
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            let begin = Instant::now();
            for at in 0..QUERIES {
                let vector = vectors[(round * QUERIES + at) % vectors.len()];
                black_box(ask(&mut query, black_box(vector), ways[way], at % groups)?);
            }
            times[way].push(begin.elapsed().as_secs_f64() * 1e6 / QUERIES as f64);
        }
    }
    let ratio = |way: &[f64]| {
        let ratios: Vec<f64> = way.iter().zip(&times[0]).map(|(time, one)| time / one).collect();
        let [low, middle, high] = [0.16, 0.5, 0.84].map(|share| significant(quantile(&ratios, share)));
        format!("{middle}x ({low} to {high})")
    };
    let [name, long_name] = [&short, &long].map(|lists| lists[0].variant().name);
    let name = match variant {
        None if name == long_name => format!("selected: {name}"),
        None => format!("selected: {name}, for the one list {long_name}"),
        Some(_) => name.to_owned(),
    };
    println!(
        "| {name} | {} | {} | {} | {} | {} |",
        significant(median(&times[0])),
        ratio(&times[1]),
        ratio(&times[2]),
        significant(prepare),
        significant(bytes)
    );
    Ok(())
}

fn lists(
    fixture: &Fixture,
    codebook: &Codebook,
    length: usize,
    variant: Option<&'static Variant>,
) -> Result<Vec<List>> {
    let bytes = length * fixture.geometry.row_bytes();
    let prepare = |codes| match variant {
        None => codebook.prepare(Codes::row_major(codes)),
        Some(variant) => variant.prepare(codebook, Codes::row_major(codes), 1),
    };
    fixture.codes.chunks_exact(bytes).map(|codes| prepare(codes).context("can't prepare a list")).collect()
}

/// The answer of `vector` in a group of lists.
fn ask(
    query: &mut Query,
    vector: &[f32],
    (lists, count, table_each): Way<'_>,
    group: usize,
) -> Result<Vec<(u64, f32)>> {
    let mut top = TopK::new(K);
    query.set(vector)?;
    for (at, list) in lists[group * count..][..count].iter().enumerate() {
        if table_each && at > 0 {
            query.set(vector)?;
        }
        list.scan(query, &mut top, &ScanOptions { first_id: (at * LENGTH) as u64, ..Default::default() })?;
    }
    Ok(top.into_sorted())
}
