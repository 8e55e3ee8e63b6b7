//! Data folders with something wrong in them: each is refused, with an error that names the file and the fault.

use std::{collections::HashSet, fs, path::Path, sync::LazyLock};

use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits, NeighborIds, Source, sift_geometry},
    prepare::{PrepareOptions, prepare},
};
use pqscan::{Bits, Geometry, Metric};
use tempfile::TempDir;

fn open(spec: &str, num_base: Option<usize>, num_queries: Option<usize>) -> anyhow::Result<Fixture> {
    Fixture::open(spec, Limits { num_base, num_queries }, &ProgressBar::hidden())
}

static SMALL: LazyLock<Fixture> = LazyLock::new(|| open("synthetic", Some(500), Some(5)).unwrap());

/// A right folder of 500 codes, 5 queries and 10 neighbours of each.
fn folder() -> TempDir {
    let parent = tempfile::tempdir().unwrap();
    SMALL.write(&parent.path().join("data")).unwrap();
    parent
}

/// The error, with all its causes, after `damage` was done to a right folder.
fn error_after(damage: impl Fn(&Path)) -> String {
    let parent = folder();
    let data = parent.path().join("data");
    damage(&data);
    format!("{:#}", open(data.to_str().unwrap(), None, None).unwrap_err())
}

#[track_caller]
fn assert_says(error: &str, expected: &[&str]) {
    for part in expected {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
}

type Json = serde_json::Value;

fn edit_manifest(data: &Path, edit: impl Fn(&mut Json)) {
    let path = data.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, manifest.to_string()).unwrap();
}

/// Replaces a file and gives the manifest its size and checksum, so that only the content is wrong.
fn replace(data: &Path, file: &str, bytes: &[u8]) {
    use sha2::{Digest, Sha256};
    fs::write(data.join(file), bytes).unwrap();
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    edit_manifest(data, |manifest| {
        manifest["files"][file] = serde_json::json!({ "bytes": bytes.len(), "sha256": sha256 });
    });
}

#[test]
fn what_was_written_is_read_back() {
    let parent = folder();
    let data = parent.path().join("data");
    let read = open(data.to_str().unwrap(), None, None).unwrap();
    assert_eq!((read.source, &read.name), (Source::Folder, &SMALL.name));
    assert_eq!(read.checksum(), SMALL.checksum());
    assert_eq!(read.truth, SMALL.truth);
    assert!(data.join("query.u8").exists());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[test]
fn queries_that_are_no_bytes_and_an_unknown_truth_are_read_back() {
    let parent = folder();
    let data = parent.path().join("data");
    let mut fixture = SMALL.clone();
    fixture.queries[0] = -0.5;
    fixture.truth = None;
    fixture.write(&data).unwrap();
    let read = open(data.to_str().unwrap(), None, None).unwrap();
    assert_eq!((read.queries, read.truth), (fixture.queries, None));
    assert!(data.join("query.f32").exists() && !data.join("query.u8").exists(), "the old folder is gone");
}

#[test]
fn missing_files_are_named() {
    for file in ["manifest.json", "codes.u8", "codebook.f32", "query.u8", "groundtruth.u32"] {
        let error = error_after(|data| fs::remove_file(data.join(file)).unwrap());
        assert_says(&error, &[file, "can't be read", "prepare the folder again"]);
    }
    assert_says(&format!("{:#}", open("/nowhere/at-all", None, None).unwrap_err()), &["/nowhere/at-all", "worst-case"]);
}

#[test]
fn wrong_sizes_are_named_with_both_sizes() {
    for file in ["codes.u8", "codebook.f32", "query.u8", "groundtruth.u32"] {
        let shortened = |by: usize| {
            move |data: &Path| {
                let bytes = fs::read(data.join(file)).unwrap();
                fs::write(data.join(file), &bytes[..bytes.len() - by]).unwrap();
            }
        };
        let empty = |data: &Path| fs::write(data.join(file), "").unwrap();
        let longer = |data: &Path| {
            let bytes = fs::read(data.join(file)).unwrap();
            fs::write(data.join(file), [&bytes[..], b"x"].concat()).unwrap();
        };
        assert_says(&error_after(shortened(1)), &[file, "truncated"]);
        assert_says(&error_after(empty), &[file, "truncated: 0 bytes"]);
        assert_says(&error_after(longer), &[file, "too long"]);
    }
    assert_says(&error_after(|data| fs::write(data.join("codes.u8"), "").unwrap()), &["not 8000"]);
}

#[test]
fn a_changed_byte_is_found() {
    for file in ["codes.u8", "codebook.f32", "query.u8", "groundtruth.u32"] {
        let error = error_after(|data| {
            let mut bytes = fs::read(data.join(file)).unwrap();
            bytes[17] ^= 1;
            fs::write(data.join(file), bytes).unwrap();
        });
        assert_says(&error, &[file, "corrupted", "SHA-256"]);
    }
}

#[test]
fn values_are_checked_where_the_checksum_is_right() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let codebook = |data: &Path| {
            let mut bytes = fs::read(data.join("codebook.f32")).unwrap();
            bytes[400..404].copy_from_slice(&bad.to_le_bytes());
            replace(data, "codebook.f32", &bytes);
        };
        assert_says(&error_after(codebook), &["codebook.f32", "value 100", "expected a finite number"]);
        let query = |data: &Path| {
            let mut values = [1.0f32; 5 * 128];
            values[130] = bad;
            edit_manifest(data, |manifest| drop(manifest["files"].as_object_mut().unwrap().remove("query.u8")));
            replace(data, "query.f32", &values.map(f32::to_le_bytes).concat());
        };
        assert_says(&error_after(query), &["query.f32", "dimension 2 of query 1", "not a finite number"]);
    }
    let truth = |change: fn(&mut [u32])| {
        move |data: &Path| {
            let mut ids: Vec<u32> = (0..50).collect();
            change(&mut ids);
            replace(data, "groundtruth.u32", &ids.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        }
    };
    assert_says(&error_after(truth(|ids| ids[12] = 500)), &["groundtruth.u32", "query 1", "500"]);
    assert_says(&error_after(truth(|ids| ids[12] = 13)), &["groundtruth.u32", "query 1", "twice"]);
}

