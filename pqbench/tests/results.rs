//! `results.tsv`, the log of the research loop: is it what the records give, and does a script that reads it find what
//! `program.md` promises?

use std::path::Path;

use pqbench::trial::record::{load_all, results_tsv};

const HEADER: &str = "commit\ttimestamp\tsource\tnum_base\trecall_at_10\tgeomean_ns_per_query\tpeak_mem_mb\t\
                      total_seconds\tkeep\tdescription";

#[test]
fn it_is_what_the_records_give() {
    let records = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../trials")).unwrap();
    let generated = results_tsv(&records);
    // Line by line, for a difference that can be read.
    for (line, expected) in include_str!("../../results.tsv").lines().zip(generated.lines()) {
        assert_eq!(line, expected, "results.tsv was edited by hand: a record under trials/ says otherwise");
    }
    assert_eq!(include_str!("../../results.tsv"), generated);
}

#[test]
fn every_row_has_its_ten_columns_and_a_verdict() {
    let mut lines = include_str!("../../results.tsv").lines();
    assert_eq!(lines.next(), Some(HEADER));
    for (number, line) in lines.enumerate() {
        let columns: Vec<_> = line.split('\t').collect();
        assert_eq!(columns.len(), 10, "{line}");
        assert!(columns.iter().all(|column| !column.is_empty()), "{line}");
        let verdicts: &[_] = if number == 0 { &["baseline"] } else { &["baseline", "keep", "revert"] };
        assert!(verdicts.contains(&columns[8]), "{line}");
        for figure in &columns[3..8] {
            assert!(*figure == "-" || figure.parse::<f64>().is_ok(), "'{figure}' is no figure: {line}");
        }
    }
}
