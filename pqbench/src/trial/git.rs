//! The `git` program, asked in one way.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// A repository with a working tree, and the index that commands use.
#[derive(Clone, Debug)]
pub struct Git {
    root: PathBuf,
    index: Option<PathBuf>,
}

/// The name and address of commits that only the loop sees.
const NOBODY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "pqbench"),
    ("GIT_AUTHOR_EMAIL", "pqbench@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "pqbench"),
    ("GIT_COMMITTER_EMAIL", "pqbench@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

impl Git {
    /// The repository that `folder` is in.
    ///
    /// # Errors
    /// There is none, it is bare, or there is no `git`.
    pub fn open(folder: &Path) -> Result<Git> {
        let at = Git { root: folder.to_owned(), index: None };
        let root = at.line(["rev-parse", "--show-toplevel"]).with_context(|| {
            format!("{} is in no git repository with a working tree; clone the project by git", folder.display())
        })?;
        Ok(Git { root: fs::canonicalize(&root).with_context(|| root.clone())?, index: None })
    }

    /// The same repository with an index of its own.
    pub fn with_index(&self, index: PathBuf) -> Git {
        Git { root: self.root.clone(), index: Some(index) }
    }

    /// The folder of the working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where git keeps `name` of this working tree, such as `index`.
    ///
    /// # Errors
    /// Git can't say.
    pub fn path_of(&self, name: &str) -> Result<PathBuf> {
        Ok(self.root.join(self.line(["rev-parse", "--git-path", name])?))
    }

    /// The git folder that all working trees of the repository share.
    ///
    /// # Errors
    /// Git can't say.
    pub fn common_folder(&self) -> Result<PathBuf> {
        let folder = self.root.join(self.line(["rev-parse", "--git-common-dir"])?);
        fs::canonicalize(&folder).with_context(|| folder.display().to_string())
    }

    /// The full id of the commit, tree or blob that `name` stands for.
    ///
    /// # Errors
    /// There is none.
    pub fn id(&self, name: &str) -> Result<String> {
        self.line(["rev-parse", "--verify", "--quiet", "--end-of-options", name])
            .with_context(|| format!("git knows no '{name}'"))
    }

    /// What a command prints.
    ///
    /// # Errors
    /// It fails; the error has what it says.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
        self.feed(arguments, &[])
    }

    /// The one line that a command prints.
    ///
    /// # Errors
    /// As for [`run`](Git::run), and if it is not UTF-8.
    pub fn line<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let output = self.run(arguments)?;
        Ok(String::from_utf8(output).context("git printed something that is not UTF-8")?.trim_end().to_owned())
    }

    /// What a command prints that reads `input`.
    ///
    /// # Errors
    /// As for [`run`](Git::run).
    pub fn feed<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, input: &[u8]) -> Result<Vec<u8>> {
        self.call(arguments, input, &[])
    }

    /// A commit of `tree` that no branch has, the same one for the same tree and parent.
    ///
    /// # Errors
    /// Git can't write it.
    pub fn dangling_commit(&self, tree: &str, parent: &str) -> Result<String> {
        let output = self.call(["commit-tree", tree, "-p", parent, "-m", "An edit on trial"], &[], &NOBODY)?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    fn call<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
        environment: &[(&str, &str)],
    ) -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        // A repository that calls us from a hook has variables that would redirect us.
        for name in
            ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"]
        {
            command.env_remove(name);
        }
        // On the disk before a ref names it, and nobody's hooks in our own checkouts.
        command.args(["-c", "core.fsync=all", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]);
        command.args(["-c", "core.quotePath=false", "-c", "gc.auto=0"]);
        command.args(arguments).current_dir(&self.root).env("LC_ALL", "C").env("GIT_LITERAL_PATHSPECS", "1");
        command.envs(environment.iter().copied());
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let words: Vec<_> = command.get_args().skip(10).map(|word| word.to_string_lossy().into_owned()).collect();
        let shown = format!("git {}", words.join(" "));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start git; install it")?;
        let mut stdin = child.stdin.take().context("git has no standard input")?;
        let output = std::thread::scope(|scope| {
            // A git that fails early closes its input; what it says is the better error.
            scope.spawn(move || stdin.write_all(input).ok());
            child.wait_with_output()
        })
        .with_context(|| shown.clone())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{shown}` in {} failed: {}", self.root.display(), said.trim());
        }
        Ok(output.stdout)
    }
}

/// Of a repository: what is wrong with starting a trial in it.
///
/// # Errors
/// It has no commit yet, or is in the midst of a merge, a rebase or the like.
pub fn check_state(git: &Git) -> Result<()> {
    git.id("HEAD^{commit}").context("the repository has no commit yet")?;
    for (name, what) in [
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
    ] {
        ensure!(!git.path_of(name)?.exists(), "a {what} is under way; finish it or give it up (git {what} --abort)");
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A repository in a temporary folder, of files of which one may not change.
    pub fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Git) {
        let folder = tempfile::tempdir().unwrap();
        let at = Git { root: folder.path().to_owned(), index: None };
        at.run(["init", "--quiet", "--initial-branch=main"]).unwrap();
        at.run(["config", "user.name", "A"]).unwrap();
        at.run(["config", "user.email", "a@example.org"]).unwrap();
        for (path, text) in files {
            write(&at, path, text);
        }
        at.run(["add", "--all"]).unwrap();
        at.run(["commit", "--quiet", "--allow-empty", "--message=Start"]).unwrap();
        let git = Git::open(folder.path()).unwrap();
        (folder, git)
    }

    pub fn write(git: &Git, path: &str, text: &str) {
        let path = git.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(git: &Git, path: &str) -> Option<String> {
        fs::read_to_string(git.root().join(path)).ok()
    }

    #[test]
    fn an_error_says_what_was_asked_and_what_git_said() {
        let (_folder, git) = repository(&[]);
        let error = format!("{:#}", git.run(["cat-file", "blob", "nothing"]).unwrap_err());
        assert!(error.contains("git cat-file blob nothing") && error.contains("Not a valid object name"), "{error}");
        let outside = tempfile::tempdir().unwrap();
        assert!(format!("{:#}", Git::open(outside.path()).unwrap_err()).contains("in no git repository"));
    }

    #[test]
    fn a_merge_under_way_is_named() {
        let (_folder, git) = repository(&[]);
        check_state(&git).unwrap();
        fs::write(git.path_of("MERGE_HEAD").unwrap(), "").unwrap();
        assert!(format!("{:#}", check_state(&git).unwrap_err()).contains("git merge --abort"));
    }
}
