//! Whether a kernel keeps to the CPU level that it declares.
//!
//! A variant that executes more than it requires crashes on the next machine, which no test on this one shows. So the
//! instructions of its functions are looked at in the program that was built: those that are named after its module,
//! generic ones with its types among them, which is why programs are built with
//! [names that tell them](super::builds), and the intrinsics that those call.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::{Result, ensure};
use pqscan::cpu::Feature;

/// An instruction above the level of its variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// The function that has it.
    pub function: String,
    /// The first instruction of its kind there, such as `vpaddb`.
    pub instruction: String,
    /// What it needs, such as `AVX2`.
    pub needs: String,
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Beyond { function, instruction, needs } = self;
        write!(f, "`{instruction}` in {function} needs {needs}, which the variant does not require")
    }
}

/// Functions above their variant's level that ask the CPU before they are called.
const ASKED_BEFORE: &[&str] = &["variants::transposed::scan_avx2"];

/// What of `variant`'s code in `program` needs more than x86-64 and `requires`. Nothing on other architectures.
///
/// A portable variant may run loops at the levels that the CPU has, through a [`Level`](pqscan::simd::Level), which is
/// there only where it may.
///
/// # Errors
/// The program can't be read, or holds no such variant.
pub fn beyond_level(program: &Path, variant: &str, requires: &[Feature]) -> Result<Vec<Beyond>> {
    if !cfg!(target_arch = "x86_64") || !cfg!(target_os = "linux") {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(program)?;
    let code = x86_64::Code::new(&bytes)?;
    let module = format!("variants::{}::", variant.replace('-', "_"));
    // Of the engine's own levels: a module of the variant may not call itself so.
    let is_level = |name: &str| {
        let level = name.split_once(" as ").map_or("", |(level, _)| level);
        requires.is_empty() && level.contains("::simd::") && !level.contains(&module) && name.contains("Level>::run")
    };
    let is_excused = |name: &str| is_level(name) || ASKED_BEFORE.iter().any(|asked| name.contains(asked));
    let own: Vec<_> = code.functions().filter(|function| function.name.contains(&module)).collect();
    ensure!(!own.is_empty(), "{} has no code of the variant '{variant}'", program.display());
    let allowed = closure(requires);
    let mut found = BTreeMap::new();
    for function in own.into_iter().filter(|function| !is_excused(&function.name)) {
        let mut look_at = |part: &x86_64::Function| {
            code.each_instruction(part, |instruction| {
                for needs in instruction.needs(&allowed) {
                    let beyond = Beyond { function: function.name.clone(), instruction: instruction.name(), needs };
                    found.entry((beyond.function.clone(), beyond.needs.clone())).or_insert(beyond);
                }
            });
        };
        look_at(function);
        // An intrinsic that is not of the function's level is not inlined into it.
        code.callees(function).filter(|callee| callee.name.contains("core_arch::")).for_each(&mut look_at);
    }
    Ok(found.into_values().collect())
}

/// The features, and all that a CPU with them has too.
fn closure(features: &[Feature]) -> Vec<Feature> {
    let mut all = features.to_vec();
    let mut at = 0;
    while let Some(feature) = all.get(at) {
        all.extend(feature.implies());
        at += 1;
    }
    all
}

/// The functions of an ELF program, and their instructions.
mod x86_64 {
    use std::collections::BTreeMap;

    use anyhow::{Context, Result};
    use iced_x86::{Code as Opcode, CpuidFeature, Decoder, DecoderOptions, Mnemonic};
    use object::{Object, ObjectSection, ObjectSymbol, SymbolKind, read::elf::ElfFile64};
    use pqscan::cpu::Feature;

    pub struct Function<'a> {
        pub name: String,
        address: u64,
        bytes: &'a [u8],
    }

    pub struct Code<'a>(BTreeMap<u64, Function<'a>>);

    pub struct Instruction(iced_x86::Instruction);

    impl<'a> Code<'a> {
        pub fn new(bytes: &'a [u8]) -> Result<Self> {
            let file: ElfFile64<'a> = ElfFile64::parse(bytes).context("cannot read the program's functions")?;
            let function = |symbol: object::read::elf::ElfSymbol64<'a, '_>| {
                let section = file.section_by_index(symbol.section_index()?).ok()?;
                let bytes = section.data_range(symbol.address(), symbol.size()).ok()??;
                let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
                Some((symbol.address(), Function { name, address: symbol.address(), bytes }))
            };
            let texts = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
            Ok(Code(texts.filter_map(function).collect()))
        }

        pub fn functions(&self) -> impl Iterator<Item = &Function<'a>> {
            self.0.values()
        }

        pub fn each_instruction(&self, function: &Function<'a>, mut each: impl FnMut(&Instruction)) {
            let decoder = Decoder::with_ip(64, function.bytes, function.address, DecoderOptions::NONE);
            decoder.into_iter().for_each(|instruction| each(&Instruction(instruction)));
        }

        /// The functions that a function calls or ends in.
        pub fn callees(&self, function: &Function<'a>) -> impl Iterator<Item = &Function<'a>> {
            let mut targets = Vec::new();
            self.each_instruction(function, |Instruction(instruction)| {
                if instruction.is_call_near() || instruction.is_jmp_short_or_near() {
                    targets.push(instruction.near_branch_target());
                }
            });
            targets.sort_unstable();
            targets.dedup();
            targets.into_iter().filter(|&target| target != function.address).filter_map(|target| self.0.get(&target))
        }
    }

    impl Instruction {
        pub fn name(&self) -> String {
            format!("{:?}", self.0.mnemonic()).to_lowercase()
        }

        /// What the instruction needs beyond x86-64 and `allowed`.
        pub fn needs(&self, allowed: &[Feature]) -> Vec<String> {
            // Padding between functions; and `tzcnt`, which other CPUs read as `bsf`, and which compilers therefore use.
            if self.0.code() == Opcode::INVALID || self.0.mnemonic() == Mnemonic::Tzcnt {
                return Vec::new();
            }
            let needed = self.0.cpuid_features().iter();
            let missing = needed.filter(|feature| match feature_of(**feature) {
                Needs::Nothing => false,
                Needs::Feature(feature) => !allowed.contains(&feature),
                Needs::Unknown => true,
            });
            missing.map(|feature| format!("{feature:?}")).collect()
        }
    }

    enum Needs {
        /// What every x86-64 has, or what does nothing where a CPU lacks it.
        Nothing,
        Feature(Feature),
        Unknown,
    }

    fn feature_of(feature: CpuidFeature) -> Needs {
        use CpuidFeature as C;
        use Needs::{Feature as F, Nothing, Unknown};
        match feature {
            C::INTEL8086 | C::INTEL186 | C::INTEL286 | C::INTEL386 | C::INTEL486 | C::X64 | C::CPUID | C::CMOV => {
                Nothing
            }
            C::FPU | C::FPU387 | C::MMX | C::FXSR | C::CX8 | C::SSE | C::SSE2 | C::SYSCALL => Nothing,
            C::MULTIBYTENOP | C::PAUSE | C::CET_IBT => Nothing,
            C::SSE3 => F(Feature::Sse3),
            C::SSSE3 => F(Feature::Ssse3),
            C::SSE4_1 => F(Feature::Sse41),
            C::SSE4_2 => F(Feature::Sse42),
            C::POPCNT => F(Feature::Popcnt),
            C::BMI1 => F(Feature::Bmi1),
            C::BMI2 => F(Feature::Bmi2),
            C::AVX => F(Feature::Avx),
            C::FMA => F(Feature::Fma),
            C::AVX2 => F(Feature::Avx2),
            C::AVX512F => F(Feature::Avx512f),
            C::AVX512CD => F(Feature::Avx512cd),
            C::AVX512DQ => F(Feature::Avx512dq),
            C::AVX512BW => F(Feature::Avx512bw),
            C::AVX512VL => F(Feature::Avx512vl),
            C::AVX512_VBMI => F(Feature::Avx512vbmi),
            C::AVX512_VBMI2 => F(Feature::Avx512vbmi2),
            C::AVX512_BITALG => F(Feature::Avx512bitalg),
            C::AVX512_VPOPCNTDQ => F(Feature::Avx512vpopcntdq),
            C::GFNI => F(Feature::Gfni),
            _ => Unknown,
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use std::{env, fs, path::PathBuf, process::Command};

    use super::*;
    use crate::trial::builds::NAMES_IN_FULL;

    const SOURCE: &str = "
        mod simd {
            pub trait Level { fn run<R: FnOnce() -> u64>(self, routine: R) -> u64; }
            pub struct Avx2;
            impl Level for Avx2 {
                fn run<R: FnOnce() -> u64>(self, routine: R) -> u64 {
                    #[target_feature(enable = \"avx2\")]
                    #[inline(never)]
                    fn enabled<R: FnOnce() -> u64>(routine: R) -> u64 { routine() }
                    unsafe { enabled(routine) }
                }
            }
        }
        mod variants {
            pub mod plain {
                #[inline(never)]
                pub fn scan(x: u64) -> u64 { x.trailing_zeros() as u64 + x * x }
            }
            pub mod wide {
                use crate::simd::{Avx2, Level};
                use std::arch::x86_64::*;
                #[inline(never)]
                pub fn scan(x: u64) -> u64 {
                    Avx2.run(#[inline(always)] || unsafe {
                        let sum = _mm256_add_epi8(_mm256_set1_epi64x(x as i64), _mm256_set1_epi8(1));
                        _mm256_extract_epi64::<2>(sum) as u64
                    })
                }
            }
            pub mod wide2 {
                use std::arch::x86_64::*;
                #[inline(never)]
                pub fn scan(x: u64) -> u64 {
                    unsafe { _mm_extract_epi64::<0>(_mm_shuffle_epi8(_mm_set1_epi64x(x as i64), _mm_set1_epi8(1))) as u64 }
                }
            }
        }
        fn main() {
            let x = std::env::args().count() as u64;
            std::process::exit((variants::plain::scan(x) + variants::wide::scan(x) + variants::wide2::scan(x)) as i32);
        }
    ";

    fn program(folder: &Path) -> PathBuf {
        let (source, program) = (folder.join("main.rs"), folder.join("main"));
        fs::write(&source, SOURCE).unwrap();
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command.args(["-O", "--edition=2024", NAMES_IN_FULL]).arg(&source).arg("-o").arg(&program);
        assert!(command.status().unwrap().success());
        program
    }

    #[test]
    fn what_is_above_the_declared_level_is_found_by_function_and_instruction() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path());
        let found = |variant, requires: &[Feature]| beyond_level(&program, variant, requires).unwrap();
        assert_eq!(found("plain", &[]), []);
        assert_eq!(found("wide", &[Feature::Avx2]), []);
        // A vector instruction in a function that has only a type of the variant in its name.
        let beyond = found("wide", &[Feature::Ssse3]);
        let shown = beyond.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(shown.contains("`vp") && shown.contains("enabled") && shown.contains("AVX2"), "{shown}");
        // A portable one may do that through a level, but not by itself.
        assert_eq!(found("wide", &[]), []);
        let beyond = found("wide2", &[]);
        assert!(beyond.iter().any(|beyond| beyond.instruction == "pshufb" && beyond.needs == "SSSE3"), "{beyond:?}");
        assert_eq!(found("wide2", &[Feature::Sse41]), []);

        let error = beyond_level(&program, "wid", &[]).unwrap_err().to_string();
        assert!(error.contains("no code of the variant 'wid'"), "{error}");
    }

    #[test]
    fn a_feature_brings_what_it_implies() {
        let all = closure(&[Feature::Avx2]);
        assert!(all.contains(&Feature::Ssse3) && all.contains(&Feature::Avx) && !all.contains(&Feature::Fma));
    }
}
