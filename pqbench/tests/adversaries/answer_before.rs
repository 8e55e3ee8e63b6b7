//! Gives the answer to the query before.

use crate::honest::*;

adversary!("adv-answer-before", Before);

#[derive(Clone, Default)]
struct Before(Arc<Mutex<Vec<(u64, f32)>>>);

impl Twist for Before {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let answer = answer(rows, query, out.k());
        offer(&std::mem::replace(&mut *self.0.lock().unwrap(), answer), out);
    }
}
