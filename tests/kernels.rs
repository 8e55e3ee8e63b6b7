//! What callers of the library rely on: the four names of `kernels`, the panics and errors that are documented, and the
//! environment variables.

use std::process::Output;

use pqscan::{
    Bits, Codebook, Codes, Error, Geometry, Metric, Query, ScanOptions, TopK, cpu,
    kernels::{
        DIM, DistanceTable, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TOP_K, TopKHeap, compute_distance_table_l2,
        probe_pq_l2_top_k,
    },
    registry,
};

mod common;

/// Numbers without a pattern, exact in f32.
fn values(count: usize) -> impl Iterator<Item = u32> {
    (0..count as u32).map(|i| i.wrapping_mul(2_654_435_761) >> 24)
}

fn centroids() -> Vec<f32> {
    values(NUM_CENTROIDS * DIM).map(|v| v as f32).collect()
}

fn geometry() -> Geometry {
    Geometry::new(DIM, NUM_SUB_VECTORS, Bits::Eight).unwrap()
}

fn codebook(centroids: &[f32]) -> Result<Codebook, Error> {
    Codebook::new(geometry(), Metric::L2, centroids)
}

fn codes(n: usize) -> Vec<u8> {
    values(n * NUM_SUB_VECTORS).map(|v| v as u8).collect()
}

/// The ten nearest of 500 codes, by arithmetic that shares nothing with the library's.
fn expected(query: &[f32], centroids: &[f32], codes: &[u8]) -> Vec<(u32, f32)> {
    let distance = |row: &[u8]| -> f64 {
        let parts =
            row.iter().enumerate().flat_map(|(m, &k)| &centroids[(m * NUM_CENTROIDS + usize::from(k)) * 8..][..8]);
        parts.zip(query).map(|(c, q)| f64::from(q - c).powi(2)).sum()
    };
    let mut all: Vec<(f64, u32)> = codes.chunks(NUM_SUB_VECTORS).map(distance).zip(0..).collect();
    all.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    all.iter().take(TOP_K).map(|&(distance, id)| (id, distance as f32)).collect()
}

#[test]
fn a_scan_of_row_major_codes_finds_the_nearest() {
    let (query, centroids, codes) = ([100.0; DIM], centroids(), codes(500));
    let table: DistanceTable = compute_distance_table_l2(&query, &centroids);
    let mut heap = TopKHeap::new();
    probe_pq_l2_top_k(&table, &codes, 500, &mut heap);
    // Whole numbers below 2^24, so f32 loses nothing.
    assert_eq!(heap.into_sorted(), expected(&query, &centroids, &codes));
}

/// The table of `query` by the plainest loop.
fn plain_table(query: &[f32], centroids: &[f32]) -> Vec<f32> {
    let mut table = Vec::new();
    for (at, centroid) in centroids.chunks_exact(SUB_VECTOR_DIM).enumerate() {
        let part = &query[at / NUM_CENTROIDS * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM];
        let mut sum = 0.0f32;
        for (c, q) in centroid.iter().zip(part) {
            sum += (q - c) * (q - c);
        }
        table.push(sum);
    }
    table
}

#[test]
fn every_way_to_build_a_table_gives_the_same_bits() {
    for exponent in [-22, -10, 0, 10, 18] {
        let value = |v: u32| (v as f32 - 99.3) * 10f32.powi(exponent);
        let centroids: Vec<f32> = values(NUM_CENTROIDS * DIM).map(value).collect();
        let query: [f32; DIM] = std::array::from_fn(|d| value(d as u32 * 37 % 256));
        let bits = |table: &[f32]| table.iter().map(|entry| entry.to_bits()).collect::<Vec<_>>();
        let plain = bits(&plain_table(&query, &centroids));
        let stored = compute_distance_table_l2(&query, &centroids);
        assert!(bits(stored.as_flattened()) == plain, "stored centroids, 1e{exponent}");
        let codebook = codebook(&centroids).unwrap();
        assert!(bits(codebook.query(&query).unwrap().table()) == plain, "a codebook's query, 1e{exponent}");
        let mut reused = codebook.query(&[0.0; DIM]).unwrap();
        reused.table();
        reused.set(&query).unwrap();
        assert!(bits(reused.table()) == plain, "a query that was another, 1e{exponent}");
        let mut given = codebook.query_from_table(stored.as_flattened()).unwrap();
        assert!(bits(given.table()) == plain, "a codebook's query from a table, 1e{exponent}");
        given.set(&query).unwrap();
        assert!(bits(given.table()) == plain, "a query that was a table, 1e{exponent}");
        given.set_table(&[0.0; NUM_SUB_VECTORS * NUM_CENTROIDS]).unwrap();
        given.set_table(stored.as_flattened()).unwrap();
        assert!(bits(given.table()) == plain, "a query that was another table, 1e{exponent}");
        let mut alone = Query::from_table(geometry(), stored.as_flattened()).unwrap();
        assert!(bits(alone.table()) == plain, "a table alone, 1e{exponent}");
    }
}

