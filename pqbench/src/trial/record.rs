//! What a trial leaves: one file under `trials/`, and from all of them `results.tsv`.
//!
//! A trial of the loop is a `.json` of its own. Rows from before the loop, which were written by hand, share one
//! `.jsonl`, a record a line.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decide::{Findings, Verdict};
use crate::{
    measure::statistics::{Estimate, geomean},
    run::Machine,
};

/// The version of the JSON's meaning.
pub const SCHEMA: u32 = 1;
/// Where records are, from the project's root.
pub const FOLDER: &str = "trials";

/// The first line of `results.tsv`.
const HEADER: &str = "commit\ttimestamp\tsource\tnum_base\trecall_at_10\tgeomean_ns_per_query\tpeak_mem_mb\t\
                      total_seconds\tkeep\tdescription";
/// Letters of a commit's hash in `results.tsv`.
const SHORT_HASH: usize = 7;
/// Of its words' weight, what a record shares with an idea that it is like.
const ALIKE: f64 = 0.3;
/// Above that, two words are forms of one: prefetch, prefetched.
const SAME_WORD: f64 = 0.93;

/// One trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Whether a person wrote this as a row of `results.tsv`: then most of the rest is not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_hand: bool,
    /// When it began, RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "is_default")]
    pub started: Option<String>,
    /// The commit that it was built on, which is the incumbent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub base: Option<String>,
    /// What should get cheaper, and why; of a row by hand the whole description.
    pub hypothesis: String,
    /// The variant that was measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: Option<String>,
    /// The incumbent's variant.
    #[serde(default, skip_serializing_if = "is_default")]
    pub against: Option<String>,
    /// The share of the time that was expected to be saved, said before the trial.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expected_gain: Option<f64>,
    /// What became of it. A baseline has no verdict.
    #[serde(default, skip_serializing_if = "is_default")]
    pub verdict: Option<Verdict>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reason: String,
    /// All that the verdict was made from: target, estimates, guards, end, lines, calibration.
    #[serde(default, skip_serializing_if = "is_default")]
    pub findings: Option<Findings>,
    /// The seeds of the target's estimates, in their order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seeds: Vec<u64>,
    /// The raw samples.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rounds: Vec<Rounds>,
    /// The workers that were measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub builds: Option<Builds>,
    /// The machine that measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub machine: Option<Machine>,
    /// Seconds that the trial took, builds included.
    #[serde(default, skip_serializing_if = "is_default")]
    pub total_seconds: Option<f64>,
    /// The columns that `results.tsv` always had.
    #[serde(default, skip_serializing_if = "is_default")]
    pub figures: Figures,
    /// The edit, as `git apply` takes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patch: Option<String>,
}

/// The samples of one workload under one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// The workload.
    pub target: String,
    /// The seed of its queries.
    pub seed: u64,
    /// The candidate's time over the incumbent's in each round, to five decimals.
    pub ratios: Vec<f32>,
}

impl Rounds {
    /// From unrounded `ratios`.
    pub fn new(target: &str, seed: u64, ratios: &[f64]) -> Rounds {
        let rounded = |ratio: &f64| ((ratio * 1e5).round() / 1e5) as f32;
        Rounds { target: target.to_owned(), seed, ratios: ratios.iter().map(rounded).collect() }
    }
}

/// Which programs were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Builds {
    /// SHA-256 of the incumbent's worker.
    pub incumbent: String,
    /// SHA-256 of the candidate's worker.
    pub candidate: String,
    /// Git's hash of the tree that the candidate was built from.
    pub tree: String,
}

/// Columns of `results.tsv`; absent what was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The data set.
    pub source: Option<String>,
    /// Its codes.
    pub num_base: Option<u64>,
    /// Against the true nearest raw vectors.
    pub recall_at_10: Option<f64>,
    /// The candidate's time.
    pub geomean_ns_per_query: Option<f64>,
    /// The most memory that the candidate's process had.
    pub peak_mem_mb: Option<f64>,
}

