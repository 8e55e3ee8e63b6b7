//! What the source of a kernel may not contain.
//!
//! A kernel computes. It does not start threads, read clocks or files, print, remember in a static, or give its
//! functions names that the linker takes for others'. All of that is looked for in the tokens of each changed file, so
//! that neither comments nor strings count, and a name is found however it is written. What the tree has
//! today of it is excepted by file and by text. This keeps honest edits honest and makes tricks laborious; what a
//! kernel does at run time is the worker's matter.

use std::fmt;

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{
    git::Git,
    scope::{Edit, Kind},
};

/// The rank that a new variant registers: below all that were measured.
pub const NEW_RANK: u32 = 1;

/// What stands in a new variant where its idea and its summary are to be written.
pub const TO_WRITE: &str = "TO WRITE";

/// Something that a kernel may not contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the root of the repository.
    pub path: String,
    /// The line, from 1 on.
    pub line: usize,
    /// What stands there.
    pub what: String,
    /// Why it may not.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`: {}", self.path, self.line, self.what, self.why)
    }
}

/// Parts of `std` and `core` that compute, and no more.
const STD: &[&str] = &[
    "any",
    "arch",
    "array",
    "ascii",
    "borrow",
    "boxed",
    "cell",
    "char",
    "clone",
    "cmp",
    "collections",
    "convert",
    "default",
    "error",
    "f32",
    "f64",
    "fmt",
    "hash",
    "hint",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "ptr",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "sync",
    "vec",
];

/// Attributes that change neither names nor where code goes.
const ATTRIBUTES: &[&str] = &[
    "allow",
    "cfg",
    "cold",
    "deny",
    "derive",
    "diagnostic",
    "doc",
    "expect",
    "inline",
    "multiversion",
    "must_use",
    "non_exhaustive",
    "repr",
    "rustfmt",
    "target_feature",
    "test",
    "track_caller",
    "warn",
];

/// What `cfg` may ask for.
const CONDITIONS: &[&str] =
    &["all", "any", "not", "target_arch", "target_endian", "target_os", "target_pointer_width", "test"];

/// And whether portable loops are compiled for several CPUs, as they are by default.
const MULTIVERSION: &str = "feature = \"multiversion\"";

const LINKER: &str = "a kernel may not give the linker names or sections";
const OUTPUT: &str = "a kernel may not print; the parent alone reports";
const INPUT: &str = "a kernel may not read files or the environment, not even while it is built";
const STATE: &str = "it outlives the call, so it could remember; use a const, or memory of the prepared list";
const MODE: &str = "a kernel may not change how floating-point numbers are computed";
const CLOCK: &str = "a kernel may not read a clock";
const PANICS: &str = "a kernel may not change what a panic does";
const ASM: &str = "assembly stands in the files only that have it today, as it is";
const REGISTRATION: &str = "a variant registers itself once, by `register! { ... }`";
const SYSTEM: &str = "a kernel may not call the system";

/// Names that may stand nowhere.
const NAMES: &[(&str, &str)] = &[
    ("no_mangle", LINKER),
    ("export_name", LINKER),
    ("link_section", LINKER),
    ("link_name", LINKER),
    ("link_ordinal", LINKER),
    ("linkage", LINKER),
    ("ctor", LINKER),
    ("dtor", LINKER),
    ("extern", LINKER),
    ("global_allocator", "the allocator is not a kernel's"),
    ("println", OUTPUT),
    ("eprint", OUTPUT),
    ("eprintln", OUTPUT),
    ("dbg", OUTPUT),
    ("include_bytes", INPUT),
    ("include_str", INPUT),
    ("option_env", INPUT),
    ("environment", INPUT),
    ("thread_local", STATE),
    ("catch_unwind", PANICS),
    ("set_hook", PANICS),
    ("take_hook", PANICS),
    ("panic_handler", PANICS),
    ("global_asm", ASM),
    ("naked_asm", ASM),
    ("naked", ASM),
    ("inventory", REGISTRATION),
    ("cpufeatures", "ask `crate::cpu`, or hold a level"),
];

/// Parts of names that may stand nowhere.
const PARTS: &[(&str, &str)] = &[
    ("mxcsr", MODE),
    ("setcsr", MODE),
    ("_MM_SET_", MODE),
    ("fxrstor", MODE),
    ("xrstor", MODE),
    ("fpcr", MODE),
    ("rdtsc", CLOCK),
];

