//! Every variant that runs on any CPU, most of them with arrays for vectors, in small: what Miri can watch, here and on
//! a big-endian CPU (`scripts/test_miri.sh`).

use pqscan::{
    Bits, Codebook, Codes, Geometry, List, Metric, Query, ScanOptions, TopK,
    registry::{self, Fidelity},
};

/// The upper halves of a linear congruential generator's values (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next() as f32 / 2e9 - 1.0).collect()
    }
}

struct Case {
    codebook: Codebook,
    /// Row-major, as callers store them.
    codes: Vec<u8>,
    query: Query,
    table: Vec<f32>,
}

const N: usize = if cfg!(miri) { 70 } else { 150 };
/// Codes that are there before the others are appended: more than a block.
const FIRST: usize = N - 4;

impl Case {
    fn new(m: usize, bits: Bits, metric: Metric) -> Case {
        let random = &mut Random(m as u64);
        let geometry = Geometry::new(2 * m, m, bits).unwrap();
        let codebook = Codebook::new(geometry, metric, &random.floats(geometry.codebook_len())).unwrap();
        let mut query = codebook.query(&random.floats(geometry.dim())).unwrap();
        let table = query.table().to_vec();
        // An upper half byte that names no code.
        let unused = if bits == Bits::Four && m % 2 == 1 { 0x0f } else { 0xff };
        let mut codes: Vec<u8> = (0..N * geometry.row_bytes()).map(|_| random.next() as u8).collect();
        codes.chunks_mut(geometry.row_bytes()).for_each(|row| *row.last_mut().unwrap() &= unused);
        Case { codebook, codes, query, table }
    }

    fn geometry(&self) -> Geometry {
        self.codebook.geometry()
    }

    fn codes(&self, places: std::ops::Range<usize>) -> Codes<'_> {
        let row_bytes = self.geometry().row_bytes();
        Codes::row_major(&self.codes[places.start * row_bytes..places.end * row_bytes])
    }

    /// The `k` nearest of the first `n` codes that are allowed, by the plainest loop.
    fn nearest(&self, n: usize, k: usize, allowed: impl Fn(usize) -> bool) -> Vec<(u64, u32)> {
        let mut all = Vec::new();
        for (place, row) in self.codes.chunks(self.geometry().row_bytes()).take(n).enumerate() {
            let mut sum = 0.0f32;
            for (m, entries) in self.table.chunks(self.geometry().num_centroids()).enumerate() {
                sum += entries[match self.geometry().bits() {
                    Bits::Eight => row[m],
                    Bits::Four => row[m / 2] >> (m % 2 * 4) & 15,
                } as usize];
            }
            if allowed(place) {
                all.push((sum, place as u64));
            }
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all.into_iter().take(k).map(|(distance, id)| (id, distance.to_bits())).collect()
    }

    /// What every exact variant that runs anywhere makes of the first `n` codes.
    fn lists(&self, n: usize) -> Vec<(String, List)> {
        let mut lists = Vec::new();
        for variant in registry::all().iter().filter(|variant| variant.fidelity == Fidelity::Exact) {
            // To put similar centroids together takes Miri minutes if there are 256, and an ordered list half of one.
            let is_slow = self.geometry().bits() == Bits::Eight
                || variant.name.ends_with("-ordered") && variant.name != "avx2-ordered";
            let emulated =
                (!cfg!(miri) || !is_slow).then(|| variant.prepare_emulated(&self.codebook, self.codes(0..n))).flatten();
            if let Some(list) = emulated {
                lists.push((format!("{} emulated", variant.name), list.unwrap()));
            }
            if variant.requires.is_empty() && variant.unsupported(self.geometry()).is_none() {
                lists.push((variant.name.to_owned(), variant.prepare(&self.codebook, self.codes(0..n), 2).unwrap()));
            }
        }
        lists
    }
}

fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new(3, Bits::Eight, Metric::L2), Case::new(5, Bits::Four, Metric::InnerProduct)];
    if !cfg!(miri) {
        cases.push(Case::new(16, Bits::Four, Metric::Cosine));
        cases.push(Case::new(16, Bits::Eight, Metric::InnerProduct));
    }
    cases
}

fn to_bits(top: TopK) -> Vec<(u64, u32)> {
    top.into_sorted().into_iter().map(|(id, distance)| (id, distance.to_bits())).collect()
}

#[test]
fn lists_give_the_plain_answer_filtered_appended_to_and_deleted_from() {
    for case in cases() {
        for (name, mut list) in case.lists(FIRST) {
            let mut query = case.query.clone();
            let mut scan = |list: &List, k: usize, allow: Option<&[u64]>| {
                let mut top = TopK::new(k);
                list.scan(&mut query, &mut top, &ScanOptions { allow, ..Default::default() }).unwrap();
                to_bits(top)
            };
            assert_eq!(scan(&list, 10, None), case.nearest(FIRST, 10, |_| true), "{name}");
            let odd = [0xaaaa_aaaa_aaaa_aaaa; N.div_ceil(64)];
            assert_eq!(scan(&list, 3, Some(&odd)), case.nearest(FIRST, 3, |place| place % 2 == 1), "{name}");
            assert_eq!(scan(&list, 3, Some(&[0, 2, 0])), case.nearest(FIRST, 3, |place| place == 65), "{name}");

            list.append(case.codes(FIRST..N)).unwrap();
            let nearest = case.nearest(N, 1, |_| true)[0].0 as usize;
            assert_eq!((list.delete(nearest), list.delete(nearest)), (Ok(true), Ok(false)), "{name}");
            assert_eq!(scan(&list.clone(), 5, None), case.nearest(N, 5, |place| place != nearest), "{name}");
            assert_eq!(list.codes(), case.codes, "{name}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the same code again")]
fn one_top_goes_through_two_lists() {
    for case in cases() {
        for ((name, first), (_, whole)) in case.lists(N / 3).into_iter().zip(case.lists(N)) {
            let (mut query, mut top) = (case.query.clone(), TopK::new(10));
            whole.scan(&mut query, &mut top, &ScanOptions { first_id: 1 << 40, ..Default::default() }).unwrap();
            first.scan(&mut query, &mut top, &ScanOptions::default()).unwrap();
            let later = case.nearest(N, 10, |_| true).into_iter().map(|(id, distance)| (id + (1 << 40), distance));
            let mut expected: Vec<_> = later.chain(case.nearest(N / 3, 10, |_| true)).collect();
            expected.sort_by(|a, b| f32::from_bits(a.1).total_cmp(&f32::from_bits(b.1)).then(a.0.cmp(&b.0)));
            assert_eq!(to_bits(top), expected[..10], "{name}");
        }
    }
}

#[test]
fn unprepared_codes_of_every_layout_give_the_plain_answer() {
    for case in cases() {
        let (row_bytes, stride) = (case.geometry().row_bytes(), N + 3);
        let mut columns = vec![0xff; row_bytes * stride];
        for (place, row) in case.codes.chunks(row_bytes).enumerate() {
            row.iter().enumerate().for_each(|(at, &byte)| columns[at * stride + place] = byte);
        }
        for codes in [case.codes(0..N), Codes::columns(&columns, N, stride)] {
            let mut top = TopK::new(40);
            codes.scan(&mut case.query.clone(), &mut top, &ScanOptions::default()).unwrap();
            assert_eq!(to_bits(top), case.nearest(N, 40, |_| true), "{codes:?}");
        }
    }
}
