//! An allocator that gives each buffer its own pages between two that nothing may touch, as Electric Fence does.
//!
//! A read or write beyond a buffer, or of a freed one, ends the test with SIGSEGV, whoever owns the buffer: the codes that a
//! kernel is given, and the tables and blocks that it makes itself. A buffer lies flush with one end of its pages: with the
//! upper one, or inside [`flush_with_the_start`] with the lower one. It begins full of 0xFF bytes, which are NaN as floats
//! and the largest id.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr,
};

/// The allocator.
pub struct Fence;

/// Smaller buffers are names and messages, and come from the system's allocator.
const SMALLEST: usize = 16;
/// A multiple of the page size of every machine that the tests run on.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };

thread_local! {
    static FLUSH_WITH_THE_START: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with the buffers that it allocates directly behind their lower guard page.
pub fn flush_with_the_start<R>(work: impl FnOnce() -> R) -> R {
    FLUSH_WITH_THE_START.set(true);
    let result = work();
    FLUSH_WITH_THE_START.set(false);
    result
}

fn is_fenced(layout: Layout) -> bool {
    layout.size() >= SMALLEST && layout.align() <= PAGE
}

/// The bytes of the pages that hold a buffer.
fn usable(layout: Layout) -> usize {
    layout.size().next_multiple_of(PAGE)
}

// SAFETY: a fenced buffer has pages of its own, which are unmapped by `dealloc` only; `is_fenced` depends on the layout
// alone, so that `dealloc` returns each buffer to where it came from.
unsafe impl GlobalAlloc for Fence {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_fenced(layout) {
            // SAFETY: the caller keeps `alloc`'s contract.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: a new private mapping concerns no other memory, `protect` and `write_bytes` stay inside it, and the
        // buffer lies inside the readable pages: its offset is at most `usable - size`.
        unsafe {
            let (flags, usable) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, usable(layout));
            let mapping = libc::mmap(ptr::null_mut(), usable + 2 * PAGE, libc::PROT_NONE, flags, -1, 0);
            if mapping == libc::MAP_FAILED {
                return ptr::null_mut();
            }
            let pages = mapping.cast::<u8>().add(PAGE);
            if libc::mprotect(pages.cast(), usable, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                return ptr::null_mut();
            }
            let offset = if FLUSH_WITH_THE_START.get() { 0 } else { (usable - layout.size()) & !(layout.align() - 1) };
            let buffer = pages.add(offset);
            buffer.write_bytes(0xFF, layout.size());
            buffer
        }
    }

    unsafe fn dealloc(&self, buffer: *mut u8, layout: Layout) {
        if !is_fenced(layout) {
            // SAFETY: `alloc` got it from `System` with this very layout.
            return unsafe { System.dealloc(buffer, layout) };
        }
        // SAFETY: the buffer begins in the first of its usable pages, and the guard page is the one before.
        unsafe {
            let first = buffer.sub(buffer.addr() % PAGE);
            libc::munmap(first.sub(PAGE).cast(), usable(layout) + 2 * PAGE);
        }
    }
}
