//! What an edit changed, and what a trial may change.
//!
//! A trial may change kernels and the building blocks of the engine, by an allow-list. Everything else is the yardstick:
//! the bench and its data, the reference variant, geometry and registration, manifests and compiler flags.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::git::{Git, check_state};
use crate::fixture::hex;

/// Folders of the engine whose files a trial may change.
const FOLDERS: &[&str] = &["src/bounds/", "src/groups/", "src/layout/", "src/scan/", "src/simd/"];
/// Files of the engine that a trial may change. `src/threads.rs` is none: whatever starts threads is looked at by eye.
const FILES: &[&str] = &[
    "src/codebook.rs",
    "src/codes.rs",
    "src/collector.rs",
    "src/list.rs",
    "src/memory.rs",
    "src/query.rs",
    "src/table.rs",
    "src/top_k.rs",
];
/// The variant that others are measured by.
const BASELINE: &str = "variants/scalar.rs";

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// Its content or its mode is another.
    Changed,
    /// It is gone.
    Removed,
}

/// A file that an edit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Where it is, from the root of the repository.
    pub path: String,
    /// What happened to it.
    pub kind: Kind,
    /// Lines that are new; 0 for one that is not text.
    pub added: u64,
    /// Lines that are gone; 0 for one that is not text.
    pub removed: u64,
    /// Whether it is a plain file afterwards, not a link or a repository of its own, or is gone.
    pub plain: bool,
}

/// The difference of a working tree from HEAD: what is staged, what is not, and new files that git does not ignore.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The commit that HEAD was.
    pub base: String,
    /// The git tree of the working tree, all of it.
    pub tree: String,
    /// The files that differ, by path.
    pub files: Vec<ChangedFile>,
    /// What `git apply` makes the tree of, at the base; binary files too.
    pub patch: Vec<u8>,
}

/// A change that a trial may not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub path: String,
    /// Why, and what to do.
    pub why: String,
}

impl Edit {
    /// The edit in the working tree. The index is left alone.
    ///
    /// # Errors
    /// There is no commit, a merge is under way, or git can't read a file.
    pub fn of(git: &Git) -> Result<Edit> {
        check_state(git)?;
        let base = git.id("HEAD^{commit}")?;
        // A fresh index: in a copy of the user's a file could be marked as unchanged for good.
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let own = git.with_index(folder.path().join("index"));
        own.run(["read-tree", &base])?;
        own.run(["add", "--all", "--", "."]).context("cannot read the working tree")?;
        let tree = own.line(["write-tree"])?;
        let patch = git.run(["diff-tree", "-p", "--binary", "--full-index", "--no-renames", &base, &tree])?;
        let files = changed_files(git, &base, &tree)?;
        Ok(Edit { base, tree, files, patch })
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Lines added, and lines removed, by all of it.
    pub fn lines(&self) -> (u64, u64) {
        self.files.iter().fold((0, 0), |(added, removed), file| (added + file.added, removed + file.removed))
    }

    /// The names of the variants whose own files changed or are new.
    pub fn variants(&self) -> Vec<String> {
        self.files.iter().filter(|file| file.kind != Kind::Removed).filter_map(|file| variant_of(&file.path)).collect()
    }

    /// The changes that a trial may not make.
    pub fn refusals(&self) -> Vec<Refusal> {
        let refused = |file: &ChangedFile| {
            let why = match why_refused(&file.path) {
                Some(why) => why,
                None if !file.plain => "it is no plain file; a kernel is source text".to_owned(),
                None => return None,
            };
            Some(Refusal { path: file.path.clone(), why })
        };
        self.files.iter().filter_map(refused).collect()
    }

    /// That a trial may make the edit.
    ///
    /// # Errors
    /// Each [refusal](Edit::refusals) on a line.
    pub fn check(&self) -> Result<()> {
        let refusals = self.refusals();
        let lines: Vec<_> = refusals.iter().map(|refusal| format!("\n  {}: {}", refusal.path, refusal.why)).collect();
        ensure!(refusals.is_empty(), "a trial may not change what it is measured by:{}", lines.concat());
        Ok(())
    }

    /// The text of a file before the edit and after it; none where it was not there.
    ///
    /// # Errors
    /// It is no UTF-8.
    pub fn texts(&self, git: &Git, path: &str) -> Result<(Option<String>, Option<String>)> {
        let text = |tree: &str| -> Result<Option<String>> {
            let entries = entries(git, tree, &[path])?;
            let Some(entry) = entries.get(path) else { return Ok(None) };
            let bytes = git.run(["cat-file", "blob", &entry.id])?;
            Ok(Some(String::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))?))
        };
        Ok((text(&self.base)?, text(&self.tree)?))
    }
}

