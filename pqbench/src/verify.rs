//! Is a variant right? The checks that the tests, `pqbench verify` and the loop share.

use std::{
    any::Any,
    collections::HashSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pqscan::{
    Codebook, Codes, Error, Geometry, List, Metric, Query, ScanOptions, TopK,
    registry::{Fidelity, Variant},
};

pub use super::cases::{Case, cases};
use super::cases::{Neighbours, Questions};

/// How much recall@10 an approximate variant may lose against the exact answer.
pub const RECALL_TOLERANCE: f64 = 0.005;

/// What a variant got wrong first in one case.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The variant's name.
    pub variant: &'static str,
    /// The case's name.
    pub case: String,
    /// The call, and the first difference with its bits.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is wrong on '{}': {}", self.variant, self.case, self.what)
    }
}

/// A variant against all [`cases`].
#[derive(Clone, Debug)]
pub struct Report {
    /// The variant's name.
    pub variant: &'static str,
    /// How many cases it got right.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Mismatch>,
}

/// The first shape of the [`cases`] that `variant` supports.
pub fn supported_geometry(variant: &Variant) -> Option<Geometry> {
    cases().iter().map(Case::geometry).find(|&geometry| variant.unsupported(geometry).is_none())
}

/// Checks `variant` on all cases in shapes that it supports; `progress` is told before each how many are done, and of
/// how many.
///
/// # Errors
/// The variant can't run here.
pub fn verify(variant: &'static Variant, mut progress: impl FnMut(usize, usize)) -> Result<Report, Error> {
    if let Some(geometry) = supported_geometry(variant) {
        let codebook = Codebook::new(geometry, Metric::L2, &vec![0.0; geometry.codebook_len()])?;
        variant.prepare(&codebook, Codes::row_major(&[]), 1)?;
    }
    let mut report = Report { variant: variant.name, passed: 0, failures: Vec::new() };
    let supported: Vec<_> = cases().iter().filter(|case| variant.unsupported(case.geometry()).is_none()).collect();
    for (done, case) in supported.iter().enumerate() {
        progress(done, supported.len());
        match check(variant, case) {
            Ok(()) => report.passed += 1,
            Err(mismatch) => report.failures.push(mismatch),
        }
    }
    Ok(report)
}

/// Checks `variant` on one case: its prepared codes, and where it scans unprepared codes those too.
///
/// An exact variant must give the reference's ids and distance bits. An approximate one must give as many distinct ids,
/// in order of its distances, and where the case knows the true neighbours keep its recall within [`RECALL_TOLERANCE`].
///
/// # Errors
/// The first difference. A panic is one, and so is a variant that can't run here.
pub fn check(variant: &'static Variant, case: &Case) -> Result<(), Mismatch> {
    let checks = || {
        check_prepared(variant, case)?;
        check_unprepared(variant, case)
    };
    catch_unwind(AssertUnwindSafe(checks))
        .unwrap_or_else(|panic| Err(format!("it panics: {}", panic_message(&*panic))))
        .map_err(|what| Mismatch { variant: variant.name, case: case.name.clone(), what })
}

/// One list answers everything that is asked, query by query, into what other lists have left, and in batches.
fn check_prepared(variant: &'static Variant, case: &Case) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let codebook = case.codebook().map_err(text)?;
    let list = variant.prepare(codebook, case.codes(), 1).map_err(text)?;
    if list.num_vectors() != case.num_vectors() {
        return Err(format!("it prepared {} codes, not {}", list.num_vectors(), case.num_vectors()));
    }
    let judge = Judge { fidelity: variant.fidelity, num_vectors: case.num_vectors() };
    for &k in &case.ks {
        let mut answers = Vec::new();
        for (at, expected) in case.expected().iter().enumerate() {
            let wrong = |what| format!("k {k}, query {at}: {what}");
            let mut query = match &case.questions {
                Questions::Queries(queries) => codebook.query(query_of(case, queries, at)),
                Questions::Tables(tables) => codebook.query_from_table(&tables[at]),
            }
            .map_err(text)?;
            let answer = match &case.questions {
                Questions::Queries(queries) => list.search(query_of(case, queries, at), k).map_err(text)?,
                Questions::Tables(_) => {
                    let mut top = TopK::new(k);
                    list.scan(&mut query, &mut top, &ScanOptions::default()).map_err(text)?;
                    top.into_sorted()
                }
            };
            judge.answer(&answer, expected, k).map_err(wrong)?;
            answers.push(answer);
            check_after_others(variant, case, at, k, |top, first_id| {
                list.scan(&mut query, top, &ScanOptions { first_id, ..ScanOptions::default() }).map_err(text)
            })
            .map_err(wrong)?;
        }
        if let (Questions::Queries(queries), true) = (&case.questions, Some(&k) == case.ks.last()) {
            check_batches(&list, queries, &answers, k)?;
        }
        if let Some(truth) = &case.truth {
            check_recall(&answers, case.expected(), truth)?;
        }
    }
    Ok(())
}

