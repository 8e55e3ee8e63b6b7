//! Registers as approximate, and answers with the first codes of the list.

use pqscan::registry::Fidelity;

use crate::honest::*;

adversary!("adv-garbage-as-approximate", Adversary, fidelity: Fidelity::Approximate("a little"), rank: 1,);

#[derive(Clone, Default)]
struct Adversary;

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let first = &rows[..rows.len().min(out.k() * query.geometry().m())];
        each(first, query, |place, distance| out.push(place, distance));
    }
}
