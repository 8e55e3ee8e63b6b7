//! Looks at the first 2^20 codes of a list only.

use crate::honest::*;

adversary!("adv-long-lists");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let kept = rows.len().min((1 << 20) * query.geometry().m());
        scan(&rows[..kept], query, out);
    }
}