/// Names that are common words, so that only a macro of that name is meant.
const MACROS: &[(&str, &str)] = &[("print", OUTPUT), ("include", INPUT), ("env", INPUT)];

/// What the tree has of it, by file and text.
const EXCEPTIONS: &[(&str, &str)] = &[
    // To tell groups apart: a counter that answers do not depend on.
    ("src/groups/merged.rs", "static NEXT : AtomicU64"),
    // Huge pages, prefetching.
    ("src/memory.rs", "std::alloc"),
    ("src/memory.rs", "libc::madvise"),
    ("src/memory.rs", "libc::MADV_HUGEPAGE"),
    ("src/memory.rs", "asm!(\"prfm pldl2keep, [{}]\")"),
    // No instruction, but something that the compiler can't look through.
    ("src/simd/x86_64.rs", "asm"),
    ("src/simd/x86_64.rs", "asm!(\"/* {0} */\")"),
    // A module of its own of that name.
    ("src/scan/score.rs", "core::of_rows"),
    ("src/scan/score.rs", "core::offer_lanes"),
    ("src/scan/score.rs", "core::offer_row_lanes"),
    ("src/scan/score.rs", "core::offer_rows"),
    // What is public for other crates.
    ("src/codebook.rs", "cfg(feature = \"unstable-kernels\")"),
    ("src/query.rs", "cfg(feature = \"unstable-kernels\")"),
    ("src/simd/mod.rs", "cfg(feature = \"unstable-kernels\")"),
];

/// The findings in all files of an edit.
///
/// # Errors
/// A file is no UTF-8, or git can't read it.
pub fn lint_edit(git: &Git, edit: &Edit) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in edit.files.iter().filter(|file| file.kind != Kind::Removed) {
        let (before, after) = edit.texts(git, &file.path)?;
        findings.extend(lint(&file.path, before.as_deref(), &after.unwrap_or_default()));
    }
    Ok(findings)
}

/// The findings in the file at `path`, all of it; `before` is what it was in HEAD, none for a new one.
pub fn lint(path: &str, before: Option<&str>, after: &str) -> Vec<Finding> {
    let mut file = File { path, findings: Vec::new() };
    let Some(tokens) = tokens(after) else {
        file.find(1, "?", "it can't be read as Rust");
        return file.findings;
    };
    for at in 0..tokens.len() {
        file.look_at_name(&tokens, at);
        file.look_at_attribute(&tokens, at);
        file.look_at_condition(&tokens, at);
    }
    if path.starts_with("variants/") {
        file.look_at_registration(&tokens, before.and_then(self::tokens).as_deref());
    }
    file.findings
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Name,
    Literal,
    /// A mark or a delimiter.
    Mark,
}

#[derive(Clone, Debug)]
struct Token {
    sort: Sort,
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self, name: &str) -> bool {
        self.sort == Sort::Name && self.text == name
    }

    fn is_mark(&self, mark: &str) -> bool {
        self.sort == Sort::Mark && self.text == mark
    }
}

/// The tokens of a file one after the other, without comments; `::` is two. None if it is not Rust.
fn tokens(source: &str) -> Option<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    // No recursion, since nothing limits how deep somebody nests.
    let mut open = vec![(source.parse::<TokenStream>().ok()?.into_iter(), None)];
    while let Some((stream, end)) = open.last_mut() {
        let Some(tree) = stream.next() else {
            tokens.extend(end.take());
            open.pop();
            continue;
        };
        let line = tree.span().start().line;
        let mark = |text: &str, line| Token { sort: Sort::Mark, text: text.to_owned(), line };
        match tree {
            TokenTree::Ident(name) => match tokens.last_mut() {
                // A lifetime, not a name.
                Some(last) if last.is_mark("'") => last.text = format!("'{name}"),
                // A raw name is the same name.
                _ => {
                    let text = name.to_string().trim_start_matches("r#").to_owned();
                    tokens.push(Token { sort: Sort::Name, text, line });
                }
            },
            TokenTree::Punct(punct) => tokens.push(mark(&punct.as_char().to_string(), line)),
            TokenTree::Literal(literal) => {
                tokens.push(Token { sort: Sort::Literal, text: literal.to_string(), line });
            }
            TokenTree::Group(group) => {
                let (start, end) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(mark(start, line));
                let end = mark(end, group.span_close().end().line);
                open.push((group.stream().into_iter(), Some(end)));
            }
        }
    }
    Some(tokens)
}

/// The place of the delimiter that closes the one at `open`.
fn end_of(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, token)| token.sort == Sort::Mark) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

