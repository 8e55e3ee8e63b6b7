//! Every variant, on this CPU's level and emulated, against the plainest loop, over shapes, metrics, layouts, lists and filters.

use crate::{
    Bits, Codebook, Codes, Geometry, List, Metric, Query, ScanOptions, TopK,
    registry::{self, Fidelity, Variant},
};

/// The upper halves of a linear congruential generator's values (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.next() as f32 / 2e9 - 1.0) * 8.0).collect()
    }
}

/// Codes, of which some are alike, as a byte for each sub-quantizer.
fn rows(random: &mut Random, geometry: Geometry, n: usize) -> Vec<u8> {
    let code = |random: &mut Random| random.below(geometry.num_centroids()) as u8;
    let prototype: Vec<u8> = (0..geometry.m()).map(|_| code(random)).collect();
    let mut rows = Vec::new();
    for _ in 0..n {
        let like = random.below(4);
        rows.extend(prototype.iter().map(|&own| if random.below(4) < like { own } else { code(random) }));
    }
    rows
}

/// All `(distance, id)` that are allowed, nearest first.
fn nearest(
    table: &[f32],
    geometry: Geometry,
    rows: &[u8],
    ids: &[u64],
    allow: impl Fn(usize) -> bool,
) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    for (place, row) in rows.chunks(geometry.m()).enumerate().filter(|(place, _)| allow(*place)) {
        let mut sum = 0.0f32;
        for (m, &code) in row.iter().enumerate() {
            sum += table[m * geometry.num_centroids() + usize::from(code)];
        }
        all.push((sum, ids[place]));
    }
    all.sort_by(|a, b| a.0.is_nan().cmp(&b.0.is_nan()).then(a.0.total_cmp(&b.0)).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(distance, id)| (id, distance.to_bits())).collect()
}

/// The table by the plainest loop.
fn table(geometry: Geometry, metric: Metric, centroids: &[f32], vector: &[f32]) -> Vec<f32> {
    let (d, k) = (geometry.sub_dim(), geometry.num_centroids());
    let length = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
    let vector: Vec<f32> = match metric {
        Metric::Cosine => vector.iter().map(|&v| (f64::from(v) / length) as f32).collect(),
        _ => vector.to_vec(),
    };
    let mut table = Vec::new();
    for (at, centroid) in centroids.chunks(d).enumerate() {
        let mut sum = 0.0f32;
        for (c, q) in centroid.iter().zip(&vector[at / k * d..]) {
            sum += if metric == Metric::InnerProduct { q * c } else { (q - c) * (q - c) };
        }
        table.push(if metric == Metric::InnerProduct { -sum } else { sum });
    }
    table
}

fn to_bits(answer: Vec<(u64, f32)>) -> Vec<(u64, u32)> {
    answer.into_iter().map(|(id, distance)| (id, distance.to_bits())).collect()
}

/// Every exact variant that supports a shape: how it prepares a list, here and emulated.
fn prepared(codebook: &Codebook, rows: &[u8]) -> Vec<(String, List)> {
    let geometry = codebook.geometry();
    let packed = crate::codes::packed(geometry, rows);
    let codes = Codes::row_major(&packed);
    let mut lists = Vec::new();
    let exact = |variant: &&&'static Variant| variant.fidelity == Fidelity::Exact;
    for variant in registry::all().iter().filter(exact) {
        if variant.check(Some(geometry)).is_ok() {
            lists.push((variant.name.to_owned(), variant.prepare(codebook, codes, 2).unwrap()));
        }
        if let Some(list) = variant.prepare_emulated(codebook, codes) {
            lists.push((format!("{} emulated", variant.name), list.unwrap()));
        }
    }
    lists
}

struct Case {
    codebook: Codebook,
    rows: Vec<u8>,
    query: Query,
    table: Vec<f32>,
}

impl Case {
    fn new(random: &mut Random, geometry: Geometry, metric: Metric, n: usize) -> Case {
        let centroids = random.floats(geometry.codebook_len());
        let codebook = Codebook::new(geometry, metric, &centroids).unwrap();
        let vector = random.floats(geometry.dim());
        let table = table(geometry, metric, &centroids, &vector);
        let mut query = codebook.query(&vector).unwrap();
        assert!(query.table().iter().map(|e| e.to_bits()).eq(table.iter().map(|e| e.to_bits())), "{codebook:?}");
        Case { rows: rows(random, geometry, n), codebook, query, table }
    }

