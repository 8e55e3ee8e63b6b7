//! Criterion on what the main job measures end to end: each variant's scan of prepared and of unprepared codes, the
//! number of neighbours, and the table build alone.
//!
//! `cargo bench` runs all; `cargo bench -- scan/avx2` those whose name has that in it. For ratios between variants take
//! `pqbench --all`, which measures them side by side instead of one after the other.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pqscan::{
    Bits, Codebook, Codes, Geometry, Metric, Query, ScanOptions, TopK,
    kernels::{self, DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, TOP_K},
    registry,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

const NUM_VECTORS: usize = 200_000;

/// Every variant that runs here: one query of a prepared list, table build and sorted answer included.
fn scan(criterion: &mut Criterion) {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let codebook = codebook(&floats(rng, NUM_CENTROIDS * DIM));
    let codes = clustered_codes(rng);
    let queries: Vec<Vec<f32>> = (0..16).map(|_| floats(rng, DIM)).collect();

    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(NUM_VECTORS as u64));
    for variant in registry::all() {
        match variant.prepare(&codebook, Codes::row_major(&codes), 1) {
            Ok(list) => {
                let mut queries = queries.iter().cycle();
                group.bench_function(variant.name, |bencher| {
                    bencher.iter(|| list.search(black_box(queries.next().expect("queries")), TOP_K));
                });
            }
            Err(error) => eprintln!("scan/{}: skipped: {error}", variant.name),
        }
    }
    group.finish();
}

/// Every variant that runs here and scans row-major codes that nothing prepared: one query whose table is there.
fn probe(criterion: &mut Criterion) {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let codebook = codebook(&floats(rng, NUM_CENTROIDS * DIM));
    let codes = clustered_codes(rng);
    let mut query = || codebook.query(&floats(rng, DIM)).expect("a query");
    let tables: Vec<Vec<f32>> = (0..16).map(|_| query().table().to_vec()).collect();

    let mut group = criterion.benchmark_group("probe");
    group.throughput(Throughput::Elements(NUM_VECTORS as u64));
    for variant in registry::all() {
        let codes = Codes::row_major(&codes);
        let scan = |table: &[f32]| {
            let mut query = Query::from_table(geometry(), table).expect("a table");
            let mut top = TopK::new(TOP_K);
            codes.scan_by(variant, &mut query, &mut top, &ScanOptions::default()).map(|()| top.into_sorted())
        };
        match scan(&tables[0]) {
            Ok(_) => {
                let mut tables = tables.iter().cycle();
                group.bench_function(variant.name, |bencher| {
                    bencher.iter(|| scan(black_box(tables.next().expect("tables"))));
                });
            }
            Err(error) => eprintln!("probe/{}: skipped: {error}", variant.name),
        }
    }
    group.finish();
}

/// The selected variant for one, ten and a hundred neighbours.
fn neighbours(criterion: &mut Criterion) {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let codebook = codebook(&floats(rng, NUM_CENTROIDS * DIM));
    let variant = registry::select(None, geometry(), NUM_VECTORS).expect("a variant");
    let list = variant.prepare(&codebook, Codes::row_major(&clustered_codes(rng)), 1).expect("prepared codes");
    let queries: Vec<Vec<f32>> = (0..16).map(|_| floats(rng, DIM)).collect();

    let mut group = criterion.benchmark_group("neighbours");
    for k in [1, TOP_K, 100] {
        let mut queries = queries.iter().cycle();
        group.bench_function(BenchmarkId::new(variant.name, k), |bencher| {
            bencher.iter(|| list.search(black_box(queries.next().expect("queries")), k));
        });
    }
    group.finish();
}

/// The distance table of one query: from the codebook as it is stored, as [`Codebook`] holds it, and in the memory of a
/// query before.
fn table(criterion: &mut Criterion) {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let (centroids, query) = (floats(rng, NUM_CENTROIDS * DIM), floats(rng, DIM));
    let codebook = codebook(&centroids);

    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements((NUM_SUB_VECTORS * NUM_CENTROIDS) as u64));
    group.bench_function("stored", |bencher| {
        bencher.iter(|| kernels::compute_distance_table_l2(black_box(&query), &centroids));
    });
    group.bench_function("codebook", |bencher| {
        bencher.iter(|| codebook.query(black_box(&query)).expect("a query").table()[0]);
    });
    let mut reused = codebook.query(&query).expect("a query");
    group.bench_function("codebook, again", |bencher| {
        bencher.iter(|| {
            reused.set(black_box(&query)).expect("a query");
            reused.table()[0]
        });
    });
    group.finish();
}

fn geometry() -> Geometry {
    Geometry::new(DIM, NUM_SUB_VECTORS, Bits::Eight).expect("a quantizer")
}

fn codebook(centroids: &[f32]) -> Codebook {
    Codebook::new(geometry(), Metric::L2, centroids).expect("finite centroids")
}

fn floats(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Codes around 500 prototypes: uniform ones would be all equally far away, which no data is.
fn clustered_codes(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let prototypes: Vec<[u8; NUM_SUB_VECTORS]> = (0..500).map(|_| rng.random()).collect();
    let mut codes = Vec::with_capacity(NUM_VECTORS * NUM_SUB_VECTORS);
    for _ in 0..NUM_VECTORS {
        let mut row = prototypes[rng.random_range(0..prototypes.len())];
        for _ in 0..6 {
            row[rng.random_range(0..NUM_SUB_VECTORS)] = rng.random();
        }
        codes.extend(row);
    }
    codes
}

criterion_group!(benches, scan, probe, neighbours, table);
criterion_main!(benches);
