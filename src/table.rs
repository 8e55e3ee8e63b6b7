//! Distance tables: how far each centroid is from the query's part.
//!
//! One arithmetic for all, so that exact variants agree to the bit: an entry is `(q − c)²` summed over the part's
//! dimensions in order, in f32, multiplication and addition rounded apart. SIMD across centroids keeps that order, which is
//! why the codebook is also held with the centroids innermost.

use std::{
    fmt,
    mem::MaybeUninit,
    sync::{Arc, OnceLock},
};

#[cfg(target_arch = "x86_64")]
use crate::cpu::{self, Feature};
use crate::{DIM, Error, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, grouping};

/// `[m][k]`: squared L2 distance of the query's part `m` to centroid `k` of sub-quantizer `m`.
pub type DistanceTable = [[f32; NUM_CENTROIDS]; NUM_SUB_VECTORS];

/// Centroids `[m][k][d]` of all sub-quantizers, known to be finite. A clone is the same one: an index has one codebook and
/// many lists.
#[derive(Clone)]
pub struct Codebook(Arc<Shared>);

impl fmt::Debug for Codebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codebook").finish_non_exhaustive()
    }
}

struct Shared {
    by_centroid: Box<[[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS]; NUM_SUB_VECTORS]>,
    by_dimension: Box<ByDimension>,
    grouped: OnceLock<Grouped>,
}

/// A codebook under other numbers, which name groups of similar centroids.
pub struct Grouped {
    /// The renumbered codebook.
    pub codebook: Codebook,
    /// `[m][k]`: the new number of centroid `k`.
    pub labels: Box<[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]>,
}

/// Centroids whose entries are summed at once: two to eight vectors of sums, which stay in registers.
const AT_ONCE: usize = 32;

/// Centroids `[m][k / 32][d][k % 32]`: those of one dimension are neighbours, for SIMD across centroids, and all is read in
/// the order in which it lies.
#[derive(Clone)]
#[repr(C, align(64))]
struct ByDimension([[[[f32; AT_ONCE]; SUB_VECTOR_DIM]; NUM_CENTROIDS / AT_ONCE]; NUM_SUB_VECTORS]);

impl Codebook {
    /// Takes centroids in the order `[m][k][d]`.
    ///
    /// # Errors
    /// The length is not 16×256×8, or a value is NaN or infinite.
    pub fn new(centroids: &[f32]) -> Result<Codebook, Error> {
        let expected = NUM_SUB_VECTORS * NUM_CENTROIDS * SUB_VECTOR_DIM;
        if centroids.len() != expected {
            return Err(Error::Input(format!("the codebook has {} values, not {expected}", centroids.len())));
        }
        if let Some(at) = centroids.iter().position(|value| !value.is_finite()) {
            let (centroid, d) = (at / SUB_VECTOR_DIM, at % SUB_VECTOR_DIM);
            return Err(Error::Input(format!(
                "the codebook's value [{}][{}][{d}] is {}, not a finite number",
                centroid / NUM_CENTROIDS,
                centroid % NUM_CENTROIDS,
                centroids[at]
            )));
        }
        let mut by_centroid = Box::new([[[0.0; SUB_VECTOR_DIM]; NUM_CENTROIDS]; NUM_SUB_VECTORS]);
        by_centroid.as_flattened_mut().as_flattened_mut().copy_from_slice(centroids);
        Ok(Self::from_rows(by_centroid))
    }

    fn from_rows(by_centroid: Box<[[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS]; NUM_SUB_VECTORS]>) -> Codebook {
        let mut by_dimension =
            Box::new(ByDimension([[[[0.0; AT_ONCE]; SUB_VECTOR_DIM]; NUM_CENTROIDS / AT_ONCE]; NUM_SUB_VECTORS]));
        for (rows, columns) in by_centroid.iter().zip(&mut by_dimension.0) {
            for (k, row) in rows.iter().enumerate() {
                for (d, &value) in row.iter().enumerate() {
                    columns[k / AT_ONCE][d][k % AT_ONCE] = value;
                }
            }
        }
        Codebook(Arc::new(Shared { by_centroid, by_dimension, grouped: Default::default() }))
    }

    /// The centroids of sub-quantizer `m`, `[k][d]`.
    pub fn centroids(&self, m: usize) -> &[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS] {
        &self.0.by_centroid[m]
    }

    /// The same centroids under numbers whose low six bits name
    /// [groups of similar ones](grouping::similar_centroids_together). They are made when they are first asked for, in some ten
    /// milliseconds.
    pub fn grouped(&self) -> &Grouped {
        self.0.grouped.get_or_init(|| {
            let order = grouping::similar_centroids_together(self);
            Grouped { codebook: self.reordered(&order), labels: grouping::inverse(&order) }
        })
    }

    /// The same centroids under other numbers: centroid `k` of the result is centroid `order[m][k]` of this codebook.
    fn reordered(&self, order: &[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]) -> Codebook {
        let mut rows = self.0.by_centroid.clone();
        for m in 0..NUM_SUB_VECTORS {
            for k in 0..NUM_CENTROIDS {
                rows[m][k] = self.0.by_centroid[m][usize::from(order[m][k])];
            }
        }
        Self::from_rows(rows)
    }

    /// The distance table of `query`, with the widest vectors that this CPU has.
    pub fn distance_table(&self, query: &[f32; DIM]) -> DistanceTable {
        *self.distance_table_in(query, &mut MaybeUninit::uninit())
    }

