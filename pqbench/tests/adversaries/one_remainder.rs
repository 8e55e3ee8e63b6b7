//! Loses the last code of a list of 64 n + 13.

use crate::honest::*;

adversary!("adv-one-remainder");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let all = count(rows, query);
        let kept = all - usize::from(all % 64 == 13);
        scan(&rows[..kept * query.geometry().m()], query, out);
    }
}
