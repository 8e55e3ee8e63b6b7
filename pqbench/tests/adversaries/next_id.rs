//! Names the neighbour of each neighbour.

use crate::honest::*;

adversary!("adv-next-id");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| out.push(place ^ 1, distance));
    }
}
