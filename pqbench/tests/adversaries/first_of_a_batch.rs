//! Answers all queries of a batch by the table of the first.

use crate::honest::*;

adversary!("adv-first-of-a-batch");

impl Twist for Adversary {
    fn scan_batch(&self, rows: &[u8], queries: &mut [Query], outs: &mut [Collector<'_>]) {
        for out in outs {
            scan(rows, &mut queries[0], out);
        }
    }
}
