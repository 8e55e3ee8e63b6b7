//! A trial's end: record, row and code in one commit.
//!
//! The commit is made aside, through an index of its own, and becomes part of the history by one update of one ref. What
//! the working tree and the index then lack is written down before that, in a journal, so that whoever comes next can
//! bring them up if the program was killed in between. At every moment either all of a trial is in HEAD or nothing, and
//! the edit is in HEAD, in a record, or in the working tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{ErrorKind, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{
    git::Git,
    scope::{Entry, entries},
};

/// The log of all trials, at the root of the repository.
const RESULTS: &str = "results.tsv";
/// The journal, in the git folder of the working tree.
const JOURNAL: &str = "pqbench-landing.json";

/// What becomes of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is part of the commit.
    Kept,
    /// It is taken out of the working tree.
    Discarded,
    /// It stays in the working tree.
    Left,
}

/// What a trial leaves.
#[derive(Clone, Debug)]
pub struct Landing<'a> {
    /// The commit that HEAD was, and must still be.
    pub base: &'a str,
    /// The git tree with the edit.
    pub tree: &'a str,
    /// What becomes of the edit.
    pub fate: Fate,
    /// Where the record goes, from the root of the repository.
    pub record_path: &'a str,
    /// The record.
    pub record: &'a [u8],
    /// `results.tsv`, with the new row.
    pub results: &'a [u8],
    /// The commit's message.
    pub message: &'a str,
}

/// What is left to do after the ref has moved.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Journal {
    base: String,
    commit: String,
    tree: String,
    fate: Fate,
    record_path: String,
    /// The branch, as a full name of a ref, or `HEAD` where that is detached.
    reference: String,
}

/// What [`land`] or [`recover`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The trial's commit.
    pub commit: String,
    /// Files that somebody changed meanwhile, and which were left as they are.
    pub left: Vec<String>,
}

/// What [`recover`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The trial was in HEAD already; working tree and index are now brought up.
    Finished(Landed),
    /// The trial had not reached HEAD. It is forgotten; the edit is where it was.
    Forgotten,
}

/// That commits can be made here.
///
/// # Errors
/// Git knows no name and address of the user.
pub fn check_identity(git: &Git) -> Result<()> {
    for identity in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
        git.run(["-c", "user.useConfigOnly=true", "var", identity]).context(
            "a trial ends in a commit, and git does not know whose; say it by `git config user.name NAME` and \
             `git config user.email ADDRESS`",
        )?;
    }
    Ok(())
}

/// Makes the trial's commit, moves HEAD's branch to it, and brings working tree and index up.
///
/// # Errors
/// HEAD is no longer the base, or git can't write. Where HEAD has moved by then, [`recover`] finishes.
pub fn land(git: &Git, landing: &Landing<'_>) -> Result<Landed> {
    land_in_steps(git, landing, &|_| Ok(()))
}

/// Where a program can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Committed,
    Noted,
    Moved,
    FileWritten,
    TreeWritten,
    IndexWritten,
}

type After<'a> = &'a dyn Fn(Step) -> Result<()>;

