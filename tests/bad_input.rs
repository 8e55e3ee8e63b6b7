//! What can be wrong with what a caller gives: an error that names the value, or the documented answer. Never a panic.

use pqscan::{
    Bits, Codebook, Codes, Error, Geometry, List, MAX_DIM, Metric, Query, ScanOptions, TopK, cpu,
    registry::{self, Fidelity},
};

/// Four sub-quantizers of two dimensions, and centroids of which number `k` is (k, k).
fn codebook(bits: Bits, metric: Metric) -> Codebook {
    let geometry = Geometry::new(8, 4, bits).unwrap();
    let k = geometry.num_centroids();
    let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|at| (at / 2 % k) as f32).collect();
    Codebook::new(geometry, metric, &centroids).unwrap()
}

/// What every exact variant that runs here makes of `codes`.
fn lists(codebook: &Codebook, codes: Codes<'_>) -> Vec<List> {
    let runs = |variant: &&&'static registry::Variant| {
        variant.fidelity == Fidelity::Exact
            && variant.unavailable(cpu::features().unwrap()).is_none()
            && variant.unsupported(codebook.geometry()).is_none()
    };
    registry::all().iter().filter(runs).map(|variant| variant.prepare(codebook, codes, 1).unwrap()).collect()
}

fn bits(answer: Vec<(u64, f32)>) -> Vec<(u64, u32)> {
    answer.into_iter().map(|(id, distance)| (id, distance.to_bits())).collect()
}

