//! Row-major codes, portable: one look-up for two neighbouring sub-quantizers, candidates gathered without a branch.
//!
//! Loads limit the plain loop: a code and a table entry for each sub-quantizer. Two neighbouring codes are one 16-bit
//! load, and a table of their 65,536 pairs, made from the [lower bounds](crate::bounds::lut) of the query, is one more:
//! four loads bound a code's distance by the two most informative pairs of the query. Candidates are looked up in two
//! pairs more, and the survivors are scored.
//!
//! **Instructions.** About 15 a code, none of them a branch that depends on it. A pair table is 64 KB, more than L1
//! holds. Making the tables pays in long lists only; shorter ones, and the first codes of every list, are filtered by
//! the most [informative](crate::bounds::early_exit) sub-quantizers in f32.
//!
//! **Loses** to everything with byte shuffles; gains little where L1 holds half of a table, and nothing on codes sorted
//! from far to near.

use crate::{
    Codebook, Error, Query,
    bounds::{
        early_exit::Informative,
        lut::{GroupMinima, LIMIT},
    },
    collector::Collector,
    layout::LINE,
    register,
    registry::Fidelity,
    scan::{
        candidates::{Candidates, MAX_CANDIDATES},
        row_major::{self, RowMajorCodes},
        score,
    },
    table::Table,
    variant::Scan,
};

register! {
    name: "pair-lut",
    summary: "row-major codes, portable: a look-up for two sub-quantizers at once, candidates scored in f32",
    fidelity: Fidelity::Exact,
    rank: 30,
    unsupported: row_major::unsupported,
    prepare: prepare,
    probe: probe,
}

/// Sub-quantizers.
const M: usize = 16;
/// Centroids of each.
const K: usize = 256;
/// A row-major code.
type Row = [u8; M];

/// Codes in a list below which a filter costs more to set up than it saves.
const SHORT: usize = 2048;
/// Steps that are scored without a filter once one has let most codes pass: data that defeats it (uniform codes, or the
/// nearest ones last) then costs little more than scoring everything.
const UNFILTERED: usize = 16;
/// Codes in a list from which on tables of pairs pay.
const LONG: usize = 1 << 16;
/// Codes that are filtered without them first, so that the threshold falls little afterwards.
const BEFORE_PAIRS: usize = 1 << 12;
/// Sub-quantizers that are summed in f32, where there are no tables of pairs.
const FIRST: usize = 5;
/// Pairs that are looked up for every code.
const FIRST_PAIRS: usize = 2;
/// Pairs that are looked up for what those let pass.
const PAIRS: usize = 4;

fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(RowMajorCodes::new(codebook, rows, probe)))
}

fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
    let table = &query.original().table;
    let rows: &[Row] = rows.as_chunks().0;
    if rows.len() < SHORT {
        return score::offer_rows(table, M, rows.as_flattened(), 0, out);
    }
    let informative = Informative::<FIRST>::new(table);
    let first: &[usize; FIRST] = informative.sub_quantizers().first_chunk().expect("five of 16");
    let entries = first.map(|m| (&table.rows()[m], m));
    let mut pairs = None;
    let for_pairs = if rows.len() < LONG { rows.len() } else { BEFORE_PAIRS };
    let mut found = Candidates::new();
    let (mut at, mut unfiltered) = (0, 0);
    while at < rows.len() {
        // A block to find a threshold, then longer and longer steps.
        let step = &rows[at..rows.len().min(at + at.clamp(LINE, MAX_CANDIDATES))];
        let threshold = out.threshold();
        if threshold == f32::INFINITY || unfiltered > 0 {
            score::offer_rows(table, M, step.as_flattened(), at as u32, out);
            unfiltered = usize::saturating_sub(unfiltered, 1);
        } else {
            found.clear();
            if at >= for_pairs {
                pairs.get_or_insert_with(|| PairTables::new(table, threshold)).select(threshold, step, &mut found);
            } else {
                select_by_informative(informative.limit(threshold), entries, step, &mut found);
            }
            for &place in found.places() {
                let [distance] = score::of_rows(table, M, step.as_flattened(), [place as usize]);
                out.push(at as u32 + place, distance);
            }
            if found.places().len() > step.len() / 2 {
                unfiltered = UNFILTERED;
            }
        }
        at += step.len();
    }
}