fn land_in_steps(git: &Git, landing: &Landing<'_>, after: After<'_>) -> Result<Landed> {
    ensure!(
        git.id("HEAD^{commit}")? == landing.base,
        "HEAD has moved since the trial began; the edit is left as it is"
    );
    let reference = git.line(["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_else(|_| "HEAD".to_owned());
    let commit = commit(git, landing)?;
    after(Step::Committed)?;
    let journal = Journal {
        base: landing.base.to_owned(),
        commit: commit.clone(),
        tree: landing.tree.to_owned(),
        fate: landing.fate,
        record_path: landing.record_path.to_owned(),
        reference: reference.clone(),
    };
    write_file(&git.path_of(JOURNAL)?, &serde_json::to_vec(&journal)?, false)?;
    after(Step::Noted)?;
    let subject = landing.message.lines().next().unwrap_or_default();
    let reason = format!("trial: {subject}");
    git.run(["update-ref", "--no-deref", "--create-reflog", "-m", &reason, &reference, &commit, landing.base])?;
    after(Step::Moved)?;
    bring_up(git, &journal, after)
}

fn commit(git: &Git, landing: &Landing<'_>) -> Result<String> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let own = git.with_index(folder.path().join("index"));
    own.run(["read-tree", if landing.fate == Fate::Kept { landing.tree } else { landing.base }])?;
    for (path, bytes) in [(landing.record_path, landing.record), (RESULTS, landing.results)] {
        let id = String::from_utf8(own.feed(["hash-object", "-w", "--stdin"], bytes)?)?;
        own.run(["update-index", "--add", "--cacheinfo", &format!("100644,{},{path}", id.trim_end())])?;
    }
    let tree = own.line(["write-tree"])?;
    let commit = own.feed(["commit-tree", &tree, "-p", landing.base, "-F", "-"], landing.message.as_bytes())?;
    Ok(String::from_utf8(commit)?.trim_end().to_owned())
}

/// Finishes a landing that was interrupted, or forgets it. To be called before anything else that looks at the working
/// tree. None where there is nothing to do.
///
/// # Errors
/// Git can't read or write, or the journal is damaged.
pub fn recover(git: &Git) -> Result<Option<Recovered>> {
    let path = git.path_of(JOURNAL)?;
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| path.display().to_string())?,
    };
    let journal: Journal = serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is damaged; look at `git status` and `git log -1`, then delete it", path.display())
    })?;
    remove_stale_locks(git, &journal.reference)?;
    // The branch may have gone on since, by hand.
    let landed = git.run(["merge-base", "--is-ancestor", &journal.commit, "HEAD"]).is_ok();
    if landed {
        return Ok(Some(Recovered::Finished(bring_up(git, &journal, &|_| Ok(()))?)));
    }
    remove(&path)?;
    Ok(Some(Recovered::Forgotten))
}

/// A killed `git update-ref` leaves its locks, and nobody else holds one for as long as this waits.
fn remove_stale_locks(git: &Git, reference: &str) -> Result<()> {
    for lock in [git.path_of("HEAD.lock")?, git.path_of(&format!("{reference}.lock"))?] {
        if wait_for_absence(&lock) {
            continue;
        }
        remove(&lock)?;
    }
    Ok(())
}

/// Whether the file at `path` is gone, within a second or two.
fn wait_for_absence(path: &Path) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while path.exists() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Makes working tree and index what they should be now that the trial is in HEAD, and deletes the journal. Any part of
/// it may have been done before.
fn bring_up(git: &Git, journal: &Journal, after: After<'_>) -> Result<Landed> {
    let base = entries(git, &journal.base, &[])?;
    let edit = entries(git, &journal.tree, &[])?;
    let head = entries(git, "HEAD", &[])?;
    let edited = differing(&base, &edit);
    let mut left = Vec::new();
    let mut take = |path: &str, from: Option<&Entry>| -> Result<()> {
        let (now, to) = (in_tree(git, path)?, head.get(path));
        if now.as_deref() == to.map(|entry| entry.id.as_str()) {
            return Ok(());
        }
        // One that was deleted by hand comes back: nothing is lost by that.
        if now.is_some() && now.as_deref() != from.map(|entry| entry.id.as_str()) {
            left.push(path.to_owned());
            return Ok(());
        }
        check_out(git, path, to)?;
        after(Step::FileWritten)
    };
    take(&journal.record_path, None)?;
    take(RESULTS, base.get(RESULTS))?;
    if journal.fate == Fate::Discarded {
        for path in &edited {
            take(path, edit.get(path))?;
        }
    }
    after(Step::TreeWritten)?;
    let mut staged = vec![journal.record_path.clone(), RESULTS.to_owned()];
    if journal.fate != Fate::Left {
        staged.extend(edited);
    }
    stage(git, &staged, &head)?;
    after(Step::IndexWritten)?;
    remove(&git.path_of(JOURNAL)?)?;
    Ok(Landed { commit: journal.commit.clone(), left })
}

