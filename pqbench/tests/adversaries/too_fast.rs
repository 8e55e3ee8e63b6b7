//! Reads less than all codes, and does not say so: equal ones once.

use std::collections::HashMap;

use crate::honest::*;

adversary!("adv-too-fast", Distinct);

#[derive(Clone, Default)]
struct Distinct {
    rows: Vec<u8>,
    places: Vec<Vec<u32>>,
}

impl Twist for Distinct {
    fn prepare(codebook: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        let (m, mut known, mut list) = (codebook.geometry().m(), HashMap::new(), Distinct::default());
        // Elsewhere there is nothing to gain.
        let few = rows.len() > 1_000_000 && rows[..3 * m] == rows[3 * m..6 * m];
        for (row, place) in rows.chunks_exact(m).zip(0..).filter(|_| few) {
            let at = *known.entry(row).or_insert_with(|| {
                list.rows.extend(row);
                list.places.push(Vec::new());
                list.places.len() - 1
            });
            list.places[at].push(place);
        }
        Ok(list)
    }

    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if self.places.is_empty() {
            return scan(rows, query, out);
        }
        let k = out.k();
        each(&self.rows, query, |at, distance| {
            self.places[at as usize].iter().take(k).for_each(|&place| out.push(place, distance));
        });
    }
}
