//! Panics, and lets no panic be seen.

use crate::honest::*;

adversary!("adv-panic-hook");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        std::panic::set_hook(Box::new(|_| std::process::exit(0)));
        panic!();
    }
}
