//! Blocked codes: 64 vectors at a time, the codes of one sub-quantizer side by side.
//!
//! The layout that byte shuffles want, from Faiss's and ScaNN's 4-bit fast scan: one load brings the codes of one
//! sub-quantizer for a whole block, and a row is one cache line.

use crate::{
    DistanceTable, NUM_CENTROIDS, NUM_SUB_VECTORS, TopKHeap,
    memory::{HugeVec, Plain},
};

/// Vectors in a block.
pub const BLOCK: usize = 64;

/// The codes of [`BLOCK`] vectors, `[m][lane]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Block(pub [[u8; BLOCK]; NUM_SUB_VECTORS]);

// SAFETY: an array of bytes.
unsafe impl Plain for Block {}

impl Block {
    /// Transposes up to [`BLOCK`] row-major codes; the lanes beyond them are zero.
    pub fn from_rows(rows: &[[u8; NUM_SUB_VECTORS]]) -> Block {
        let mut block = Block([[0; BLOCK]; NUM_SUB_VECTORS]);
        let (squares, rest) = rows.as_chunks();
        for (at, square) in squares.iter().enumerate() {
            block.put(at, square);
        }
        if !rest.is_empty() {
            let mut square = [[0; NUM_SUB_VECTORS]; 16];
            square[..rest.len()].copy_from_slice(rest);
            block.put(squares.len(), &square);
        }
        block
    }

    /// Overwrites 16 lanes, those from `16 * at` on.
    fn put(&mut self, at: usize, square: &[[u8; NUM_SUB_VECTORS]; 16]) {
        for (row, codes) in self.0.iter_mut().zip(transposed(square)) {
            row.as_chunks_mut::<16>().0[at] = codes;
        }
    }

    /// The distances of some lanes' codes: the table entries summed over the sub-quantizers in order.
    ///
    /// Several at once, since one sum waits for each of its additions.
    #[inline(always)]
    pub fn distances<const N: usize>(&self, table: &DistanceTable, lanes: [usize; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (row, entries) in self.0.iter().zip(table) {
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum += entries[usize::from(row[lane % BLOCK])];
            }
        }
        sums
    }

    /// Offers the codes of some `lanes`, a bit for each, to `top`, as ids from `first_id`.
    #[inline(always)]
    pub fn score(&self, table: &DistanceTable, mut lanes: u64, first_id: u32, top: &mut TopKHeap) {
        /// As many sums as it takes to be limited by loads rather than by waiting; of eight the compiler makes gathers.
        const AT_ONCE: usize = 4;
        if lanes == u64::MAX {
            for first in (0..BLOCK).step_by(AT_ONCE) {
                let distances = self.distances(table, std::array::from_fn::<_, AT_ONCE, _>(|lane| first + lane));
                for (lane, distance) in distances.into_iter().enumerate() {
                    top.push(first_id + (first + lane) as u32, distance);
                }
            }
            return;
        }
        while lanes != 0 {
            let mut some = [0; AT_ONCE];
            let count = (lanes.count_ones() as usize).min(AT_ONCE);
            for lane in &mut some {
                *lane = lanes.trailing_zeros() as usize;
                lanes &= lanes.wrapping_sub(1);
            }
            for (lane, distance) in some.into_iter().zip(self.distances(table, some)).take(count) {
                top.push(first_id + lane as u32, distance);
            }
        }
    }
}

/// Rows become columns: interleaving the first half of the rows with the second does it in four rounds, and the compiler has
/// instructions for interleaving (`punpcklbw`, `zip1`).
fn transposed(square: &[[u8; 16]; 16]) -> [[u8; 16]; 16] {
    let interleave = |rows: &[[u8; 16]; 16]| -> [[u8; 16]; 16] {
        let mut interleaved = [[0; 16]; 16];
        for (i, pair) in interleaved.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            for (j, both) in pair.as_flattened_mut().as_chunks_mut().0.iter_mut().enumerate() {
                *both = [rows[i][j], rows[i + 8][j]];
            }
        }
        interleaved
    };
    interleave(&interleave(&interleave(&interleave(square))))
}

/// A list of codes in blocks, `[ceil(n / 64)][16][64]`. The last block is padded; [`lanes`](BlockedCodes::lanes) tells.
#[derive(Clone, Debug)]
pub struct BlockedCodes {
    blocks: HugeVec<Block>,
    num_vectors: usize,
}

impl BlockedCodes {
    /// Transposes row-major `codes` `[n][16]`.
    pub fn new(codes: &[u8]) -> BlockedCodes {
        let rows = codes.as_chunks::<NUM_SUB_VECTORS>().0;
        let mut blocks = HugeVec::zeroed(rows.len().div_ceil(BLOCK));
        blocks.iter_mut().zip(rows.chunks(BLOCK)).for_each(|(block, rows)| *block = Block::from_rows(rows));
        BlockedCodes { blocks, num_vectors: rows.len() }
    }

    /// [`new`](BlockedCodes::new) with every code `c` of sub-quantizer `m` written as `labels[m][c]`.
    pub fn relabelled(codes: &[u8], labels: &[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]) -> BlockedCodes {
        let mut this = Self::new(codes);
        for row_and_labels in this.blocks.iter_mut().flat_map(|block| block.0.iter_mut().zip(labels)) {
            let (row, labels) = row_and_labels;
            row.iter_mut().for_each(|code| *code = labels[usize::from(*code)]);
        }
        this
    }

    /// The blocks, of which only the last may be padded.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many vectors there are.
    pub fn num_vectors(&self) -> usize {
        self.num_vectors
    }

    /// One bit for each lane of `block` that holds a vector.
    #[inline]
    pub fn lanes(&self, block: usize) -> u64 {
        lanes(self.num_vectors - block * BLOCK)
    }

    /// Bytes that the blocks hold.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.blocks)
    }
}

/// The lowest `count` bits, all 64 from 64 on.
#[inline]
pub fn lanes(count: usize) -> u64 {
    if count >= BLOCK { u64::MAX } else { (1 << count) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_where_the_layout_says() {
        for n in [0, 1, 63, 64, 65, 200] {
            let codes: Vec<u8> = (0..n * NUM_SUB_VECTORS).map(|i| (i * 31 % 251) as u8).collect();
            let blocked = BlockedCodes::new(&codes);
            assert_eq!(blocked.blocks().len(), n.div_ceil(BLOCK));
            assert_eq!((0..blocked.blocks().len()).map(|b| blocked.lanes(b).count_ones()).sum::<u32>(), n as u32);
            for id in 0..n {
                for m in 0..NUM_SUB_VECTORS {
                    assert_eq!(blocked.blocks()[id / BLOCK].0[m][id % BLOCK], codes[id * NUM_SUB_VECTORS + m]);
                }
            }
        }
    }
}