    /// [`distance_table`](Codebook::distance_table) where the caller wants it: to move it would take a fifth of the time.
    #[inline(always)]
    pub fn distance_table_in<'t>(
        &self,
        query: &[f32; DIM],
        table: &'t mut MaybeUninit<DistanceTable>,
    ) -> &'t DistanceTable {
        // SAFETY: a chunk may hold anything, and that many of them are the table.
        self.fill(query, unsafe { &mut *table.as_mut_ptr().cast::<Chunks>() });
        // SAFETY: `fill` wrote every chunk.
        unsafe { table.assume_init_ref() }
    }

    fn fill(&self, query: &[f32; DIM], table: &mut Chunks) {
        #[cfg(target_arch = "x86_64")]
        if let Ok(features) = cpu::features() {
            if features.has(Feature::Avx512f) {
                // SAFETY: the line above checked the feature.
                return unsafe { fill_avx512(&self.0.by_dimension, query, table) };
            }
            if features.has(Feature::Avx2) {
                // SAFETY: the line above checked the feature.
                return unsafe { fill_avx2(&self.0.by_dimension, query, table) };
            }
        }
        fill(&self.0.by_dimension, query, table);
    }
}

/// A distance table that is not written yet: zeros first would take a tenth of the time.
type Chunks = [[MaybeUninit<[f32; AT_ONCE]>; NUM_CENTROIDS / AT_ONCE]; NUM_SUB_VECTORS];

#[cfg(target_arch = "x86_64")]
// Not by `multiversion`, which takes "avx512f" for all of AVX-512 up to VBMI2, GFNI and VAES: more than was checked.
#[target_feature(enable = "avx512f")]
fn fill_avx512(codebook: &ByDimension, query: &[f32; DIM], table: &mut Chunks) {
    fill(codebook, query, table);
}

#[cfg(target_arch = "x86_64")]
#[cfg_attr(feature = "multiversion", multiversion::target("x86_64+avx2"))]
#[cfg_attr(not(feature = "multiversion"), target_feature(enable = "avx2"))]
fn fill_avx2(codebook: &ByDimension, query: &[f32; DIM], table: &mut Chunks) {
    fill(codebook, query, table);
}

/// Writes every chunk.
#[inline(always)]
fn fill(codebook: &ByDimension, query: &[f32; DIM], table: &mut Chunks) {
    for ((chunks, row), part) in codebook.0.iter().zip(table).zip(query.as_chunks::<SUB_VECTOR_DIM>().0) {
        for (columns, sums) in chunks.iter().zip(row) {
            let mut partial = [0.0; AT_ONCE];
            for (column, q) in columns.iter().zip(part) {
                for (sum, c) in partial.iter_mut().zip(column) {
                    *sum += (q - c) * (q - c);
                }
            }
            sums.write(partial);
        }
    }
}

/// The distance of a row-major code: the table entries that it names, summed over the sub-quantizers in order.
#[inline(always)]
pub fn distance(row: &[u8; NUM_SUB_VECTORS], table: &DistanceTable) -> f32 {
    row.iter().zip(table).fold(0.0, |sum, (&code, entries)| sum + entries[usize::from(code)])
}

/// The table of `query` from centroids as they are stored, `[m][k][d]`, with AVX2 where this CPU has it.
///
/// # Panics
/// `centroids` has not 16×256×8 values.
pub fn from_stored_centroids(query: &[f32; DIM], centroids: &[f32]) -> DistanceTable {
    #[cfg(target_arch = "x86_64")]
    if cpu::features().is_ok_and(|features| features.has(Feature::Avx2)) {
        assert_codebook(centroids);
        let mut table = [[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
        // SAFETY: the line above checked the feature.
        unsafe { fill_stored_avx2(query, centroids.as_chunks().0, &mut table) };
        return table;
    }
    from_centroids(query, centroids)
}

/// Eight centroids at a time: their rows become columns, four dimensions at once. The loads put the two halves of the rows
/// in place, so that what is left to shuffle stays within 128 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_stored_avx2(query: &[f32; DIM], centroids: &[[f32; SUB_VECTOR_DIM]], table: &mut DistanceTable) {
    use std::arch::x86_64::*;
    let parts = query.as_chunks::<SUB_VECTOR_DIM>().0;
    let by_part = centroids.as_chunks::<NUM_CENTROIDS>().0.iter().zip(parts).zip(table);
    for ((centroids, part), entries) in by_part {
        for (rows, sums) in centroids.as_chunks::<8>().0.iter().zip(entries.as_chunks_mut::<8>().0) {
            let mut sum = _mm256_setzero_ps();
            for first in [0, 4] {
                // SAFETY: `first` is at most 4 and a row has eight values.
                let half = |k: usize| unsafe { _mm_loadu_ps(rows[k].as_ptr().add(first)) };
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
            // SAFETY: `sums` has the 32 bytes.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), sum) };
        }
    }
}

/// The table of `query` from centroids as they are stored, `[m][k][d]`: the plain loop.
///
/// # Panics
/// `centroids` has not 16×256×8 values.
pub fn from_centroids(query: &[f32; DIM], centroids: &[f32]) -> DistanceTable {
    assert_codebook(centroids);
    let mut table = [[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
    for (m, row) in table.iter_mut().enumerate() {
        let part = &query[m * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM];
        for (k, entry) in row.iter_mut().enumerate() {
            let centroid = &centroids[(m * NUM_CENTROIDS + k) * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM];
            *entry = part.iter().zip(centroid).fold(0.0, |sum, (q, c)| sum + (q - c) * (q - c));
        }
    }
    table
}

fn assert_codebook(centroids: &[f32]) {
    assert_eq!(centroids.len(), NUM_CENTROIDS * DIM, "the codebook must be [16][256][8]");
}
