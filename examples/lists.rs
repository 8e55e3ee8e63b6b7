//! One query over 20 of 200 lists, with ids of their own and a filter, as an inverted file does it.

use pqscan::{Bits, Codebook, Codes, Geometry, List, Metric, ScanOptions, TopK};

fn main() -> Result<(), pqscan::Error> {
    // 64 dimensions in 16 parts of 4; centroids and codes are made up.
    let geometry = Geometry::new(64, 16, Bits::Eight)?;
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|_| random() as f32).collect();
    let codebook = Codebook::new(geometry, Metric::L2, &centroids)?;

    let (mut lists, mut ids, mut allow) = (Vec::<List>::new(), Vec::new(), Vec::new());
    for list in 0..200u64 {
        let codes: Vec<u8> = (0..1_000 * 16).map(|_| random() as u8).collect();
        lists.push(codebook.prepare(Codes::row_major(&codes))?);
        ids.push((0..1_000).map(|place| place * 200 + list).collect::<Vec<u64>>());
        // Every other code may be found.
        allow.push(vec![0x5555_5555_5555_5555u64; 1_000usize.div_ceil(64)]);
    }

    let vector: Vec<f32> = (0..64).map(|_| random() as f32).collect();
    let mut query = codebook.query(&vector)?;
    let mut top = TopK::new(10);
    for list in (0..200).step_by(10) {
        let options = ScanOptions { ids: Some(&ids[list]), allow: Some(&allow[list]), ..Default::default() };
        lists[list].scan(&mut query, &mut top, &options)?;
    }
    for (id, distance) in top.into_sorted() {
        println!("{id:>6} at {distance:.0}");
    }
    Ok(())
}