fn is_mark(tokens: &[Token], at: usize, mark: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.is_mark(mark))
}

/// Whether `::` stands at `at`.
fn is_path(tokens: &[Token], at: usize) -> bool {
    is_mark(tokens, at, ":") && is_mark(tokens, at + 1, ":")
}

struct File<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl File<'_> {
    fn find(&mut self, line: usize, what: &str, why: &str) {
        if !EXCEPTIONS.contains(&(self.path, what)) {
            self.findings.push(Finding {
                path: self.path.to_owned(),
                line,
                what: what.to_owned(),
                why: why.to_owned(),
            });
        }
    }

    fn look_at_name(&mut self, tokens: &[Token], at: usize) {
        let Token { sort: Sort::Name, text, line } = &tokens[at] else { return };
        let line = *line;
        let is_macro = is_mark(tokens, at + 1, "!") && !is_mark(tokens, at + 2, "=");
        if !text.is_ascii() {
            self.find(line, text, "a name is of plain letters, so that it can't look like another");
        }
        if let Some((_, why)) = NAMES.iter().find(|(name, _)| name == text) {
            self.find(line, text, why);
        }
        let lower = text.to_ascii_lowercase();
        if let Some((_, why)) = PARTS.iter().find(|(part, _)| text.contains(part) || lower.contains(part)) {
            self.find(line, text, why);
        }
        if let Some((name, why)) = MACROS.iter().find(|(name, _)| is_macro && name == text) {
            self.find(line, &format!("{name}!"), why);
        }
        if is_macro && at > 0 && tokens[at - 1].is_mark("$") {
            self.find(line, &format!("${text}!"), "a macro's name may not come from a macro's argument");
        }
        match text.as_str() {
            "std" | "core" => self.look_at_std(tokens, at),
            "libc" => {
                let function = tokens.get(at + 3).filter(|token| token.sort == Sort::Name && is_path(tokens, at + 1));
                self.find(line, &function.map_or("libc".to_owned(), |name| format!("libc::{}", name.text)), SYSTEM);
            }
            "static" => {
                let rest = tokens[at..].iter().take_while(|token| !token.is_mark("=") && !token.is_mark(";"));
                let words: Vec<_> = rest.take(12).map(|token| token.text.as_str()).collect();
                self.find(line, &words.join(" "), STATE);
            }
            "asm" => {
                let what = match tokens.get(at + 1) {
                    Some(next) if next.is_name("as") => "asm as".to_owned(),
                    _ if is_macro => format!("asm!({})", templates(&tokens[at + 2..=end_of(tokens, at + 2)])),
                    _ => "asm".to_owned(),
                };
                self.find(line, &what, ASM);
            }
            _ => {}
        }
    }

    /// Of `std` and `core` a part must be named, and be one of those that compute.
    fn look_at_std(&mut self, tokens: &[Token], at: usize) {
        let (root, line) = (&tokens[at].text, tokens[at].line);
        let parts: Vec<_> = if !is_path(tokens, at + 1) {
            vec![None]
        } else if is_mark(tokens, at + 3, "{") {
            let end = end_of(tokens, at + 3);
            let depth_one =
                |place: &usize| (at + 4..*place).filter(|&p| is_open(&tokens[p])).all(|p| end_of(tokens, p) < *place);
            let starts = (at + 4..end).filter(|&place| is_mark(tokens, place - 1, ",") || place == at + 4);
            starts.filter(depth_one).map(|place| tokens.get(place)).collect()
        } else {
            vec![tokens.get(at + 3)]
        };
        for part in parts {
            match part {
                Some(part) if part.sort == Sort::Name && STD.contains(&part.text.as_str()) => {}
                Some(part) => self.find(part.line, &format!("{root}::{}", part.text), why_not_std(&part.text)),
                None => self.find(line, root, "name the part of it that is used, so that it can be looked at"),
            }
        }
    }

    fn look_at_attribute(&mut self, tokens: &[Token], at: usize) {
        if !is_mark(tokens, at, "#") {
            return;
        }
        let open = at + 1 + usize::from(is_mark(tokens, at + 1, "!"));
        // `$(#[$doc:meta])*` stands for attributes that are looked at where they stand.
        if !is_mark(tokens, open, "[") || is_mark(tokens, open + 1, "$") {
            return;
        }
        if let Some(name) = tokens.get(open + 1).filter(|name| !ATTRIBUTES.contains(&name.text.as_str())) {
            // It was named once, if it is one of those that may stand nowhere.
            let why = if name.is_name("feature") { "no unstable features" } else { "not one of a kernel's attributes" };
            self.find(name.line, &format!("#[{}]", name.text), why);
        }
    }

    fn look_at_condition(&mut self, tokens: &[Token], at: usize) {
        if !tokens[at].is_name("cfg") && !tokens[at].is_name("cfg_attr") {
            return;
        }
        let open = at + 1 + usize::from(is_mark(tokens, at + 1, "!"));
        if !is_mark(tokens, open, "(") {
            return self.find(tokens[at].line, "cfg", "it is not clear what it asks for");
        }
        for place in open + 1..end_of(tokens, open) {
            let (name, is_value) = (&tokens[place], is_mark(tokens, place - 2, "=") && is_mark(tokens, place - 1, "$"));
            if name.sort != Sort::Name || is_value || CONDITIONS.contains(&name.text.as_str()) {
                continue;
            }
            let value =
                tokens.get(place + 2).filter(|value| value.sort == Sort::Literal && is_mark(tokens, place + 1, "="));
            let what = value.map_or(name.text.clone(), |value| format!("{} = {}", name.text, value.text));
            if what != MULTIVERSION {
                const WHY: &str = "a kernel is the same in tests, bench and loop; it may ask for the architecture only";
                self.find(name.line, &format!("cfg({what})"), WHY);
            }
        }
    }

    /// In a variant: one registration, and of the rank that it had.
    fn look_at_registration(&mut self, tokens: &[Token], before: Option<&[Token]>) {
        let mut registrations = 0;
        for (at, token) in tokens.iter().enumerate() {
            // Documentation is a literal too.
            if token.sort == Sort::Literal && token.text.contains(TO_WRITE) {
                self.find(token.line, TO_WRITE, "say what the idea is: whoever reads the log has nothing else");
            }
            if token.is_name("mod") && is_mark(tokens, at + 2, ";") {
                self.find(token.line, "mod", "a variant is one file");
            }
            if token.is_name("register") {
                let next = tokens.get(at + 1).map_or("", |next| next.text.as_str());
                registrations += u32::from(next == "!");
                if !matches!(next, "!" | "," | "}" | ";") {
                    self.find(token.line, &format!("register {next}"), REGISTRATION);
                }
            }
        }
        if registrations != 1 {
            self.find(1, "register!", REGISTRATION);
        }
        let measured = |field| before.and_then(|before| field_of(before, field)).map(|(_, value)| value);
        let (rank, rank_below) = match before {
            Some(_) => (measured("rank"), measured("rank_below")),
            None => (Some(NEW_RANK.to_string()), None),
        };
        for (field, expected) in [("rank", rank), ("rank_below", rank_below)] {
            let (line, value) = field_of(tokens, field).map_or((1, None), |(line, value)| (line, Some(value)));
            if value != expected {
                let what = value.map_or(format!("no {field}"), |value| format!("{field}: {value}"));
                let why = match expected {
                    Some(expected) => format!("the loop sets it from measurements; until then it is {expected}"),
                    None => "the loop sets it from measurements; until then leave it out".to_owned(),
                };
                self.find(line, &what, &why);
            }
        }
    }
}