#[test]
fn manifests_that_describe_something_else_are_refused() {
    for (field, value, expected) in [
        ("format", Json::from(2), "format is 2, expected 1"),
        ("dim", Json::from(0), "'dim' is 0, expected 1 to 1048576"),
        ("dim", Json::from(1 << 30), "'dim' is 1073741824, expected 1 to"),
        ("dim", Json::from(96), "codebook.f32 has 131072 bytes, but its counts make that 98304"),
        ("dim", Json::from(100), "'num_sub_vectors' is 16, which does not divide 'dim', 100"),
        ("num_sub_vectors", Json::from(0), "'num_sub_vectors' is 0, expected 1 to 256"),
        ("num_sub_vectors", Json::from(257), "'num_sub_vectors' is 257, expected 1 to 256"),
        ("num_sub_vectors", Json::from(7), "'num_sub_vectors' is 7, which does not divide 'dim', 128"),
        ("num_sub_vectors", Json::from(8), "codes.u8 has 8000 bytes, but its counts make that 4000"),
        ("num_centroids", Json::from(255), "'num_centroids' is 255, expected 16 or 256"),
        ("num_centroids", Json::from(16), "codes.u8 has 8000 bytes, but its counts make that 4000"),
        ("metric", Json::from("IP"), "'metric' is 'IP', expected one of: l2, ip, cosine"),
        ("metric", Json::from("\u{1b}["), "'metric' is '\\u{1b}[', expected"),
        ("num_base", Json::from(0), "'num_base' is 0"),
        ("num_base", Json::from(-1), "-1"),
        ("num_base", Json::from(u64::MAX), "'num_base' is 18446744073709551615"),
        ("num_base", Json::from(u32::MAX), "its counts make that 68719476720"),
        ("num_base", Json::from(501), "its counts make that 8016"),
        ("num_queries", Json::from(0), "'num_queries' is 0"),
        ("num_queries", Json::from(6), "query.u8 has 640 bytes"),
        ("truth_k", Json::from(0), "'truth_k' is 0"),
        ("truth_k", Json::from(501), "'truth_k' is 501"),
        ("truth_k", Json::Null, "must come together"),
        ("name", Json::from("\u{1b}[2J"), "control character"),
        ("files", Json::from(1), "invalid type"),
    ] {
        let error = error_after(|data| edit_manifest(data, |manifest| manifest[field] = value.clone()));
        assert_says(&error, &["manifest.json", expected]);
    }
    for text in ["", "{", "[]", "\u{feff}{}", "{}"] {
        let error = error_after(|data| fs::write(data.join("manifest.json"), text).unwrap());
        assert_says(&error, &["manifest.json"]);
    }
    let huge = |data: &Path| fs::File::create(data.join("manifest.json")).unwrap().set_len(1 << 40).unwrap();
    assert_says(&error_after(huge), &["manifest.json", "too long"]);
    let both = |data: &Path| replace(data, "query.f32", &[0; 5 * 512]);
    assert_says(&error_after(both), &["either query.u8 or query.f32"]);
}

