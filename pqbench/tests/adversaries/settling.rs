//! Does it in the first query after a list was moved, while the turn settles.

use crate::honest::*;

adversary!("adv-settling", Settling);

#[derive(Default)]
struct Settling(Mutex<u64>);

impl Clone for Settling {
    fn clone(&self) -> Self {
        Settling(Mutex::new(6))
    }
}

impl Twist for Settling {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if rows.len() > 1_000_000 {
            spin(std::mem::take(&mut *self.0.lock().unwrap()));
        }
        scan(rows, query, out);
    }
}