#[test]
fn what_can_not_be_is_refused_by_its_value() {
    let l2 = codebook(Bits::Eight, Metric::L2);
    let (ip, cosine) = (codebook(Bits::Eight, Metric::InnerProduct), codebook(Bits::Eight, Metric::Cosine));
    let (geometry, other) = (l2.geometry(), codebook(Bits::Eight, Metric::L2));
    let list = l2.prepare(Codes::row_major(&[7; 4 * 70])).unwrap();
    let shape = |dim, m| Geometry::new(dim, m, Bits::Eight).map(|_| ());
    let with = |value: f32, len: usize| (0..len).map(|at| if at == 3 { value } else { 1.0 }).collect::<Vec<f32>>();
    let centroids = |value| Codebook::new(geometry, Metric::L2, &with(value, geometry.codebook_len())).map(|_| ());
    let prepare = |codes| l2.prepare(codes).map(|_| ());
    let scan = |options: ScanOptions<'_>| list.scan(&mut l2.query(&[1.0; 8])?, &mut TopK::new(1), &options);
    let unprepared =
        |codes: Codes<'_>, options: ScanOptions<'_>| codes.scan(&mut l2.query(&[1.0; 8])?, &mut TopK::new(1), &options);
    let (none, two_words) = (ScanOptions::default(), [0; 2]);
    let short_ids = ScanOptions { ids: Some(&[5; 69]), ..none };
    let short_bitmap = ScanOptions { allow: Some(&[1]), ..none };
    // Products of both signs that are both beyond f32.
    let mut opposite = vec![0.0; ip.geometry().codebook_len()];
    (opposite[6], opposite[7]) = (f32::MAX, f32::MAX);
    let opposite = Codebook::new(ip.geometry(), Metric::InnerProduct, &opposite).unwrap();
    let cases: [(&str, Result<(), Error>, &str); 37] = [
        ("0 sub-quantizers", shape(8, 0), "8 dimensions and 0 sub-quantizers"),
        ("257 sub-quantizers", shape(257, 257), "257 dimensions and 257 sub-quantizers"),
        ("0 dimensions", shape(0, 1), "0 dimensions and 1 sub-quantizers"),
        ("m does not divide the dimensions", shape(100, 16), "100 dimensions and 16 sub-quantizers"),
        ("more parts than dimensions", shape(8, 16), "8 dimensions and 16 sub-quantizers"),
        ("products that overflow", shape(usize::MAX - 255, 256), &format!("{} dimensions", usize::MAX - 255)),
        ("one dimension too many", shape(MAX_DIM + 1, 1), &format!("{} dimensions", MAX_DIM + 1)),
        ("a short codebook", Codebook::new(geometry, Metric::L2, &[0.0; 7]).map(|_| ()), "codebook has 7 values"),
        ("NaN in the codebook", centroids(f32::NAN), "value 3 of the codebook is NaN"),
        ("infinity in the codebook", centroids(f32::INFINITY), "value 3 of the codebook is inf"),
        ("-infinity in the codebook", centroids(f32::NEG_INFINITY), "value 3 of the codebook is -inf"),
        ("a short query", l2.query(&[0.0; 7]).map(|_| ()), "the query has 7 values, expected 8"),
        ("a long query", l2.query(&[0.0; 9]).map(|_| ()), "the query has 9 values, expected 8"),
        ("no query", l2.query(&[]).map(|_| ()), "the query has 0 values, expected 8"),
        ("NaN in the query", l2.query(&with(f32::NAN, 8)).map(|_| ()), "value 3 of the query is NaN"),
        ("infinity in the query", ip.query(&with(f32::INFINITY, 8)).map(|_| ()), "value 3 of the query is inf"),
        ("cosine of a zero vector", cosine.query(&[0.0; 8]).map(|_| ()), "length is zero"),
        ("cosine of negative zeros", cosine.query(&[-0.0; 8]).map(|_| ()), "length is zero"),
        (
            "products that cancel out",
            opposite.query(&[f32::MAX, -f32::MAX, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).map(|_| ()),
            "value 3 of the products of the query and the codebook is NaN",
        ),
        ("NaN in the table", Query::from_table(geometry, &with(f32::NAN, 1024)).map(|_| ()), "value 3 of the distance"),
        ("-NaN in the table", l2.query_from_table(&with(-f32::NAN, 1024)).map(|_| ()), "value 3 of the distance table"),
        ("a short table", l2.query_from_table(&[0.0; 1023]).map(|_| ()), "1023 values, expected 1024"),
        ("no table", Query::from_table(geometry, &[]).map(|_| ()), "0 values, expected 1024"),
        ("ragged rows", prepare(Codes::row_major(&[0; 7])), "7 bytes, expected 8"),
        ("ragged unprepared rows", unprepared(Codes::row_major(&[0; 7]), none), "7 bytes, expected 8"),
        (
            "a stride below n",
            prepare(Codes::columns(&[0; 100], 10, 9)),
            "columns of 10 codes overlap with a stride of 9",
        ),
        ("unprepared, a stride below n", unprepared(Codes::columns(&[0; 9], 2, 0), none), "stride of 0"),
        ("short columns", prepare(Codes::columns(&[0; 39], 10, 10)), "39 bytes, expected 40"),
        ("columns beyond all memory", prepare(Codes::columns(&[0; 39], usize::MAX, usize::MAX)), "39 bytes"),
        ("ids that are too short", scan(short_ids), "the list of ids has 69 ids, expected 70"),
        ("a bitmap that is too short", scan(short_bitmap), "the bitmap has 1 words of 64 bits, expected 2"),
        ("unprepared, short ids", unprepared(Codes::row_major(&[0; 4 * 70]), short_ids), "69 ids, expected 70"),
        ("unprepared, a short bitmap", unprepared(Codes::row_major(&[0; 4 * 70]), short_bitmap), "1 words of 64 bits"),
        (
            "another codebook",
            list.scan(&mut other.query(&[0.0; 8]).unwrap(), &mut TopK::new(1), &none),
            "another codebook",
        ),
        ("ragged queries", list.search_batch(&[0.0; 9], 1).map(|_| ()), "9 values, expected 16"),
        ("no such place", list.clone().delete(70).map(|_| ()), "there is no code 70 in a list of 70"),
        ("no such variant", registry::find("scaler").map(|_| ()), "there is no variant 'scaler'"),
    ];
    for (what, result, words) in cases {
        let error = result.expect_err(what).to_string();
        assert!(error.contains(words), "{what}: {error}");
    }
    // As long as it must be, and longer.
    assert_eq!(scan(ScanOptions { allow: Some(&two_words), ..none }), Ok(()));
    assert_eq!(scan(ScanOptions { ids: Some(&[5; 1000]), allow: Some(&[0; 100]), ..none }), Ok(()));
}

#[test]
fn what_is_left_of_a_refused_call_is_as_before() {
    let codebook = codebook(Bits::Eight, Metric::Cosine);
    let mut list = codebook.prepare(Codes::row_major(&[3; 8])).unwrap();
    let mut query = codebook.query(&[1.0; 8]).unwrap();
    let table = query.table().to_vec();
    assert!(query.set(&[0.0; 8]).is_err() && query.set(&[f32::NAN; 8]).is_err() && query.set(&[1.0]).is_err());
    assert!(query.set_table(&[f32::NAN; 1024]).is_err() && query.set_table(&[]).is_err());
    assert_eq!(query.table(), table);
    assert!(list.append(Codes::row_major(&[3; 5])).is_err() && list.append(Codes::columns(&[3; 8], 2, 1)).is_err());
    assert_eq!((list.num_vectors(), list.codes()), (2, vec![3; 8]));
}

#[test]
fn the_least_and_the_most_have_their_documented_answers() {
    for b in [Bits::Eight, Bits::Four] {
        let codebook = codebook(b, Metric::L2);
        let row_bytes = codebook.geometry().row_bytes();
        let codes: Vec<u8> = (0..3).flat_map(|n| vec![n * 0x11; row_bytes]).collect();
        for n in 0..=3 {
            for list in lists(&codebook, Codes::row_major(&codes[..n * row_bytes])) {
                let all = list.search(&[0.0; 8], usize::MAX).unwrap();
                assert_eq!(all.len(), n, "{list:?}");
                for k in [0, 1, n, n + 1, 1_000_000_000_000, usize::MAX] {
                    let answer = &all[..k.min(n)];
                    assert_eq!(list.search(&[0.0; 8], k).unwrap(), answer, "{list:?}, {k}");
                    assert_eq!(list.search_batch(&[0.0; 16], k).unwrap(), [answer, answer], "{list:?}, {k}");
                    assert_eq!(list.search_batch(&[], k).unwrap(), <[Vec<_>; 0]>::default());
                    let mut top = TopK::new(k);
                    list.scan(&mut codebook.query(&[0.0; 8]).unwrap(), &mut top, &ScanOptions::default()).unwrap();
                    assert_eq!(top.into_sorted(), answer, "{list:?}, {k}");
                }
            }
        }
    }
}

#[test]
fn infinities_in_a_table_are_distances_and_sums_that_are_no_numbers_come_last() {
    let codebook = codebook(Bits::Eight, Metric::L2);
    let mut table = vec![0.0; 1024];
    (table[1], table[2], table[256 + 2]) = (f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY);
    // inf, -inf, -inf + inf, 0 and inf.
    let codes = [[1, 0, 0, 0], [2, 0, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0], [1, 2, 0, 0]].concat();
    let expected = [(1, f32::NEG_INFINITY), (3, 0.0), (0, f32::INFINITY), (4, f32::INFINITY), (2, f32::NAN)];
    for list in lists(&codebook, Codes::row_major(&codes)) {
        for k in 0..=6 {
            let mut top = TopK::new(k);
            let mut query = Query::from_table(codebook.geometry(), &table).unwrap();
            list.scan(&mut query, &mut top, &ScanOptions::default()).unwrap();
            assert_eq!(bits(top.into_sorted()), bits(expected[..k.min(5)].to_vec()), "{list:?}, {k}");
        }
    }
}

#[test]
fn stray_high_bits_of_an_odd_number_of_four_bit_codes_are_ignored() {
    let geometry = Geometry::new(6, 3, Bits::Four).unwrap();
    let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|at| (at / 2 % 16) as f32).collect();
    let codebook = Codebook::new(geometry, Metric::L2, &centroids).unwrap();
    let clean: Vec<u8> = (0..100).flat_map(|n: u8| [n, n & 0x0f]).collect();
    let stray: Vec<u8> = clean.chunks(2).zip(0u8..).flat_map(|(row, n)| [row[0], row[1] | n << 4]).collect();
    let by_column: Vec<u8> = stray.iter().step_by(2).chain(stray.iter().skip(1).step_by(2)).copied().collect();
    let expected = codebook.prepare(Codes::row_major(&clean)).unwrap().search(&[5.0; 6], 20).unwrap();
    for codes in [Codes::row_major(&stray), Codes::columns(&by_column, 100, 100)] {
        for mut list in lists(&codebook, codes) {
            assert_eq!(list.search(&[5.0; 6], 20).unwrap(), expected, "{list:?}");
            assert_eq!(list.codes(), clean, "{list:?}");
            list.append(codes).unwrap();
            assert_eq!(list.codes(), clean.repeat(2), "{list:?}");
        }
        let mut top = TopK::new(20);
        codes.scan(&mut codebook.query(&[5.0; 6]).unwrap(), &mut top, &ScanOptions::default()).unwrap();
        assert_eq!(top.into_sorted(), expected);
    }
}

#[test]
fn a_named_variant_that_this_cpu_or_shape_does_not_have_is_refused_with_the_reason() {
    let (features, codebook) = (cpu::features().unwrap(), codebook(Bits::Four, Metric::L2));
    let geometry = codebook.geometry();
    for &variant in registry::all() {
        let reason = variant.unavailable(features).or(variant.unsupported(geometry).map(str::to_owned));
        let prepared = variant.prepare(&codebook, Codes::row_major(&[0; 4]), 1).map(|_| ());
        let selected = registry::select(Some(variant.name), geometry, 2).map(|_| ());
        for result in [prepared, selected] {
            match (&reason, result) {
                (None, result) => assert_eq!(result, Ok(())),
                (Some(reason), result) => {
                    let error = result.expect_err(variant.name).to_string();
                    assert!(error.contains(variant.name) && error.contains(reason.as_str()), "{error}");
                }
            }
        }
    }
}
