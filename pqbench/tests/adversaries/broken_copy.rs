//! Is wrong once the list was copied.

use crate::honest::*;

adversary!("adv-broken-copy", BrokenCopy);

#[derive(Default)]
struct BrokenCopy {
    copied: bool,
}

impl Clone for BrokenCopy {
    fn clone(&self) -> Self {
        BrokenCopy { copied: true }
    }
}

impl Twist for BrokenCopy {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if !self.copied {
            scan(rows, query, out);
        }
    }
}
