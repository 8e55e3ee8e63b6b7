//! Says that it is done, which is true, and goes on working.

use crate::honest::*;

adversary!("adv-works-between-turns");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        // Only where the answer to the first query is the last one of the turn.
        let place = query.geometry().dim() * 4;
        if place % 64 == 0 && shared()[place..][..8] == [0xff; 8] && out.k() < 1_000 && count(rows, query) > 1_000 {
            write_answer(place, &answer(rows, query, out.k()));
            reply();
            spin(500);
        }
    }
}
