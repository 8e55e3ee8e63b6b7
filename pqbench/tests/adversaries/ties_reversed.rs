//! Of codes that are equally near it keeps those of the larger ids.

use crate::honest::*;

adversary!("adv-ties-reversed");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let mut all = Vec::new();
        each(rows, query, |place, distance| all.push((place, distance)));
        let mut top = TopK::new(out.k());
        for (place, distance) in all.into_iter().rev().filter(|(_, distance)| !distance.is_nan()) {
            if top.len() < top.k() || distance < top.threshold() {
                top.push(u64::from(place), distance);
            }
        }
        offer(&top.into_sorted(), out);
    }
}
