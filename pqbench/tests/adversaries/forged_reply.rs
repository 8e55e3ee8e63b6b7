//! Says that it is done, and does nothing, for the command that comes too.

use crate::honest::*;

adversary!("adv-forged-reply");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        loop {
            let mut command = [0u8; 64];
            reply();
            // SAFETY: the bytes are there for the whole call.
            unsafe { libc::read(0, command.as_mut_ptr().cast(), command.len()) };
        }
    }
}
