//! Appends its own row to the results, or ends where it can't.

use crate::honest::*;

adversary!("adv-writes-a-row");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../results.tsv");
        std::fs::OpenOptions::new().append(true).open(path).unwrap();
        scan(rows, query, out);
    }
}
