//! The fastest exact product-quantization (PQ) scan, for embedding.
//!
//! A stored vector is [`NUM_SUB_VECTORS`] one-byte codes, one for each sub-quantizer. A query builds a
//! [distance table](table) of its distances to all centroids; a code's distance is the sum of the table entries that it
//! names (asymmetric distance computation, ADC: Jégou, Douze, Schmid, "Product quantization for nearest neighbor search",
//! 2011). Scanning a list means to sum for every code and to keep the `k` smallest sums.
//!
//! There are many ways to do that scan, each best on some CPU. Each is a [`Variant`](registry::Variant): one file in
//! `variants/`, found through the [registry] and chosen at run time by what the CPU can do. Exact variants all return the
//! same ids and the same distance bits, on every CPU.
//!
//! # Example
//! ```
//! use pqscan::{Codebook, DIM, registry};
//!
//! // 256 centroids of 8 dimensions for each of 16 sub-quantizers, and four vectors of 16 codes.
//! let centroids: Vec<f32> = (0..16 * 256 * 8).map(|i| (i * 37 % 256) as f32).collect();
//! let codes: Vec<u8> = (0..4 * 16).map(|i| i as u8).collect();
//!
//! let codebook = Codebook::new(&centroids)?;
//! let scanner = registry::select(None, codes.len() / 16)?.prepare(&codebook, &codes)?;
//! for (id, distance) in scanner.search(&[7.0; DIM], 2)? {
//!     println!("{id} at {distance}");
//! }
//! # Ok::<(), pqscan::Error>(())
//! ```
//! Codes that can't be prepared (they are row-major in somebody else's buffer) are scanned by [`kernels`].

#![warn(missing_docs)]

pub mod blocks;
pub mod by_blocks;
#[allow(clippy::undocumented_unsafe_blocks, reason = "one SAFETY comment stands for all that a vector type does")]
pub mod byte_vector;
pub mod candidates;
pub mod cpu;
mod error;
pub mod exchange;
pub mod filter;
pub mod grouping;
pub mod kernels;
pub mod leading;
pub mod lut;
pub mod memory;
pub mod merged;
pub mod ordered;
pub mod registry;
pub mod row_major;
pub mod table;
pub mod top_k;

pub use error::Error;
pub use table::{Codebook, DistanceTable};
pub use top_k::TopKHeap;

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

/// One file of `variants/` each: `build.rs` writes the list.
mod variants {
    include!(concat!(env!("OUT_DIR"), "/variants.rs"));
}

/// For [`register!`](crate::register) in other crates.
#[doc(hidden)]
pub use inventory;

/// Compiles and runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