#[test]
fn every_way_to_scan_gives_the_same_answer() {
    let (query, centroids, codes) = ([100.0; DIM], centroids(), codes(500));
    let codebook = codebook(&centroids).unwrap();
    let expected: Vec<(u64, f32)> =
        expected(&query, &centroids, &codes).into_iter().map(|(id, distance)| (id.into(), distance)).collect();
    let mut column_major = vec![0; 500 * NUM_SUB_VECTORS];
    for (at, &code) in codes.iter().enumerate() {
        column_major[at % NUM_SUB_VECTORS * 500 + at / NUM_SUB_VECTORS] = code;
    }
    let options = ScanOptions { first_id: 1 << 50, ..ScanOptions::default() };
    let later: Vec<(u64, f32)> = expected.iter().map(|&(id, distance)| (id + (1 << 50), distance)).collect();
    for codes in [Codes::row_major(&codes), Codes::columns(&column_major, 500, 500)] {
        let mut top = TopK::new(TOP_K);
        codes.scan(&mut codebook.query(&query).unwrap(), &mut top, &options).unwrap();
        assert_eq!(top.into_sorted(), later, "unprepared");

        let list = codebook.prepare(codes).unwrap();
        assert_eq!(list.search(&query, TOP_K).unwrap(), expected, "{list:?}");
        assert_eq!(list.search_batch(&query.repeat(3), TOP_K).unwrap(), vec![expected.clone(); 3], "{list:?}");
        let mut top = TopK::new(TOP_K);
        list.scan(&mut codebook.query(&query).unwrap(), &mut top, &options).unwrap();
        assert_eq!(top.into_sorted(), later, "{list:?}");
    }
}

#[test]
fn one_heap_gathers_several_lists() {
    let (query, centroids) = ([100.0; DIM], centroids());
    let table = compute_distance_table_l2(&query, &centroids);
    let mut heap = TopKHeap::new();
    heap.push(7, -1.0);
    probe_pq_l2_top_k(&table, &[], 0, &mut heap);
    probe_pq_l2_top_k(&table, &codes(3), 3, &mut heap);
    let ids: Vec<u32> = heap.into_sorted().iter().map(|&(id, _)| id).collect();
    assert_eq!((ids.len(), ids[0]), (4, 7));
}

#[test]
#[should_panic(expected = "the query has 127 dimensions, not 128")]
fn a_short_query_panics() {
    compute_distance_table_l2(&[0.0; DIM - 1], &centroids());
}

#[test]
#[should_panic(expected = "the codebook must be [16][256][8]")]
fn a_short_codebook_panics() {
    compute_distance_table_l2(&[0.0; DIM], &[0.0; 8]);
}