#[test]
fn the_counts_are_not_believed_before_the_size_is_checked() {
    let error = error_after(|data| {
        edit_manifest(data, |manifest| {
            manifest["num_base"] = Json::from(u32::MAX);
            manifest["files"]["codes.u8"]["bytes"] = Json::from(u64::from(u32::MAX) * 16);
        });
    });
    assert_says(&error, &["codes.u8", "truncated: 8000 bytes, not 68719476720"]);
}

#[test]
fn files_outside_the_folder_are_refused() {
    for name in ["../codes.u8", "/etc/passwd", "sub/codes.u8", "..", ".", "", "codes.u8/"] {
        let error = error_after(|data| {
            edit_manifest(data, |manifest| manifest["files"][name] = serde_json::json!({ "bytes": 1, "sha256": "" }));
        });
        assert_says(&error, &["manifest.json", "in the folder itself"]);
    }
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    let error = error_after(|data| {
        fs::remove_file(data.join("codes.u8")).unwrap();
        fs::create_dir(data.join("codes.u8")).unwrap();
    });
    assert_says(&error, &["codes.u8", "is not a file"]);
}

#[test]
fn limits_are_checked_against_the_folder() {
    let parent = folder();
    let data = parent.path().join("data");
    let data = data.to_str().unwrap();
    assert_says(&open(data, Some(501), None).unwrap_err().to_string(), &["500 codes", "501"]);
    assert_says(&open(data, None, Some(6)).unwrap_err().to_string(), &["5 queries", "6"]);
    assert_says(&open(data, Some(0), None).unwrap_err().to_string(), &["at least one code"]);
    let fewer_than_k = open(data, Some(3), Some(2)).unwrap();
    assert_eq!((fewer_than_k.num_base(), fewer_than_k.num_queries()), (3, 2));
}

/// 300 codes and 4 queries of a shape, some of them negative, with 11 neighbours of each.
fn shaped(dim: usize, m: usize, bits: Bits, metric: Metric) -> Fixture {
    let geometry = Geometry::new(dim, m, bits).unwrap();
    let mixed = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 24;
    let floats = |count: usize| (0..count).map(|i| mixed(i) as f32 / 16.0 - 7.9).collect::<Vec<_>>();
    Fixture {
        name: "shaped".to_owned(),
        source: Source::Folder,
        geometry,
        metric,
        codes: (0..300 * geometry.row_bytes()).map(|i| mixed(i) as u8).collect(),
        centroids: floats(geometry.codebook_len()),
        queries: floats(4 * dim),
        truth: Some(NeighborIds { ids: (0..4 * 11).collect(), k: 11 }),
        answers: None,
    }
}

