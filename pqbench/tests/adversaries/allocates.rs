//! Allocates without end.

use crate::honest::*;

adversary!("adv-allocates");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        let mut all = Vec::new();
        loop {
            all.push(black_box(vec![1u8; 1 << 20]));
        }
    }
}