// The loops over the codes are functions of their own, so that nothing else takes their registers.

#[inline(never)]
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "a sum of infinities of both signs tells nothing")]
fn select_by_informative(limit: f32, entries: [(&[f32; K], usize); FIRST], rows: &[Row], candidates: &mut Candidates) {
    candidates.select(rows.iter().map(|row| {
        let bound = entries.iter().fold(0.0, |sum, &(entries, m)| sum + entries[usize::from(row[m % M])]);
        !(bound > limit)
    }));
}

#[inline(never)]
fn select_by_pairs(limit: u32, tables: [(&PairTable, usize); FIRST_PAIRS], rows: &[Row], candidates: &mut Candidates) {
    candidates.select(rows.iter().map(|row| sum_of_pairs(tables, row) <= limit));
}

#[inline(never)]
fn retain_by_pairs(limit: u32, tables: [(&PairTable, usize); PAIRS], rows: &[Row], candidates: &mut Candidates) {
    candidates.retain(|place| sum_of_pairs(tables, &rows[place]) <= limit);
}

#[inline(always)]
fn sum_of_pairs<const P: usize>(tables: [(&PairTable, usize); P], row: &Row) -> u32 {
    tables.iter().fold(0, |sum, &(table, m)| {
        let m = m.min(M - 2);
        // Copied as an array, which is one load; `[row[m], row[m + 1]]` is two.
        let codes = u16::from_le_bytes(row[m..m + 2].try_into().expect("two codes"));
        sum + u32::from(table[usize::from(codes)])
    })
}

/// By two codes, the first one in the low byte.
type PairTable = [u8; K * K];

/// The bounds of one query for two neighbouring codes at once.
struct PairTables {
    bounds: GroupMinima<K>,
    quantized_for: f32,
    /// The first sub-quantizer of each pair.
    pairs: [usize; PAIRS],
    tables: Box<[PairTable]>,
}

impl PairTables {
    fn new(table: &Table, threshold: f32) -> Self {
        let bounds = GroupMinima::new(table, M);
        let mut this = PairTables {
            quantized_for: threshold,
            pairs: informative_pairs(&bounds.spreads()),
            bounds,
            tables: vec![[0; K * K]; PAIRS].into_boxed_slice(),
        };
        this.quantize(threshold);
        this
    }

    fn quantize(&mut self, threshold: f32) {
        let mut lut = [[0; K]; M];
        self.bounds.quantize(u8::MAX, threshold, &mut lut);
        self.quantized_for = threshold;
        for (table, first) in self.tables.iter_mut().zip(self.pairs) {
            let (low, high) = (&lut[first], &lut[first + 1]);
            for (sums, &high) in table.as_chunks_mut::<K>().0.iter_mut().zip(high) {
                for (sum, low) in sums.iter_mut().zip(low) {
                    *sum = low.saturating_add(high);
                }
            }
        }
    }

    fn select(&mut self, threshold: f32, rows: &[Row], candidates: &mut Candidates) {
        /// The limit below which the steps have become too coarse.
        const COARSE: u8 = LIMIT / 2;
        let mut limit = self.bounds.limit(threshold, self.quantized_for);
        if limit < COARSE {
            self.quantize(threshold);
            limit = LIMIT;
        }
        let tables: [_; PAIRS] = std::array::from_fn(|pair| (&self.tables[pair], self.pairs[pair]));
        let [first, second, ..] = tables;
        select_by_pairs(limit.into(), [first, second], rows, candidates);
        retain_by_pairs(limit.into(), tables, rows, candidates);
    }
}

/// The disjoint most informative pairs of neighbouring sub-quantizers, by the first of each, the best one first.
fn informative_pairs(spreads: &[f32]) -> [usize; PAIRS] {
    let spread = |first: usize| spreads[first] + spreads[first + 1];
    let mut order: [usize; M - 1] = std::array::from_fn(|first| first);
    order.sort_unstable_by(|&a, &b| spread(b).total_cmp(&spread(a)));
    let mut pairs = [usize::MAX / 2; PAIRS];
    let mut disjoint = 0;
    for first in order {
        if disjoint < PAIRS && pairs.iter().all(|pair| pair.abs_diff(first) > 1) {
            pairs[disjoint] = first;
            disjoint += 1;
        }
    }
    pairs
}
