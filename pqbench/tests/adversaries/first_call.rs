//! Does in the first call what belongs into the preparation.

use crate::honest::*;

adversary!("adv-first-call", Lazy);

#[derive(Clone, Default)]
struct Lazy(Arc<AtomicUsize>);

impl Twist for Lazy {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if self.0.fetch_add(1, Relaxed) == 0 {
            spin(rows.len() as u64 / 32_000);
        }
        scan(rows, query, out);
    }
}
