//! The stable interface to the scan of row-major codes, in one shape: 128 dimensions, 16 sub-quantizers of 8 bits,
//! squared L2. No kernel is here, only four names.
//!
//! They are what an index calls today: a table for each query, one call for each list. They run the variant that
//! [`registry::select_for_unprepared_codes`] picks from what this CPU can do. [`Codes::scan`](crate::Codes::scan) is
//! the same in any shape, with ids and a filter; [preparing](crate::Codebook::prepare) a list is faster for whoever can
//! hold it prepared.

use crate::{
    Query, TopK,
    collector::{Collector, Ids},
    geometry::{Bits, Geometry},
    registry,
    simd::{Avx2, Level},
};

#[cfg(target_arch = "x86_64")]
use crate::simd::Routine;

/// Dimensions of a vector.
pub const DIM: usize = 128;
/// Sub-quantizers, and so codes of a vector.
pub const NUM_SUB_VECTORS: usize = 16;
/// Dimensions of one sub-quantizer's part of a vector.
pub const SUB_VECTOR_DIM: usize = DIM / NUM_SUB_VECTORS;
/// Centroids of a sub-quantizer.
pub const NUM_CENTROIDS: usize = 256;
/// Neighbours that a query asks for where nothing else is said.
pub const TOP_K: usize = 10;

/// `[m][k]`: squared L2 distance of the query's part `m` to centroid `k` of sub-quantizer `m`.
pub type DistanceTable = [[f32; NUM_CENTROIDS]; NUM_SUB_VECTORS];

/// A [`TopK`] of ids that fit in u32.
#[derive(Clone, Debug)]
pub struct TopKHeap(TopK);

impl Default for TopKHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl TopKHeap {
    /// An empty one for the [`TOP_K`] nearest.
    pub fn new() -> Self {
        Self::with_k(TOP_K)
    }

    /// An empty one for the `k` nearest.
    pub fn with_k(k: usize) -> Self {
        TopKHeap(TopK::new(k))
    }

    /// How many neighbours it keeps at most.
    pub fn k(&self) -> usize {
        self.0.k()
    }

    /// See [`TopK::threshold`].
    pub fn threshold(&self) -> f32 {
        self.0.threshold()
    }

    /// Offers a code. NaN counts as the largest distance.
    pub fn push(&mut self, id: u32, distance: f32) {
        self.0.push(id.into(), distance);
    }

    /// The kept `(id, distance)`, nearest first, of equal distances the smaller id first.
    pub fn into_sorted(self) -> Vec<(u32, f32)> {
        self.0.into_sorted().into_iter().map(|(id, distance)| (id as u32, distance)).collect()
    }
}

fn geometry() -> Geometry {
    Geometry::new(DIM, NUM_SUB_VECTORS, Bits::Eight).expect("a quantizer")
}

/// Squared L2 distances of `query` `[128]` to every centroid of `codebook` `[16][256][8]`, as they are stored.
///
/// # Panics
/// `query` or `codebook` has another length.
pub fn compute_distance_table_l2(query: &[f32], codebook: &[f32]) -> DistanceTable {
    assert_eq!(query.len(), DIM, "the query has {} dimensions, not {DIM}", query.len());
    assert_eq!(codebook.len(), NUM_CENTROIDS * DIM, "the codebook must be [16][256][8]");
    let mut table = [[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
    let (centroids, parts) = (codebook.as_chunks().0, query.as_chunks().0);
    let fill = Fill { centroids, parts, table: &mut table };
    match Avx2::get() {
        #[cfg(target_arch = "x86_64")]
        Some(level) => level.run(fill),
        _ => fill.plainly(),
    }
    table
}

struct Fill<'a> {
    /// `[m][k]`
    centroids: &'a [[f32; SUB_VECTOR_DIM]],
    parts: &'a [[f32; SUB_VECTOR_DIM]],
    table: &'a mut DistanceTable,
}

impl Fill<'_> {
    fn plainly(self) {
        for (entry, (at, centroid)) in self.table.as_flattened_mut().iter_mut().zip(self.centroids.iter().enumerate()) {
            let part = &self.parts[at / NUM_CENTROIDS];
            *entry = part.iter().zip(centroid).fold(0.0, |sum, (q, c)| sum + (q - c) * (q - c));
        }
    }
}

/// Eight centroids at a time: their rows become columns, four dimensions at once. The loads put the two halves of the
/// rows in place, so that what is left to shuffle stays within 128 bits.
#[cfg(target_arch = "x86_64")]
impl Routine<Avx2> for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: Avx2) {
        use std::arch::x86_64::*;
        let by_part = self.centroids.as_chunks::<NUM_CENTROIDS>().0.iter().zip(self.parts).zip(self.table);
        for ((centroids, part), entries) in by_part {
            for (rows, sums) in centroids.as_chunks::<8>().0.iter().zip(entries.as_chunks_mut::<8>().0) {
                // SAFETY: the level is there, so the instructions are; `first` is at most 4 of a row's eight values;
                // and `sums` has the 32 bytes.
                unsafe {
                    let mut sum = _mm256_setzero_ps();
                    for first in [0, 4] {
                        let half = |k: usize| _mm_loadu_ps(rows[k].as_ptr().add(first));
                        let two = |k: usize| _mm256_set_m128(half(k + 4), half(k));
                        let (a, b, c, d) = (two(0), two(1), two(2), two(3));
                        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                        let (ab2, cd2) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                        let columns = [
                            _mm256_shuffle_ps::<0x44>(ab, cd),
                            _mm256_shuffle_ps::<0xee>(ab, cd),
                            _mm256_shuffle_ps::<0x44>(ab2, cd2),
                            _mm256_shuffle_ps::<0xee>(ab2, cd2),
                        ];
                        for (column, q) in columns.into_iter().zip(&part[first..]) {
                            let difference = _mm256_sub_ps(_mm256_set1_ps(*q), column);
                            sum = _mm256_add_ps(sum, _mm256_mul_ps(difference, difference));
                        }
                    }
                    _mm256_storeu_ps(sums.as_mut_ptr(), sum);
                }
            }
        }
    }
}

/// Offers the distance of every code of `codes` `[num_vectors][16]` to `out`, with ids from 0; codes that can no longer
/// be among the nearest may be left out.
///
/// # Panics
/// `codes` has another length; `table` holds NaN; or the environment asks for what can't be (`PQBENCH_VARIANT` names no
/// variant that scans unprepared codes on this CPU, `PQBENCH_CPU` is not a mask).
/// [`registry::select_for_unprepared_codes`] tells that beforehand, as an error.
pub fn probe_pq_l2_top_k(table: &DistanceTable, codes: &[u8], num_vectors: usize, out: &mut TopKHeap) {
    assert_eq!(Some(codes.len()), num_vectors.checked_mul(NUM_SUB_VECTORS), "codes must be [num_vectors][16]");
    assert!(u32::try_from(num_vectors).is_ok(), "{num_vectors} codes are more than u32 ids can count");
    let Ok(mut query) = Query::from_table(geometry(), table.as_flattened()) else {
        panic!("the distance table holds NaN");
    };
    let probe = registry::select_for_unprepared_codes(geometry()).and_then(|variant| variant.probe(geometry()));
    match probe {
        Ok(probe) => probe(&mut query, codes, &mut Collector::new(&mut out.0, Ids::From(0), None)),
        Err(error) => panic!("{error}"),
    }
}