/// What was expected, against what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// Certainly less was gained.
    Less,
    /// The 99 % interval holds what was expected.
    Met,
    /// Certainly more was gained.
    More,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Record {
    /// `2026-11-28T10-15-02Z-avx2-ordered.json`
    ///
    /// # Errors
    /// It has no time.
    pub fn file_name(&self) -> Result<String> {
        let started = self.time()?.context("a record by hand has no file of its own")?;
        let variant: String = self.variant.as_deref().unwrap_or("trial").to_lowercase();
        let name: String = variant.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Ok(format!("{}-{name}.json", started.strftime("%Y-%m-%dT%H-%M-%SZ")))
    }

    /// The file's name without its end; `by-hand` where it has none of its own.
    pub fn name(&self) -> String {
        match self.file_name() {
            Ok(name) if !self.by_hand => name.trim_end_matches(".json").to_owned(),
            _ => "by-hand".to_owned(),
        }
    }

    /// The text of its file. It is read again before it is returned, so that nothing lands that can't be loaded.
    ///
    /// # Errors
    /// It lacks what a trial must have, or a figure is none.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        parse(&text).context("this trial's record could not be read again")?;
        Ok(text)
    }

    /// The share of the target's time that was saved: from the middle of the seeds' ratios.
    pub fn gain(&self) -> Option<f64> {
        let values: Vec<f64> = self.ratios().iter().map(|ratio| ratio.value).collect();
        (!values.is_empty()).then(|| 1.0 - geomean(&values))
    }

    /// What was expected against what came; none where one of them is missing.
    pub fn prediction(&self) -> Option<Prediction> {
        let (expected, ratios) = (1.0 - self.expected_gain?, self.ratios());
        let low = ratios.iter().map(|ratio| ratio.certain.0).reduce(f64::min)?;
        let high = ratios.iter().map(|ratio| ratio.certain.1).reduce(f64::max)?;
        Some(match expected {
            expected if expected < low => Prediction::Less,
            expected if expected > high => Prediction::More,
            _ => Prediction::Met,
        })
    }

    /// The name of the workload that it is about; empty for a row by hand.
    pub fn target(&self) -> &str {
        self.findings.as_ref().map_or("", |findings| &findings.target.name)
    }

    /// The target's estimates, one for each seed.
    pub fn ratios(&self) -> &[Estimate] {
        self.findings.as_ref().map_or(&[], |findings| &findings.target.ratios)
    }

    /// Whether the loop kept it.
    pub fn is_kept(&self) -> bool {
        !self.by_hand && self.verdict == Some(Verdict::Keep)
    }

    /// What was tried and what came of it, in one line.
    pub fn description(&self) -> String {
        if self.by_hand {
            return plain(&self.hypothesis);
        }
        let verdict = self.verdict.map_or("baseline".to_owned(), |verdict| verdict.to_string());
        let what = [self.variant.as_deref().unwrap_or_default(), self.target()].join(" on ");
        plain(&format!("{what}: {}; {verdict}: {}", self.hypothesis, self.reason))
    }

    fn time(&self) -> Result<Option<Timestamp>> {
        let parse = |text: &String| text.parse().with_context(|| format!("'started' is no time: {text}"));
        self.started.as_ref().map(parse).transpose()
    }

    /// A row of `results.tsv`.
    fn row(&self) -> String {
        let Figures { source, num_base, recall_at_10, geomean_ns_per_query, peak_mem_mb } = &self.figures;
        let verdict = match self.verdict {
            None => "baseline",
            Some(Verdict::Keep) => "keep",
            Some(Verdict::Discard | Verdict::Inconclusive) => "revert",
        };
        let decimals = |value: Option<f64>, decimals| value.map(|value| format!("{value:.decimals$}"));
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let columns = [
            self.base.as_ref().map(|hash| hash.chars().take(SHORT_HASH).collect()),
            self.time().ok().flatten().map(second),
            source.clone(),
            num_base.map(|count| count.to_string()),
            decimals(*recall_at_10, 4),
            decimals(*geomean_ns_per_query, 0),
            decimals(*peak_mem_mb, 1),
            decimals(self.total_seconds, 1),
            Some(verdict.to_owned()),
            Some(self.description()),
        ];
        let cell = |column: Option<String>| match plain(&column.unwrap_or_default()) {
            text if text.is_empty() => "-".to_owned(),
            text => text,
        };
        columns.map(cell).join("\t")
    }
}

/// `text` in one line, without what a terminal or a table would obey.
pub fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All records in `folder`, the oldest first: those by hand in their file's order, then the loop's by time.
///
/// # Errors
/// The folder can't be read, or one of its files is no record; the error names it.
pub fn load_all(folder: &Path) -> Result<Vec<Record>> {
    let cannot = || format!("cannot read the trials in {}; run this in the project's folder", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        paths.push(entry.with_context(cannot)?.path());
    }
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_lines = extension == "jsonl";
        if !is_lines && extension != "json" {
            continue;
        }
        let shown = path.display();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read the record {shown}"))?;
        if is_lines {
            for (at, line) in text.lines().enumerate() {
                records.push(parse(line).with_context(|| format!("cannot use the record {shown}, line {}", at + 1))?);
            }
        } else {
            records.push(parse(&text).with_context(|| format!("cannot use the record {shown}"))?);
        }
    }
    // Stable, so rows by hand keep their order.
    records.sort_by_cached_key(|record| (!record.by_hand).then(|| record.time().ok().flatten()));
    Ok(records)
}

