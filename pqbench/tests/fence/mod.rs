//! An allocator that gives each buffer its own pages between two that nothing may touch, as Electric Fence does.
//!
//! A read or write beyond a buffer ends the test with SIGSEGV, whoever owns the buffer: the codes that a kernel is
//! given, and the tables and blocks that it makes itself. A buffer lies flush with one end of its pages: with the upper
//! one, or inside [`flush_with_the_start`] with the lower one. It begins full of 0xFF bytes, which are NaN as floats
//! and the largest id.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr,
};

/// The allocator.
pub struct Fence;

/// Smaller buffers than a code come from the system's allocator.
const SMALLEST: usize = 16;

thread_local! {
    static FLUSH_WITH_THE_START: Cell<bool> = const { Cell::new(false) };
    /// Freed single pages between their guards, each holding the address of the next: mapping is slow, and most are
    /// small.
    static SPARE: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// Runs `work` with the buffers that it allocates directly behind their lower guard page.
pub fn flush_with_the_start<R>(work: impl FnOnce() -> R) -> R {
    FLUSH_WITH_THE_START.set(true);
    let result = work();
    FLUSH_WITH_THE_START.set(false);
    result
}

fn page() -> usize {
    // SAFETY: sysconf only reads.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn is_fenced(layout: Layout) -> bool {
    layout.size() >= SMALLEST && layout.align() <= page()
}

/// The bytes of the pages that hold a buffer.
fn usable(layout: Layout) -> usize {
    layout.size().next_multiple_of(page())
}

/// `usable` bytes of whole pages between two guard pages, or null.
fn pages(usable: usize) -> *mut u8 {
    let spare = SPARE.get();
    if usable == page() && !spare.is_null() {
        // SAFETY: `dealloc` wrote the address of the next spare page into each.
        SPARE.set(unsafe { spare.cast::<*mut u8>().read() });
        return spare;
    }
    // SAFETY: a new private mapping concerns no other memory, and `pages` lies inside it.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapping = libc::mmap(ptr::null_mut(), usable + 2 * page(), libc::PROT_NONE, flags, -1, 0);
        if mapping == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        let pages = mapping.cast::<u8>().add(page());
        match libc::mprotect(pages.cast(), usable, libc::PROT_READ | libc::PROT_WRITE) {
            0 => pages,
            _ => ptr::null_mut(),
        }
    }
}

// SAFETY: a fenced buffer has pages of its own until `dealloc`; whether it is fenced depends on the layout alone, so
// that `dealloc` returns each buffer to where it came from.
unsafe impl GlobalAlloc for Fence {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_fenced(layout) {
            // SAFETY: the caller keeps `alloc`'s contract.
            return unsafe { System.alloc(layout) };
        }
        let usable = usable(layout);
        let pages = pages(usable);
        if pages.is_null() {
            return pages;
        }
        let slack = (usable - layout.size()) & !(layout.align() - 1);
        let offset = if FLUSH_WITH_THE_START.get() { 0 } else { slack };
        // SAFETY: the pages hold `usable` bytes, and offset + size are at most as many.
        unsafe {
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
        // SAFETY: the buffer begins in the first of its pages, which nobody uses from here on; the guard page is before
        // it.
        unsafe {
            let pages = buffer.sub(buffer.addr() % page());
            if usable(layout) == page() {
                pages.cast::<*mut u8>().write(SPARE.get());
                SPARE.set(pages);
            } else {
                libc::munmap(pages.sub(page()).cast(), usable(layout) + 2 * page());
            }
        }
    }
}
