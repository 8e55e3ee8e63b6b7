//! Worktrees of two commits, and the workers that are built from them.
//!
//! Each side has a git worktree and a target folder of its own, in the git folder, so that nothing of it is in the way of
//! the user's and the next trial builds only what changed. The builds see neither the user's compiler flags nor where
//! they are: the same sources give the same program on both sides, byte by byte.

use std::{
    env, fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::git::Git;
use crate::fixture::hex;

/// Whose build it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// HEAD's.
    Incumbent,
    /// The edit's.
    Candidate,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Incumbent, Side::Candidate];

    const fn folder(self) -> &'static str {
        match self {
            Side::Incumbent => "incumbent",
            Side::Candidate => "candidate",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

/// What to build on one side.
#[derive(Clone, Debug)]
pub struct Recipe<'a> {
    /// Whose build it is.
    pub side: Side,
    /// The commit whose sources are built; for an edit see [`Git::dangling_commit`].
    pub commit: &'a str,
    /// The variants that are built in.
    pub variants: &'a [String],
}

/// A program that was built.
#[derive(Clone, Debug)]
pub struct Build {
    /// Whose build it is.
    pub side: Side,
    /// The program.
    pub program: PathBuf,
    /// The program's SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Sources that do not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailed {
    /// Whose build it is.
    pub side: Side,
    /// What the compiler says, the first lines of it.
    pub said: String,
}

impl fmt::Display for BuildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} does not build:\n{}", self.side, self.said)
    }
}

impl std::error::Error for BuildFailed {}

/// The compiler's flag by which a generic function is named after its types too.
pub(super) const NAMES_IN_FULL: &str = "-Csymbol-mangling-version=v0";
/// Lines of a compiler's errors that are kept.
const ERROR_LINES: usize = 30;

/// The folder in which trials of a repository are built. Who has it is alone with it.
#[derive(Debug)]
pub struct Workshop {
    git: Git,
    folder: PathBuf,
    _lock: File,
}

impl Workshop {
    /// The workshop of a repository, shared by all of its working trees.
    ///
    /// # Errors
    /// Another trial is under way in it, or the git folder can't be written to.
    pub fn open(git: &Git) -> Result<Workshop> {
        let folder = git.common_folder()?.join("pqbench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Workshop { git: git.clone(), folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another trial is under way in this repository; wait for its end, or use `pqbench queue`")
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Builds the program `package` on each side, all at once. `progress` is told what happens, a line at a time.
    ///
    /// # Errors
    /// [`BuildFailed`] where sources do not compile; else git or cargo can't be started, or a folder not be written to.
    pub fn build(&self, package: &str, recipes: &[Recipe<'_>], progress: &mut dyn FnMut(&str)) -> Result<Vec<Build>> {
        if let Some(warning) = warning_of_user_settings() {
            progress(&warning);
        }
        for recipe in recipes {
            self.check_out(recipe)?;
        }
        let (sender, lines) = mpsc::channel::<String>();
        thread::scope(|scope| {
            let builds: Vec<_> = recipes
                .iter()
                .map(|recipe| {
                    let sender = sender.clone();
                    scope.spawn(move || self.cargo(package, recipe, &|line| drop(sender.send(line.to_owned()))))
                })
                .collect();
            drop(sender);
            lines.iter().for_each(|line| progress(&line));
            builds.into_iter().map(|build| build.join().expect("a build does not panic")).collect()
        })
    }

    /// The folder of a side's sources.
    fn sources(&self, side: Side) -> PathBuf {
        self.folder.join(side.folder()).join("tree")
    }

    /// Makes the side's worktree have the recipe's commit. Files that do not change keep their time, by which cargo
    /// knows what to build anew.
    fn check_out(&self, recipe: &Recipe<'_>) -> Result<()> {
        let path = self.sources(recipe.side);
        let path_argument = path.to_str().context("the path of the repository is not UTF-8")?;
        if let Some(own) = self.own_worktree(&path) {
            // Only a git that was killed leaves a lock here.
            let _ = fs::remove_file(own.path_of("index.lock")?);
            if own.run(["checkout", "--quiet", "--detach", "--force", recipe.commit]).is_ok()
                && own.run(["clean", "-ffdxq"]).is_ok()
            {
                return Ok(());
            }
        }
        // There is none yet, or it is damaged.
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        self.git.run(["worktree", "prune"])?;
        self.git.run(["worktree", "add", "--quiet", "--force", "--detach", path_argument, recipe.commit])?;
        Ok(())
    }

    fn own_worktree(&self, path: &Path) -> Option<Git> {
        let own = Git::open(path).ok()?;
        // Without its `.git` a folder would be taken for a part of another repository.
        (own.root() == fs::canonicalize(path).ok()?).then_some(own)
    }

    fn cargo(&self, package: &str, recipe: &Recipe<'_>, progress: &dyn Fn(&str)) -> Result<Build> {
        let side = recipe.side;
        let folder = self.folder.join(side.folder());
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics", "-p", package]);
        command.arg("--bin").arg(package);
        command.env("CARGO_TARGET_DIR", folder.join("target"));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(changes_a_build) {
                command.env_remove(name);
            }
        }
        // These come before the flags of any configuration file, and the folder's name is in no program.
        let folder_name = folder.to_str().context("the path of the repository is not UTF-8")?;
        let flags = [format!("--remap-path-prefix={folder_name}=/build"), NAMES_IN_FULL.to_owned()];
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env("PQSCAN_VARIANTS", recipe.variants.join(",")).env("CARGO_TERM_COLOR", "never");
        command.current_dir(self.sources(side)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start cargo; install Rust, or set CARGO to its path")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut messages, mut said) = (String::new(), Vec::new());
        thread::scope(|scope| {
            let read = scope.spawn(|| stdout.map(|mut stdout| stdout.read_to_string(&mut messages)).transpose());
            for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok)) {
                progress(&format!("{side}: {}", line.trim()));
                said.push(line);
            }
            read.join().expect("reading does not panic")
        })
        .context("cannot read what cargo prints")?;
        if !child.wait().context("cannot wait for cargo")?.success() {
            return Err(BuildFailed { side, said: first_errors(&said) }.into());
        }
        let program = messages.lines().filter_map(program_of).next_back();
        let program = program.with_context(|| format!("cargo names no program of the package '{package}'"))?;
        let bytes = fs::read(&program).with_context(|| program.display().to_string())?;
        Ok(Build { side, program, sha256: hex(&Sha256::digest(bytes)) })
    }
}

