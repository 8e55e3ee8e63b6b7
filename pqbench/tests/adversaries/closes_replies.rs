//! Closes the pipe of its replies.

use crate::honest::*;

adversary!("adv-closes-replies");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        // SAFETY: nobody minds.
        unsafe { libc::close(pqbench_worker::protocol::REPLIES) };
    }
}
