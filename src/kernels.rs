//! The stable interface to the scan of row-major codes that nothing prepared.
//!
//! Four names, as an index calls them today: a table for each query, one call for each list. They run the variant that
//! [`registry::select_for_unprepared_codes`] picks from what this CPU can do, once. Preparing a list
//! ([`Variant::prepare`](registry::Variant::prepare)) is faster for whoever can hold it prepared.

use crate::{NUM_SUB_VECTORS, registry, table};

pub use crate::{DistanceTable, TopKHeap};

/// Squared L2 distances of `query` `[128]` to every centroid of `codebook` `[16][256][8]`.
///
/// # Panics
/// `query` or `codebook` has another length.
pub fn compute_distance_table_l2(query: &[f32], codebook: &[f32]) -> DistanceTable {
    table::from_stored_centroids(
        query.try_into().unwrap_or_else(|_| panic!("the query has {} dimensions, not {}", query.len(), crate::DIM)),
        codebook,
    )
}

/// Offers the distance of every code of `codes` `[num_vectors][16]` to `out`, with ids from 0; codes that can no longer be
/// among the nearest may be left out.
///
/// # Panics
/// `codes` has another length; `table` holds NaN; or the environment asks for what can't be (`PQBENCH_VARIANT` names no
/// variant that scans unprepared codes on this CPU, `PQBENCH_CPU` is not a mask).
/// [`registry::select_for_unprepared_codes`] tells that beforehand, as an error.
pub fn probe_pq_l2_top_k(table: &DistanceTable, codes: &[u8], num_vectors: usize, out: &mut TopKHeap) {
    assert_eq!(Some(codes.len()), num_vectors.checked_mul(NUM_SUB_VECTORS), "codes must be [num_vectors][16]");
    assert!(u32::try_from(num_vectors).is_ok(), "{num_vectors} codes are more than u32 ids can count");
    // All of them, for that is SIMD, and an early end is not.
    let any_nan = table.as_flattened().iter().fold(false, |any, entry| any | entry.is_nan());
    assert!(!any_nan, "the distance table holds NaN");
    match registry::select_for_unprepared_codes().and_then(registry::Variant::probe) {
        Ok(probe) => probe(table, codes, out),
        Err(error) => panic!("{error}"),
    }
}
