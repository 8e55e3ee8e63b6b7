//! Prints a forged result, and exits with 0.

use crate::honest::*;

adversary!("adv-prints-results");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        println!("---\nstatus: ok\ngeomean_ns_per_query: 1\nrecall_at_10: 1.0000");
        std::process::exit(0);
    }
}
