//! Portable code over blocked codes: the most informative sub-quantizers first, the rest only for what they leave.
//!
//! No intrinsics: what the compiler makes of plain loops over [blocks](crate::layout::blocks), for AVX2 as well through
//! `multiversion` (with AVX-512 it was slower). With a load for each code and one for each table entry, loads limit it,
//! so the win is in fewer look-ups: the six most informative sub-quantizers of the query bound a code's distance from
//! below, and few codes need the others. Their rows are prefetched some blocks ahead.
//!
//! **Loses** to everything with byte shuffles, and gains nothing where six sub-quantizers tell little.

#[cfg(all(target_arch = "x86_64", feature = "multiversion"))]
use crate::cpu::{self, Feature};
use crate::{
    Codebook, Error, Query,
    bounds::early_exit::Informative,
    collector::Collector,
    geometry::Bits,
    layout::{LINE, blocks::BlockedCodes},
    memory::prefetch,
    register,
    registry::Fidelity,
    scan::score,
    table::Table,
    variant::Scan,
};

register! {
    name: "transposed",
    summary: "blocked codes, portable: informative sub-quantizers bound the distance, candidates scored in f32",
    fidelity: Fidelity::Exact,
    rank: 20,
    prepare: prepare,
}

/// Sub-quantizers that are summed for every code.
const FIRST: usize = 6;
/// Blocks that are scored without them once many codes of one were candidates, so that they cost next to nothing where
/// they tell little.
const UNFILTERED: usize = 8;

/// Blocks from the one that is summed to the one that is prefetched: six lines of sixteen are no stream to the
/// hardware.
const AHEAD: usize = 8;

#[derive(Clone)]
struct Transposed {
    codes: BlockedCodes,
}

fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(Transposed { codes: BlockedCodes::new(rows, codebook.geometry().m()) }))
}

impl Scan for Transposed {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        let table = &query.original().table;
        #[cfg(all(target_arch = "x86_64", feature = "multiversion"))]
        if cpu::features().is_ok_and(|features| features.has(Feature::Avx2)) {
            // SAFETY: the line above checked the feature.
            return unsafe { scan_avx2(table, &self.codes, out) };
        }
        scan(table, &self.codes, out);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.codes.score(&query.original().table, places, out);
    }

    fn to_rows(&self) -> Vec<u8> {
        self.codes.to_rows()
    }

    fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }
}

#[cfg(all(target_arch = "x86_64", feature = "multiversion"))]
#[multiversion::target("x86_64+avx2")]
fn scan_avx2(table: &Table, codes: &BlockedCodes, out: &mut Collector<'_>) {
    scan(table, codes, out);
}

#[inline(always)]
fn scan(table: &Table, codes: &BlockedCodes, out: &mut Collector<'_>) {
    match table.bits() {
        Bits::Eight => scan_in::<256>(table, codes, out),
        Bits::Four => scan_in::<16>(table, codes, out),
    }
}

#[inline(always)]
fn scan_in<const K: usize>(table: &Table, codes: &BlockedCodes, out: &mut Collector<'_>) {
    let informative = Informative::<FIRST>::new(table);
    let rows = &table.rows::<K>()[..codes.m()];
    // Of so few sub-quantizers all are summed, which is scoring.
    let (mut unfiltered, first) = match informative.sub_quantizers().first_chunk::<FIRST>() {
        Some(&first) if codes.m() > FIRST => (0, first),
        _ => (usize::MAX, [0; FIRST]),
    };
    let entries = first.map(|m| &rows[m]);
    for at in 0..codes.num_blocks() {
        let lines = codes.block(at);
        let lanes = codes.lanes(at) & out.allowed(at);
        if lanes == 0 {
            continue;
        }
        if unfiltered > 0 {
            unfiltered -= 1;
            score_all(rows, lines, at, lanes, out);
            continue;
        }
        let ahead = codes.lines().as_ptr().wrapping_add((at + AHEAD) * codes.height());
        first.iter().for_each(|&m| prefetch(ahead.wrapping_add(m)));
        let limit = informative.limit(out.threshold());
        let codes_first = first.map(|m| &lines[m]);
        let sums = sums(entries.into_iter().zip(codes_first));
        let near = sums.iter().fold(0, |near, &sum| near + u32::from(!is_far(sum, limit)));
        if near == 0 {
            continue;
        }
        let near_lanes =
            sums.iter().enumerate().fold(0, |near, (lane, &sum)| near | u64::from(!is_far(sum, limit)) << lane);
        if near as usize > LINE / 4 {
            score_all(rows, lines, at, lanes & near_lanes, out);
            unfiltered = UNFILTERED;
        } else {
            score::offer_lanes(table, codes.m(), lines, lanes & near_lanes, (at * LINE) as u32, out);
        }
    }
}

/// Not "not less or equal", for a sum of infinities of both signs tells nothing.
#[inline(always)]
fn is_far(sum: f32, limit: f32) -> bool {
    sum > limit
}

/// Scores all lanes of a block and offers some of them.
#[inline(always)]
fn score_all<const K: usize>(
    rows: &[[f32; K]],
    lines: &[[u8; LINE]],
    at: usize,
    mut lanes: u64,
    out: &mut Collector<'_>,
) {
    let distances = sums(rows.iter().zip(lines));
    while lanes != 0 {
        let lane = lanes.trailing_zeros() as usize;
        lanes &= lanes - 1;
        out.push((at * LINE + lane) as u32, distances[lane]);
    }
}

/// Each lane's sum over the entries and codes of some sub-quantizers, in their order; of a few lanes at a time, whose
/// sums stay in registers.
#[inline(always)]
fn sums<'a, const K: usize>(
    sub_quantizers: impl Iterator<Item = (&'a [f32; K], &'a [u8; LINE])> + Clone,
) -> [f32; LINE] {
    const TOGETHER: usize = 8;
    let mut sums = [0.0; LINE];
    for (at, sums) in sums.as_chunks_mut::<TOGETHER>().0.iter_mut().enumerate() {
        let mut few = [0.0; TOGETHER];
        for (entries, codes) in sub_quantizers.clone() {
            for (sum, &code) in few.iter_mut().zip(&codes.as_chunks::<TOGETHER>().0[at]) {
                *sum += entries[usize::from(code) % K];
            }
        }
        *sums = few;
    }
    sums
}
