//! Memory for prepared codes: aligned, and on huge pages where the system has them.
//!
//! A scan of 16 MB on 4 KiB pages touches 4,000 of them, more than a TLB holds; on 2 MiB pages it touches eight.

use std::{
    alloc::{self, Layout},
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

/// The size of a huge page on x86-64, and on aarch64 with pages of 4 KiB.
pub const HUGE_PAGE: usize = 2 << 20;
/// A page of a hardware prefetcher: it goes on by itself until the end of one, and anew once the next one has been
/// asked for.
pub const PAGE: usize = 4096;
/// What every [`HugeVec`] is aligned to at least: a cache line, which is also the widest vector.
const CACHE_LINE: usize = 64;

/// Plain data, which may start as zeros.
///
/// # Safety
/// All bytes zero is a value of the type, and the type owns nothing.
pub unsafe trait Plain: Clone + Send + Sync {}

// SAFETY: zeros are a value, and nothing is owned.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: zeros are a value of every element, and no element owns anything.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A slice of fixed length, aligned to a cache line, and from [`HUGE_PAGE`] bytes on to huge pages, which Linux is then
/// asked for. It starts as zeros, all of them written, so that every page is there before the first query.
pub struct HugeVec<T: Plain> {
    data: NonNull<T>,
    len: usize,
    owned: PhantomData<T>,
}

// SAFETY: it owns its memory as `Vec<T>` does, and `Plain` types are `Send`.
unsafe impl<T: Plain> Send for HugeVec<T> {}
// SAFETY: as above, with `Sync`.
unsafe impl<T: Plain> Sync for HugeVec<T> {}

impl<T: Plain> HugeVec<T> {
    /// `len` zeros.
    ///
    /// # Panics
    /// They need more bytes than there are addresses.
    pub fn zeroed(len: usize) -> Self {
        let Some(layout) = Self::layout(len) else {
            return HugeVec { data: NonNull::dangling(), len, owned: PhantomData };
        };
        // SAFETY: the layout's size is not 0.
        let Some(bytes) = NonNull::new(unsafe { alloc::alloc(layout) }) else { alloc::handle_alloc_error(layout) };
        if layout.size() >= HUGE_PAGE {
            ask_for_huge_pages(bytes, layout.size());
        }
        // Not `alloc_zeroed`: it would touch the pages before they could become huge.
        // SAFETY: the allocation has that size.
        unsafe { bytes.write_bytes(0, layout.size()) };
        HugeVec { data: bytes.cast(), len, owned: PhantomData }
    }

    /// Where `len` elements go; none if they take no bytes. Whole huge pages, or else the last one would be small
    /// pages.
    fn layout(len: usize) -> Option<Layout> {
        let bytes = size_of::<T>().checked_mul(len).expect("more bytes than there are addresses");
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE }.max(align_of::<T>());
        let layout = Layout::from_size_align(bytes, align).expect("more bytes than there are addresses");
        (bytes > 0).then(|| if bytes >= HUGE_PAGE { layout.pad_to_align() } else { layout })
    }
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages(bytes: NonNull<u8>, size: usize) {
    // A refusal (no such pages here) costs speed only, so it is not looked at.
    // SAFETY: the range is an allocation of ours, and the advice changes no byte of it.
    unsafe { libc::madvise(bytes.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: NonNull<u8>, _: usize) {}

impl<T: Plain> Drop for HugeVec<T> {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: `zeroed` allocated it with this very layout; `Plain` elements own nothing.
            unsafe { alloc::dealloc(self.data.as_ptr().cast(), layout) };
        }
    }
}

impl<T: Plain> Deref for HugeVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements, initialised by `zeroed`; dangling only where they take no bytes.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for HugeVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes it the only reference.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl<T: Plain> Clone for HugeVec<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len);
        copy.clone_from_slice(self);
        copy
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for HugeVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Prefetches the cache line that `at` is in, into L2: L1 has fewer places for lines on their way, and waiting for one
/// of those cost a seventh of a query on Zen 4. A hint: it reads nothing and faults on nothing, so `at` may point
/// anywhere.
#[inline(always)]
pub fn prefetch<T>(at: *const T) {
    // SAFETY: SSE is part of the architecture, and prefetching any address is allowed.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
    }
    // SAFETY: `prfm` touches neither registers nor memory, at any address.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// [`prefetch`] from L2 into L1.
#[inline(always)]
pub fn prefetch_to_l1<T>(at: *const T) {
    // SAFETY: as above.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zero_aligned_and_as_long_as_asked() {
        for len in [0, 1, 63, 64, 65, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 5 * HUGE_PAGE + 3] {
            let mut bytes = HugeVec::<u8>::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|&byte| byte == 0));
            if len > 0 {
                let align = if len >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
                assert!(bytes.as_ptr().addr().is_multiple_of(align), "{len}");
            }
            bytes.fill(7);
            assert!(bytes.clone().iter().all(|&byte| byte == 7));
        }
        assert_eq!(HugeVec::<[f32; 16]>::zeroed(2).as_flattened(), [0.0; 32]);
    }
}
