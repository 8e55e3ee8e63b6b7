//! Waits for itself.

use crate::honest::*;

adversary!("adv-deadlock");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        let lock = Mutex::new(());
        let _first = lock.lock();
        let _second = lock.lock();
    }
}