fn query_of<'a>(case: &Case, queries: &'a [f32], at: usize) -> &'a [f32] {
    &queries[at * case.geometry().dim()..][..case.geometry().dim()]
}

/// Where the ids of a list begin that is scanned after another.
const SECOND_LIST: u64 = 1 << 40;

/// Scans by `scan`, with ids from its second argument on, into what another list has left.
fn check_after_others(
    variant: &Variant,
    case: &Case,
    at: usize,
    k: usize,
    mut scan: impl FnMut(&mut TopK, u64) -> Result<(), String>,
) -> Result<(), String> {
    if variant.fidelity != Fidelity::Exact {
        return Ok(());
    }
    let expected: Neighbours = case.expected()[at].iter().map(|&(id, distance)| (SECOND_LIST + id, distance)).collect();
    let other = &case.expected()[(at + 1) % case.expected().len()];
    let other = &other[..k.min(other.len())];
    // All of the other answer, which may be all that are wanted, or half of it, which may not.
    for others in [other, &other[..other.len() / 2]] {
        let mut top = TopK::new(k);
        others.iter().for_each(|&(id, distance)| top.push(id, distance));
        scan(&mut top, SECOND_LIST)?;
        same(&top.into_sorted(), &merged(others, &expected, k))
            .map_err(|what| format!("after {} of another list: {what}", others.len()))?;
    }
    Ok(())
}

/// A batch gives each query the answer that it got alone. Where there are queries enough, batches of several sizes do.
fn check_batches(list: &List, queries: &[f32], alone: &[Neighbours], k: usize) -> Result<(), String> {
    let dim = list.codebook().geometry().dim();
    let sizes = if alone.len() == 17 { &[0, 1, 2, 3, 16, 17][..] } else { &[alone.len()] };
    for &size in sizes {
        let answers = list.search_batch(&queries[..size * dim], k).map_err(|error| error.to_string())?;
        if answers.len() != size {
            return Err(format!("k {k}: a batch of {size} queries has {} answers", answers.len()));
        }
        for (at, (answer, alone)) in answers.iter().zip(alone).enumerate() {
            same(answer, alone).map_err(|what| format!("k {k}, query {at} in a batch of {size}: {what}"))?;
        }
    }
    Ok(())
}

/// Tables over unprepared codes, into an empty top and after another list.
fn check_unprepared(variant: &'static Variant, case: &Case) -> Result<(), String> {
    if !variant.probes_unprepared_codes() {
        return Ok(());
    }
    let text = |error: Error| error.to_string();
    let judge = Judge { fidelity: variant.fidelity, num_vectors: case.num_vectors() };
    // The same codes at an odd address: nobody promised an alignment.
    let shifted = [&[0], &*case.codes].concat().into_boxed_slice();
    let scan = |query: &mut Query, codes: &[u8], top: &mut TopK, first_id: u64| {
        let options = ScanOptions { first_id, ..ScanOptions::default() };
        Codes::row_major(codes).scan_by(variant, query, top, &options).map_err(text)
    };
    for &k in &case.ks {
        for (at, (table, expected)) in case.tables().iter().zip(case.expected()).enumerate() {
            let wrong = |what| format!("unprepared, k {k}, table {at}: {what}");
            let mut query = Query::from_table(case.geometry(), table).map_err(text)?;
            let mut top = TopK::new(k);
            scan(&mut query, &case.codes, &mut top, 0).map_err(wrong)?;
            judge.answer(&top.into_sorted(), expected, k).map_err(wrong)?;
            check_after_others(variant, case, at, k, |top, first_id| scan(&mut query, &shifted[1..], top, first_id))
                .map_err(wrong)?;
        }
    }
    Ok(())
}

fn merged(a: &[(u64, f32)], b: &[(u64, f32)], k: usize) -> Neighbours {
    let mut both = [a, b].concat();
    both.sort_by(|x, y| x.1.total_cmp(&y.1).then(x.0.cmp(&y.0)));
    both.truncate(k);
    both
}

/// What an answer is measured by.
pub(super) struct Judge {
    pub fidelity: Fidelity,
    pub num_vectors: usize,
}

impl Judge {
    /// Whether `answer` for `k` neighbours will do; `expected` is the exact one, or longer.
    pub fn answer(&self, answer: &[(u64, f32)], expected: &[(u64, f32)], k: usize) -> Result<(), String> {
        match self.fidelity {
            Fidelity::Exact => same(answer, &expected[..k.min(expected.len())]),
            _ => self.well_formed(answer, expected, k.min(self.num_vectors)),
        }
    }