#[test]
fn every_shape_and_metric_is_read_back() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let mut checksums = HashSet::new();
    for (dim, m) in [(1, 1), (12, 3), (100, 25), (256, 256), (384, 96)] {
        for bits in [Bits::Four, Bits::Eight] {
            for &metric in Metric::ALL {
                let fixture = shaped(dim, m, bits, metric);
                fixture.write(&data).unwrap();
                let spec = data.to_str().unwrap();
                let read = open(spec, None, None).unwrap();
                assert_eq!((read.geometry, read.metric), (fixture.geometry, metric));
                assert_eq!(Fixture::geometry_of(spec).unwrap(), fixture.geometry);
                assert_eq!((read.num_base(), read.num_queries()), (300, 4));
                assert_eq!((&read.codes, &read.centroids), (&fixture.codes, &fixture.centroids));
                assert_eq!((&read.queries, &read.truth), (&fixture.queries, &fixture.truth));
                assert_eq!(read.checksum(), fixture.checksum());
                assert!(checksums.insert(read.checksum()), "the shape and the metric are a part of the data");
                let few = open(spec, Some(9), Some(1)).unwrap();
                assert_eq!((few.num_base(), few.num_queries()), (9, 1));
                assert_eq!(few.codes, fixture.codes[..9 * fixture.geometry.row_bytes()]);
            }
        }
    }
}

#[test]
fn the_shape_of_generated_and_embedded_data_is_that_of_sift() {
    for spec in ["embedded", "synthetic", "worst-case"] {
        assert_eq!(Fixture::geometry_of(spec).unwrap(), sift_geometry());
    }
    let text = Fixture::geometry_of("embedded-text").unwrap();
    assert_eq!(text, Geometry::new(100, 25, Bits::Eight).unwrap());
    assert_says(&Fixture::geometry_of("nowhere").unwrap_err().to_string(), &["'nowhere'", "synthetic"]);
}

#[test]
fn queries_that_the_metric_has_no_distance_for_are_refused() {
    let refused = |metric, damage: fn(&mut Fixture)| {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let mut fixture = shaped(12, 3, Bits::Four, metric);
        damage(&mut fixture);
        fixture.write(&data).unwrap();
        open(data.to_str().unwrap(), None, None).err().map(|error| format!("{error:#}"))
    };
    let zero: fn(&mut Fixture) = |fixture| fixture.queries[24..36].fill(0.0);
    assert_eq!((refused(Metric::L2, zero), refused(Metric::InnerProduct, zero)), (None, None));
    assert_says(&refused(Metric::Cosine, zero).unwrap(), &["query.f32", "query 2", "length is zero"]);
    let huge: fn(&mut Fixture) = |fixture| {
        fixture.queries[..12].fill(3e38);
        fixture.centroids.iter_mut().enumerate().for_each(|(at, value)| *value = [9.0, -9.0][at % 2]);
    };
    assert_eq!((refused(Metric::L2, huge), refused(Metric::Cosine, huge)), (None, None));
    assert_says(&refused(Metric::InnerProduct, huge).unwrap(), &["query.f32", "query 0", "products"]);
}

#[test]
fn nothing_is_written_over_what_is_no_data_folder() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("thesis.txt"), "years of work").unwrap();
    assert_says(&SMALL.write(parent.path()).unwrap_err().to_string(), &["is no data folder"]);
    let file = parent.path().join("thesis.txt");
    assert_says(&SMALL.write(&file).unwrap_err().to_string(), &["thesis.txt", "is no data folder"]);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
}

/// `.fvecs` or `.ivecs`, by what the bytes are: rows of `k` 4-byte values, each after its length.
fn vecs(rows: &[u8], k: u32) -> Vec<u8> {
    rows.chunks(k as usize * 4).flat_map(|row| [&k.to_le_bytes()[..], row].concat()).collect()
}

/// 600 vectors of bytes, the first 20 also as queries, in a folder of their own.
fn raw_vectors() -> (TempDir, PrepareOptions) {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..600 * 128u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let floats: Vec<u8> = bytes.iter().flat_map(|&byte| f32::from(byte).to_le_bytes()).collect();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name)
    };
    let options = PrepareOptions {
        base: write("base.fvecs", &vecs(&floats, 128)),
        learn: write("learn.u8", &bytes),
        query: write("query.fvecs", &vecs(&floats[..20 * 512], 128)),
        groundtruth: None,
        output: folder.path().join("output"),
        name: "tiny".to_owned(),
        num_sub_vectors: 16,
        bits: Bits::Eight,
        metric: Metric::L2,
    };
    (folder, options)
}

