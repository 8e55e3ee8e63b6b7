//! Runs on disk: written atomically, read with a check that nothing is missing and nobody edited them.
//!
//! A file is one JSON object: `schema`, the `sha256` of the text of `run`, and `run` itself, a [`Run`].

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::run::{Run, SCHEMA};

/// Where runs that have a name and no path are.
const FOLDER: &str = "runs";

#[derive(Serialize, Deserialize)]
struct File<'a> {
    schema: u32,
    sha256: String,
    #[serde(borrow)]
    run: &'a RawValue,
}

/// The file of a run: a path as it is, a mere name as `runs/NAME.json`.
pub fn path_of(name_or_path: &str) -> PathBuf {
    let path = Path::new(name_or_path);
    let is_name = path.components().count() == 1 && path.extension().is_none() && !name_or_path.starts_with('.');
    if is_name { Path::new(FOLDER).join(name_or_path).with_extension("json") } else { path.to_owned() }
}

/// Writes `run` to `path`, in place of what is there; whoever reads it meanwhile sees the old run or the new one. Its folder
/// is made if need be.
///
/// # Errors
/// The file can't be written; what was there is still there.
pub fn save(run: &Run, path: &Path) -> Result<()> {
    let body = serde_json::value::to_raw_value(run).context("the run can't be written as JSON")?;
    let file = File { schema: run.schema, sha256: checksum(body.get()), run: &body };
    let write = || -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut temporary = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut temporary, &file)?;
        temporary.write_all(b"\n")?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("the run can't be saved to {}", path.display()))
}

/// Reads the run at `path`.
///
/// # Errors
/// There is no such file, or it is no run, cut short, of a newer pqbench, or not as it was written.
pub fn load(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("the run {} can't be read", path.display()))?;
    parse(&text).with_context(|| format!("{} is no run that can be used", path.display()))
}

fn parse(text: &str) -> Result<Run> {
    let file: File<'_> = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) if error.is_eof() => bail!("it is cut short, at line {}, column {}", error.line(), error.column()),
        Err(error) => bail!("it is not what `--save` writes: {error}"),
    };
    ensure!(
        file.schema <= SCHEMA,
        "its schema is {}, and this pqbench knows up to {SCHEMA}: use the version that wrote it, or a newer one",
        file.schema
    );
    ensure!(
        file.sha256 == checksum(file.run.get()),
        "its checksum does not match: it was changed after it was written"
    );
    serde_json::from_str(file.run.get()).context("its run does not have what its schema asks for")
}

fn checksum(body: &str) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::tests::small_run;

    #[test]
    fn a_run_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/run.json");
        let mut run = small_run();
        for rounds in [1, 2] {
            run.rounds = rounds;
            save(&run, &path).unwrap();
            let loaded = load(&path).unwrap();
            let same = serde_json::to_string(&loaded).unwrap() == serde_json::to_string(&run).unwrap();
            assert!(same && loaded.rounds == rounds);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_no_whole_run_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        save(&small_run(), &path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for (text, reason) in [
            (good[..good.len() / 2].to_owned(), "cut short"),
            (String::new(), "cut short"),
            ("[1, 2]".to_owned(), "not what `--save` writes"),
            (good.replacen("\"schema\":1", "\"schema\":99", 1), "its schema is 99"),
            (good.replacen("\"rounds\":", "\"rounds\":1", 1), "was changed"),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", load(&path).unwrap_err());
            assert!(error.contains(reason) && error.contains("run.json"), "{error}");
        }
        assert!(format!("{:#}", load(&folder.path().join("none")).unwrap_err()).contains("can't be read"));
    }

    #[test]
    fn a_failed_save_leaves_the_old_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        save(&small_run(), &path).unwrap();
        let error = save(&small_run(), &path.join("below-a-file.json")).unwrap_err();
        assert!(error.to_string().contains("can't be saved"), "{error}");
        load(&path).unwrap();
    }

    #[test]
    fn names_go_to_the_folder_and_paths_stay() {
        for (given, path) in [("a", "runs/a.json"), ("a.json", "a.json"), ("x/a", "x/a"), ("./a", "./a"), ("/a", "/a")]
        {
            assert_eq!(path_of(given), Path::new(path), "{given}");
        }
    }
}
