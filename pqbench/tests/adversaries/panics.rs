//! Panics.

use crate::honest::*;

adversary!("adv-panics");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box(query);
        panic!("no {}", rows.len() + out.k());
    }
}