#[test]
fn raw_vectors_become_a_data_folder_that_finds_them() {
    let (folder, mut options) = raw_vectors();
    prepare(&options, &ProgressBar::hidden()).unwrap();
    let found = open(options.output.to_str().unwrap(), None, None).unwrap();
    assert_eq!((found.name.as_str(), found.num_base(), found.num_queries()), ("tiny", 600, 20));
    let truth = found.truth.unwrap();
    assert_eq!(truth.k, 100);
    assert!(truth.ids.chunks_exact(100).enumerate().all(|(query, list)| list[0] == query as u32));

    let ids: Vec<u8> = truth.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    options.groundtruth = Some(folder.path().join("truth.ivecs"));
    fs::write(folder.path().join("truth.ivecs"), vecs(&ids, 100)).unwrap();
    prepare(&options, &ProgressBar::hidden()).unwrap();
    let again = open(options.output.to_str().unwrap(), None, None).unwrap();
    assert_eq!((again.truth, &again.codes), (Some(truth), &found.codes), "given or found, the truth is the same");
}

#[test]
fn broken_raw_vectors_are_refused_and_nothing_is_written() {
    let damaged = |name: &str, damage: fn(&mut Vec<u8>), expected: &[&str]| {
        let (folder, mut options) = raw_vectors();
        options.groundtruth = Some(folder.path().join("truth.ivecs"));
        fs::write(folder.path().join("truth.ivecs"), vecs(&[7, 0, 0, 0].repeat(20), 1)).unwrap();
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", prepare(&options, &ProgressBar::hidden()).unwrap_err());
        assert_says(&error, &[name]);
        assert_says(&error, expected);
        assert!(!options.output.exists());
    };
    damaged("base.fvecs", Vec::clear, &["0 bytes"]);
    damaged("base.fvecs", |bytes| bytes.truncate(bytes.len() - 1), &["not a whole number of rows"]);
    damaged("base.fvecs", |bytes| bytes.truncate(3), &["3 bytes, not even one vector"]);
    damaged("base.fvecs", |bytes| bytes[516] = 64, &["vector 1", "length 64, not 128"]);
    damaged("base.fvecs", |bytes| bytes[..4].fill(0), &["begins with a vector of 0 dimensions"]);
    damaged("base.fvecs", |bytes| bytes[..4].fill(255), &["begins with a vector of 4294967295 dimensions"]);
    damaged("query.fvecs", |bytes| bytes[0] = 96, &["vectors of 96 dimensions", "base.fvecs have 128"]);
    damaged("query.fvecs", |bytes| bytes[4..8].fill(255), &["vector 0", "NaN in dimension 0"]);
    damaged("learn.u8", |bytes| bytes.truncate(255 * 128), &["255 training vectors"]);
    damaged("truth.ivecs", |bytes| bytes.truncate(8 * 19), &["neighbours of 19 queries", "20 queries"]);
    damaged("truth.ivecs", |bytes| bytes[4..8].fill(255), &["query 0", "4294967295"]);
    damaged("truth.ivecs", |bytes| bytes[..4].fill(0), &["rows of 0 ids"]);
    damaged("truth.ivecs", |bytes| bytes[..4].fill(255), &["not a whole number of rows"]);

    let (folder, mut options) = raw_vectors();
    options.base = folder.path().join("base.csv");
    assert_says(&format!("{:#}", prepare(&options, &ProgressBar::hidden()).unwrap_err()), &["base.csv", ".fvecs"]);
}

/// 200 vectors of `dim` dimensions and of different lengths, the first 10 also as queries, for codes of 4 bits.
fn raw_vectors_of(dim: usize, num_sub_vectors: usize, metric: Metric) -> (TempDir, PrepareOptions) {
    let (folder, options) = raw_vectors();
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as f32 - 127.5;
    let scale = |i: usize| [0.5, 3.0, 40.0][i / dim % 3];
    let floats: Vec<u8> = (0..200 * dim).flat_map(|i| (value(i) * scale(i)).to_le_bytes()).collect();
    fs::write(&options.base, vecs(&floats, dim as u32)).unwrap();
    fs::write(&options.query, vecs(&floats[..10 * dim * 4], dim as u32)).unwrap();
    let learn = folder.path().join("learn.fvecs");
    fs::write(&learn, vecs(&floats, dim as u32)).unwrap();
    (folder, PrepareOptions { learn, num_sub_vectors, bits: Bits::Four, metric, ..options })
}

