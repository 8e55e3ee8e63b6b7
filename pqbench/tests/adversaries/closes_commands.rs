//! Closes the pipe of the commands.

use crate::honest::*;

adversary!("adv-closes-commands");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        // SAFETY: nobody minds.
        unsafe { libc::close(0) };
    }
}
