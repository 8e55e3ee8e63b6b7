//! Blocked codes: 64 vectors at a time, the codes of one sub-quantizer side by side.
//!
//! The layout that byte shuffles want, from Faiss's and ScaNN's 4-bit fast scan: one load brings the codes of one
//! sub-quantizer for a whole block.
//!
//! ```text
//!           lane 0    lane 1         lane 63
//! block 0:  m 0  [code 0][code 1] ... [code 63]     a line of 64 bytes
//!           m 1  [code 0][code 1] ... [code 63]
//!           ...  lines of zeros after the last sub-quantizer, up to a multiple of four
//! block 1:  m 0  [code 64] ...
//! ```

use super::{LINE, lanes};
use crate::memory::HugeVec;

/// A list of codes in blocks, the last one padded with zeros; [`lanes`](BlockedCodes::lanes) tells.
#[derive(Clone)]
pub struct BlockedCodes {
    lines: HugeVec<[u8; LINE]>,
    m: usize,
    num_vectors: usize,
}

impl BlockedCodes {
    /// Transposes row-major `rows` of `m` bytes.
    pub fn new(rows: &[u8], m: usize) -> BlockedCodes {
        let num_vectors = rows.len() / m;
        let height = m.next_multiple_of(4);
        let mut lines = HugeVec::zeroed(num_vectors.div_ceil(LINE) * height);
        for (block, rows) in lines.chunks_exact_mut(height).zip(rows.chunks(LINE * m)) {
            transpose(rows, m, block);
        }
        BlockedCodes { lines, m, num_vectors }
    }

    /// How many blocks there are.
    pub fn num_blocks(&self) -> usize {
        self.num_vectors.div_ceil(LINE)
    }

    /// Lines of a block: one for each sub-quantizer, and padding.
    #[inline(always)]
    pub fn height(&self) -> usize {
        self.m.next_multiple_of(4)
    }

    /// All lines.
    #[inline(always)]
    pub fn lines(&self) -> &[[u8; LINE]] {
        &self.lines
    }

    /// The lines of a block.
    #[inline(always)]
    pub fn block(&self, block: usize) -> &[[u8; LINE]] {
        &self.lines[block * self.height()..][..self.height()]
    }

    /// How many vectors there are.
    #[inline(always)]
    pub fn num_vectors(&self) -> usize {
        self.num_vectors
    }

    /// Sub-quantizers.
    #[inline(always)]
    pub fn m(&self) -> usize {
        self.m
    }

    /// One bit for each lane of `block` that holds a vector.
    #[inline]
    pub fn lanes(&self, block: usize) -> u64 {
        lanes(self.num_vectors - block * LINE)
    }

    /// The codes as rows of `m` bytes again.
    pub fn to_rows(&self) -> Vec<u8> {
        let of = |place: usize| (0..self.m).map(move |m| self.block(place / LINE)[m][place % LINE]);
        (0..self.num_vectors).flat_map(of).collect()
    }

    /// Bytes that the blocks hold.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// Writes up to 64 row-major codes of `m` bytes into the `lines` of their block.
pub fn transpose(rows: &[u8], m: usize, lines: &mut [[u8; LINE]]) {
    for (part, rows) in rows.chunks(16 * m).enumerate() {
        for column in (0..m).step_by(16) {
            let width = (m - column).min(16);
            let mut square = [[0; 16]; 16];
            for (square, row) in square.iter_mut().zip(rows.chunks_exact(m)) {
                square[..width].copy_from_slice(&row[column..][..width]);
            }
            for (line, codes) in lines[column..].iter_mut().zip(transposed(&square)).take(width) {
                line.as_chunks_mut::<16>().0[part] = codes;
            }
        }
    }
}

/// Rows become columns: interleaving the first half of the rows with the second does it in four rounds, and the
/// compiler has instructions for interleaving (`punpcklbw`, `zip1`).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_where_the_layout_says() {
        for m in [1, 3, 4, 15, 16, 17, 33] {
            for n in [0, 1, 63, 64, 65, 200] {
                let rows: Vec<u8> = (0..n * m).map(|i| (i * 31 % 251) as u8).collect();
                let blocked = BlockedCodes::new(&rows, m);
                assert_eq!(blocked.num_blocks(), n.div_ceil(LINE));
                assert_eq!((0..blocked.num_blocks()).map(|b| blocked.lanes(b).count_ones()).sum::<u32>(), n as u32);
                for id in 0..n {
                    for at in 0..blocked.height() {
                        let expected = if at < m { rows[id * m + at] } else { 0 };
                        assert_eq!(blocked.block(id / LINE)[at][id % LINE], expected);
                    }
                }
                assert_eq!(blocked.to_rows(), rows);
            }
        }
    }
}
