//! A variant is one file: dropped into `variants/` of a copy of the engine it is found by a program that uses the
//! engine, as pqbench is one, with no other edit; and a malformed one fails the build with a message that names the
//! file.
//!
//! That `pqbench` lists, measures and tests what is registered is shown where it does. So that the build is short, the
//! copy has only `scalar` besides, and in place of pqbench a program of a few lines.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const MANIFEST: &str = r#"
[package]
name = "pqbench"
version = "0.0.0"
edition = "2024"

[dependencies]
pqscan = { path = "..", default-features = false }
"#;

/// Lets every variant that is registered search the same few codes.
const PROGRAM: &str = r#"
use pqscan::{Bits, Codebook, Codes, Geometry, Metric, registry};

fn main() {
    let geometry = Geometry::new(4, 2, Bits::Eight).unwrap();
    let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|i| (i * 37 % 101) as f32).collect();
    let codebook = Codebook::new(geometry, Metric::L2, &centroids).unwrap();
    let codes: Vec<u8> = (0..100).map(|i| (i * 7 % 256) as u8).collect();
    for variant in registry::all() {
        let list = variant.prepare(&codebook, Codes::row_major(&codes), 1).unwrap();
        println!("{}: {:?}", variant.name, list.search(&[1.0, 2.0, 3.0, 4.0], 3).unwrap());
    }
}
"#;

fn scalar() -> String {
    fs::read_to_string(Path::new(ROOT).join("variants/scalar.rs")).expect("variants/scalar.rs")
}

/// `scalar` by another name.
fn dropped_in() -> String {
    scalar().replace("name: \"scalar\"", "name: \"dropped-in\"")
}

/// Where the copies are, and what is built from them: always the same paths, so that only what differs is built again.
fn workshop() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("drop_in")
}

/// A copy of the engine's sources with `scalar` and one more file in `variants/`.
fn copy_with(name: &str, file: &str, source: &str) -> PathBuf {
    let copy = workshop().join(name);
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("the copy of an earlier run goes");
    }
    for entry in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "benches", "tests", "worker"] {
        copy_all(&Path::new(ROOT).join(entry), &copy.join(entry));
    }
    let scalar = scalar();
    for (path, content) in [
        ("variants/scalar.rs", scalar.as_str()),
        (&format!("variants/{file}"), source),
        ("pqbench/Cargo.toml", MANIFEST),
        ("pqbench/src/main.rs", PROGRAM),
    ] {
        let path = copy.join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    copy
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("a folder's entries") {
            let entry = entry.expect("an entry");
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("a folder");
        fs::copy(from, to).expect("a copy");
    }
}

fn cargo(copy: &Path, arguments: &[&str]) -> Output {
    Command::new(env::var_os("CARGO").expect("cargo sets CARGO for tests"))
        .args(arguments)
        .current_dir(copy)
        // One each: to cargo the copies are the same package, of which the newer build is everybody's.
        .env("CARGO_TARGET_DIR", copy.with_extension("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .output()
        .expect("cargo starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "skipped: builds with cargo, which an emulated machine has not")]
fn one_new_file_is_found_and_searches() {
    let copy = copy_with("well_formed", "dropped_in.rs", &dropped_in());
    let output = cargo(&copy, &["run", "--quiet", "-p", "pqbench"]);
    assert!(output.status.success(), "{}", text(&output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let answer = |name: &str| stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    assert!(answer("dropped-in: ").len() > 10, "{stdout}");
    assert_eq!(answer("dropped-in: "), answer("scalar: "));
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "skipped: builds with cargo, which an emulated machine has not")]
fn a_malformed_file_fails_the_build_by_its_name() {
    let dropped_in = dropped_in();
    let malformed = [
        ("Dropped-in.rs", dropped_in.as_str(), "the file's name must be lower-case letters"),
        ("other_name.rs", &dropped_in, "it registers 'dropped-in', but this file's variant is named 'other-name'"),
        ("dropped_in.rs", "//! Nothing.\n", "it has no `register! { name: \"dropped-in\", ... }`"),
        ("dropped_in.rs", &dropped_in.repeat(2), "it registers 2 variants; one file is one variant"),
    ];
    for (file, source, why) in malformed {
        let copy = copy_with("malformed", file, source);
        let built = cargo(&copy, &["check", "--quiet", "-p", "pqscan", "--lib", "--no-default-features"]);
        let said = text(&built);
        assert!(!built.status.success() && said.contains(&format!("variants/{file}: {why}")), "{file}: {said}");
    }
}
