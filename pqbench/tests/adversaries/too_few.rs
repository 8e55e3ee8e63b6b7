//! Finds one neighbour less.

use crate::honest::*;

adversary!("adv-too-few");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let answer = answer(rows, query, out.k());
        offer(&answer[..answer.len().saturating_sub(1)], out);
    }
}
