//! A variant is one file: dropped into `variants/` of a copy of the workspace it is listed, tested and measured with no other
//! edit, and a malformed one fails the build with a message that names the file.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// `scalar` by another name.
fn dropped_in() -> String {
    let scalar = fs::read_to_string(Path::new(ROOT).join("variants/scalar.rs")).expect("variants/scalar.rs");
    scalar.replace("name: \"scalar\"", "name: \"dropped-in\"")
}

/// Where the copies are, and what is built from them: always the same paths, so that only what differs is built again.
fn workshop() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("drop_in")
}

/// A copy of the workspace's sources with one more file in `variants/`.
fn copy_with(name: &str, file: &str, source: &str) -> PathBuf {
    let copy = workshop().join(name);
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("the copy of an earlier run goes");
    }
    fs::create_dir_all(&copy).expect("a folder for the copy");
    for entry in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "variants", "tests", "benches", "pqbench", "README.md"]
    {
        copy_all(&Path::new(ROOT).join(entry), &copy.join(entry));
    }
    fs::write(copy.join("variants").join(file), source).expect("a new variant");
    copy
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder's entries") {
            let entry = entry.expect("an entry");
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.exists() {
        fs::copy(from, to).expect("a copy");
    }
}

fn cargo(copy: &Path, arguments: &[&str]) -> Output {
    Command::new(env::var_os("CARGO").expect("cargo sets CARGO for tests"))
        .args(arguments)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", workshop().join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env_remove("PQBENCH_REQUIRE")
        .output()
        .expect("cargo starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The variants' names in a JSON document of pqbench.
fn names(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
    let variants = document["variants"].as_array().expect("variants[]");
    variants.iter().map(|variant| variant["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "skipped: builds with cargo, which an emulated machine has not")]
fn one_new_file_is_listed_tested_and_measured() {
    let copy = copy_with("well_formed", "dropped_in.rs", &dropped_in());
    let expected = "dropped-in".to_owned();

    let listed = cargo(&copy, &["run", "--quiet", "--bin", "pqbench", "--", "list", "--format", "json"]);
    assert!(names(&listed).contains(&expected), "{}", text(&listed));

    let job = [
        "run",
        "--quiet",
        "--bin",
        "pqbench",
        "--",
        "--all",
        "--num-base",
        "1000",
        "--max-time",
        "1",
        "--format",
        "json",
    ];
    let measured = cargo(&copy, &job);
    assert!(names(&measured).contains(&expected), "{}", text(&measured));

    let tested = cargo(&copy, &["test", "-p", "pqbench", "--test", "variants", "--", "dropped-in::random_shapes"]);
    assert!(text(&tested).contains("test dropped-in::random_shapes ... ok"), "{}", text(&tested));
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