    /// All lists give what the plain loop gives: as they are, with ids and a filter, after a list before, for a table alone.
    fn check(&self, random: &mut Random) {
        let geometry = self.codebook.geometry();
        let n = self.rows.len() / geometry.m();
        let ids: Vec<u64> = (0..n as u64).map(|place| place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let density = [1, 2, 3, 50][random.below(4)];
        let allow: Vec<u64> = (0..n.div_ceil(64))
            .map(|_| (0..64).fold(0, |word, bit| word | u64::from(random.below(density) == 0) << bit))
            .collect();
        let allowed = |place: usize| allow[place / 64] >> (place % 64) & 1 == 1;
        let plain_ids: Vec<u64> = (0..n as u64).collect();
        let plain = nearest(&self.table, geometry, &self.rows, &plain_ids, |_| true);
        let selected = nearest(&self.table, geometry, &self.rows, &ids, allowed);
        let options = ScanOptions { ids: Some(&ids), allow: Some(&allow), ..Default::default() };
        for (name, list) in prepared(&self.codebook, &self.rows) {
            let what = format!("{name}, {:?}, {n} codes", self.codebook);
            assert_eq!(list.codes(), crate::codes::packed(geometry, &self.rows), "{what}");
            let mut query = self.query.clone();
            for k in [1, 10, 40] {
                let scan = |query: &mut Query, options: &ScanOptions<'_>| {
                    let mut top = TopK::new(k);
                    list.scan(query, &mut top, options).unwrap();
                    to_bits(top.into_sorted())
                };
                assert!(scan(&mut query, &ScanOptions::default()) == plain[..k.min(n)], "{what}, {k} nearest");
                let expected = &selected[..k.min(selected.len())];
                assert!(scan(&mut query, &options) == expected, "{what}, {k} nearest, filtered by {density}");
                let mut of_table = Query::from_table(geometry, &self.table).unwrap();
                assert!(scan(&mut of_table, &options) == expected, "{what}, {k} nearest by a table");

                // A top that is not empty.
                let mut top = TopK::new(k);
                let worst = plain.get(k / 2).map_or(0.0, |&(_, distance)| f32::from_bits(distance));
                (0..k as u64).for_each(|id| top.push(u64::MAX - id, worst));
                list.scan(&mut query, &mut top, &ScanOptions::default()).unwrap();
                let better =
                    plain.iter().take_while(|&&(_, distance)| f32::from_bits(distance) <= worst).count().min(k);
                assert!(to_bits(top.into_sorted())[..better] == plain[..better], "{what}, {k} nearest after others");
            }
        }
    }
}

fn shapes(random: &mut Random, ms: &[usize], lengths: &[usize]) {
    for &m in ms {
        for bits in [Bits::Eight, Bits::Four] {
            let sub_dim = [1, 2, 4, 5, 8, 16][random.below(6)];
            let geometry = Geometry::new(m * sub_dim, m, bits).unwrap();
            let metric = Metric::ALL[random.below(3)];
            let n = lengths[random.below(lengths.len())];
            Case::new(random, geometry, metric, n).check(random);
        }
    }
}

#[test]
fn every_variant_gives_the_plain_answer_in_every_shape() {
    let random = &mut Random(1);
    shapes(random, &[1, 2, 3, 7, 8, 10, 15, 16, 17, 20, 25, 32], &[0, 1, 63, 64, 65, 400]);
    shapes(random, &[16, 16, 16, 16], &[70, 1000]);
    shapes(random, &[50, 96], &[70, 300]);
}

#[test]
fn long_lists_too() {
    let random = &mut Random(2);
    shapes(random, &[5, 16], &[9_000]);
    shapes(random, &[16], &[40_000]);
}

