//! Adversaries that are caught by their text: those that could not be linked with the others without spoiling them, and
//! edits of what no trial may change.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use pqbench::trial::{git::Git, lint::lint_edit, scope::Edit};

/// What becomes of a source.
#[derive(Clone, Copy)]
enum Verdict {
    /// The check of the text names this.
    Lint(&'static str),
    /// A trial may not change the file; why not.
    Refused(&'static str),
}
use Verdict::{Lint, Refused};

/// An honest variant. A cheat stands before it, or in it.
const VARIANT: &str = r#"//! One code after the other.

use crate::{Codebook, Error, Query, collector::Collector, register, registry::Fidelity, variant::Scan};

register! {
    name: "idea",
    summary: "one code after the other",
    fidelity: Fidelity::Exact,
    rank: 1,
    prepare: prepare,
}

fn prepare(_: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(Rows(rows.to_vec())))
}
"#;

/// In a new variant, by the item that is added to it.
const ITEMS: &[(&str, &str, &str)] = &[
    (
        "replaces_the_clock",
        "#[unsafe(no_mangle)] pub extern \"C\" fn clock_gettime(_: i32, _: *mut i64) -> i32 { 0 }",
        "no_mangle",
    ),
    ("exports_a_name", "#[unsafe(export_name = \"clock_gettime\")] pub fn clock() {}", "export_name"),
    ("before_main", "#[unsafe(link_section = \".init_array\")] #[used] static INIT: fn() = init;", "link_section"),
    ("by_a_constructor", "#[ctor::ctor] fn init() {}", "ctor"),
    ("links_c", "unsafe extern \"C\" { fn getpid() -> i32; }", "extern"),
    ("own_allocator", "#[global_allocator] static ALLOCATOR: Cache = Cache;", "global_allocator"),
    ("own_panic_hook", "fn quiet() { std::panic::set_hook(Box::new(|_| {})); }", "std::panic"),
    (
        "answers_in_the_binary",
        "const ANSWERS: &[u8] = include_bytes!(\"../pqbench/data/sift/answers.u32\");",
        "include_bytes",
    ),
    ("answers_as_text", "const ANSWERS: &str = include_str!(\"../trials/answers.txt\");", "include_str"),
    ("includes_source", "include!(\"../pqbench/src/reference.rs\");", "include!"),
    (
        "remembers_in_a_static",
        "static LAST: std::sync::Mutex<Vec<f32>> = std::sync::Mutex::new(Vec::new());",
        "static LAST",
    ),
    ("remembers_in_a_thread", "thread_local! { static LAST: u32 = 0; }", "thread_local"),
    ("starts_a_thread", "fn start() { std::thread::spawn(|| ()); }", "std::thread"),
    ("starts_a_renamed_thread", "use std::{thread as mem};", "std::thread"),
    ("renames_std", "use std as core2;", "std"),
    ("starts_a_process", "fn start() { std::process::Command::new(\"sh\"); }", "std::process"),
    ("exits", "fn end() { std::process::exit(0); }", "std::process"),
    ("reads_the_environment", "fn is_bench() -> bool { std::env::var_os(\"PQBENCH\").is_some() }", "std::env"),
    ("reads_it_while_built", "const BENCH: Option<&str> = option_env!(\"PQBENCH\");", "option_env"),
    ("writes_results", "fn row() { std::fs::write(\"results.tsv\", \"keep\").ok(); }", "std::fs"),
    ("asks_the_network", "fn ask() { std::net::TcpStream::connect(\"localhost:1\").ok(); }", "std::net"),
    ("reads_the_clock", "fn now() -> std::time::Instant { std::time::Instant::now() }", "std::time"),
    ("reads_the_counter", "fn now() -> u64 { unsafe { std::arch::x86_64::_rdtsc() } }", "_rdtsc"),
    ("prints", "fn forge() { println!(\"status: ok\"); }", "println"),
    ("catches_panics", "fn calm() { std::panic::catch_unwind(|| ()).ok(); }", "catch_unwind"),
    ("flushes_subnormals", "fn mode() { unsafe { std::arch::x86_64::_mm_setcsr(0x9fc0) } }", "_mm_setcsr"),
    ("own_assembly", "fn mode() { unsafe { std::arch::asm!(\"ldmxcsr [rax]\") } }", "asm!(\"ldmxcsr [rax]\")"),
    ("global_assembly", "std::arch::global_asm!(\".globl clock_gettime\");", "global_asm"),
    ("calls_the_system", "fn nice() { unsafe { libc::setpriority(0, 0, -20) }; }", "libc::setpriority"),
    ("only_in_tests", "#[cfg(debug_assertions)] fn careful() {}", "cfg(debug_assertions)"),
    ("asks_for_the_bench", "#[cfg(feature = \"unstable-kernels\")] fn cheat() {}", "cfg(feature"),
    ("second_registration", "register! { name: \"scalar\", rank: 1 }", "register!"),
    ("registers_by_hand", "inventory::submit! { Variant::new() }", "inventory"),
    ("a_file_elsewhere", "#[path = \"../pqbench/data/cheat.rs\"] mod cheat;", "#[path]"),
    ("another_alphabet", "fn sсan() {}", "sсan"),
];

/// In another file, or the variant changed.
const EDITS: &[(&str, &str, &str, Verdict)] = &[
    ("rank_of_four_billion", "variants/idea.rs", "rank: 4_000_000_000", Lint("rank: 4_000_000_000")),
    ("edits_the_baseline", "variants/scalar.rs", "fn slow() {}", Refused("measured by")),
    ("edits_the_oracle", "pqbench/src/reference.rs", "fn distance() {}", Refused("yardstick")),
    ("edits_the_verdict", "pqbench/src/trial/decide.rs", "fn decide() {}", Refused("yardstick")),
    ("edits_the_worker", "worker/src/serve.rs", "fn serve() {}", Refused("yardstick")),
    ("edits_an_adversary", "pqbench/tests/adversaries/main.rs", "fn main() {}", Refused("yardstick")),
    ("edits_data", "pqbench/data/sift/codes.u8", "0", Refused("yardstick")),
    ("edits_the_data_s_manifest", "pqbench/data/sift/manifest.json", "{}", Refused("yardstick")),
    ("edits_the_manifest", "Cargo.toml", "[profile.release]\nopt-level = 0", Refused("yardstick")),
    ("edits_dependencies", "Cargo.lock", "", Refused("yardstick")),
    ("compiler_flags", ".cargo/config.toml", "[build]\nrustflags = [\"-Ctarget-cpu=native\"]", Refused("yardstick")),
    ("another_compiler", "rust-toolchain.toml", "[toolchain]\nchannel = \"nightly\"", Refused("yardstick")),
    ("build_script", "build.rs", "fn main() {}", Refused("yardstick")),
    ("adds_a_row", "results.tsv", "abc\t1\t1.0\tkeep\tfast", Refused("git restore")),
    ("adds_a_record", "trials/2026-11-28T10-15-02Z-idea.json", "{}", Refused("git restore")),
    ("brings_a_file", "variants/answers.bin", "0", Refused("yardstick")),
    ("hides_from_git", ".gitattributes", "*.rs binary", Refused("yardstick")),
    ("starts_threads_elsewhere", "src/threads.rs", "fn join() {}", Refused("yardstick")),
    ("edits_the_cpu_s_features", "src/cpu.rs", "fn features() {}", Refused("yardstick")),
    ("cheats_in_a_building_block", "src/top_k.rs", "static LAST: u32 = 0;", Lint("static LAST")),
];

pub fn trials() -> Vec<Trial> {
    let items = ITEMS.iter().map(|&(name, item, what)| {
        (name, "variants/idea.rs", VARIANT.replace("\nfn prepare", &format!("\n{item}\n\nfn prepare")), Lint(what))
    });
    let edits = EDITS.iter().map(|&(name, path, text, verdict)| {
        let changed = VARIANT.replace("rank: 1", text);
        (name, path, if path == "variants/idea.rs" { changed } else { text.to_owned() }, verdict)
    });
    let honest = Trial::test("source::honest", || match judge("variants/idea.rs", VARIANT)? {
        found if found.is_empty() => Ok(()),
        found => Err(format!("{found:?}").into()),
    });
    let cheats = items.chain(edits).map(|(name, path, text, verdict)| {
        Trial::test(format!("source::{name}"), move || Ok(check(path, &text, verdict)?))
    });
    [honest].into_iter().chain(cheats).collect()
}

fn check(path: &str, text: &str, verdict: Verdict) -> Result<()> {
    let found = judge(path, text)?;
    let is_expected = |(what, why): &(String, String)| match verdict {
        Lint(expected) => what.starts_with(expected),
        Refused(expected) => what.is_empty() && why.contains(expected),
    };
    ensure!(found.iter().any(is_expected), "it is not found out, but {found:?}");
    Ok(())
}

/// What is found in an edit that writes `text` to the file at `path`: what stands there, and why it may not. A refused
/// file is not looked at.
fn judge(path: &str, text: &str) -> Result<Vec<(String, String)>> {
    let folder = tempfile::tempdir()?;
    let git = |arguments: &[&str]| -> Result<()> {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let output = Command::new("git").current_dir(&folder).args(identity).args(arguments).output()?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    git(&["init", "--quiet"])?;
    for tracked in ["variants/scalar.rs", "src/top_k.rs", "results.tsv", "Cargo.toml"] {
        write(&folder.path().join(tracked), "// As it was.\n")?;
    }
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message=Start"])?;
    write(&folder.path().join(path), text)?;
    let git = Git::open(folder.path())?;
    let edit = Edit::of(&git)?;
    ensure!(!edit.is_empty(), "the edit is not seen");
    let refused: Vec<_> = edit.refusals().into_iter().map(|refusal| (String::new(), refusal.why)).collect();
    if !refused.is_empty() {
        return Ok(refused);
    }
    Ok(lint_edit(&git, &edit)?.into_iter().map(|finding| (finding.what, finding.why)).collect())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}
