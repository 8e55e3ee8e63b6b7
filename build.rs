//! Turns every `variants/*.rs` into a module of the library, so that a variant is one file and no other edit.
//!
//! A file that could not be found by its variant's name, or the other way round, fails the build here: the name that it
//! registers must be the file's own, with `-` for `_`. That also makes two variants of one name impossible.
//!
//! `PQSCAN_VARIANTS`, names with commas between them, builds those variants only: a trial of the research loop builds
//! what it measures and waits for nothing else.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The environment variable that limits which variants are built.
const VARIANTS: &str = "PQSCAN_VARIANTS";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=variants");
    println!("cargo::rerun-if-env-changed={VARIANTS}");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("variants");
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    paths.sort();
    if let Some(wanted) = env::var(VARIANTS).ok().filter(|wanted| !wanted.is_empty()) {
        let files: Vec<_> = wanted.split(',').map(|name| format!("{}.rs", name.trim().replace('-', "_"))).collect();
        let is_file = |path: &PathBuf, file: &String| path.file_name().is_some_and(|name| name == file.as_str());
        for file in files.iter().filter(|file| !paths.iter().any(|path| is_file(path, file))) {
            fail(&folder.join(file), &format!("there is no such file, but {VARIANTS} asks for its variant"));
        }
        paths.retain(|path| files.iter().any(|file| is_file(path, file)));
    }

    let mut modules = String::new();
    for path in &paths {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let well_formed = stem.starts_with(|c: char| c.is_ascii_lowercase())
            && stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !well_formed {
            fail(path, "the file's name must be lower-case letters, digits and '_', a letter first");
            continue;
        }
        let expected = stem.replace('_', "-");
        match registered_names(&fs::read_to_string(path)?).as_slice() {
            [name] if *name == expected => {}
            [name] => fail(path, &format!("it registers '{name}', but this file's variant is named '{expected}'")),
            [] => fail(path, &format!("it has no `register! {{ name: \"{expected}\", ... }}`")),
            names => fail(path, &format!("it registers {} variants; one file is one variant", names.len())),
        }
        writeln!(modules, "#[path = {path:?}]\nmod {stem};")?;
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("variants.rs"), modules)?;
    Ok(())
}

fn fail(path: &Path, why: &str) {
    println!("cargo::error={}: {why}", path.display());
}

/// The `name: "..."` of every `register!` at the start of a line.
fn registered_names(source: &str) -> Vec<&str> {
    source
        .split("\nregister! {")
        .skip(1)
        .map(|body| {
            let body = &body[..body.find("\n}").unwrap_or(body.len())];
            body.split_once("name: \"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(name, _)| name)
        })
        .collect()
}