#[test]
fn one_top_goes_through_many_lists() {
    let random = &mut Random(3);
    for (m, bits) in [(16, Bits::Eight), (5, Bits::Eight), (12, Bits::Four)] {
        let case = Case::new(random, Geometry::new(m * 4, m, bits).unwrap(), Metric::L2, 5_000);
        let ids: Vec<u64> = (0..5_000).collect();
        let expected = nearest(&case.table, case.codebook.geometry(), &case.rows, &ids, |_| true);
        let cuts = [0, 3, 1_000, 1_000, 1_700, 3_300, 5_000];
        let pieces: Vec<_> =
            cuts.windows(2).map(|cut| prepared(&case.codebook, &case.rows[cut[0] * m..cut[1] * m])).collect();
        for variant in 0..pieces[0].len() {
            let (mut query, mut top) = (case.query.clone(), TopK::new(10));
            // From behind, so that ids fall.
            for (piece, first) in pieces.iter().zip(cuts).rev() {
                let options = ScanOptions { first_id: first as u64, ..Default::default() };
                piece[variant].1.scan(&mut query, &mut top, &options).unwrap();
            }
            assert_eq!(to_bits(top.into_sorted()), expected[..10], "{}, {m} {bits:?}", pieces[0][variant].0);
        }
    }
}

#[test]
fn unprepared_codes_of_every_layout_give_the_plain_answer() {
    let random = &mut Random(4);
    for (m, bits) in [(16, Bits::Eight), (1, Bits::Eight), (7, Bits::Four), (20, Bits::Four), (20, Bits::Eight)] {
        for n in [0, 1, 65, 700, 3_000] {
            let case = Case::new(random, Geometry::new(m * 2, m, bits).unwrap(), Metric::L2, n);
            let geometry = case.codebook.geometry();
            let packed = crate::codes::packed(geometry, &case.rows);
            let (row_bytes, stride) = (geometry.row_bytes(), n + 3);
            let mut columns = vec![0xff; row_bytes * stride];
            for (place, row) in packed.chunks(row_bytes).enumerate() {
                row.iter().enumerate().for_each(|(at, &byte)| columns[at * stride + place] = byte);
            }
            let ids: Vec<u64> = (0..n as u64).map(|place| place + 7).collect();
            let allow = vec![0x5555_5555_5555_5555; n.div_ceil(64)];
            let all = nearest(&case.table, geometry, &case.rows, &ids, |_| true);
            let half = nearest(&case.table, geometry, &case.rows, &ids, |place| place % 2 == 0);
            for codes in [Codes::row_major(&packed), Codes::columns(&columns, n, stride)] {
                for (allow, expected) in [(None, &all), (Some(&allow[..]), &half)] {
                    let (mut query, mut top) = (case.query.clone(), TopK::new(10));
                    let options = ScanOptions { first_id: 7, allow, ids: None };
                    codes.scan(&mut query, &mut top, &options).unwrap();
                    assert_eq!(to_bits(top.into_sorted()), expected[..expected.len().min(10)], "{codes:?}");
                }
            }
        }
    }
}

#[test]
fn codes_can_be_appended_and_deleted() {
    let random = &mut Random(5);
    let geometry = Geometry::new(16, 8, Bits::Eight).unwrap();
    let case = Case::new(random, geometry, Metric::L2, 900);
    let ids: Vec<u64> = (0..900).collect();
    for (name, list) in prepared(&case.codebook, &case.rows[..100 * 8]) {
        let mut list = list.clone();
        let mut deleted = Vec::new();
        let mut end = 100;
        for more in [1, 10, 60, 300, 29, 400] {
            list.append(Codes::row_major(&case.rows[end * 8..(end + more) * 8])).unwrap();
            end += more;
            let gone =
                nearest(&case.table, geometry, &case.rows[..end * 8], &ids, |place| !deleted.contains(&place))[0].0;
            assert_eq!((list.delete(gone as usize), list.delete(gone as usize)), (Ok(true), Ok(false)));
            deleted.push(gone as usize);
            let expected =
                nearest(&case.table, geometry, &case.rows[..end * 8], &ids, |place| !deleted.contains(&place));
            let mut top = TopK::new(10);
            list.scan(&mut case.query.clone(), &mut top, &ScanOptions::default()).unwrap();
            assert_eq!(to_bits(top.into_sorted()), expected[..10], "{name}, {end} codes");
            assert_eq!((list.num_vectors(), list.codes().len()), (end, end * 8));
        }
        assert!(list.delete(900).is_err());
    }
}