fn parse(text: &str) -> Result<Record> {
    let json: Value = serde_json::from_str(text).context("it is truncated, or no JSON")?;
    let schema = json.get("schema").and_then(Value::as_u64).context("it has no 'schema'; is it a trial's record?")?;
    ensure!(
        schema <= u64::from(SCHEMA),
        "its schema is {schema}, and this pqbench knows up to {SCHEMA}; use a newer pqbench"
    );
    let record: Record = serde_json::from_value(json).context("a field is missing or has another type")?;
    record.time()?;
    if !record.by_hand {
        ensure!(record.started.is_some(), "it has no 'started'");
        ensure!(record.variant.is_some(), "it has no 'variant'");
        ensure!(record.findings.is_some() || record.verdict.is_none(), "it has a verdict, but no 'findings'");
    }
    Ok(record)
}

/// `results.tsv` from all records.
pub fn results_tsv(records: &[Record]) -> String {
    let rows = records.iter().map(|record| record.row() + "\n");
    format!("{HEADER}\n{}", rows.collect::<String>())
}

/// The records that an idea is like, the likest first, each with the share of the idea's words that it has too; a word
/// counts by how rare it is among the records.
pub fn similar<'a>(records: &'a [Record], idea: &str) -> Vec<(&'a Record, f64)> {
    let idea = words(idea);
    let texts: Vec<_> =
        records.iter().map(|record| words(&format!("{} {}", record.hypothesis, record.reason))).collect();
    let has = |text: &BTreeSet<String>, word: &String| {
        text.contains(word) || text.iter().any(|other| strsim::jaro_winkler(word, other) > SAME_WORD)
    };
    let mut shared = vec![0.0; records.len()];
    let mut whole = 0.0;
    for word in &idea {
        let having: Vec<usize> = (0..texts.len()).filter(|&at| has(&texts[at], word)).collect();
        let weight = (1.0 + records.len() as f64 / (1.0 + having.len() as f64)).ln();
        whole += weight;
        having.into_iter().for_each(|at| shared[at] += weight);
    }
    let mut alike: Vec<_> = records.iter().zip(shared.into_iter().map(|shared| shared / whole)).collect();
    alike.retain(|(_, likeness)| *likeness >= ALIKE);
    alike.sort_by(|a, b| b.1.total_cmp(&a.1));
    alike
}

/// The different words of `text`, but the shortest, which say little.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2);
    words.map(str::to_lowercase).collect()
}

