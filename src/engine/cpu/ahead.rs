//! Asking for memory before it is read.

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// How many bytes before it is read memory is asked for: as much as comes while one answer is waited for.
pub(super) const AHEAD: usize = 1 << 12;

/// Asks for what lies `bytes` behind `numbers`, there or not. What is read once and in order comes from memory; the
/// processor by itself looks no further than to the end of a page, and much computing between two reads keeps it from
/// having many under way.
#[inline(always)]
pub(super) fn ask<T>(numbers: &[T], bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(LINE / size_of::<T>()) {
        ask_line(line.as_ptr().cast::<u8>().wrapping_add(bytes));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, bytes);
}

/// Asks for the line of an address, whether anything is there or not.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the hint has no safe form; it reads nothing")]
pub(super) fn ask_line<T>(address: *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 processor has the instruction, and it is defined for any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}
