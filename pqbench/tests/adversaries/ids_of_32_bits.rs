//! Ids are off by 2^32.

use crate::honest::*;

adversary!("adv-ids-of-32-bits");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let mut top = TopK::new(out.k());
        scan(rows, query, &mut Collector::new(&mut top, Ids::From(1 << 32), None));
        out.take_over(top);
    }
}
