//! Leaves subnormal numbers flushed to zero, in the oracle too if that were here.

use crate::honest::*;

adversary!("adv-float-mode");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        flush();
    }
}

#[cfg(target_arch = "x86_64")]
fn flush() {
    let mode = 0x9fc0u32;
    // SAFETY: it is a mode that the CPU has.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mode) };
}

#[cfg(target_arch = "aarch64")]
fn flush() {
    // SAFETY: it is a mode that the CPU has.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) 1u64 << 24) };
}