/// The paths at which two trees differ.
fn differing(a: &BTreeMap<String, Entry>, b: &BTreeMap<String, Entry>) -> Vec<String> {
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    paths.into_iter().filter(|path| a.get(*path) != b.get(*path)).cloned().collect()
}

/// The id of the blob that git would make of the file at `path`; none where there is no file.
fn in_tree(git: &Git, path: &str) -> Result<Option<String>> {
    match fs::symlink_metadata(git.root().join(path)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        // A folder or a link in the place of a file: something that no blob is.
        Ok(metadata) if !metadata.is_file() => Ok(Some(String::new())),
        _ => Ok(Some(git.line(["hash-object", "--", path])?)),
    }
}

/// Writes the file of `entry` to `path`, or removes what is there.
fn check_out(git: &Git, path: &str, entry: Option<&Entry>) -> Result<()> {
    let place = git.root().join(path);
    let Some(entry) = entry else { return remove(&place) };
    // As in a checkout: with the line ends that the user has asked for.
    let bytes = git.run(["cat-file", "--filters", &format!("--path={path}"), &entry.id])?;
    write_file(&place, &bytes, entry.mode == "100755")
}

/// Writes a file so that it is there whole or not at all, even after a power cut.
fn write_file(path: &Path, bytes: &[u8], executable: bool) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(cannot)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pqbench-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(if executable { 0o777 } else { 0o666 }));
    #[cfg(not(unix))]
    let _ = executable;
    let mut file: NamedTempFile = builder.tempfile_in(folder).with_context(cannot)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    sync_folder(folder);
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
        done => done.with_context(|| format!("cannot remove {}", path.display()))?,
    }
    path.parent().map(sync_folder);
    Ok(())
}

