//! The fastest exact product-quantization (PQ) scan, for indexes to embed.
//!
//! A stored vector is cut into `m` parts, and each part is the number of the nearest of the centroids that were learnt
//! for it: a code. A query builds a distance table of its parts' distances to all centroids; a code's distance is the
//! sum of the table entries that it names (asymmetric distance computation, ADC: Jégou, Douze, Schmid, "Product
//! quantization for nearest neighbor search", 2011). Scanning a list means to sum for every code and to keep the `k`
//! smallest sums.
//!
//! There are many ways to do that scan, each best on some CPU, shape and data. Each is a
//! [`Variant`](registry::Variant): one file in `variants/`, found through the [registry] and chosen at run time. Exact
//! variants all return the same ids and the same distance bits, on every CPU.
//!
//! # One query over many lists
//! ```
//! use pqscan::{Bits, Codebook, Codes, Geometry, Metric, ScanOptions, TopK};
//!
//! // Vectors of 8 dimensions in 4 parts, 256 centroids [m][k][d] for each; here made up.
//! let geometry = Geometry::new(8, 4, Bits::Eight)?;
//! let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|i| (i * 37 % 256) as f32).collect();
//! let codebook = Codebook::new(geometry, Metric::L2, &centroids)?;
//!
//! // Two lists of codes [n][m], the second with ids of its own. Prepared once.
//! let codes: Vec<u8> = (0..100 * 4).map(|i| (i * 7 % 251) as u8).collect();
//! let lists = [codebook.prepare(Codes::row_major(&codes[..240]))?, codebook.prepare(Codes::row_major(&codes[240..]))?];
//! let ids: Vec<u64> = (0..40).map(|i| 1 << 40 | i).collect();
//!
//! // One table and one threshold for all lists.
//! let mut query = codebook.query(&[7.0; 8])?;
//! let mut top = TopK::new(3);
//! lists[0].scan(&mut query, &mut top, &ScanOptions::default())?;
//! lists[1].scan(&mut query, &mut top, &ScanOptions { ids: Some(&ids), ..Default::default() })?;
//! for (id, distance) in top.into_sorted() {
//!     println!("{id} at {distance}");
//! }
//! # Ok::<(), pqscan::Error>(())
//! ```
//! Codes that can't be prepared, since they are in somebody else's buffer, are scanned by [`Codes::scan`].

mod codes;
pub mod cpu;
mod environment;
mod error;
mod geometry;
pub mod kernels;
mod list;
pub mod registry;
mod threads;
mod top_k;

// The building blocks of variants: with the feature `unstable-kernels` for every crate, else for this one.
#[cfg(not(feature = "unstable-kernels"))]
mod bounds;
#[cfg(feature = "unstable-kernels")]
pub mod bounds;
#[cfg(not(feature = "unstable-kernels"))]
mod codebook;
#[cfg(feature = "unstable-kernels")]
pub mod codebook;
#[cfg(not(feature = "unstable-kernels"))]
mod collector;
#[cfg(feature = "unstable-kernels")]
pub mod collector;
#[cfg(not(feature = "unstable-kernels"))]
mod groups;
#[cfg(feature = "unstable-kernels")]
pub mod groups;
#[cfg(not(feature = "unstable-kernels"))]
mod layout;
#[cfg(feature = "unstable-kernels")]
pub mod layout;
#[cfg(not(feature = "unstable-kernels"))]
mod memory;
#[cfg(feature = "unstable-kernels")]
pub mod memory;
#[cfg(not(feature = "unstable-kernels"))]
mod query;
#[cfg(feature = "unstable-kernels")]
pub mod query;
#[cfg(not(feature = "unstable-kernels"))]
mod scan;
#[cfg(feature = "unstable-kernels")]
pub mod scan;
#[cfg(not(feature = "unstable-kernels"))]
mod simd;
#[cfg(feature = "unstable-kernels")]
pub mod simd;
#[cfg(not(feature = "unstable-kernels"))]
mod table;
#[cfg(feature = "unstable-kernels")]
pub mod table;
#[cfg(not(feature = "unstable-kernels"))]
mod variant;
#[cfg(feature = "unstable-kernels")]
pub mod variant;

pub use codebook::Codebook;
pub use codes::Codes;
pub use environment::ignore_environment;
pub use error::Error;
pub use geometry::{Bits, Geometry, MAX_DIM, MAX_SUB_QUANTIZERS, Metric};
pub use list::{List, ScanOptions};
pub use query::Query;
pub use top_k::TopK;

/// One file of `variants/` each: `build.rs` writes the list.
mod variants {
    include!(concat!(env!("OUT_DIR"), "/variants.rs"));
}

#[cfg(not(feature = "unstable-kernels"))]
use variant::{emulated, register};

/// For [`register!`](crate::register) in other crates.
#[doc(hidden)]
pub use inventory;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs that of the page for embedders.
#[cfg(doctest)]
#[doc = include_str!("../docs/EMBEDDING.md")]
struct Embedding;
