//! Every registered variant by name against the reference, with all of memory fenced by guard pages.
//!
//! A variant that this CPU can't run is shown as ignored, with what it needs. `PQBENCH_REQUIRE=name,...` makes that a
//! failure, and a name that nothing registers one too.

use std::{env, panic, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use pqbench::verify::{self, Case};
use pqscan::{
    Bits, Geometry, Metric, cpu,
    registry::{self, Variant},
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

mod fence;

#[global_allocator]
static FENCE: fence::Fence = fence::Fence;

type Check = fn(&'static Variant) -> Result<(), Failed>;

/// What every variant has to pass.
const CHECKS: [(&str, Check); 4] = [
    ("cases_before_a_guard_page", cases_before_a_guard_page),
    ("cases_behind_a_guard_page", cases_behind_a_guard_page),
    ("random_shapes", random_shapes),
    ("random_lists", random_lists),
];

fn main() -> ExitCode {
    // A panic is reported with the case that it happened in; a backtrace each time would make shrinking endless.
    panic::set_hook(Box::new(|_| {}));
    let required = env::var("PQBENCH_REQUIRE").unwrap_or_default();
    let required: Vec<String> =
        required.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut trials = Vec::new();
    for name in &required {
        let name = name.clone();
        trials.push(Trial::test(format!("{name}::required"), move || match registry::find(&name) {
            Ok(variant) => unavailable(variant)?.map_or(Ok(()), |reason| Err(reason.into())),
            Err(error) => Err(error.into()),
        }));
    }
    for variant in registry::all() {
        for (what, check) in CHECKS {
            trials.push(Trial::ignorable_test(format!("{}::{what}", variant.name), move || {
                match unavailable(variant)? {
                    Some(reason) => Ok(Completion::ignored_with(format!("skipped: {reason}"))),
                    None => check(variant).map(|()| Completion::Completed),
                }
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn unavailable(variant: &Variant) -> Result<Option<String>, Failed> {
    Ok(variant.unavailable(cpu::features()?))
}

fn cases_before_a_guard_page(variant: &'static Variant) -> Result<(), Failed> {
    let report = verify::verify(variant, |_, _| {})?;
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// An access before a buffer does not depend on how much there is, so the short lists suffice.
fn cases_behind_a_guard_page(variant: &'static Variant) -> Result<(), Failed> {
    let is_short = |case: &&Case| case.num_vectors() <= 100 && variant.unsupported(case.geometry()).is_none();
    let mut short = verify::cases().iter().filter(is_short);
    fence::flush_with_the_start(|| short.try_for_each(|case| verify::check(variant, &case.clone())))
        .map_err(Failed::from)
}

/// Lengths, values and numbers of neighbours that nobody thought of, in the shape of SIFT; a failure is shrunk and printed.
fn random_lists(variant: &'static Variant) -> Result<(), Failed> {
    let shape = Just((16, 8, Bits::Eight, Metric::L2));
    random(variant, shape)
}

/// The same in random shapes.
fn random_shapes(variant: &'static Variant) -> Result<(), Failed> {
    let bits = prop::sample::select(vec![Bits::Four, Bits::Eight]);
    let m = prop_oneof![1usize..20, 20usize..70, prop::sample::select(vec![96, 128, 255, 256])];
    random(variant, (m, 1usize..12, bits, prop::sample::select(Metric::ALL)))
}

/// `shapes` are sub-quantizers, dimensions of each, bits and metrics.
fn random(
    variant: &'static Variant,
    shapes: impl Strategy<Value = (usize, usize, Bits, Metric)>,
) -> Result<(), Failed> {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let lists = (0usize..400, prop::sample::select(vec![1u8, 2, 5, 255]), -18i32..18, any::<u32>(), 0usize..50);
    runner
        .run(&(shapes, lists), |((m, sub_dim, bits, metric), (n, highest, exponent, seed, k))| {
            let geometry =
                Geometry::new(m * sub_dim, m, bits).map_err(|error| TestCaseError::fail(error.to_string()))?;
            if variant.unsupported(geometry).is_some() {
                return Ok(());
            }
            let mut random = values(seed);
            let scale = 10f32.powi(exponent);
            let mut floats =
                |count: usize| (0..count).map(|_| (random() as f32 / 2e9 - 1.0) * scale).collect::<Vec<_>>();
            let (centroids, queries) = (floats(geometry.codebook_len()), floats(2 * geometry.dim()));
            let codes = (0..n * geometry.row_bytes()).map(|_| (random() % (u32::from(highest) + 1)) as u8).collect();
            let case = Case::shaped("random", geometry, metric, centroids, codes, queries).with_ks(&[k]);
            verify::check(variant, &case)
                .map_err(|mismatch| TestCaseError::fail(format!("{geometry}, {metric}: {mismatch}")))
        })
        .map_err(Failed::from)
}

/// The upper halves of a linear congruential generator's values (Knuth's MMIX constants).
fn values(seed: u32) -> impl FnMut() -> u32 {
    let mut state = u64::from(seed);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    }
}
