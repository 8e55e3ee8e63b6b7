//! Has a thread do half of it.

use crate::honest::*;

adversary!("adv-thread");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let half = count(rows, query) / 2 * query.geometry().m();
        let (first, rest) = rows.split_at(half);
        let (mut other, k) = (query.clone(), out.k());
        let answers = std::thread::scope(|scope| {
            let thread = scope.spawn(|| answer(first, &mut other, k));
            [answer(rest, query, k), thread.join().unwrap()]
        });
        offer(&answers[1], out);
        let first = half / query.geometry().m();
        answers[0].iter().for_each(|&(place, distance)| out.push(place as u32 + first as u32, distance));
    }
}
