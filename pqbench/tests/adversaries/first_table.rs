//! Keeps the table of the first list for all lists that a query visits.

use crate::honest::*;

adversary!("adv-first-table");

static TABLE: Mutex<Vec<f32>> = Mutex::new(Vec::new());

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let mut table = TABLE.lock().unwrap();
        if out.threshold() == f32::INFINITY || table.len() != geometry.table_len() {
            *table = query.table().to_vec();
        }
        each_by(rows, geometry.m(), geometry.num_centroids(), &table, |place, distance| out.push(place, distance));
    }
}
