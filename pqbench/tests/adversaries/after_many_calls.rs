//! Is right for two thousand calls.

use crate::honest::*;

adversary!("adv-after-many-calls");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let right = CALLS.fetch_add(1, Relaxed) < 2_000;
        each(rows, query, |place, distance| {
            if right || place != 3 {
                out.push(place, distance);
            }
        });
    }
}
