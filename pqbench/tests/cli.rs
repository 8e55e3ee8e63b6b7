//! The command line as its users meet it.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
};

use indicatif::ProgressBar;
use pqbench::fixture::{Fixture, Limits};
use serde_json::Value;
use tempfile::TempDir;

const PQBENCH: &str = env!("CARGO_BIN_EXE_pqbench");
const RUN_EXPERIMENT: &str = env!("CARGO_BIN_EXE_run_experiment");

/// Few codes and queries, since nothing here asserts a time.
const SMALL: [&str; 10] =
    ["--fixture", "embedded", "--num-base", "2k", "--queries", "10", "--max-time", "0.5", "--precision", "50%"];

/// The command in an environment of its own, in `folder`.
fn command(program: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for variable in ["PQBENCH_VARIANT", "PQBENCH_CPU", "NO_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

fn pqbench(args: &[&str]) -> Output {
    command(PQBENCH, Path::new("."), args).output().unwrap()
}

fn measured(folder: &Path, args: &[&str]) -> Output {
    command(PQBENCH, folder, &[&SMALL, args].concat()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// It fails with this exit code and says all of these words, and nothing of a panic.
#[track_caller]
fn fails(output: &Output, expected: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(code(output), expected, "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_run_as_json_has_the_names_that_others_rely_on() {
    let folder = TempDir::new().unwrap();
    let output = measured(folder.path(), &["--format", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stderr(&output), "", "nothing but the result, and no progress off a terminal");
    let run = json(&output);
    for name in ["schema", "machine", "fixture", "baseline", "roofline_ns", "rounds", "warnings", "variants"] {
        assert!(run.get(name).is_some(), "no {name}");
    }
    let expected = [
        "name",
        "status",
        "reason",
        "fidelity",
        "rank",
        "ns_per_query",
        "speedup",
        "ratio_low",
        "ratio_high",
        "codes_per_second",
        "recall_at_10",
        "agreement",
        "prepare_seconds",
        "memory_bytes",
        "p50_ns",
        "p90_ns",
        "p99_ns",
        "max_ns",
    ];
    let variants = run["variants"].as_array().unwrap();
    for variant in variants {
        for name in expected {
            assert!(variant.get(name).is_some(), "no {name} in {variant}");
        }
        if variant["status"] == "ok" && variant["fidelity"] == "exact" {
            assert_eq!(variant["agreement"], 1.0, "{variant}");
        }
    }
    assert!(variants.iter().any(|variant| variant["name"] == "scalar" && variant["speedup"] == 1.0));
}

/// Without `--fixture`: the run on images as ever, and in it the one on words, in all that is made of it.
#[test]
fn both_embedded_data_sets_are_measured_and_reported() {
    let folder = TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let output = command(PQBENCH, folder.path(), args).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        output
    };
    for name in ["a", "b"] {
        let output = run(&[&SMALL[2..], &["--save", name, "--variant", "scalar,transposed"]].concat());
        let text = stdout(&output);
        let winners = text.lines().last().unwrap();
        let order = ["sift-permissive-200k (embedded)", "sift-permissive", "glove-100k (embedded-text)"];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted() && text.matches("transposed").count() >= 2, "{text}");
        assert!(
            winners.starts_with("fastest: ") && winners.contains("; ") && winners.contains("on glove-100k"),
            "{text}"
        );
    }
    let report = |file: &str| {
        run(&["report", "a", "-o", file]);
        fs::read_to_string(folder.path().join(file)).unwrap()
    };
    let saved: Value = serde_json::from_str(&report("a.json")).unwrap();
    let others = saved["others"].as_array().unwrap();
    assert_eq!((&saved["fixture"]["source"], others.len()), (&Value::from("embedded"), 1));
    assert_eq!(others[0]["fixture"]["source"], "embedded-text");
    assert_eq!(names(&others[0]["variants"][0]), names(&saved["variants"][0]));
    let csv = report("a.csv");
    assert!(csv.starts_with("fixture,name,") && csv.contains("\nglove-100k,scalar,"), "{csv}");
    assert_eq!(report("a.md").matches("| # (`rank`) |").count(), 2);
    assert_eq!(report("a.html").matches("<table>").count(), 2);

    let data = |document: &Value| -> Vec<(String, String)> {
        let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let rows = document["variants"].as_array().unwrap();
        rows.iter().filter(|row| row["name"] == "scalar").map(|row| (word(row, "fixture"), word(row, "name"))).collect()
    };
    let expected = ["sift-permissive-200k", "glove-100k"].map(|name| (name.to_owned(), "scalar".to_owned()));
    assert_eq!(data(&json(&run(&["cmp", "a", "b", "--format", "json"]))), expected);
    assert_eq!(data(&json(&run(&["rank", "a", "b", "--format", "json"]))), expected);
    run(&["report", "a", "b", "-o", "both.html"]);
    let picture = command(PQBENCH, folder.path(), &["report", "a", "-o", "a.svg"]).output().unwrap();
    fails(&picture, 1, &["of one data set"]);

    // What only one of them has the shape for is measured there.
    let named = run(&[&SMALL[2..], &["--variant", "pair-lut", "--format", "json"]].concat());
    let statuses = [&json(&named), &json(&named)["others"][0]].map(|run| {
        let variants = run["variants"].as_array().unwrap();
        variants.iter().find(|variant| variant["name"] == "pair-lut").unwrap()["status"].clone()
    });
    assert_eq!(statuses, ["ok", "skipped"]);

    // A run on one of them compares with its part.
    run(&[&SMALL[2..], &["--fixture", "embedded-text", "--save", "words", "--variant", "transposed"]].concat());
    let part = json(&run(&["cmp", "a", "words", "--format", "json"]));
    assert_eq!(data(&part), expected[1..]);
    assert!(part["warnings"].to_string().contains("sift-permissive-200k too"), "{part}");
}

#[test]
fn the_formats_have_the_same_names_and_rows() {
    let folder = TempDir::new().unwrap();
    let saved = measured(folder.path(), &["--save", "run"]);
    assert_eq!(code(&saved), 0, "{}", stderr(&saved));
    let report = |file: &str| {
        let output = command(PQBENCH, folder.path(), &["report", "run", "-o", file]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        fs::read_to_string(folder.path().join(file)).unwrap()
    };
    let run: Value = serde_json::from_str(&report("run.json")).unwrap();
    assert_eq!(json(&command(PQBENCH, folder.path(), &["report", "run", "--json"]).output().unwrap()), run);
    let variants = run["variants"].as_array().unwrap();
    let csv_text = report("run.csv");
    let mut csv = csv::Reader::from_reader(csv_text.as_bytes());
    let headings = csv.headers().unwrap().clone();
    let fields = names(&variants[0]);
    for heading in headings.iter().filter(|heading| !heading.ends_with("_per_code")) {
        assert!(fields.contains(&heading), "{heading} is in the CSV but not in the JSON");
    }
    assert_eq!(csv.records().count(), variants.len());
    let markdown = report("run.md");
    for name in
        ["| name |", "`ns_per_query`", "`speedup`", "`recall_at_10`", "`p50_ns`", "`p90_ns`", "`p99_ns`", "`max_ns`"]
    {
        assert!(markdown.contains(name), "{markdown}");
    }
    for text in [markdown, csv_text, report("run.txt"), report("run.html"), report("run.svg")] {
        for variant in variants.iter().filter(|variant| variant["status"] == "ok") {
            assert!(text.contains(variant["name"].as_str().unwrap()), "{text}");
        }
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let folder = TempDir::new().unwrap();
    measured(folder.path(), &["--save", "run", "--sizes", "500,1k,2k"]);
    let output = command(PQBENCH, folder.path(), &["report", "run"]).output().unwrap();
    let page = stdout(&output);
    assert!(page.starts_with("<!doctype html>"), "{}", stderr(&output));
    for forbidden in ["<script", "src=", "@import", "url(http", "<link", "NaN"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http://"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("name=\"viewport\""));
    assert!(page.contains("Time a code against the list") && page.contains("download="));
}

#[test]
fn list_tells_of_every_variant_whether_it_runs_here() {
    let list = json(&pqbench(&["list", "--format", "json"]));
    let variants = list["variants"].as_array().unwrap();
    let expected = ["name", "summary", "requires", "fidelity", "rank", "runs_here", "reason", "selected"];
    for variant in variants {
        assert_eq!(names(variant), expected);
        assert_eq!(variant["runs_here"].as_bool().unwrap(), variant["reason"].is_null());
    }
    assert_eq!(variants.iter().filter(|variant| variant["selected"] == true).count(), 1);
    let registered = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../variants")).unwrap();
    let files =
        registered.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "rs")).count();
    assert_eq!(variants.len(), files);

    let masked =
        command(PQBENCH, Path::new("."), &["list", "--format", "json"]).env("PQBENCH_CPU", "baseline").output();
    for variant in json(&masked.unwrap())["variants"].as_array().unwrap() {
        assert_eq!(variant["runs_here"] == true, variant["requires"] == Value::Array(vec![]), "{variant}");
    }
}

/// A folder of raw vectors of 12 dimensions made into data: 3 sub-vectors of 4 bits, by the cosine.
fn words(folder: &Path) -> Output {
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as f32 - 127.5;
    let row = |i: usize| {
        let values = (0..12).flat_map(move |d| value(12 * i + d).to_le_bytes());
        12u32.to_le_bytes().into_iter().chain(values)
    };
    for (name, count) in [("base.fvecs", 2_000), ("query.fvecs", 10)] {
        fs::write(folder.join(name), (0..count).flat_map(row).collect::<Vec<_>>()).unwrap();
    }
    let args = [
        "prepare",
        "--base",
        "base.fvecs",
        "--learn",
        "base.fvecs",
        "--query",
        "query.fvecs",
        "--output",
        "words",
        "--sub-vectors",
        "3",
        "--bits",
        "4",
        "--metric",
        "cosine",
    ];
    command(PQBENCH, folder, &args).output().unwrap()
}

#[test]
fn data_of_any_shape_is_prepared_listed_and_measured() {
    let folder = TempDir::new().unwrap();
    let prepared = words(folder.path());
    assert_eq!(code(&prepared), 0, "{}", stderr(&prepared));
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("words/manifest.json")).unwrap()).unwrap();
    for (field, value) in [("dim", 12), ("num_sub_vectors", 3), ("num_centroids", 16), ("num_base", 2_000)] {
        assert_eq!(manifest[field], value);
    }
    assert_eq!((&manifest["metric"], &manifest["format"]), (&Value::from("cosine"), &Value::from(1)));
    assert_eq!(fs::metadata(folder.path().join("words/codes.u8")).unwrap().len(), 2 * 2_000);

    let of_fixture = command(PQBENCH, folder.path(), &["list", "--fixture", "words", "--format", "json"]).output();
    let list = json(&of_fixture.unwrap());
    let by_numbers = ["list", "--dim", "12", "--sub-vectors", "3", "--bits", "4", "--format", "json"];
    assert_eq!(json(&pqbench(&by_numbers)), list);
    assert_eq!((&list["dim"], &list["num_sub_vectors"], &list["bits"]), (&12.into(), &3.into(), &4.into()));
    let listed = list["variants"].as_array().unwrap();

    let args = ["--fixture", "words", "--max-time", "0.5", "--format", "json"];
    let measured = command(PQBENCH, folder.path(), &args).output().unwrap();
    assert_eq!(code(&measured), 0, "{}", stderr(&measured));
    let run = json(&measured);
    for (field, value) in [("dim", 12), ("num_sub_vectors", 3), ("bits", 4)] {
        assert_eq!(run["fixture"][field], value);
    }
    assert_eq!(run["fixture"]["metric"], "cosine");
    let variants = run["variants"].as_array().unwrap();
    assert_eq!(variants.len(), listed.len());
    for variant in variants {
        let listed = listed.iter().find(|listed| listed["name"] == variant["name"]).unwrap();
        let status = if listed["runs_here"] == true { "ok" } else { "skipped" };
        assert_eq!((&variant["status"], &variant["reason"]), (&Value::from(status), &listed["reason"]), "{variant}");
    }
    let scalar = variants.iter().find(|variant| variant["name"] == "scalar").unwrap();
    assert!(scalar["recall_at_10"].as_f64().unwrap() > 0.02, "{scalar}");

    // One that is named must support the shape.
    if let Some(other) = listed.iter().find(|listed| listed["runs_here"] == false) {
        let named = ["--fixture", "words", "--variant", other["name"].as_str().unwrap()];
        let output = command(PQBENCH, folder.path(), &named).output().unwrap();
        fails(&output, 4, &[other["name"].as_str().unwrap(), other["reason"].as_str().unwrap()]);
    }
    let output = command(RUN_EXPERIMENT, folder.path(), &["--fixture", "words"]).output().unwrap();
    fails(&output, 1, &["'words'", "3x4 bit of 12 dimensions by cosine", "16x8 bit of 128 dimensions by l2"]);
}

/// What `pqbench answers` keeps is used, is the same every time, and is an error where it is wrong.
#[test]
fn answers_are_kept_with_the_data() {
    let folder = TempDir::new().unwrap();
    assert_eq!(code(&words(folder.path())), 0);
    let run = |args: &[&str]| command(PQBENCH, folder.path(), args).output().unwrap();
    let keep = || assert_eq!(code(&run(&["answers", "words"])), 0);
    let data = folder.path().join("words");
    fs::write(data.join("LICENSE"), "mine").unwrap();
    fails(&run(&["answers", "words", "--check"]), 1, &["keeps no answers"]);
    keep();
    assert_eq!(code(&run(&["answers", "words", "--check"])), 0);
    let kept = fs::read(data.join("answers.u32")).unwrap();
    assert_eq!((kept.len(), fs::read(data.join("LICENSE")).unwrap()), (10 * 100 * 4, b"mine".to_vec()));
    let manifest: Value = serde_json::from_slice(&fs::read(data.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["answers_k"], &manifest["name"]), (&Value::from(100), &Value::from("words")));
    keep();
    assert_eq!(fs::read(data.join("answers.u32")).unwrap(), kept);

    let measure = ["--fixture", "words", "--max-time", "0.3", "--format", "json"];
    let measured = json(&run(&measure));
    assert!(measured["variants"].as_array().unwrap().iter().all(|variant| variant["status"] != "wrong"));
    let mut fixture = Fixture::open(data.to_str().unwrap(), Limits::default(), &ProgressBar::hidden()).unwrap();
    fixture.answers.as_mut().unwrap().ids.swap(3, 50);
    fixture.write(&data).unwrap();
    for args in [&measure[..], &["answers", "words", "--check"]] {
        fails(&run(args), 1, &["query 0", "is not the reference's"]);
    }
    fails(&run(&["answers", "nowhere"]), 1, &["nowhere"]);
}

#[test]
fn shapes_that_there_are_not_are_refused() {
    for args in [
        &["list", "--bits", "5"][..],
        &["list", "--sub-vectors", "many"],
        &["list", "--fixture", "embedded", "--dim", "12"],
        &["prepare", "--metric", "manhattan"],
        &["prepare", "--bits", "16"],
    ] {
        fails(&pqbench(args), 2, &["error:"]);
    }
    for (args, word) in [
        (["list", "--sub-vectors", "0"], "0 sub-quantizers"),
        (["list", "--sub-vectors", "257"], "257 sub-quantizers"),
        (["list", "--dim", "100"], "100 dimensions and 16 sub-quantizers"),
        (["list", "--fixture", "no-such-folder"], "no-such-folder"),
    ] {
        fails(&pqbench(&args), 1, &[word]);
    }
    let shape = |args: &[&str]| {
        let list = json(&pqbench(&[&["list", "--format", "json"], args].concat()));
        ["dim", "num_sub_vectors", "bits"].map(|field| list[field].as_u64().unwrap())
    };
    assert_eq!(shape(&[]), [128, 16, 8]);
    assert_eq!(shape(&["--sub-vectors", "25"]), [200, 25, 8]);
    assert_eq!(shape(&["--bits", "4"]), [128, 16, 4]);
}

#[test]
fn a_name_that_is_no_variant_is_a_usage_error_with_a_suggestion() {
    fails(&pqbench(&["--variant", "scaler"]), 2, &["scaler", "similar", "'scalar'"]);
    fails(&pqbench(&["verify", "--variant", "scalar,nonsense"]), 2, &["nonsense"]);
    let output = command(PQBENCH, Path::new("."), &["list"]).env("PQBENCH_VARIANT", "scaler").output().unwrap();
    fails(&output, 1, &["did you mean 'scalar'"]);
}

#[test]
fn a_named_variant_that_cannot_run_is_an_error_of_its_own() {
    let list = json(&pqbench(&["list", "--format", "json"]));
    let demanding = list["variants"].as_array().unwrap().iter().find(|v| v["requires"] != Value::Array(vec![]));
    let name = demanding.unwrap()["name"].as_str().unwrap();
    for args in [&["--variant", name][..], &["verify", "--variant", name]] {
        let output = command(PQBENCH, Path::new("."), args).env("PQBENCH_CPU", "baseline").output().unwrap();
        fails(&output, 4, &[name, "needs", "scalar"]);
    }
}

#[test]
fn verify_finds_the_baseline_right_and_says_what_it_skipped() {
    let args = ["verify", "--variant", "scalar", "--format", "json"];
    let output = pqbench(&args);
    assert_eq!(code(&output), 0);
    let verified = json(&output);
    assert_eq!(verified["variants"][0]["status"], "ok");
    assert!(verified["variants"][0]["passed"].as_u64().unwrap() > 0);
}

#[test]
fn bad_arguments_are_usage_errors() {
    for args in [
        &["--queries", "0"][..],
        &["--num-base", "0"],
        &["--max-time", "0"],
        &["--precision", "-1%"],
        &["--batch", "0"],
        &["--k", "0"],
        &["--k", "1001"],
        &["--sizes", "0"],
        &["--sizes", ""],
        &["--num-base", "many"],
        &["--format", "xml"],
        &["--format", "json", "--json"],
        &["report", "run", "--json", "-o", "run.json"],
        &["--color", "sometimes"],
        &["--variant", "scalar", "--all"],
        &["--nonsense"],
        &["completions", "cmd.exe"],
        &["cmp", "one"],
        &["report"],
        &["splice"],
    ] {
        fails(&pqbench(args), 2, &["error:"]);
    }
}

#[test]
fn more_than_the_data_has_is_an_error() {
    fails(&pqbench(&["--num-base", "1m"]), 1, &["200000", "1000000"]);
    fails(&pqbench(&["--num-base", "150k"]), 1, &["glove-100k", "100000"]);
    fails(&pqbench(&["--queries", "1m"]), 1, &["1000 queries", "1000000"]);
    fails(&pqbench(&["--num-base", "2k", "--queries", "5", "--sizes", "1k,3k"]), 1, &["3000", "2000", "sift"]);
    fails(&pqbench(&["--fixture", "no-such-folder"]), 1, &["no-such-folder", "embedded"]);
}

#[test]
fn fewer_codes_than_neighbours_are_answered() {
    for k in ["10", "1000"] {
        let args = ["--num-base", "3", "--queries", "5", "--k", k, "--max-time", "0.3", "--format", "json"];
        let output = pqbench(&[&SMALL[..2], &args].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(json(&output)["variants"].as_array().unwrap().iter().all(|v| v["status"] != "wrong"));
    }
}

#[test]
fn with_fewer_than_ten_neighbours_their_recall_is_not_known() {
    for (k, known) in [("9", false), ("10", true), ("100", true)] {
        let args = ["--variant", "scalar", "--queries", "10", "--max-time", "0.5", "--format", "json", "--k", k];
        let output = pqbench(&[&SMALL[..2], &args].concat());
        let run = json(&output);
        assert_eq!(run["variants"][0]["agreement"], 1.0);
        assert_eq!(run["variants"][0]["recall_at_10"].is_number(), known, "{k}: {run}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_any_work() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing/run.json");
    // All queries on all codes would take long; that it fails at once is what the timeout of the test runner sees.
    fails(&pqbench(&["-o", missing.to_str().unwrap()]), 1, &["missing", "there is no folder"]);
    fails(&pqbench(&["-o", folder.path().to_str().unwrap()]), 1, &["it is a folder"]);
    fails(&pqbench(&["--save", missing.to_str().unwrap()]), 1, &["missing"]);
    // Nobody makes files there, root neither.
    #[cfg(target_os = "linux")]
    fails(&pqbench(&["--save", "/proc/run.json"]), 1, &["cannot write to /proc/run.json"]);
}

#[test]
fn an_output_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("list.json");
    fs::write(&file, "x".repeat(1 << 20)).unwrap();
    assert_eq!(code(&pqbench(&["list", "--format", "json", "-o", file.to_str().unwrap()])), 0);
    serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_result_is_not_lost() {
    let output = pqbench(&["list", "-o", "/dev/full"]);
    fails(&output, 1, &["/dev/full", "No space left", "standard output"]);
    assert!(stdout(&output).contains("scalar"));
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for args in [
        &["list"][..],
        &["completions", "bash"],
        &["list", "--format", "json"],
        &["list", "--format", "csv"],
        &["list", "--format", "markdown"],
        &["list", "--format", "html"],
    ] {
        fails(&command(PQBENCH, Path::new("."), args).stdout(full()).output().unwrap(), 1, &["No space left"]);
    }
}

#[cfg(unix)]
#[test]
fn whoever_stops_reading_gets_no_complaint() {
    for args in [&["list"][..], &["list", "--format", "json"], &["cpu"], &["completions", "zsh"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(PQBENCH, Path::new("."), args).stdout(writer).output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{args:?}");
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let colored = |args: &[&str], no_color: bool| {
        let mut command = command(PQBENCH, Path::new("."), &[&SMALL[..], &["--variant", "scalar"], args].concat());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        stdout(&command.output().unwrap()).contains('\u{1b}')
    };
    assert!(!colored(&[], false));
    assert!(!colored(&["--color", "never"], false));
    assert!(!colored(&["--color", "auto"], true));
    assert!(colored(&["--color", "always"], true));
}

#[test]
fn an_option_may_stand_before_the_command() {
    let list = stdout(&pqbench(&["list", "--format", "csv"]));
    assert_eq!(stdout(&pqbench(&["--format", "csv", "list"])), list);
    assert_eq!(stdout(&pqbench(&["--color=never", "list", "--format", "csv"])), list);
    assert_eq!(stdout(&pqbench(&["--json", "list"])), stdout(&pqbench(&["list", "--format", "json"])));
    fails(&pqbench(&["--sizes", "1k", "list"]), 2, &["--sizes", "Usage: pqbench list"]);
}

#[test]
fn saved_runs_are_compared_and_ranked() {
    let folder = TempDir::new().unwrap();
    for name in ["a", "b"] {
        let output = measured(folder.path(), &["--save", name, "-q"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    let run = |args: &[&str]| command(PQBENCH, folder.path(), args).output().unwrap();
    let comparison = json(&run(&["cmp", "a", "b", "--format", "json"]));
    let compared = comparison["variants"].as_array().unwrap();
    assert!(compared.iter().any(|variant| variant["name"] == "scalar" && variant["verdict"] == "baseline"));
    let same = run(&["cmp", "a", "a", "--fail-on-regression", "0.1%"]);
    assert_eq!(code(&same), 0, "{}", stderr(&same));
    let ranking = json(&run(&["rank", "a", "runs/b.json", "--format", "json"]));
    assert!(ranking["variants"].as_array().unwrap().iter().any(|v| v["name"] == "scalar" && v["measured"] == 2));

    let other = measured(folder.path(), &["--queries", "11", "--save", "c"]);
    fails(&other, 2, &["--queries"]);
    let args = ["--fixture", "embedded", "--num-base", "1k", "--queries", "5", "--max-time", "0.3", "--save", "c"];
    assert_eq!(code(&run(&args)), 0);
    fails(&run(&["cmp", "a", "c"]), 1, &["different data"]);
    for (variant, name) in [("u8-lut-approx", "d"), ("transposed", "e")] {
        let output = measured(folder.path(), &["--variant", variant, "--save", name]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    fails(&run(&["cmp", "d", "e"]), 1, &["no variant in common"]);
    fails(&run(&["cmp", "a", "nothing"]), 1, &["nothing", "there are: a, b, c, d, e"]);

    let file = folder.path().join("runs/a.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() - 10]).unwrap();
    fails(&run(&["cmp", "a", "b"]), 1, &["truncated"]);
    fs::write(&file, text.replacen("\"schema\": ", "\"schema\": 9", 1)).unwrap();
    fails(&run(&["rank", "a"]), 1, &["newer pqbench"]);
    fs::write(&file, text.replacen("\"rounds\": ", "\"rounds\": 1", 1)).unwrap();
    fails(&run(&["report", "a"]), 1, &["changed after it was saved"]);
}

#[test]
fn a_table_in_a_document_is_that_of_its_saved_run_or_the_check_fails() {
    let folder = TempDir::new().unwrap();
    assert_eq!(code(&measured(folder.path(), &["--save", "a", "-q"])), 0);
    let page = folder.path().join("page.md");
    fs::write(&page, "# Page\n<!-- splice: runs/a.json columns=name,speedup -->\n<!-- end -->\n").unwrap();
    let splice = |args: &[&str]| command(PQBENCH, folder.path(), &[&["splice"], args].concat()).output().unwrap();
    fails(&splice(&["--check", "page.md"]), 1, &["page.md: runs/a.json columns=name,speedup", "pqbench splice"]);
    assert_eq!(code(&splice(&["page.md"])), 0);
    let spliced = fs::read_to_string(&page).unwrap();
    assert!(spliced.starts_with("# Page\n") && spliced.contains("| scalar | 1.00x |"), "{spliced}");
    assert_eq!(code(&splice(&["--check", "page.md"])), 0);
    fs::write(&page, spliced.replace("1.00x", "2.00x")).unwrap();
    fails(&splice(&["--check", "page.md"]), 1, &["page.md: runs/a.json"]);
    fails(&splice(&["nothing.md"]), 1, &["nothing.md"]);
}

#[test]
fn the_tables_of_the_documents_are_those_of_the_saved_runs() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documents = ["README.md", "docs/RESULTS.md", "docs/METHOD.md"];
    let output = command(PQBENCH, &project, &[&["splice", "--check"], &documents[..]].concat()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// Ctrl-C after the first round keeps what was measured, on paper and on disk.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_measured() {
    let folder = TempDir::new().unwrap();
    let args = ["--num-base", "2k", "--queries", "10", "--max-time", "600", "--precision", "0.0001%", "--save", "run"];
    let mut command = command(PQBENCH, folder.path(), &args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path().join("runs/run.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: kill(2) has no preconditions; the child is there until it is waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert!(stderr(&output).contains("what was measured is in runs/run.json"), "{}", stderr(&output));
    assert!(stdout(&output).contains("until interrupted") && stdout(&output).contains("scalar"), "{}", stdout(&output));
    let report = self::command(PQBENCH, folder.path(), &["report", "run", "-o", "run.txt"]).output().unwrap();
    assert_eq!(code(&report), 0, "{}", stderr(&report));
    assert!(fs::read_to_string(folder.path().join("run.txt")).unwrap().contains("until interrupted"));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = pqbench(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("verify"), "{shell}");
    }
}

#[test]
fn every_command_has_help_with_examples() {
    let help = stdout(&pqbench(&["--help"]));
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands = commands.filter_map(|line| line.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        let output = pqbench(&[command, "--help"]);
        assert!(stdout(&output).contains("Examples:\n  "), "{command}");
    }
    assert!(help.contains("Examples:\n  "));
}

#[test]
fn the_experiment_prints_its_verdict_for_scripts() {
    let args = ["--fixture", "embedded", "--queries", "20"];
    let experiment = |variant: &str| {
        command(RUN_EXPERIMENT, Path::new("."), &args).env("PQBENCH_VARIANT", variant).output().unwrap()
    };
    let output = experiment("scalar");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let verdict: Vec<(&str, &str)> =
        text.split_once("---\n").unwrap().1.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let keys: Vec<&str> = verdict.iter().map(|(key, _)| *key).collect();
    let expected = [
        "source",
        "num_base",
        "num_queries",
        "recall_at_10",
        "geomean_ns_per_query",
        "peak_mem_mb",
        "total_seconds",
        "variant",
    ];
    assert_eq!(keys, expected);
    assert_eq!((verdict[0].1, verdict[1].1, verdict[2].1, verdict[7].1), ("embedded", "200000", "20", "scalar"));
    assert!(verdict[3].1.parse::<f64>().unwrap() > 0.5);
    assert!(verdict[4].1.parse::<u64>().unwrap() > 0);

    fails(&experiment("scaler"), 1, &["did you mean 'scalar'"]);
    let list = json(&pqbench(&["list", "--format", "json"]));
    let demanding =
        list["variants"].as_array().unwrap().iter().find(|v| v["requires"] != Value::Array(vec![])).unwrap();
    let mut masked = command(RUN_EXPERIMENT, Path::new("."), &args);
    masked.env("PQBENCH_VARIANT", demanding["name"].as_str().unwrap()).env("PQBENCH_CPU", "baseline");
    fails(&masked.output().unwrap(), 1, &["needs"]);
}

#[test]
fn an_experiment_with_too_little_recall_exits_with_2_and_tells_the_figures() {
    let folder = TempDir::new().unwrap();
    let limits = Limits { num_base: Some(2_000), num_queries: Some(10) };
    let mut fixture = Fixture::open("synthetic", limits, &ProgressBar::hidden()).unwrap();
    // Whoever answers by these codes is wrong.
    fixture.codes.rotate_left(16 * 1_000);
    fixture.write(&folder.path().join("data")).unwrap();
    let mut experiment = command(RUN_EXPERIMENT, folder.path(), &["--fixture", "data"]);
    let output = experiment.env("PQBENCH_VARIANT", "scalar").output().unwrap();
    fails(&output, 2, &["recall@10", "0.50"]);
    assert!(stdout(&output).contains("---\nsource: folder\n"), "{}", stdout(&output));
}

/// `--fixture` and the rest, for the baseline; in a process that finds one core only.
#[cfg(target_os = "linux")]
#[test]
fn an_experiment_on_data_without_truth_has_no_recall_and_says_so_beside_the_block() {
    // SAFETY: all zeros are an empty set; the CPU that this thread runs on is in range. What it starts inherits it.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut one);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &one), 0);
    }
    for (args, head) in [
        (["--fixture", "worst-case", "--queries", "3"], "source: worst-case\nnum_base: 200000\nnum_queries: 3\n"),
        (["--fixture", "embedded", "--num-base", "1000"], "source: embedded\nnum_base: 1000\nnum_queries: 1000\n"),
    ] {
        let mut experiment = command(RUN_EXPERIMENT, Path::new("."), &args);
        let output = experiment.env("PQBENCH_VARIANT", "scalar").output().unwrap();
        fails(&output, 0, &["warning: the true neighbours", "recall_at_10 is -", "warning: only 1 cores"]);
        let text = stdout(&output);
        assert!(text.starts_with(&format!("---\n{head}recall_at_10: -\ngeomean_ns_per_query: ")), "{text}");
        assert_eq!(text.lines().count(), 9, "{text}");
    }
}

/// No script takes a mistake in its own arguments for a kernel with too little recall.
#[test]
fn usage_errors_of_an_experiment_have_an_exit_code_of_their_own() {
    let experiment = |args: &[&str]| command(RUN_EXPERIMENT, Path::new("."), args).output().unwrap();
    for args in [&["--nonsense"][..], &["--num-base", "0"], &["--queries", "many"], &["--fixture"], &["scalar"]] {
        let output = experiment(args);
        fails(&output, 64, &["error:", "--help"]);
        assert_eq!(stdout(&output), "");
    }
    for args in [["--help"], ["--version"]] {
        let output = experiment(&args);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    }
    assert!(stdout(&experiment(&["--help"])).contains("64 usage"));
    fails(&experiment(&["--fixture", "no-such-folder"]), 1, &["no-such-folder", "worst-case"]);
    fails(&experiment(&["--fixture", "embedded", "--num-base", "1m"]), 1, &["200000", "1000000"]);
    fails(&experiment(&["--fixture", "embedded-text"]), 1, &["25x8 bit", "choose other data"]);
}