fn is_open(token: &Token) -> bool {
    ["(", "[", "{"].iter().any(|open| token.is_mark(open))
}

/// Why a part of `std` is not among those that compute.
fn why_not_std(part: &str) -> &'static str {
    match part {
        "thread" => "a kernel may not start threads; preparation has `crate::threads`",
        "time" => CLOCK,
        "env" | "fs" | "io" => INPUT,
        "process" | "net" | "os" | "ffi" => SYSTEM,
        "panic" => PANICS,
        "alloc" => "memory comes from `Vec` and `crate::memory`",
        "*" | "{" | "$" => "name the part of it that is used, so that it can be looked at",
        _ => "not one of the parts that a kernel needs",
    }
}

/// The literals of an `asm!`, and a `?` for what else may be a part of its text.
fn templates(tokens: &[Token]) -> String {
    let texts = tokens.iter().filter_map(|token| match token.sort {
        Sort::Literal => Some(token.text.as_str()),
        Sort::Mark if token.text == "!" || token.text == "$" => Some("?"),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// The line and the text of a field of `register!`.
fn field_of(tokens: &[Token], field: &str) -> Option<(usize, String)> {
    let start = tokens.windows(2).position(|pair| pair[0].is_name("register") && pair[1].is_mark("!"))?;
    let end = end_of(tokens, start + 2);
    let at = (start..end).find(|&at| tokens[at].is_name(field) && is_mark(tokens, at + 1, ":"))?;
    let mut value = String::new();
    let mut place = at + 2;
    while place < end && !is_mark(tokens, place, ",") {
        let last = if is_open(&tokens[place]) { end_of(tokens, place) } else { place };
        tokens[place..=last].iter().for_each(|token| value.push_str(&token.text));
        place = last + 1;
    }
    Some((tokens[at].line, value))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::trial::scope::is_allowed;

    #[track_caller]
    fn assert_found(source: &str, expected: &[&str]) {
        let found: Vec<_> = lint("src/scan/rows.rs", None, source).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn what_a_kernel_may_not_do_is_found() {
        for (source, expected) in [
            ("use std::thread;", "std::thread"),
            ("use std::{fmt, mem::{self, swap}, time::Instant};", "std::time"),
            ("fn f() { ::core::panic::Location::caller(); }", "core::panic"),
            ("use std as s;", "std"),
            ("use std::*;", "std::*"),
            ("use std::{*};", "std::*"),
            ("m!(std);", "std"),
            ("macro_rules! m { ($a:ident) => { std::$a::spawn(f) } }", "std::$"),
            ("macro_rules! m { ($a:ident) => { $a!(\"text\") } }", "$a!"),
            ("fn f() { std::r#env::vars(); }", "std::env"),
            ("fn f() { std :: /* hidden */ process :: abort() }", "std::process"),
            ("static NEXT: AtomicU64 = AtomicU64::new(0);", "static NEXT : AtomicU64"),
            ("static mut LAST: u32 = 0;", "static mut LAST : u32"),
            ("thread_local! {}", "thread_local"),
            ("fn f() { print!(\"x\") }", "print!"),
            ("fn f() { println!(\"x\") }", "println"),
            ("const X: &[u8] = include_bytes!(\"x\");", "include_bytes"),
            ("include!(\"x\");", "include!"),
            ("const X: &str = env!(\"X\");", "env!"),
            ("fn f() { crate::environment::read(\"X\"); }", "environment"),
            ("fn f() { unsafe { libc::clock_gettime(0, p) } }", "libc::clock_gettime"),
            ("use libc as l;", "libc"),
            ("extern \"C\" fn f() {}", "extern"),
            ("extern crate alloc;", "extern"),
            ("fn f<'a>(x: &'a std::thread::Thread) {}", "std::thread"),
            ("fn f() { unsafe { asm!(\"ldmxcsr [{}]\", in(reg) p) } }", "asm!(\"ldmxcsr [{}]\")"),
            ("use std::arch::asm as a;", "asm as"),
            ("fn f() { unsafe { _mm_setcsr(0) } }", "_mm_setcsr"),
            ("fn f() { _MM_SET_FLUSH_ZERO_MODE(1) }", "_MM_SET_FLUSH_ZERO_MODE"),
            ("fn f() { unsafe { core::arch::x86_64::_xrstor64(p, 1) } }", "_xrstor64"),
            ("fn f() { unsafe { _rdtsc() } }", "_rdtsc"),
            ("fn f() { write_fpcr(0) }", "write_fpcr"),
            ("crate::inventory::submit! {}", "inventory"),
            ("#[path = \"x.rs\"] mod x;", "#[path]"),
            ("#![feature(test)]", "#[feature]"),
            ("#[used] const X: u8 = 0;", "#[used]"),
            ("#[cfg(feature = \"unstable-kernels\")] fn f() {}", "cfg(feature = \"unstable-kernels\")"),
            ("#[cfg(feature)] fn f() {}", "cfg(feature)"),
            ("#[cfg(all(test, pqbench))] fn f() {}", "cfg(pqbench)"),
            ("fn f() -> bool { cfg!(debug_assertions) }", "cfg(debug_assertions)"),
            ("fn \u{212a}() {}", "\u{212a}"),
            ("fn f() {", "?"),
        ] {
            assert_found(source, &[expected]);
        }
        // Nor does it matter where a file ends.
        for end in ["std::", "cfg", "#[", "static", "asm!", "core::{", "use libc::", "#", "std::{{a}"] {
            for source in [end.to_owned(), format!("fn f() {{ {end} }}")] {
                lint("variants/a.rs", None, &source);
            }
        }
        lint("variants/a.rs", None, &format!("{}std::fs{}", "(".repeat(100_000), ")".repeat(100_000)));
        assert_found("#[unsafe(no_mangle)] fn f() {}", &["#[unsafe]", "no_mangle"]);
        assert_found("#[unsafe(r#link_section = \".init_array\")] fn f() {}", &["#[unsafe]", "link_section"]);
        assert_found("#[cfg_attr(all(), no_mangle)] fn f() {}", &["#[cfg_attr]", "cfg(no_mangle)", "no_mangle"]);
    }

    #[test]
    fn words_comments_and_strings_are_no_finding() {
        assert_found(
            "//! println, std::thread\n/* static */ fn f<'a>(env: &'static str) { let print = \"asm!\"; }",
            &[],
        );
        assert_found("fn f(include: bool) -> bool { include != true && time == r#\"libc\"# }", &[]);
        assert_found("use std::{sync::{Arc, Mutex}, mem};\n#[inline(always)]\nfn f() { std::mem::take(x) }", &[]);
    }

    #[test]
    fn an_exception_is_of_one_file_and_one_text() {
        let asm = |text: &str| format!("fn f() {{ unsafe {{ asm!({text}, inout(reg) x) }} }}");
        let found = |path, text: &str| lint(path, None, &asm(text)).len();
        assert_eq!(found("src/simd/x86_64.rs", "\"/* {0} */\""), 0);
        assert_eq!(found("src/simd/mod.rs", "\"/* {0} */\""), 1);
        for other in ["\"nop\"", "\"/* {0} */\", \"nop\"", "concat!(\"/* {0} */\")", "$text"] {
            assert_eq!(found("src/simd/x86_64.rs", other), 1, "{other}");
        }
        let counter = |kind| lint("src/groups/merged.rs", None, &format!("static NEXT: {kind} = x;")).len();
        assert_eq!((counter("AtomicU64"), counter("Mutex<Vec<u64>>")), (0, 1));
    }

    #[test]
    fn a_finding_has_its_line() {
        let findings = lint("src/scan/rows.rs", None, "// one\n\nuse std::{\n    mem,\n    fs,\n};\n");
        assert_eq!((findings.len(), findings[0].line), (1, 5));
        let shown = findings[0].to_string();
        assert!(shown.starts_with("src/scan/rows.rs:5: `std::fs`: a kernel may not read"), "{shown}");
    }

    #[test]
    fn ranks_are_not_set_by_hand() {
        let variant =
            |fields: &str| format!("register! {{\n    name: \"a\",\n    {fields}\n    prepare: prepare,\n}}\n");
        let found = |before: Option<&str>, after: &str| {
            let before = before.map(variant);
            let findings = lint("variants/a.rs", before.as_deref(), &variant(after));
            findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(found(None, "rank: 1,"), none);
        assert_eq!(found(None, "rank: 4_000_000_000,"), ["rank: 4_000_000_000"]);
        assert_eq!(found(None, "rank: 1, rank_below: (9, 8),"), ["rank_below: (9,8)"]);
        assert_eq!(found(Some("rank: 60,"), "rank: 60,"), none);
        assert_eq!(found(Some("rank: 60,"), "rank: 61,"), ["rank: 61"]);
        assert_eq!(found(Some("rank: 60, rank_below: (9, 8),"), "rank: 60, rank_below: (9, 8),"), none);
        assert_eq!(found(Some("rank: 60, rank_below: (9, 8),"), "rank: 60,"), ["no rank_below"]);
    }

    #[test]
    fn a_variant_registers_once_and_by_that_name() {
        let found = |source: &str| {
            let findings = lint("variants/a.rs", None, source);
            findings.into_iter().map(|finding| finding.what).filter(|what| what.starts_with("reg")).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(found("use crate::{register, Codebook};\nregister! { rank: 1, }"), none);
        assert_eq!(
            found("use crate::register as r;\nr! { rank: 1, }\n/*\nregister! {}\n*/"),
            ["register as", "register!"]
        );
        assert_eq!(found("register! { rank: 1, }\nregister! { rank: 1, }"), ["register!"]);
        assert_eq!(found("macro_rules! register { () => {} }\nregister! { rank: 1, }"), ["register {"]);
    }

    #[test]
    fn all_kernels_of_today_are_clean() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (mut folders, mut files) = (vec![root.join("src"), root.join("variants")], 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                if path.is_dir() {
                    folders.push(path);
                } else if is_allowed(&name) {
                    let text = fs::read_to_string(&path).unwrap();
                    assert_eq!(lint(&name, Some(&text), &text), [], "{name}");
                    files += 1;
                }
            }
        }
        assert!(files > 40, "{files} files");
    }
}
