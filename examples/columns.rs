//! Codes by column, as Lance and Paimon store them, scanned where they lie with a distance table of the caller's own.

use pqscan::{Bits, Codes, Geometry, Query, ScanOptions, TopK};

fn main() -> Result<(), pqscan::Error> {
    // 24 sub-quantizers of 4 bits: two codes a byte, so 12 columns. Everything is made up.
    let geometry = Geometry::new(96, 24, Bits::Four)?;
    let (num_vectors, stride) = (10_000, 10_240);
    let columns: Vec<u8> = (0..12 * stride as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let table: Vec<f32> = (0..geometry.table_len()).map(|i| (i * 37 % 101) as f32 - 20.0).collect();

    let mut query = Query::from_table(geometry, &table)?;
    let mut top = TopK::new(5);
    Codes::columns(&columns, num_vectors, stride).scan(&mut query, &mut top, &ScanOptions::default())?;
    for (place, distance) in top.into_sorted() {
        println!("{place:>5} at {distance}");
    }
    Ok(())
}
