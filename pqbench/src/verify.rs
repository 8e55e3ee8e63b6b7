//! Is a variant right? The checks that the tests, `pqbench verify` and the loop share.

use std::{
    any::Any,
    collections::HashSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pqscan::{
    Codebook, DIM, Error, NUM_CENTROIDS, TopKHeap,
    registry::{Fidelity, Scanner, Variant},
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

/// Checks `variant` on all cases; `progress` is told before each how many are done, and of how many.
///
/// # Errors
/// The variant can't run here.
pub fn verify(variant: &'static Variant, mut progress: impl FnMut(usize, usize)) -> Result<Report, Error> {
    let no_codes = variant.prepare(&Codebook::new(&[0.0; NUM_CENTROIDS * DIM])?, &[]);
    if let Err(error @ (Error::CannotRun { .. } | Error::Mask { .. })) = no_codes {
        return Err(error);
    }
    let mut report = Report { variant: variant.name, passed: 0, failures: Vec::new() };
    for (done, case) in cases().iter().enumerate() {
        progress(done, cases().len());
        match check(variant, case) {
            Ok(()) => report.passed += 1,
            Err(mismatch) => report.failures.push(mismatch),
        }
    }
    Ok(report)
}

/// Checks `variant` on one case: its prepared codes, and where it scans unprepared codes those too.
///
/// An exact variant must give the reference's ids and distance bits. An approximate one must give as many distinct ids, in
/// order of its distances, and where the case knows the true neighbours keep its recall within [`RECALL_TOLERANCE`].
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

/// One scanner answers everything that is asked, query by query and in batches.
fn check_prepared(variant: &'static Variant, case: &Case) -> Result<(), String> {
    let Questions::Queries { centroids, queries } = &case.questions else { return Ok(()) };
    let text = |error: Error| error.to_string();
    let scanner = variant.prepare(case.codebook(centroids).map_err(text)?, &case.codes).map_err(text)?;
    if scanner.num_vectors() != case.num_vectors() {
        return Err(format!("it prepared {} codes, not {}", scanner.num_vectors(), case.num_vectors()));
    }
    let judge = Judge { fidelity: variant.fidelity, num_vectors: case.num_vectors() };
    for &k in &case.ks {
        let mut answers = Vec::new();
        for (at, (query, expected)) in queries.chunks(DIM).zip(case.expected()).enumerate() {
            let answer = scanner.search(query, k).map_err(text)?;
            judge.answer(&answer, expected, k).map_err(|what| format!("k {k}, query {at}: {what}"))?;
            answers.push(answer);
        }
        if Some(&k) == case.ks.last() {
            check_batches(&scanner, queries, &answers, k)?;
        }
        if let Some(truth) = &case.truth {
            check_recall(&answers, case.expected(), truth)?;
        }
    }
    Ok(())
}

/// A batch gives each query the answer that it got alone. Where there are queries enough, batches of several sizes do.
fn check_batches(scanner: &Scanner, queries: &[f32], alone: &[Neighbours], k: usize) -> Result<(), String> {
    let sizes = if alone.len() == 17 { &[0, 1, 2, 3, 16, 17][..] } else { &[alone.len()] };
    for &size in sizes {
        let answers = scanner.search_batch(&queries[..size * DIM], k).map_err(|error| error.to_string())?;
        if answers.len() != size {
            return Err(format!("k {k}: a batch of {size} queries has {} answers", answers.len()));
        }
        for (at, (answer, alone)) in answers.iter().zip(alone).enumerate() {
            same(answer, alone).map_err(|what| format!("k {k}, query {at} in a batch of {size}: {what}"))?;
        }
    }
    Ok(())
}

/// Tables over unprepared codes, into an empty heap and into one that holds another list's answer.
fn check_unprepared(variant: &'static Variant, case: &Case) -> Result<(), String> {
    if !variant.probes_unprepared_codes() {
        return Ok(());
    }
    let probe = variant.probe().map_err(|error| error.to_string())?;
    let judge = Judge { fidelity: variant.fidelity, num_vectors: case.num_vectors() };
    // The same codes at an odd address: nobody promised an alignment.
    let shifted = [&[0], &*case.codes].concat().into_boxed_slice();
    for &k in &case.ks {
        for (at, (table, expected)) in case.tables().iter().zip(case.expected()).enumerate() {
            let wrong = |what| format!("unprepared, k {k}, table {at}: {what}");
            let mut heap = TopKHeap::with_k(k);
            probe(table, &case.codes, &mut heap);
            judge.answer(&heap.into_sorted(), expected, k).map_err(wrong)?;

            if variant.fidelity == Fidelity::Exact {
                let other = &case.expected()[(at + 1) % case.tables().len()];
                let other = &other[..k.min(other.len())];
                // All of the other answer, which may fill the heap, or half of it, which may not.
                for others in [other, &other[..other.len() / 2]] {
                    let mut heap = TopKHeap::with_k(k);
                    others.iter().for_each(|&(id, distance)| heap.push(id, distance));
                    probe(table, &shifted[1..], &mut heap);
                    same(&heap.into_sorted(), &merged(others, expected, k))
                        .map_err(|what| wrong(format!("into a heap of {}: {what}", others.len())))?;
                }
            }
        }
    }
    Ok(())
}

fn merged(a: &[(u32, f32)], b: &[(u32, f32)], k: usize) -> Neighbours {
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
    pub fn answer(&self, answer: &[(u32, f32)], expected: &[(u32, f32)], k: usize) -> Result<(), String> {
        match self.fidelity {
            Fidelity::Exact => same(answer, &expected[..k.min(expected.len())]),
            Fidelity::Approximate(_) => self.well_formed(answer, k.min(self.num_vectors)),
        }
    }

    fn well_formed(&self, answer: &[(u32, f32)], count: usize) -> Result<(), String> {
        if answer.len() != count {
            return Err(format!("{} neighbours, not {count}", answer.len()));
        }
        if let Some((id, _)) = answer.iter().find(|&&(id, _)| id as usize >= self.num_vectors) {
            return Err(format!("id {id} of {} codes", self.num_vectors));
        }
        if answer.iter().map(|&(id, _)| id).collect::<HashSet<_>>().len() != count {
            return Err("an id appears twice".to_owned());
        }
        match answer.is_sorted_by(|a, b| a.1 <= b.1) && answer.iter().all(|&(_, distance)| !distance.is_nan()) {
            true => Ok(()),
            false => Err("the distances are not in order".to_owned()),
        }
    }
}

/// Equal ids and equal distance bits, or the first difference.
pub(super) fn same(answer: &[(u32, f32)], expected: &[(u32, f32)]) -> Result<(), String> {
    let bits = |&(id, distance): &(u32, f32)| (id, distance.to_bits());
    if let Some(place) = answer.iter().zip(expected).position(|(a, e)| bits(a) != bits(e)) {
        let show = |(id, distance): (u32, f32)| format!("id {id} at {distance:e} (bits {:08x})", distance.to_bits());
        return Err(format!("place {place} is {}, not {}", show(answer[place]), show(expected[place])));
    }
    match answer.len() == expected.len() {
        true => Ok(()),
        false => Err(format!("{} neighbours, not {}", answer.len(), expected.len())),
    }
}

fn check_recall(answers: &[Neighbours], exact: &[Neighbours], truth: &[Vec<u32>]) -> Result<(), String> {
    let (found, possible) = (recall(answers, truth), recall(exact, truth));
    match found >= possible - RECALL_TOLERANCE {
        true => Ok(()),
        false => {
            Err(format!("recall is {found:.4}, more than {RECALL_TOLERANCE} below the exact answer's {possible:.4}"))
        }
    }
}

/// The share of the true neighbours that are among the answers, mean over the queries.
fn recall(answers: &[Neighbours], truth: &[Vec<u32>]) -> f64 {
    let share = |(answer, truth): (&Neighbours, &Vec<u32>)| {
        truth.iter().filter(|&id| answer.iter().any(|(answered, _)| answered == id)).count() as f64 / truth.len() as f64
    };
    answers.iter().zip(truth).map(share).sum::<f64>() / truth.len() as f64
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Judge = Judge { fidelity: Fidelity::Exact, num_vectors: 3 };
    const ROUGH: Judge = Judge { fidelity: Fidelity::Approximate("bits"), num_vectors: 3 };
    const EXPECTED: [(u32, f32); 3] = [(2, 0.0), (0, 1.0), (1, 1.0)];

    #[test]
    fn an_exact_answer_must_match_to_the_bit() {
        assert_eq!(EXACT.answer(&EXPECTED, &EXPECTED, 3), Ok(()));
        assert_eq!(EXACT.answer(&EXPECTED[..2], &EXPECTED, 2), Ok(()));
        let wrong: [&[(u32, f32)]; 5] = [
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
        let wrong: [&[(u32, f32)]; 5] = [
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
