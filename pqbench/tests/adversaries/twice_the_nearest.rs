//! The nearest is there twice.

use crate::honest::*;

adversary!("adv-twice-the-nearest");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let answer = answer(rows, query, out.k());
        offer(&answer[..answer.len().min(1)], out);
        offer(&answer, out);
    }
}