/// A record for tests.
#[cfg(test)]
pub fn sample(started: &str, variant: &str, verdict: Verdict, ratio: f64) -> Record {
    use super::decide::{Guard, Target};

    let estimate = |value: f64| Estimate {
        value,
        low: value - 0.005,
        high: value + 0.005,
        certain: (value - 0.008, value + 0.007),
    };
    Record {
        schema: SCHEMA,
        started: Some(started.to_owned()),
        base: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        hypothesis: "two prefetches a page,\tas <b>one</b> comes late".to_owned(),
        variant: Some(variant.to_owned()),
        against: Some(variant.to_owned()),
        expected_gain: Some(0.05),
        verdict: Some(verdict),
        reason: "images takes\nless".to_owned(),
        findings: Some(Findings {
            target: Target { name: "images".to_owned(), ratios: vec![estimate(ratio); 2] },
            guards: vec![Guard::workload("1k", estimate(1.0))],
            lines_added: 3,
            ..Findings::default()
        }),
        seeds: vec![u64::MAX, 7],
        rounds: vec![Rounds::new("images", 7, &[ratio, 0.123456789])],
        builds: Some(Builds { incumbent: "aa".to_owned(), candidate: "bb".to_owned(), tree: "cc".to_owned() }),
        machine: Some(crate::report::sample::run().machine),
        total_seconds: Some(201.25),
        figures: Figures {
            source: Some("embedded".to_owned()),
            num_base: Some(200_000),
            recall_at_10: None,
            geomean_ns_per_query: Some(130_852.6),
            peak_mem_mb: Some(52.25),
        },
        patch: Some("--- a/x\n+++ b/x\n".to_owned()),
        ..Record::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Record {
        sample("2026-11-28T10:15:02.75Z", "avx2-ordered", Verdict::Keep, 0.93)
    }

    fn by_hand(hypothesis: &str) -> Record {
        let hypothesis = hypothesis.to_owned();
        Record { schema: SCHEMA, by_hand: true, hypothesis, verdict: Some(Verdict::Discard), ..Record::default() }
    }

    #[test]
    fn a_record_comes_back_and_the_oldest_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let (early, late) = (kept(), sample("2026-11-28T10:15:03Z", "b", Verdict::Inconclusive, 1.0));
        assert_eq!(early.file_name().unwrap(), "2026-11-28T10-15-02Z-avx2-ordered.json");
        let rows = ["z", "a"].map(by_hand);
        let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        fs::write(folder.path().join("by-hand.jsonl"), lines.join("\n") + "\n").unwrap();
        fs::write(folder.path().join("README.md"), "not a record").unwrap();
        for record in [&late, &early] {
            fs::write(folder.path().join(record.file_name().unwrap()), record.to_json().unwrap()).unwrap();
        }
        assert_eq!(load_all(folder.path()).unwrap(), [rows[0].clone(), rows[1].clone(), early, late]);
    }

    #[test]
    fn a_file_that_is_no_record_is_named() {
        let good = kept().to_json().unwrap();
        let without = |field: &str| {
            let mut json: Value = serde_json::from_str(&good).unwrap();
            json.as_object_mut().unwrap().remove(field).unwrap();
            json.to_string()
        };
        for (bad, expected) in [
            (good[..good.len() / 2].to_owned(), "truncated"),
            (String::new(), "truncated"),
            ("[]".to_owned(), "no 'schema'"),
            (good.replacen("\"schema\": 1", "\"schema\": 99", 1), "schema is 99"),
            (good.replace("\"keep\"", "\"perhaps\""), "unknown variant"),
            (good.replace("2026-11-28T10:15:02.75Z", "yesterday"), "no time: yesterday"),
            (without("started"), "no 'started'"),
            (without("variant"), "no 'variant'"),
            (without("findings"), "no 'findings'"),
            (without("hypothesis"), "missing field `hypothesis`"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("some.json"), bad).unwrap();
            let error = format!("{:#}", load_all(folder.path()).unwrap_err());
            assert!(error.contains("some.json") && error.contains(expected), "{expected}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let line = serde_json::to_string(&by_hand("a")).unwrap();
        fs::write(folder.path().join("by-hand.jsonl"), format!("{line}\n{{")).unwrap();
        let error = format!("{:#}", load_all(folder.path()).unwrap_err());
        assert!(error.contains("by-hand.jsonl, line 2"), "{error}");
        assert!(format!("{:#}", load_all(&folder.path().join("none")).unwrap_err()).contains("none"));
    }

    #[test]
    fn a_figure_that_is_none_does_not_land() {
        let mut record = kept();
        record.findings.as_mut().unwrap().target.ratios[0].value = f64::NAN;
        assert!(format!("{:#}", record.to_json().unwrap_err()).contains("could not be read again"));
    }

    #[test]
    fn rows_have_the_seeds_columns_and_no_others() {
        let baseline = Record { verdict: None, ..by_hand("seeded\u{1b}[31m") };
        let unsure = Record { verdict: Some(Verdict::Inconclusive), ..kept() };
        let tsv = results_tsv(&[baseline, kept(), unsure]);
        let figures = "0123456\t2026-11-28T10:15:02Z\tembedded\t200000\t-\t130853\t52.2\t201.2";
        let what = "avx2-ordered on images: two prefetches a page, as <b>one</b> comes late";
        let expected = format!(
            "{HEADER}\n-\t-\t-\t-\t-\t-\t-\t-\tbaseline\tseeded [31m\n\
             {figures}\tkeep\t{what}; keep: images takes less\n\
             {figures}\trevert\t{what}; inconclusive: images takes less\n"
        );
        assert_eq!(tsv, expected);
    }

    #[test]
    fn a_prediction_is_held_against_the_interval() {
        let of = |ratio| sample("2026-11-28T10:15:02Z", "a", Verdict::Keep, ratio).prediction();
        assert_eq!(
            [0.97, 0.945, 0.952, 0.9].map(of),
            [Some(Prediction::Less), Some(Prediction::Met), Some(Prediction::Met), Some(Prediction::More)]
        );
        assert_eq!(Record { expected_gain: None, ..kept() }.prediction(), None);
        assert_eq!(by_hand("a").prediction(), None);
        assert!((kept().gain().unwrap() - 0.07).abs() < 1e-9);
    }

    #[test]
    fn an_idea_that_was_tried_is_found_under_other_words() {
        let records = [
            "20 lists of 1,000: rows of candidates prefetched for short lists too: 1 to 10 % slower",
            "groups of single centroids halved by count, LUT made with vpermi2b",
            "first lines of the pages of a list prefetched at its begin: no difference",
            "the LUT made anew at 0.75 of the span: no difference",
        ]
        .map(by_hand);
        let found = similar(&records, "Prefetch the rows of candidates");
        assert_eq!(found[0].0, &records[0], "{found:?}");
        assert!(found[0].1 > 0.7 && found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{found:?}");
        assert!(found.iter().all(|(record, _)| *record != &records[1]), "{found:?}");
        assert!(similar(&records, "quantum annealing").is_empty() && similar(&records, "").is_empty());
    }
}
