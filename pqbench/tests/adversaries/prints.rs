//! Prints megabytes.

use crate::honest::*;

adversary!("adv-prints");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        loop {
            eprintln!("{}", "x".repeat(1 << 16));
        }
    }
}
