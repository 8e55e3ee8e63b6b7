//! Is wrong for codes that nothing prepared.

use crate::honest::*;

#[derive(Clone, Default)]
struct Adversary;

fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
    each(rows, query, |place, distance| {
        if place % 1_000 != 999 {
            out.push(place, distance);
        }
    });
}

impl Twist for Adversary {}

mod registered {
    use super::*;

    pqscan::register! {
        name: "adv-unprepared",
        summary: "cheats, or is broken",
        fidelity: EXACT,
        rank: 1,
        prepare: pqscan::variant::prepare::<List<Adversary>>,
        probe: probe,
    }
}
