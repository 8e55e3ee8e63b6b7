//! Distance tables: how far each centroid is from the query's part.
//!
//! One arithmetic for all, so that exact variants agree to the bit. All is f32, multiplication and addition rounded
//! apart:
//!
//! - L2: an entry is `(q - c)²` summed over the part's dimensions in order, from 0;
//! - inner product: an entry is minus the sum of `q · c` over them in order, from 0;
//! - a distance is the sum of the entries that a code names, in the order of the sub-quantizers, from 0.
//!
//! SIMD across centroids keeps that order, which is why a codebook also holds its centroids with the numbers innermost.

use crate::{
    Geometry,
    geometry::Bits,
    memory::HugeVec,
    simd::{Routine, run_widest},
};

/// A distance table `[m][k]`, aligned to cache lines. It holds no NaN.
#[derive(Clone)]
pub struct Table {
    entries: HugeVec<f32>,
    bits: Bits,
}

impl Table {
    /// Zeros.
    pub fn zeroed(geometry: Geometry) -> Table {
        Table { entries: HugeVec::zeroed(geometry.table_len()), bits: geometry.bits() }
    }

    /// Bits of the codes that look up in it.
    #[inline(always)]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// All entries, `[m][k]`.
    #[inline(always)]
    pub fn entries(&self) -> &[f32] {
        &self.entries
    }

    /// All entries, to be overwritten.
    pub fn entries_mut(&mut self) -> &mut [f32] {
        &mut self.entries
    }

    /// The rows, where there are `K` centroids to each.
    #[inline(always)]
    pub fn rows<const K: usize>(&self) -> &[[f32; K]] {
        debug_assert_eq!(K, self.bits.num_centroids());
        self.entries.as_chunks().0
    }
}

/// Centroids whose entries are summed at once, with 8 bits: two to eight vectors of sums, which stay in registers.
const AT_ONCE: usize = 32;
/// The same with 4 bits, where there are no more.
const AT_ONCE_4_BIT: usize = 16;

/// Dimensions that most sub-quantizers have.
const COMMON_SUB_DIM: usize = 8;

/// Centroids for SIMD across them, `[m][k / n][d][k % n]` with `n` = 32 (with 4 bits 16): read in the order in which
/// they lie.
///
/// ```text
/// m 0: [k 0..32 of d 0][k 0..32 of d 1] ... [k 32..64 of d 0] ...
/// ```
pub struct ByDimension {
    values: HugeVec<f32>,
    geometry: Geometry,
}

impl ByDimension {
    /// From centroids `[m][k][d]`.
    pub fn new(geometry: Geometry, centroids: &[f32]) -> ByDimension {
        let n = match geometry.bits() {
            Bits::Eight => AT_ONCE,
            Bits::Four => AT_ONCE_4_BIT,
        };
        let d = geometry.sub_dim();
        let mut values = HugeVec::zeroed(centroids.len());
        for (chunk, values) in centroids.chunks_exact(n * d).zip(values.chunks_exact_mut(n * d)) {
            for (at, &value) in chunk.iter().enumerate() {
                values[at % d * n + at / d] = value;
            }
        }
        ByDimension { values, geometry }
    }

    /// Fills the table of a query's `values`, with the widest vectors that this CPU has. `products` for inner products.
    pub fn fill(&self, values: &[f32], products: bool, table: &mut Table) {
        run_widest(Fill { centroids: self, values, products, table });
    }
}

struct Fill<'a> {
    centroids: &'a ByDimension,
    values: &'a [f32],
    products: bool,
    table: &'a mut Table,
}

impl<L> Routine<L> for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: L) {
        match (self.centroids.geometry.bits(), self.products) {
            (Bits::Eight, false) => self.rows::<AT_ONCE, false>(),
            (Bits::Eight, true) => self.rows::<AT_ONCE, true>(),
            (Bits::Four, false) => self.rows::<AT_ONCE_4_BIT, false>(),
            (Bits::Four, true) => self.rows::<AT_ONCE_4_BIT, true>(),
        }
    }
}

impl Fill<'_> {
    #[inline(always)]
    fn rows<const N: usize, const PRODUCTS: bool>(self) {
        // So that the compiler sees the number.
        match self.centroids.geometry.sub_dim() {
            COMMON_SUB_DIM => self.rows_of::<N, PRODUCTS>(COMMON_SUB_DIM),
            d => self.rows_of::<N, PRODUCTS>(d),
        }
    }

    #[inline(always)]
    fn rows_of<const N: usize, const PRODUCTS: bool>(self, d: usize) {
        let k = self.centroids.geometry.num_centroids();
        let rows = self.table.entries.chunks_exact_mut(k).zip(self.centroids.values.chunks_exact(k * d));
        for ((row, centroids), part) in rows.zip(self.values.chunks_exact(d)) {
            // A copy stays in registers.
            let mut copy = [0.0; COMMON_SUB_DIM];
            let part = if d == COMMON_SUB_DIM {
                copy.copy_from_slice(part);
                &copy[..]
            } else {
                part
            };
            for (sums, columns) in row.as_chunks_mut::<N>().0.iter_mut().zip(centroids.chunks_exact(N * d)) {
                let mut partial = [0.0f32; N];
                for (column, q) in columns.as_chunks::<N>().0.iter().zip(part) {
                    for (sum, c) in partial.iter_mut().zip(column) {
                        *sum += if PRODUCTS { q * c } else { (q - c) * (q - c) };
                    }
                }
                if PRODUCTS {
                    partial = partial.map(|sum| -sum);
                }
                *sums = partial;
            }
        }
    }
}