#[test]
#[should_panic(expected = "codes must be [num_vectors][16]")]
fn a_wrong_count_panics() {
    probe_pq_l2_top_k(&[[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS], &codes(3), 4, &mut TopKHeap::new());
}

#[test]
#[should_panic(expected = "codes must be [num_vectors][16]")]
fn a_count_that_overflows_panics() {
    probe_pq_l2_top_k(&[[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS], &[], usize::MAX / 16 + 1, &mut TopKHeap::new());
}

#[test]
#[should_panic(expected = "the distance table holds NaN")]
fn a_nan_in_the_table_panics() {
    let mut table = [[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
    table[15][255] = f32::NAN;
    probe_pq_l2_top_k(&table, &codes(3), 3, &mut TopKHeap::new());
}

#[test]
fn what_can_not_be_scanned_is_an_error() {
    let message = |error: Error| error.to_string();
    let bad_codebook = |at: usize, value: f32| {
        let mut centroids = centroids();
        centroids[at] = value;
        codebook(&centroids).unwrap_err().to_string()
    };
    assert_eq!(bad_codebook(0, f32::NAN), "value 0 of the codebook is NaN, expected a finite number");
    assert_eq!(bad_codebook(32767, f32::INFINITY), "value 32767 of the codebook is inf, expected a finite number");
    assert!(codebook(&[]).is_err());

    let codebook = codebook(&centroids()).unwrap();
    for variant in registry::all().iter().filter(|v| v.unavailable(cpu::features().unwrap()).is_none()) {
        if variant.unsupported(geometry()).is_some() {
            continue;
        }
        let ragged = variant.prepare(&codebook, Codes::row_major(&[0; 17]), 1).map(|_| ()).map_err(message);
        assert_eq!(ragged, Err("a whole number of rows of codes has 17 bytes, expected 32".to_owned()));
        let list = variant.prepare(&codebook, Codes::row_major(&codes(20)), 1).unwrap();
        let mut query = [0.0; DIM];
        assert!(list.search(&query[1..], 1).is_err() && list.search_batch(&query[1..], 1).is_err());
        query[5] = f32::NEG_INFINITY;
        let refused = Err("value 5 of the query is -inf, expected a finite number".to_owned());
        assert_eq!(list.search(&query, 1).map_err(message), refused);
        assert_eq!(list.search_batch(&query, 1).map(|_| vec![]).map_err(message), refused);
    }
}

/// Not a test: what [`run_with`] starts, in a process of its own since the choice is made once. It scans and tells by
/// what.
#[test]
#[ignore = "started by the tests of the environment variables"]
fn tell_the_selected_variant() {
    let table = compute_distance_table_l2(&[1.0; DIM], &centroids());
    probe_pq_l2_top_k(&table, &codes(100), 100, &mut TopKHeap::new());
    println!("selected {}", registry::select_for_unprepared_codes(geometry()).unwrap().name);
    println!("features {}.", cpu::features().unwrap());
}

fn run_with(variables: &[(&str, &str)]) -> Output {
    common::command(std::env::current_exe().expect("this program's path"))
        .args(["tell_the_selected_variant", "--exact", "--ignored", "--nocapture"])
        .env_remove(registry::VARIANT_VARIABLE)
        .env_remove(cpu::MASK_VARIABLE)
        .envs(variables.iter().copied())
        .output()
        .expect("this program starts")
}

fn assert_says(output: &Output, succeeds: bool, text: &str) {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert_eq!((output.status.success(), all.contains(text)), (succeeds, true), "'{text}' expected in:\n{all}");
}

#[test]
fn the_environment_names_the_variant() {
    assert_says(&run_with(&[("PQBENCH_VARIANT", "scalar")]), true, "selected scalar\n");
    // An empty value is no choice.
    assert_says(&run_with(&[("PQBENCH_VARIANT", "")]), true, "selected ");
    assert_says(&run_with(&[("PQBENCH_VARIANT", "scaler")]), false, "there is no variant 'scaler'; choose one of: ");
}

#[test]
fn the_environment_takes_features_away() {
    assert_says(&run_with(&[("PQBENCH_CPU", "baseline")]), true, "features none.");
    assert_says(&run_with(&[("PQBENCH_CPU", "basline")]), false, "'basline' is neither a level");
}

#[test]
fn a_variant_that_the_mask_forbids_is_refused_not_replaced() {
    let needs_a_feature = |v: &&&registry::Variant| !v.requires.is_empty() && v.probes_unprepared_codes();
    for variant in registry::all().iter().filter(needs_a_feature) {
        let output = run_with(&[("PQBENCH_CPU", "baseline"), ("PQBENCH_VARIANT", variant.name)]);
        assert_says(&output, false, &format!("the variant '{}' can't run here: needs ", variant.name));
    }
}
