//! Loses one neighbour of a thousand.

use crate::honest::*;

adversary!("adv-one-in-a-thousand");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let mut answer = answer(rows, query, out.k());
        answer.retain(|(_, distance)| !distance.to_bits().wrapping_mul(0x9e37_79b9).is_multiple_of(1_000));
        offer(&answer, out);
    }
}