    fn well_formed(&self, answer: &[(u64, f32)], expected: &[(u64, f32)], count: usize) -> Result<(), String> {
        if answer.len() != count {
            return Err(format!("{} neighbours, not {count}", answer.len()));
        }
        if let Some((id, _)) = answer.iter().find(|&&(id, _)| id as usize >= self.num_vectors) {
            return Err(format!("id {id} of {} codes", self.num_vectors));
        }
        if answer.iter().map(|&(id, _)| id).collect::<HashSet<_>>().len() != count {
            return Err("an id appears twice".to_owned());
        }
        // Some tables make sums that are no numbers, which come last.
        let may_be_nan = expected.iter().take(count).any(|(_, distance)| distance.is_nan());
        let is_fine = |distance: f32| may_be_nan || !distance.is_nan();
        let in_order = answer.is_sorted_by(|a, b| a.1 <= b.1 || b.1.is_nan());
        match in_order && answer.iter().all(|&(_, distance)| is_fine(distance)) {
            true => Ok(()),
            false => Err("the distances are not in order".to_owned()),
        }
    }
}

/// Equal ids and equal distance bits, or the first difference.
pub(super) fn same(answer: &[(u64, f32)], expected: &[(u64, f32)]) -> Result<(), String> {
    let bits = |&(id, distance): &(u64, f32)| (id, distance.to_bits());
    if let Some(place) = answer.iter().zip(expected).position(|(a, e)| bits(a) != bits(e)) {
        let show = |(id, distance): (u64, f32)| format!("id {id} at {distance:e} (bits {:08x})", distance.to_bits());
        return Err(format!("place {place} is {}, not {}", show(answer[place]), show(expected[place])));
    }
    match answer.len() == expected.len() {
        true => Ok(()),
        false => Err(format!("{} neighbours, not {}", answer.len(), expected.len())),
    }
}

fn check_recall(answers: &[Neighbours], exact: &[Neighbours], truth: &[Vec<u64>]) -> Result<(), String> {
    let (found, possible) = (recall(answers, truth), recall(exact, truth));
    match found >= possible - RECALL_TOLERANCE {
        true => Ok(()),
        false => {
            Err(format!("recall is {found:.4}, more than {RECALL_TOLERANCE} below the exact answer's {possible:.4}"))
        }
    }
}

/// The share of the true neighbours that are among the answers, mean over the queries.
fn recall(answers: &[Neighbours], truth: &[Vec<u64>]) -> f64 {
    let share = |(answer, truth): (&Neighbours, &Vec<u64>)| {
        truth.iter().filter(|&id| answer.iter().any(|(answered, _)| answered == id)).count() as f64 / truth.len() as f64
    };
    answers.iter().zip(truth).map(share).sum::<f64>() / truth.len() as f64
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Judge = Judge { fidelity: Fidelity::Exact, num_vectors: 3 };
    const ROUGH: Judge = Judge { fidelity: Fidelity::Approximate("bits"), num_vectors: 3 };
    const EXPECTED: [(u64, f32); 3] = [(2, 0.0), (0, 1.0), (1, 1.0)];

    #[test]
    fn an_exact_answer_must_match_to_the_bit() {
        assert_eq!(EXACT.answer(&EXPECTED, &EXPECTED, 3), Ok(()));
        assert_eq!(EXACT.answer(&EXPECTED[..2], &EXPECTED, 2), Ok(()));
        let wrong: [&[(u64, f32)]; 5] = [
            &[(2, -0.0), (0, 1.0), (1, 1.0)],
            &[(2, 0.0), (1, 1.0), (0, 1.0)],
            &[(2, 0.0), (0, f32::NAN), (1, 1.0)],
            &EXPECTED[..2],
            &[(2, 0.0), (0, 1.0), (1, 1.0), (1, 1.0)],
        ];
        for answer in wrong {
            assert!(EXACT.answer(answer, &EXPECTED, 3).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn the_first_difference_is_named_with_its_bits() {
        let what = EXACT.answer(&[(2, 0.0), (1, 1.0)], &EXPECTED, 2).unwrap_err();
        assert_eq!(what, "place 1 is id 1 at 1e0 (bits 3f800000), not id 0 at 1e0 (bits 3f800000)");
    }

    #[test]
    fn an_approximate_answer_must_be_well_formed() {
        assert_eq!(ROUGH.answer(&[(1, 0.5), (0, 0.5)], &EXPECTED, 2), Ok(()));
        let wrong: [&[(u64, f32)]; 5] = [
            &[(1, 0.5)],
            &[(1, 0.5), (3, 0.6)],
            &[(1, 0.5), (1, 0.5)],
            &[(1, 0.5), (0, 0.4)],
            &[(1, 0.5), (0, f32::NAN)],
        ];
        for answer in wrong {
            assert!(ROUGH.answer(answer, &EXPECTED, 2).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn lost_recall_is_noticed() {
        let exact = vec![vec![(0, 0.0), (1, 1.0)]];
        assert_eq!(check_recall(&exact, &exact, &[vec![0, 1]]), Ok(()));
        assert!(check_recall(&[vec![(0, 0.0), (2, 1.0)]], &exact, &[vec![0, 1]]).is_err());
    }

    #[test]
    fn cases_have_names_of_their_own() {
        let names: HashSet<_> = cases().iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), cases().len());
    }
}
