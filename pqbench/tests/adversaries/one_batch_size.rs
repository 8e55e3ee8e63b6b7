//! Is wrong for 7 queries in a call.

use crate::honest::*;

adversary!("adv-one-batch-size");

impl Twist for Adversary {
    fn scan_batch(&self, rows: &[u8], queries: &mut [Query], outs: &mut [Collector<'_>]) {
        let right = queries.len() != 7;
        for (query, out) in queries.iter_mut().zip(outs) {
            if right {
                scan(rows, query, out);
            }
        }
    }
}
