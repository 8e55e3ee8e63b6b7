//! Saved runs: the JSON of a [`Run`] with a `checksum` of the rest of it, so that a file tells whether it is whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Serializer, Value, ser::PrettyFormatter};
use sha2::{Digest, Sha256};

use super::{
    file::Place,
    run::{Run, SCHEMA},
};

/// Where a run goes that is saved under a mere name.
const FOLDER: &str = "runs";
const CHECKSUM: &str = "checksum";

/// The file of the run called `name`: `runs/NAME.json`, or `name` itself if it is a path.
pub fn path_of(name: &str) -> PathBuf {
    let path = Path::new(name);
    let is_mere_name = path.components().count() == 1 && path.extension().is_none_or(|extension| extension != "json");
    if is_mere_name { Path::new(FOLDER).join(format!("{name}.json")) } else { path.to_owned() }
}

/// Makes sure that a run can be saved under `name`, and returns its path.
///
/// # Errors
/// It can't be written there.
pub fn reserve(name: &str) -> Result<PathBuf> {
    ensure!(!name.is_empty(), "a run can't be saved under an empty name");
    let path = path_of(name);
    if path.parent() == Some(Path::new(FOLDER)) {
        fs::create_dir_all(FOLDER).with_context(|| format!("cannot make the folder {FOLDER}"))?;
    }
    Place::open(&path)?;
    Ok(path)
}

/// Writes `run` to `path` in one step.
///
/// # Errors
/// It can't be written there.
pub fn save(run: &Run, path: &Path) -> Result<()> {
    let mut json = serde_json::to_value(run)?;
    let checksum = checksum(&json);
    json.as_object_mut().context("a run is an object")?.insert(CHECKSUM.to_owned(), checksum.into());
    // A line for each sample, without the third of the file that indentation would be.
    let mut text = Vec::new();
    json.serialize(&mut Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"")))?;
    text.push(b'\n');
    Place::open(path)?.write(&text)
}

/// Reads the run called `name`.
///
/// # Errors
/// There is none, or it is truncated, of a newer version, edited or no run at all.
pub fn load(name: &str) -> Result<Run> {
    let path = path_of(name);
    let text = fs::read_to_string(&path).with_context(|| {
        let others = saved_names();
        let hint = if others.is_empty() { String::new() } else { format!("; there are: {}", others.join(", ")) };
        format!("cannot read the run {}{hint}", path.display())
    })?;
    parse(&text).with_context(|| format!("cannot use the run {}", path.display()))
}

/// [`load`]s the runs called `names`, each with its name.
///
/// # Errors
/// As for [`load`].
pub fn load_all(names: &[String]) -> Result<Vec<(String, Run)>> {
    names.iter().map(|name| Ok((name.clone(), load(name)?))).collect()
}

fn parse(text: &str) -> Result<Run> {
    let mut json: Value = serde_json::from_str(text).context("it is truncated, or no JSON")?;
    let schema =
        json.get("schema").and_then(Value::as_u64).context("it has no 'schema'; was it written by pqbench --save?")?;
    ensure!(
        schema <= u64::from(SCHEMA),
        "its schema is {schema}, and this pqbench knows up to {SCHEMA}; use a newer pqbench"
    );
    let Some(stated) = json.as_object_mut().and_then(|fields| fields.shift_remove(CHECKSUM)) else {
        bail!("it has no '{CHECKSUM}'; save runs by pqbench --save");
    };
    ensure!(stated == checksum(&json).as_str(), "it was changed after it was saved: its checksum does not fit");
    serde_json::from_value(json).context("a field is missing or has another type")
}

/// SHA-256 of the JSON without white space, in hex.
fn checksum(json: &Value) -> String {
    Sha256::digest(json.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn saved_names() -> Vec<String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned());
    let mut names: Vec<_> = entries.filter_map(|entry| name(entry.path())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_mere_name_lives_in_the_folder_of_runs() {
        assert_eq!(path_of("before"), Path::new("runs/before.json"));
        assert_eq!(path_of("v0.1"), Path::new("runs/v0.1.json"));
        assert_eq!(path_of("before.json"), Path::new("before.json"));
        assert_eq!(path_of("./before"), Path::new("./before"));
        assert_eq!(path_of("elsewhere/before"), Path::new("elsewhere/before"));
    }

    #[test]
    fn a_run_of_before_there_were_shapes_is_one_of_sift() {
        let mut json = serde_json::to_value(sample::run()).unwrap();
        let fixture = json["fixture"].as_object_mut().unwrap();
        for field in ["dim", "num_sub_vectors", "bits", "metric"] {
            fixture.remove(field).unwrap();
        }
        let checksum = checksum(&json);
        json[CHECKSUM] = checksum.into();
        assert_eq!(parse(&json.to_string()).unwrap().fixture, sample::run().fixture);
    }

    #[test]
    fn a_saved_run_comes_back_and_a_damaged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let mut run = sample::run();
        // Digits that need all of an f64.
        run.variants[0].samples = (1..1000).map(|i| 1e6 / f64::from(i).sqrt()).collect();
        save(&run, &path).unwrap();
        let name = path.to_str().unwrap();
        let loaded = load(name).unwrap();
        assert_eq!(serde_json::to_value(&loaded).unwrap(), serde_json::to_value(&run).unwrap());

        let text = fs::read_to_string(&path).unwrap();
        for (damaged, expected) in [
            (text[..text.len() / 2].to_owned(), "truncated"),
            (String::new(), "truncated"),
            ("[]".to_owned(), "no 'schema'"),
            (text.replace("\"rounds\": 40", "\"rounds\": 41"), "changed after it was saved"),
            (text.replace("\"checksum\": \"", "\"checksums\": \""), "no 'checksum'"),
            (text.replacen(&format!("\"schema\": {SCHEMA}"), "\"schema\": 99", 1), "schema is 99"),
        ] {
            fs::write(&path, damaged).unwrap();
            let error = format!("{:#}", load(name).unwrap_err());
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