/// The vectors of a `.fvecs` file.
fn read_vecs(path: &Path, dim: usize) -> Vec<Vec<f64>> {
    let bytes = fs::read(path).unwrap();
    let values = |row: &[u8]| row[4..].as_chunks().0.iter().map(|&value| f32::from_le_bytes(value).into()).collect();
    bytes.chunks(4 + 4 * dim).map(values).collect()
}

#[test]
fn raw_vectors_become_a_data_folder_of_any_shape_and_metric() {
    for (dim, m) in [(12, 3), (10, 5), (3, 1), (130, 65)] {
        for &metric in Metric::ALL {
            let (_folder, options) = raw_vectors_of(dim, m, metric);
            prepare(&options, &ProgressBar::hidden()).unwrap();
            let found = open(options.output.to_str().unwrap(), None, None).unwrap();
            assert_eq!((found.geometry, found.metric), (Geometry::new(dim, m, Bits::Four).unwrap(), metric));
            assert_eq!((found.num_base(), found.num_queries()), (200, 10));

            // The neighbours by f64.
            let base = read_vecs(&options.base, dim);
            let truth = found.truth.as_ref().unwrap();
            assert_eq!(truth.k, 100);
            for (query, list) in base.iter().zip(truth.ids.chunks_exact(100)) {
                let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let distance = |id: &u32| {
                    let vector = &base[*id as usize];
                    match metric {
                        Metric::L2 => query.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum(),
                        Metric::InnerProduct => -product(query, vector),
                        Metric::Cosine => -product(query, vector) / product(vector, vector).sqrt(),
                    }
                };
                let mut nearest: Vec<u32> = (0..200).collect();
                nearest.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
                assert_eq!(list, &nearest[..100], "{dim} dimensions, {metric}");
            }
            if metric == Metric::Cosine {
                let length = |vector: &[f32]| vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
                assert!(found.queries().all(|query| (length(query) - 1.0).abs() < 1e-6), "queries have length 1");
            }

            // The codes stand for what is near: a stored vector is nearer to its own code than to most others.
            let answer = |query| found.reference_answer(query, 200);
            let place = |(at, query)| answer(query).iter().position(|&(id, _)| id == at as u64).unwrap();
            if metric != Metric::InnerProduct {
                let places: Vec<usize> = found.queries().enumerate().map(place).collect();
                assert!(places.iter().sum::<usize>() < 10 * 40, "{dim} dimensions, {metric}: {places:?}");
            }
        }
    }
}

#[test]
fn shapes_that_make_no_quantizer_and_vectors_without_a_direction_are_refused() {
    for (m, expected) in
        [(0, "0 sub-quantizers"), (257, "257 sub-quantizers"), (5, "12 dimensions and 5 sub-quantizers")]
    {
        let (_folder, options) = raw_vectors_of(12, m, Metric::L2);
        assert_says(&format!("{:#}", prepare(&options, &ProgressBar::hidden()).unwrap_err()), &[expected]);
        assert!(!options.output.exists());
    }
    for file in ["base.fvecs", "learn.fvecs", "query.fvecs"] {
        for metric in [Metric::L2, Metric::Cosine] {
            let (folder, options) = raw_vectors_of(12, 3, metric);
            let path = folder.path().join(file);
            let mut bytes = fs::read(&path).unwrap();
            bytes[7 * 52 + 4..8 * 52].fill(0);
            fs::write(path, bytes).unwrap();
            let prepared = prepare(&options, &ProgressBar::hidden());
            if metric == Metric::L2 {
                prepared.unwrap();
            } else {
                assert_says(&format!("{:#}", prepared.unwrap_err()), &[file, "vector 7 is all zeros"]);
            }
        }
    }
    let (folder, options) = raw_vectors_of(12, 3, Metric::L2);
    fs::write(folder.path().join("learn.fvecs"), vecs(&[0; 15 * 48], 12)).unwrap();
    let error = format!("{:#}", prepare(&options, &ProgressBar::hidden()).unwrap_err());
    assert_says(&error, &["learn.fvecs", "15 training vectors are too few for 16 centroids"]);
}
