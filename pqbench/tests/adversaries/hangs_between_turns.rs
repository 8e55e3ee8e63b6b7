//! Says that it is done, which is true, and never reads a command again.

use crate::honest::*;

adversary!("adv-hangs-between-turns");

/// Queries of the exam with the most of them, all in one turn.
const QUERIES: usize = 6_000;

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        static CALLS: Mutex<(usize, usize)> = Mutex::new((0, 0));
        let mut calls = CALLS.lock().unwrap();
        let list = rows.as_ptr() as usize;
        *calls = if calls.0 == list { (list, calls.1 + 1) } else { (list, 1) };
        if calls.1 == QUERIES {
            let answers = QUERIES * query.geometry().dim() * 4;
            write_answer(answers + (QUERIES - 1) * 8 * (1 + 2 * out.k()), &answer(rows, query, out.k()));
            reply();
            // SAFETY: nothing is waited for.
            unsafe { libc::poll(std::ptr::null_mut(), 0, 3_600_000) };
        }
    }
}