/// A file in a git tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub mode: String,
    pub id: String,
}

/// The files of `tree` at `paths`, or all.
pub(super) fn entries(git: &Git, tree: &str, paths: &[&str]) -> Result<BTreeMap<String, Entry>> {
    let output = git.run([&["ls-tree", "-r", "-z", "--full-tree", tree, "--"], paths].concat())?;
    let mut found = BTreeMap::new();
    for line in utf8(output)?.split_terminator('\0') {
        let (facts, path) = line.split_once('\t').context("`git ls-tree` printed a line without a tab")?;
        match facts.split(' ').collect::<Vec<_>>().as_slice() {
            [mode, _, id] => found.insert(path.to_owned(), Entry { mode: (*mode).to_owned(), id: (*id).to_owned() }),
            _ => bail!("`git ls-tree` printed '{line}'"),
        };
    }
    Ok(found)
}

fn changed_files(git: &Git, base: &str, tree: &str) -> Result<Vec<ChangedFile>> {
    let difference = |format| utf8(git.run(["diff-tree", "-r", "-z", "--no-renames", format, base, tree])?);
    let mut lines = BTreeMap::new();
    for line in difference("--numstat")?.split_terminator('\0') {
        match line.splitn(3, '\t').collect::<Vec<_>>().as_slice() {
            // A '-' for a binary file.
            [added, removed, path] => {
                lines.insert((*path).to_owned(), (added.parse().unwrap_or(0), removed.parse().unwrap_or(0)))
            }
            _ => bail!("`git diff-tree --numstat` printed '{line}'"),
        };
    }
    let raw = difference("--raw")?;
    let mut words = raw.split_terminator('\0');
    let mut files = Vec::new();
    while let (Some(facts), Some(path)) = (words.next(), words.next()) {
        let facts: Vec<_> = facts.split(' ').collect();
        let [_, mode, _, _, status] = facts[..] else { bail!("`git diff-tree` printed '{}'", facts.join(" ")) };
        let kind = match status {
            "A" => Kind::Added,
            "D" => Kind::Removed,
            _ => Kind::Changed,
        };
        let (added, removed) = lines.get(path).copied().unwrap_or_default();
        let plain = kind == Kind::Removed || mode == "100644";
        files.push(ChangedFile { path: path.to_owned(), kind, added, removed, plain });
    }
    Ok(files)
}

fn utf8(output: Vec<u8>) -> Result<String> {
    String::from_utf8(output).context("a file's name is not UTF-8; rename it")
}

/// The variant that the file at `path` is.
fn variant_of(path: &str) -> Option<String> {
    Some(path.strip_prefix("variants/")?.strip_suffix(".rs")?.replace('_', "-"))
}

/// Whether a trial may change the file at `path`.
pub fn is_allowed(path: &str) -> bool {
    let is_variant = path.strip_prefix("variants/").is_some_and(|name| name.ends_with(".rs") && !name.contains('/'));
    let is_block = path.ends_with(".rs") && FOLDERS.iter().any(|folder| path.starts_with(folder));
    (is_variant && path != BASELINE) || is_block || FILES.contains(&path)
}

fn is_document(path: &str) -> bool {
    path.starts_with("docs/") || path.ends_with(".md")
}

fn is_log(path: &str) -> bool {
    path.starts_with("trials/") || path == "results.tsv"
}

