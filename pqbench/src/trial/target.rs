//! What a trial measures: data, lists, and the way queries are put. One is the trial's target; the others are guards.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use pqscan::kernels::TOP_K;

use crate::{
    fixture::{Fixture, Limits, tiled},
    worker::{Call, Task},
};

/// Codes of a list where there are many, and how many of them a query visits.
const LIST: usize = 1_000;
const VISITED: usize = 20;
/// Codes of the longest list.
const MILLION: usize = 1_000_000;

/// A workload by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    data: Data,
    /// Codes of each list; none for one list of all codes.
    list: Option<usize>,
    pub call: Call,
    pub k: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// A data set by its name, of which so many codes are used, or all.
    Named(&'static str, Option<usize>),
    /// SIFT1M where it is, else as many codes made from the embedded ones.
    Million,
}

const IMAGES: Target = Target {
    name: "images",
    about: "200,000 codes of images, one query at a time",
    data: Data::Named("embedded", None),
    list: None,
    call: Call::Single,
    k: TOP_K,
};

/// All of them.
pub const TARGETS: [Target; 10] = [
    IMAGES,
    Target {
        name: "text",
        about: "100,000 codes of words, cosine, one query at a time",
        data: Data::Named("embedded-text", None),
        ..IMAGES
    },
    Target {
        name: "1k",
        about: "a list of 1,000 codes of images",
        data: Data::Named("embedded", Some(1_000)),
        ..IMAGES
    },
    Target {
        name: "16k",
        about: "a list of 16,000 codes of images",
        data: Data::Named("embedded", Some(16_000)),
        ..IMAGES
    },
    Target {
        name: "lists",
        about: "20 lists of 1,000 codes of images with one table and one threshold",
        list: Some(LIST),
        call: Call::Lists(VISITED),
        ..IMAGES
    },
    Target {
        name: "residual",
        about: "20 lists of 1,000 codes of images with a table each and one threshold",
        list: Some(LIST),
        call: Call::Residual(VISITED),
        ..IMAGES
    },
    Target { name: "batch", about: "200,000 codes of images, 16 queries in a call", call: Call::Batch(16), ..IMAGES },
    Target { name: "k100", about: "200,000 codes of images, the 100 nearest", k: 100, ..IMAGES },
    Target { name: "1m", about: "1,000,000 codes of images, one query at a time", data: Data::Million, ..IMAGES },
    Target {
        name: "worst-case",
        about: "codes on which no bound rules anything out",
        data: Data::Named("worst-case", None),
        ..IMAGES
    },
];

/// The target of that name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<Target> {
    TARGETS.into_iter().find(|target| target.name == name).with_context(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        format!("there is no target '{name}'; choose one of: {names}")
    })
}

/// A target with its data.
pub struct Workload {
    pub target: Target,
    pub fixture: Fixture,
    /// Codes of each list.
    pub lengths: Vec<usize>,
}

impl Target {
    /// Opens the data.
    ///
    /// # Errors
    /// Those of [`Fixture::open`].
    pub fn open(self) -> Result<Workload> {
        let bar = ProgressBar::hidden();
        let fixture = match self.data {
            Data::Named(spec, num_base) => Fixture::open(spec, Limits { num_base, num_queries: None }, &bar)?,
            Data::Million => {
                let limits = Limits { num_base: Some(MILLION), num_queries: None };
                Fixture::open("sift1m", limits, &bar).or_else(|_| {
                    let embedded = Fixture::open("embedded", Limits::default(), &bar)?;
                    anyhow::Ok(tiled(&embedded, MILLION, 1))
                })?
            }
        };
        let lengths = match self.list {
            Some(list) => vec![list; fixture.num_base() / list],
            None => vec![fixture.num_base()],
        };
        Ok(Workload { target: self, fixture, lengths })
    }
}

impl Workload {
    /// The data as a worker takes them, for `variant`.
    pub fn task<'a>(&'a self, variant: &'a str) -> Task<'a> {
        let Fixture { geometry, metric, centroids, codes, .. } = &self.fixture;
        Task { variant, geometry: *geometry, metric: *metric, centroids, codes, lengths: &self.lengths }
    }

    /// The codes of query number `at` of a turn, and the id of the first one: of all lists that it visits, which follow
    /// each other and do not go around the end.
    pub fn codes_of(&self, at: usize) -> (u64, &[u8]) {
        let (first, count) = match self.target.call {
            Call::Lists(visited) | Call::Residual(visited) => {
                let groups = self.lengths.len() / visited;
                (at % groups * visited * LIST, visited * LIST)
            }
            _ => (0, self.lengths[0]),
        };
        let row_bytes = self.fixture.geometry.row_bytes();
        (first as u64, &self.fixture.codes[first * row_bytes..][..count * row_bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_opens_and_its_lists_hold_its_codes() {
        for target in TARGETS {
            assert_eq!(find(target.name).unwrap(), target);
            if target.data == Data::Million && cfg!(debug_assertions) {
                continue;
            }
            let workload = target.open().unwrap();
            assert_eq!(workload.lengths.iter().sum::<usize>(), workload.fixture.num_base(), "{}", target.name);
            let (first, codes) = workload.codes_of(workload.lengths.len() + 1);
            let row_bytes = workload.fixture.geometry.row_bytes();
            assert_eq!(codes, &workload.fixture.codes[first as usize * row_bytes..][..codes.len()]);
        }
        assert!(find("sift").unwrap_err().to_string().contains("images, text, 1k"));
    }
}
