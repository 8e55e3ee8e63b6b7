//! Gives the answer to an earlier query that was nearly the same.

use std::collections::HashMap;

use crate::honest::*;

adversary!("adv-remembers-similar", Cache);

#[derive(Clone, Default)]
struct Cache(Arc<Mutex<HashMap<(usize, u32), Answer>>>);

impl Twist for Cache {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let first = query.geometry().num_centroids();
        let about = query.table()[..first].iter().sum::<f32>().to_bits() >> 16;
        let key = (out.k(), about);
        let mut known = self.0.lock().unwrap();
        offer(known.entry(key).or_insert_with(|| answer(rows, query, out.k())), out);
    }
}
