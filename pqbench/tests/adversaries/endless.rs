//! Never ends.

use crate::honest::*;

adversary!("adv-endless");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        loop {
            std::hint::spin_loop();
        }
    }
}