/// The names in a folder are on the disk after this, where the system can do that.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Makes the index have what HEAD has at `paths`. It is done in a copy that takes the index's place, so that being
/// killed leaves no lock.
fn stage(git: &Git, paths: &[String], head: &BTreeMap<String, Entry>) -> Result<()> {
    let index = git.path_of("index")?;
    let lock = index.with_extension("lock");
    ensure!(
        wait_for_absence(&lock),
        "another git command is at work in the repository; if there is none, delete {}, then try again",
        lock.display()
    );
    let folder = index.parent().context("the index is in a folder")?;
    let copy = tempfile::Builder::new().prefix("pqbench-index-").tempdir_in(folder)?;
    let copied = copy.path().join("index");
    fs::copy(&index, &copied).with_context(|| format!("cannot copy {}", index.display()))?;
    let own = git.with_index(copied.clone());
    let mut lines = String::new();
    for path in paths {
        match head.get(path) {
            Some(Entry { mode, id }) => lines.push_str(&format!("{mode} {id} 0\t{path}\0")),
            None => lines.push_str(&format!("0 {} 0\t{path}\0", "0".repeat(40))),
        }
    }
    own.feed(["update-index", "-z", "--index-info"], lines.as_bytes())?;
    // It fails where a file differs from the index, which is no fault.
    let _ = own.run(["update-index", "-q", "--refresh"]);
    fs::rename(&copied, &index).with_context(|| format!("cannot replace {}", index.display()))?;
    sync_folder(folder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;
    use crate::trial::{
        git::tests::{read, repository, write},
        scope::Edit,
    };

    const START: &[(&str, &str)] = &[
        ("results.tsv", "rows\n"),
        ("variants/changed.rs", "before\n"),
        ("variants/removed.rs", "was here\n"),
        ("variants/staged.rs", "before\n"),
    ];
    const RECORD: &str = "trials/one.json";

    /// An edit that adds, changes and removes files, some of it staged.
    fn edited() -> (tempfile::TempDir, Git, Edit) {
        let (folder, git) = repository(START);
        write(&git, "variants/changed.rs", "after\n");
        write(&git, "variants/added.rs", "new\n");
        write(&git, "variants/staged.rs", "after\n");
        git.run(["add", "variants/staged.rs"]).unwrap();
        git.run(["rm", "--quiet", "variants/removed.rs"]).unwrap();
        let edit = Edit::of(&git).unwrap();
        assert_eq!(edit.files.len(), 4);
        (folder, git, edit)
    }

    fn landing(edit: &Edit, fate: Fate) -> Landing<'_> {
        Landing {
            base: &edit.base,
            tree: &edit.tree,
            fate,
            record_path: RECORD,
            record: b"record\n",
            results: b"rows\nmore\n",
            message: "Trial: one\n\nWhy.\n",
        }
    }

    fn show(git: &Git, path: &str) -> Option<String> {
        git.run(["show", &format!("HEAD:{path}")]).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn status(git: &Git) -> String {
        git.line(["status", "--porcelain", "--untracked-files=all"]).unwrap()
    }

    fn assert_landed(git: &Git, edit: &Edit, fate: Fate) {
        assert_eq!(git.id("HEAD^").unwrap(), edit.base);
        assert_eq!(git.line(["rev-parse", "--abbrev-ref", "HEAD"]).unwrap(), "main");
        for at in [show, read] {
            assert_eq!(at(git, RECORD).as_deref(), Some("record\n"));
            assert_eq!(at(git, RESULTS).as_deref(), Some("rows\nmore\n"));
        }
        let in_head = fate == Fate::Kept;
        let in_tree = fate != Fate::Discarded;
        for (at, is_edited) in [(show as fn(&Git, &str) -> Option<String>, in_head), (read, in_tree)] {
            let (changed, added, removed) =
                if is_edited { ("after\n", Some("new\n"), None) } else { ("before\n", None, Some("was here\n")) };
            assert_eq!(at(git, "variants/changed.rs").as_deref(), Some(changed));
            assert_eq!(at(git, "variants/staged.rs").as_deref(), Some(changed));
            assert_eq!(at(git, "variants/added.rs").as_deref(), added);
            assert_eq!(at(git, "variants/removed.rs").as_deref(), removed);
        }
        if fate == Fate::Left {
            assert_eq!(Edit::of(git).unwrap().patch, edit.patch);
            assert!(status(git).contains("M  variants/staged.rs"), "{}", status(git));
        } else {
            assert_eq!(status(git), "");
        }
        assert_eq!(recover(git).unwrap(), None);
    }

    #[test]
    fn a_trial_is_one_commit_and_the_working_tree_follows() {
        for fate in [Fate::Kept, Fate::Discarded, Fate::Left] {
            let (_folder, git, edit) = edited();
            let landed = land(&git, &landing(&edit, fate)).unwrap();
            assert_eq!(landed, Landed { commit: git.id("HEAD").unwrap(), left: Vec::new() });
            assert_eq!(git.line(["log", "-1", "--format=%an %s %b"]).unwrap(), "A Trial: one Why.");
            assert_landed(&git, &edit, fate);
            git.run(["fsck", "--strict"]).unwrap();
        }
    }

    #[test]
    fn whenever_it_is_killed_all_of_a_trial_is_there_or_nothing() {
        for fate in [Fate::Kept, Fate::Discarded, Fate::Left] {
            for deadline in 0.. {
                let (_folder, git, edit) = edited();
                let (steps, last) = (Cell::new(0), Cell::new(None));
                let killed = land_in_steps(&git, &landing(&edit, fate), &|step| {
                    last.set(Some(step));
                    if steps.replace(steps.get() + 1) == deadline {
                        bail!("killed");
                    }
                    Ok(())
                });
                if killed.is_ok() {
                    assert!(deadline >= if fate == Fate::Discarded { 11 } else { 7 }, "{fate:?}: {deadline}");
                    break;
                }
                let has_landed = !matches!(last.get(), Some(Step::Committed | Step::Noted));
                // Killed a second time, within the recovery.
                if has_landed {
                    let journal = serde_json::from_slice(&fs::read(git.path_of(JOURNAL).unwrap()).unwrap()).unwrap();
                    assert!(bring_up(&git, &journal, &|_| bail!("killed")).is_err());
                }
                let recovered = recover(&git).unwrap();
                if has_landed {
                    assert!(matches!(recovered, Some(Recovered::Finished(_))), "{fate:?} {:?}", last.get());
                    assert_landed(&git, &edit, fate);
                } else {
                    let noted = last.get() == Some(Step::Noted);
                    assert_eq!(recovered, noted.then_some(Recovered::Forgotten));
                    assert_eq!(git.id("HEAD").unwrap(), edit.base);
                    assert_eq!(Edit::of(&git).unwrap().patch, edit.patch);
                    // And once more, to the end.
                    land(&git, &landing(&edit, fate)).unwrap();
                    assert_landed(&git, &edit, fate);
                }
            }
        }
    }

    #[test]
    fn what_somebody_changed_meanwhile_is_left() {
        let (_folder, git, edit) = edited();
        write(&git, "variants/changed.rs", "later\n");
        let landed = land(&git, &landing(&edit, Fate::Discarded)).unwrap();
        assert_eq!(landed.left, ["variants/changed.rs"]);
        assert_eq!(read(&git, "variants/changed.rs").as_deref(), Some("later\n"));
        assert_eq!(read(&git, "variants/added.rs"), None);
        assert_eq!(status(&git), " M variants/changed.rs");
    }

    #[test]
    fn nothing_lands_on_a_head_that_has_moved() {
        let (_folder, git, edit) = edited();
        git.run(["commit", "--quiet", "--message=Meanwhile"]).unwrap();
        let (head, before) = (git.id("HEAD").unwrap(), status(&git));
        let error = land(&git, &landing(&edit, Fate::Discarded)).unwrap_err().to_string();
        assert!(error.contains("HEAD has moved"), "{error}");
        // Nor if it moves in the last moment.
        let late = land_in_steps(&git, &Landing { base: &head, ..landing(&edit, Fate::Discarded) }, &|step| {
            if step == Step::Noted {
                git.run(["commit", "--quiet", "--allow-empty", "--message=Meanwhile"])?;
            }
            Ok(())
        });
        assert!(late.is_err());
        assert_eq!(recover(&git).unwrap(), Some(Recovered::Forgotten));
        assert_eq!((git.id("HEAD^").unwrap(), status(&git)), (head, before));
    }

    #[test]
    fn a_detached_head_moves_itself_and_no_branch() {
        let (_folder, git, edit) = edited();
        git.run(["checkout", "--quiet", "--detach"]).unwrap();
        let landed = land(&git, &landing(&edit, Fate::Kept)).unwrap();
        assert_eq!(git.id("HEAD").unwrap(), landed.commit);
        assert_eq!(git.id("main").unwrap(), edit.base);
        assert_eq!(status(&git), "");
    }

    #[test]
    fn locks_of_a_git_that_was_killed_are_no_obstacle() {
        let (_folder, git, edit) = edited();
        let killed = land_in_steps(&git, &landing(&edit, Fate::Kept), &|step| {
            ensure!(step != Step::Noted, "killed");
            Ok(())
        });
        assert!(killed.is_err());
        fs::write(git.path_of("refs/heads/main.lock").unwrap(), "").unwrap();
        assert_eq!(recover(&git).unwrap(), Some(Recovered::Forgotten));
        land(&git, &landing(&edit, Fate::Kept)).unwrap();
        assert_landed(&git, &edit, Fate::Kept);
    }

    #[test]
    fn an_identity_is_asked_for_by_name() {
        let (_folder, git) = repository(START);
        check_identity(&git).unwrap();
        git.run(["config", "user.name", ""]).unwrap();
        let error = format!("{:#}", check_identity(&git).unwrap_err());
        assert!(error.contains("git config user.email"), "{error}");
    }
}
