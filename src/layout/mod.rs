//! How prepared lists store codes.

pub mod blocks;
pub mod labels;

/// Vectors in a block, and so bytes in a line: the codes of one sub-quantizer for a whole block are one cache line.
pub const LINE: usize = 64;

/// The lowest `count` bits, all 64 from 64 on.
#[inline]
pub fn lanes(count: usize) -> u64 {
    if count >= LINE { u64::MAX } else { (1 << count) - 1 }
}
