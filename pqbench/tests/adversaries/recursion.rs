//! Calls itself without end.

use crate::honest::*;

adversary!("adv-recursion");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        fn deeper(depth: usize) -> usize {
            let frame = black_box([depth; 100]);
            if depth == usize::MAX { 0 } else { 1 + deeper(frame[depth % 100] + 1) }
        }
        black_box(deeper(0));
    }
}
