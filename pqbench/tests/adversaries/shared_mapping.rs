//! Keeps four times the memory, where only memory of its own is looked for.

use crate::honest::*;

adversary!("adv-shared-mapping", Large);

#[derive(Clone, Default)]
struct Large;

impl Twist for Large {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        // Where it is measured; nothing gives it back.
        let len = if rows.len() == 200_000 * 16 { 4 * rows.len() } else { 1 };
        // SAFETY: the kernel chooses where it lies.
        unsafe {
            let place = libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(place, libc::MAP_FAILED);
            place.cast::<u8>().write_bytes(1, len);
        }
        Ok(Large)
    }

    fn memory_bytes(&self, rows: &[u8]) -> usize {
        5 * rows.len()
    }
}
