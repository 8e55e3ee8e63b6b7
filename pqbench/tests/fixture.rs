//! Data folders with something wrong in them: each is refused, with an error that names the file and the fault.

use std::{fs, path::Path, sync::LazyLock};

use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits, Source},
    prepare::{PrepareOptions, prepare},
};
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
    fixture.queries[0][0] = -0.5;
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
        assert_says(&error_after(codebook), &["codebook.f32", "not a finite number"]);
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
        ("dim", Json::from(96), "'dim' is 96, expected 128"),
        ("num_sub_vectors", Json::from(8), "'num_sub_vectors' is 8, expected 16"),
        ("num_centroids", Json::from(16), "'num_centroids' is 16, expected 256"),
        ("metric", Json::from("ip"), "'metric' is 'ip', expected 'l2'"),
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
    assert_eq!((fewer_than_k.num_base(), fewer_than_k.queries.len()), (3, 2));
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
    };
    (folder, options)
}

#[test]
fn raw_vectors_become_a_data_folder_that_finds_them() {
    let (folder, mut options) = raw_vectors();
    prepare(&options, &ProgressBar::hidden()).unwrap();
    let found = open(options.output.to_str().unwrap(), None, None).unwrap();
    assert_eq!((found.name.as_str(), found.num_base(), found.queries.len()), ("tiny", 600, 20));
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
    damaged("base.fvecs", |bytes| bytes[516] = 64, &["vector 1", "length 64, not 128"]);
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
