//! Eight codes at a time by `vpgatherdps` from the f32 table: the obvious SIMD, here to show why nobody wins with it.
//!
//! A gather is eight loads all the same: about one element a cycle on Zen, which has it in microcode, eight in 5 to 8
//! cycles on Intel, more with the mitigation of Downfall. So the load ports limit it as they limit the scalar loop, and
//! only the additions and the comparison with the threshold get cheaper. Codes lie in [blocks](crate::layout::blocks).
//!
//! **Instructions.** A row of 8 codes: `vpmovzxbd`, `vpgatherdps`, `vaddps`; the sums are in the canonical order.
//!
//! **Loses** to everything that filters, and on Zen to the scalar loop.

use crate::{
    Codebook, Error, Query,
    collector::Collector,
    geometry::{Bits, Geometry, with_m},
    layout::{
        LINE,
        blocks::{BlockedCodes, transpose},
        lanes,
    },
    register,
    registry::Fidelity,
    simd::{Avx2, Level, Routine},
    table::Table,
    variant::{Prepare, Scan, cannot_run},
};

register! {
    name: "avx2-gather",
    summary: "vpgatherdps from the f32 table, 8 vectors at a time over blocked codes",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 15,
    unsupported: unsupported,
    prepare: crate::variant::prepare::<Gather>,
    probe: probe,
}

fn unsupported(geometry: Geometry) -> Option<&'static str> {
    (geometry.bits() != Bits::Eight).then_some("needs codes of 8 bits")
}

#[derive(Clone)]
struct Gather {
    level: Avx2,
    codes: BlockedCodes,
}

impl Prepare for Gather {
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        let level = Avx2::get().ok_or_else(cannot_run)?;
        Ok(Gather { level, codes: BlockedCodes::new(rows, codebook.geometry().m()) })
    }
}

impl Scan for Gather {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        let table = &query.original().table;
        for at in 0..self.codes.num_blocks() {
            let (lines, lanes) = (self.codes.block(at), self.codes.lanes(at));
            self.level.run(ScanBlock { table, m: self.codes.m(), lines, lanes, first: (at * LINE) as u32, out });
        }
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

fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
    let Some(level) = Avx2::get() else { return };
    let (m, table) = (query.geometry().m(), &query.original().table);
    let mut lines = vec![[0; LINE]; m];
    for (at, rows) in rows.chunks(LINE * m).enumerate() {
        transpose(rows, m, &mut lines);
        let (lanes, first) = (lanes(rows.len() / m), (at * LINE) as u32);
        level.run(ScanBlock { table, m, lines: &lines, lanes, first, out });
    }
}

/// Offers the codes of a block whose bit is set in `lanes`.
struct ScanBlock<'a, 'o> {
    table: &'a Table,
    m: usize,
    lines: &'a [[u8; LINE]],
    lanes: u64,
    first: u32,
    out: &'a mut Collector<'o>,
}

impl Routine<Avx2> for ScanBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: Avx2) {
        let ScanBlock { table, m, lines, lanes, first, out } = self;
        for start in (0..LINE).step_by(8) {
            let (distances, near) = with_m!(m, distances(&table.rows()[..m], &lines[..m], start, out.threshold()));
            let mut near = near & lanes >> start;
            while near != 0 {
                let lane = near.trailing_zeros();
                near &= near - 1;
                out.push(first + start as u32 + lane, distances[lane as usize]);
            }
        }
    }
}

/// The distances of the 8 lanes from `start` on, and a bit for each that is not beyond `threshold`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn distances(table: &[[f32; 256]], lines: &[[u8; LINE]], start: usize, threshold: f32) -> ([f32; 8], u64) {
    use std::arch::x86_64::*;
    let mut distances = [0.0; 8];
    // SAFETY: only `ScanBlock` calls this, in the level that has the instructions; eight codes are read from `start`
    // on, which is at most 56; a code is less than 256, and `entries` has as many; `distances` has the 32 bytes.
    let far = unsafe {
        let mut sum = _mm256_setzero_ps();
        for (line, entries) in lines.iter().zip(table) {
            let codes = _mm_loadl_epi64(line.as_ptr().add(start).cast());
            let found = _mm256_i32gather_ps::<4>(entries.as_ptr(), _mm256_cvtepu8_epi32(codes));
            sum = _mm256_add_ps(sum, found);
        }
        _mm256_storeu_ps(distances.as_mut_ptr(), sum);
        // Not "greater" rather than "less or equal", for a threshold or a distance that is infinite or NaN.
        _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(sum, _mm256_set1_ps(threshold)))
    };
    (distances, !far as u64 & 0xff)
}

/// For a level that is not of this architecture.
#[cfg(not(target_arch = "x86_64"))]
fn distances(_: &[[f32; 256]], _: &[[u8; LINE]], _: usize, _: f32) -> ([f32; 8], u64) {
    ([0.0; 8], 0)
}
