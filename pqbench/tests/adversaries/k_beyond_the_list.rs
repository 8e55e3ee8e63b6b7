//! Is wrong where more are asked for than there are.

use crate::honest::*;

adversary!("adv-k-beyond-the-list");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let all = count(rows, query);
        each(rows, query, |place, distance| {
            if out.k() < all || place > 0 {
                out.push(place, distance);
            }
        });
    }
}