/// Whether an environment variable of this name changes what cargo builds, or where.
fn changes_a_build(name: &str) -> bool {
    const KEPT: &[&str] = &["CARGO", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    const KEPT_PREFIXES: &[&str] = &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"];
    const PREFIXES: &[&str] = &["CARGO", "RUST", "PQSCAN_", "PQBENCH_"];
    let starts_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    starts_with(PREFIXES) && !starts_with(KEPT_PREFIXES) && !KEPT.contains(&name)
}

/// What of the user's own cargo settings reaches both builds all the same.
fn warning_of_user_settings() -> Option<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    let path = ["config.toml", "config"].map(|name| home.join(name)).into_iter().find(|path| path.exists())?;
    let text = fs::read_to_string(&path).ok()?;
    let changes =
        |line: &&str| ["[profile", "profile.", "[target", "linker", "[patch"].iter().any(|w| line.starts_with(w));
    let line = text.lines().map(str::trim).find(|line| changes(&line.trim()))?;
    Some(format!("warning: {} has '{line}', which changes what is measured on both sides", path.display()))
}

/// The program that a message of cargo's is about.
fn program_of(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}

/// The first errors of what cargo printed, without what it prints of its progress.
fn first_errors(said: &[String]) -> String {
    let start = said.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    said.iter().skip(start).take(ERROR_LINES).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// The right to measure on this machine, as long as the file lives. Waits for whoever has it, and says so. None where
/// the folder for temporary files allows no such lock.
///
/// # Errors
/// The lock is refused by the system.
pub fn measuring_lock(progress: &mut dyn FnMut(&str)) -> Result<Option<File>> {
    lock_at(&env::temp_dir().join("pqbench-measuring.lock"), progress)
}

fn lock_at(path: &Path, progress: &mut dyn FnMut(&str)) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    // In a folder that all may write to, another user's file can be opened, but not with leave to create it.
    let Ok(file) = options.open(path).or_else(|_| options.create(true).open(path)) else { return Ok(None) };
    #[cfg(unix)]
    {
        // Whatever the umask says; only its owner can do it.
        use std::os::unix::fs::PermissionsExt;
        let _ = file.set_permissions(fs::Permissions::from_mode(0o666));
    }
    let mut waits = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                if !waits {
                    progress("another measurement is under way on this machine; waiting for its end");
                }
                waits = true;
                thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display()))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::git::tests::{repository, write};

    const START: &[(&str, &str)] = &[
        ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
        ("src/main.rs", "fn main() {\n    println!(\"{} {:?}\", file!(), option_env!(\"PQSCAN_VARIANTS\"));\n}\n"),
    ];

    fn printed(build: &Build) -> String {
        String::from_utf8(Command::new(&build.program).output().unwrap().stdout).unwrap()
    }

    #[test]
    fn equal_sources_are_equal_programs_and_others_are_not() {
        let (_folder, git) = repository(START);
        let head = git.id("HEAD").unwrap();
        let workshop = Workshop::open(&git).unwrap();
        let recipe = |side, commit| Recipe { side, commit, variants: &[] };
        let mut lines = Vec::new();
        let same = [recipe(Side::Incumbent, &head), recipe(Side::Candidate, &head)];
        let same = workshop.build("tiny", &same, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(same[0].sha256, same[1].sha256);
        assert_ne!(same[0].program, same[1].program);
        assert!(lines.iter().any(|line| line.contains("candidate: Compiling tiny")), "{lines:?}");

        write(&git, "src/main.rs", "fn main() {\n    println!(\"other\");\n}\n");
        let edit = crate::trial::scope::Edit::of(&git).unwrap();
        let commit = git.dangling_commit(&edit.tree, &edit.base).unwrap();
        assert_eq!(commit, git.dangling_commit(&edit.tree, &edit.base).unwrap());
        let names = ["a".to_owned(), "b-c".to_owned()];
        let recipes = [Recipe { variants: &names, ..recipe(Side::Incumbent, &head) }, recipe(Side::Candidate, &commit)];
        let other = workshop.build("tiny", &recipes, &mut |_| {}).unwrap();
        assert_eq!(printed(&other[0]), "src/main.rs Some(\"a,b-c\")\n");
        assert_eq!(printed(&other[1]), "other\n");
        lines.clear();
        let again = workshop.build("tiny", &recipes, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(again[1].sha256, other[1].sha256);
        assert!(lines.iter().all(|line| !line.contains("Compiling")), "{lines:?}");
        // Neither branch nor index nor working tree of the user has moved.
        assert_eq!(git.id("HEAD").unwrap(), head);
        assert_eq!(crate::trial::scope::Edit::of(&git).unwrap().tree, edit.tree);

        write(&git, "src/main.rs", "fn main() {\n    let x: u8 = \"no number\";\n}\n");
        let edit = crate::trial::scope::Edit::of(&git).unwrap();
        let commit = git.dangling_commit(&edit.tree, &edit.base).unwrap();
        let error = workshop.build("tiny", &[recipe(Side::Candidate, &commit)], &mut |_| {}).unwrap_err();
        let failed = error.downcast_ref::<BuildFailed>().unwrap();
        assert!(failed.side == Side::Candidate && failed.said.starts_with("error[E0308]"), "{}", failed.said);

        // A worktree that was half removed is made anew.
        fs::remove_file(workshop.sources(Side::Candidate).join(".git")).unwrap();
        assert_eq!(printed(&workshop.build("tiny", &[recipe(Side::Candidate, &head)], &mut |_| {}).unwrap()[0]), {
            "src/main.rs Some(\"\")\n"
        });
    }

    #[test]
    fn two_trials_of_one_repository_exclude_each_other() {
        let (_folder, git) = repository(START);
        let first = Workshop::open(&git).unwrap();
        assert!(Workshop::open(&git).unwrap_err().to_string().contains("another trial is under way"));
        drop(first);
        Workshop::open(&git).unwrap();
    }

    #[test]
    fn a_second_measurement_says_that_it_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock_at(&path, &mut |line| panic!("{line}")).unwrap().unwrap();
        let (sender, receiver) = mpsc::channel();
        let second =
            thread::spawn(move || lock_at(&path, &mut |line| sender.send(line.to_owned()).unwrap()).unwrap().is_some());
        assert!(receiver.recv().unwrap().contains("waiting"));
        drop(first);
        assert!(second.join().unwrap());
    }

    #[test]
    fn flags_of_the_environment_do_not_reach_a_build() {
        for name in ["RUSTFLAGS", "RUSTC", "RUSTC_BOOTSTRAP", "CARGO_PROFILE_RELEASE_LTO", "CARGO_BUILD_TARGET"] {
            assert!(changes_a_build(name), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO", "CARGO_HOME", "RUSTUP_TOOLCHAIN", "CARGO_NET_OFFLINE"] {
            assert!(!changes_a_build(name), "{name}");
        }
    }

    #[test]
    fn the_first_errors_are_kept() {
        let mut said: Vec<_> =
            ["   Compiling x", "warning: w", "error[E1]: e", "  --> a.rs:1"].map(String::from).into();
        assert_eq!(first_errors(&said), "error[E1]: e\n  --> a.rs:1");
        said.extend((0..100).map(|line| line.to_string()));
        assert_eq!(first_errors(&said).lines().count(), ERROR_LINES);
    }
}
