//! Is wrong for codes of four bits.

use crate::honest::*;

adversary!("adv-four-bits");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if query.geometry().bits() == Bits::Eight {
            scan(rows, query, out);
        }
    }
}
