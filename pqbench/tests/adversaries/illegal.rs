//! Has an instruction that no CPU has.

use crate::honest::*;

adversary!("adv-illegal");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it ends the process.
        unsafe {
            std::arch::asm!("ud2")
        };
        #[cfg(not(target_arch = "x86_64"))]
        std::process::abort();
    }
}
