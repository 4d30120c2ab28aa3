//! How loops over rows are shared among threads: in blocks whose size depends on the shape only, so that sums over
//! blocks are the same for any number of threads; and not at all where waking a thread costs more than the work.

use std::cell::RefCell;

use rayon::prelude::*;

/// Words a block should touch: some five microseconds.
const BLOCK_WORDS: usize = 1 << 14;

/// Rows per block, where a row takes about as long as `words_per_row` words of a cheap loop.
pub(super) fn block_rows(words_per_row: usize) -> usize {
    (BLOCK_WORDS / words_per_row.max(1)).max(1)
}

/// Calls `body(first, piece)` for pieces of `length` words; `first` is the piece's first word.
pub(super) fn pieces(data: &mut [f32], length: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    if data.len() <= 2 * length {
        return body(0, data);
    }
    data.par_chunks_mut(length).enumerate().for_each(|(piece, data)| body(piece * length, data));
}

/// Calls `body(first_row, rows)` for blocks of rows of `cols` words, weighing `cost` words each.
pub(super) fn rows(data: &mut [f32], cols: usize, cost: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    pieces(data, block_rows(cost) * cols, |first, rows| body(first / cols, rows));
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends `words` words of undefined content that this thread keeps. `body` must not start parallel work, which could
/// bring another borrower to this thread.
pub(super) fn scratch<R>(words: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < words {
            scratch.resize(words, 0.0);
        }
        body(&mut scratch[..words])
    })
}
