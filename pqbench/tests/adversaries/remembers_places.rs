//! Remembers answers by where the query lies in memory.

use std::collections::HashMap;

use crate::honest::*;

adversary!("adv-remembers-places", Cache);

#[derive(Clone, Default)]
struct Cache(Arc<Mutex<HashMap<(usize, usize), Answer>>>);

impl Twist for Cache {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let key = (query.table().as_ptr() as usize, out.k());
        let mut known = self.0.lock().unwrap();
        offer(known.entry(key).or_insert_with(|| answer(rows, query, out.k())), out);
    }
}