fn why_refused(path: &str) -> Option<String> {
    if is_allowed(path) {
        return None;
    }
    Some(if path == BASELINE {
        "the variant that all others are measured by; commit such a change on its own, outside of a trial".to_owned()
    } else if is_log(path) {
        format!("the loop writes it; undo the change (git restore --staged --worktree {path}, or delete a new file)")
    } else if is_document(path) {
        format!("no code; commit it on its own (git commit -m '...' {path}) or put it aside")
    } else {
        format!(
            "it belongs to the yardstick, or to nothing; a trial may change variants/*.rs, {} and {}. Commit it on its \
             own, move it away, or name it in .git/info/exclude",
            FOLDERS.join(", "),
            FILES.join(", ")
        )
    })
}

/// What measures, at `commit`: a hash over all files that no trial may change. Documents and the log are not in it.
///
/// # Errors
/// There is no such commit.
pub fn yardstick(git: &Git, commit: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for (path, Entry { mode, id }) in entries(git, &git.id(&format!("{commit}^{{commit}}"))?, &[])? {
        if !is_allowed(&path) && !is_document(&path) && !is_log(&path) {
            hash.update(format!("{mode} {id} {path}\0"));
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Whether a program that was built from `built_commit` may judge trials on top of `head`: it was built from a clean
/// commit, with a `+` if not, and the yardstick has not changed since.
///
/// # Errors
/// There is no commit `head`.
pub fn is_judge_of(git: &Git, built_commit: Option<&str>, head: &str) -> Result<bool> {
    let Some(built) = built_commit.filter(|commit| !commit.ends_with('+')) else { return Ok(false) };
    // One of another clone is unknown here.
    let Ok(built) = git.id(&format!("{built}^{{commit}}")) else { return Ok(false) };
    Ok(yardstick(git, &built)? == yardstick(git, head)?)
}

/// The repository that `folder` is in, and the edit in it.
///
/// # Errors
/// As for [`Git::open`] and [`Edit::of`].
pub fn edit_in(folder: &Path) -> Result<(Git, Edit)> {
    let git = Git::open(folder)?;
    let edit = Edit::of(&git)?;
    Ok((git, edit))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trial::git::tests::{read, repository, write};

    const START: &[(&str, &str)] = &[
        ("variants/scalar.rs", "scalar\n"),
        ("variants/fast.rs", "one\ntwo\n"),
        ("src/scan/mod.rs", "scan\n"),
        ("src/table.rs", "table\n"),
        ("src/cpu.rs", "cpu\n"),
        ("pqbench/src/lib.rs", "bench\n"),
        ("docs/METHOD.md", "method\n"),
        ("results.tsv", "rows\n"),
        (".gitignore", "/target\n"),
    ];

    fn commit(git: &Git) -> String {
        git.run(["add", "--all"]).unwrap();
        git.run(["commit", "--quiet", "--message=More"]).unwrap();
        git.id("HEAD").unwrap()
    }

    #[test]
    fn staged_unstaged_new_and_removed_files_are_the_edit_and_the_index_is_left_alone() {
        let (_folder, git) = repository(START);
        assert!(Edit::of(&git).unwrap().is_empty());
        write(&git, "variants/fast.rs", "one\n2\n3\n");
        git.run(["add", "variants/fast.rs"]).unwrap();
        write(&git, "src/scan/mod.rs", "other\n");
        write(&git, "variants/new.rs", "new\n");
        write(&git, "target/ignored", "");
        fs::remove_file(git.root().join("src/table.rs")).unwrap();
        // What is marked as unchanged is looked at all the same.
        git.run(["update-index", "--assume-unchanged", "src/cpu.rs"]).unwrap();
        write(&git, "src/cpu.rs", "faster\n");
        fs::write(git.root().join("variants/bytes.rs"), [0, 255, 10]).unwrap();
        let index = fs::read(git.path_of("index").unwrap()).unwrap();
        let edit = Edit::of(&git).unwrap();
        assert_eq!(fs::read(git.path_of("index").unwrap()).unwrap(), index);

        let found: Vec<_> = edit.files.iter().map(|f| (f.path.as_str(), f.kind, f.added, f.removed)).collect();
        assert_eq!(
            found,
            [
                ("src/cpu.rs", Kind::Changed, 1, 1),
                ("src/scan/mod.rs", Kind::Changed, 1, 1),
                ("src/table.rs", Kind::Removed, 0, 1),
                ("variants/bytes.rs", Kind::Added, 0, 0),
                ("variants/fast.rs", Kind::Changed, 2, 1),
                ("variants/new.rs", Kind::Added, 1, 0),
            ]
        );
        assert_eq!(edit.lines(), (5, 4));
        assert_eq!(edit.variants(), ["bytes", "fast", "new"]);

        // The patch makes the tree of the base.
        let (other, index) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let patch = other.path().join("patch");
        fs::write(&patch, &edit.patch).unwrap();
        let own = git.with_index(index.path().join("index"));
        own.run(["read-tree", &edit.base]).unwrap();
        own.run(["apply", "--cached", patch.to_str().unwrap()]).unwrap();
        assert_eq!(own.line(["write-tree"]).unwrap(), edit.tree);
        let (before, after) = edit.texts(&git, "variants/new.rs").unwrap();
        assert_eq!((before, after.as_deref()), (None, Some("new\n")));
        assert!(edit.texts(&git, "variants/bytes.rs").is_err());
    }

    #[test]
    fn what_is_outside_of_the_allow_list_is_refused_by_name() {
        for (path, expected) in [
            ("variants/my_idea.rs", None),
            ("variants/fast.rs", None),
            ("src/scan/ordered/scan.rs", None),
            ("src/simd/x86_64.rs", None),
            ("src/top_k.rs", None),
            ("variants/scalar.rs", Some("measured by")),
            ("variants/data.bin", Some("yardstick")),
            ("variants/more/idea.rs", Some("yardstick")),
            ("src/scan/table.bin", Some("yardstick")),
            ("src/cpu.rs", Some("yardstick")),
            ("src/threads.rs", Some("yardstick")),
            ("src/lib.rs", Some("yardstick")),
            ("build.rs", Some("yardstick")),
            ("Cargo.toml", Some("yardstick")),
            (".cargo/config.toml", Some("yardstick")),
            (".gitattributes", Some("yardstick")),
            ("pqbench/src/reference.rs", Some("yardstick")),
            ("worker/src/main.rs", Some("yardstick")),
            ("docs/RESULTS.md", Some("git commit")),
            ("program.md", Some("git commit")),
            ("results.tsv", Some("git restore")),
            ("trials/2026-11-28T10-15-02Z-fast.json", Some("git restore")),
        ] {
            let why = why_refused(path);
            match expected {
                None => assert_eq!(why, None, "{path}"),
                Some(expected) => assert!(why.as_ref().is_some_and(|why| why.contains(expected)), "{path}: {why:?}"),
            }
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_no_kernel() {
        let (_folder, git) = repository(START);
        write(&git, "variants/new.rs", "new\n");
        Edit::of(&git).unwrap().check().unwrap();
        std::os::unix::fs::symlink("../pqbench/src/lib.rs", git.root().join("variants/link.rs")).unwrap();
        let error = Edit::of(&git).unwrap().check().unwrap_err().to_string();
        assert!(error.contains("variants/link.rs: it is no plain file") && !error.contains("new.rs"), "{error}");
    }

    #[test]
    fn a_judge_is_one_of_the_same_yardstick() {
        let (_folder, git) = repository(START);
        let built = git.id("HEAD").unwrap();
        let is_judge = |commit: &str| is_judge_of(&git, Some(commit), "HEAD").unwrap();
        assert!(is_judge(&built) && is_judge(&built[..9]));
        assert!(!is_judge(&format!("{built}+")) && !is_judge("0123456") && !is_judge_of(&git, None, "HEAD").unwrap());
        // Kernels, the log and documents are not the yardstick.
        for path in ["variants/fast.rs", "variants/new.rs", "src/scan/mod.rs", "results.tsv", "docs/METHOD.md"] {
            write(&git, path, "changed\n");
            commit(&git);
            assert!(is_judge(&built), "{path}");
        }
        for path in ["pqbench/src/lib.rs", "src/cpu.rs", "variants/scalar.rs", "pqbench/data/more.u8"] {
            let before = read(&git, path);
            write(&git, path, "changed\n");
            commit(&git);
            assert!(!is_judge(&built), "{path}");
            match before {
                Some(text) => write(&git, path, &text),
                None => fs::remove_file(git.root().join(path)).unwrap(),
            }
            commit(&git);
            assert!(is_judge(&built), "{path}");
        }
    }
}
