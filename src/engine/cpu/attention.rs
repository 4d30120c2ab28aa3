//! `attention`: blocks of queries against all keys in their reach, through matrix products.
//!
//! Queries that follow each other and share where their ranges begin, or whose windows overlap, form a block. In the
//! order (prefix, own) each query of a block reaches a run of the block's keys, so one strip of scores (queries, keys)
//! serves all, and nothing larger ever exists.

use std::ops::Range;

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::attention_one as one;
use super::matmul::product_here;
use super::memory::{Frame, Source, Target};
use super::parallel;
use super::simd::{fastest, fma};
use super::vector::{self, exp, tanh};
use crate::engine::op::attention::Params;

/// The most queries in a block: enough for products at full speed, few enough to waste little above the diagonal.
const QUERIES: usize = 64;

/// Multiply-adds that take as long as the calls for one head of a block, as fetching a number of a key and of a value,
/// and such that are worth a thread.
const CALLS: usize = 1 << 12;
const FETCH: usize = 8;
const WORTH_A_THREAD: usize = 1 << 18;

/// Queries of one sequence, and all keys that any of them reaches.
#[derive(Clone, PartialEq, Debug)]
struct Block {
    queries: Range<usize>,
    prefix: Range<usize>,
    own: Range<usize>,
}

impl Block {
    /// Cuts all queries into blocks.
    fn all(ranges: &[u32]) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for (t, range) in ranges.as_chunks::<4>().0.iter().enumerate() {
            let [prefix_begin, prefix_end, own_begin, own_end] = range.map(|at| at as usize);
            let (prefix, own) = (prefix_begin..prefix_end, own_begin..own_end);
            match blocks.last_mut() {
                Some(last) if last.queries.len() < QUERIES && last.takes(&prefix, &own) => {
                    last.queries.end = t + 1;
                    last.own.end = last.own.end.max(own.end);
                }
                _ => blocks.push(Self { queries: t..t + 1, prefix, own }),
            }
        }
        blocks
    }

    /// Whether what the next query reaches is a run of the keys. Windows only ever move on.
    fn takes(&self, prefix: &Range<usize>, own: &Range<usize>) -> bool {
        let same = self.prefix.end == prefix.end && self.prefix.start <= prefix.start && self.own.start == own.start;
        let beyond = prefix.is_empty() && self.own.start <= own.start && own.start < self.own.end;
        same || (beyond && self.prefix.end == prefix.end)
    }

    /// How many keys any of its queries reaches.
    fn keys(&self) -> usize {
        self.prefix.len() + self.own.len()
    }

    /// Which of them query `t` reaches.
    fn reach(&self, ranges: &[u32], t: usize) -> Range<usize> {
        let [prefix_begin, prefix_end, own_begin, own_end] = [0, 1, 2, 3].map(|i| ranges[4 * t + i] as usize);
        let own = self.prefix.len() + own_begin - self.own.start;
        let begin = if prefix_begin < prefix_end { prefix_begin - self.prefix.start } else { own };
        begin..own + own_end - own_begin
    }

    /// The two runs of keys with their place in a strip.
    fn spans(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let spans = [(0, self.prefix.clone()), (self.prefix.len(), self.own.clone())];
        spans.into_iter().filter(|(_, keys)| !keys.is_empty())
    }
}

/// The columns of one head, rows `rows`.
fn head<'a>(x: Source<'a>, rows: &Range<usize>, head: usize, dim: usize) -> MatRef<'a, f32> {
    x.matrix().submatrix(rows.start, head * dim, rows.len(), dim)
}

/// strip (queries, keys) = q k^T over the keys of the block.
fn scores(strip: &mut [f32], block: &Block, q: MatRef<'_, f32>, k: Source<'_>, kv: usize) {
    let mut strip = MatMut::from_row_major_slice_mut(strip, q.nrows(), block.keys());
    for (at, keys) in block.spans() {
        let to = strip.as_mut().subcols_mut(at, keys.len());
        product_here(to, false, q, head(k, &keys, kv, q.ncols()).transpose());
    }
}

/// to (queries, D) = strip x or to += strip x, over the keys of the block.
fn weigh(mut to: MatMut<'_, f32>, accumulate: bool, strip: &[f32], block: &Block, x: Source<'_>, kv: usize) {
    let strip = MatRef::from_row_major_slice(strip, block.queries.len(), block.keys());
    let mut accumulate = accumulate;
    for (at, keys) in block.spans() {
        let x = head(x, &keys, kv, to.ncols());
        product_here(to.as_mut(), accumulate, strip.subcols(at, keys.len()), x);
        accumulate = true;
    }
}

pub(super) fn forward(frame: &mut Frame<'_>) {
    let p: Params = frame.step.params();
    let (q, k, v, ranges) = (frame.input(0), frame.input(1), frame.input(2), frame.input(3).words());
    let (out, lse) = (frame.output(0), frame.output(1));
    let blocks = Block::all(ranges);
    let (mut out, mut lse) = (out.data, lse.data);
    let tasks = blocks.iter().map(|block| {
        let own_out = out.split_off_mut(..block.queries.len() * q.cols).expect("blocks cover all queries");
        let own_lse = lse.split_off_mut(..block.queries.len() * p.heads as usize).expect("blocks cover all queries");
        (block, own_out, own_lse)
    });
    let tasks: Vec<_> = tasks.collect();
    let work = |block: &Block| (block.queries.len() + FETCH) * block.keys() * q.cols + CALLS * p.heads as usize;
    let parts = blocks.iter().map(work).sum::<usize>() / WORTH_A_THREAD;
    let together = blocks.len().div_ceil(parts.max(1));
    tasks.into_par_iter().with_min_len(together).for_each(|(block, out, lse)| {
        // one query has a strip of all heads at once, more have one head's after the other
        let (forward, rows): (Forward, _) =
            if block.queries.len() == 1 { (forward_one, p.heads as usize) } else { (forward_block, block.queries.len()) };
        parallel::scratch(rows * block.keys(), |strip| forward(&p, block, (q, k, v, ranges), strip, out, lse));
    });
}

type Forward = fn(&Params, &Block, (Source<'_>, Source<'_>, Source<'_>, &[u32]), &mut [f32], &mut [f32], &mut [f32]);

fn forward_block(
    p: &Params,
    block: &Block,
    (q, k, v, ranges): (Source<'_>, Source<'_>, Source<'_>, &[u32]),
    strip: &mut [f32],
    out: &mut [f32],
    lse: &mut [f32],
) {
    let (heads, dim) = (p.heads as usize, p.head_dim as usize);
    for h in 0..heads {
        let kv = h * p.kv_heads as usize / heads;
        scores(strip, block, head(q, &block.queries, h, dim), k, kv);
        let mut inverse = [0.0; QUERIES];
        for (i, strip) in strip.chunks_mut(block.keys()).enumerate() {
            let reached = within(strip, block.reach(ranges, block.queries.start + i));
            let (most, total) = exponents(p, reached);
            inverse[i] = total.recip();
            lse[i * heads + h] = most + total.ln();
        }
        let all = MatMut::from_row_major_slice_mut(out, block.queries.len(), heads * dim);
        weigh(all.subcols_mut(h * dim, dim), false, strip, block, v, kv);
        for (out, inverse) in out.chunks_mut(heads * dim).zip(inverse) {
            vector::scale(&mut out[h * dim..(h + 1) * dim], inverse);
        }
    }
}

/// Turns products of queries and keys into exponents of scores less the largest; returns that one, and their sum.
fn exponents(p: &Params, products: &mut [f32]) -> (f32, f32) {
    if p.cap > 0.0 {
        vector::cap_scaled(products, p.scale, p.cap);
    }
    let scale = if p.cap > 0.0 { 1.0 } else { p.scale };
    let most = vector::max(products) * scale;
    (most, vector::exp_scaled(products, scale, most))
}

/// A part of a strip, after the rest of it was set to 0.
fn within(strip: &mut [f32], part: Range<usize>) -> &mut [f32] {
    strip[..part.start].fill(0.0);
    strip[part.end..].fill(0.0);
    &mut strip[part]
}

/// As [`forward_block`], for a block of one query.
fn forward_one(
    p: &Params,
    block: &Block,
    (q, k, v, _): (Source<'_>, Source<'_>, Source<'_>, &[u32]),
    strip: &mut [f32],
    out: &mut [f32],
    lse: &mut [f32],
) {
    let heads = one::Heads { count: p.heads as usize, of_kv: p.kv_heads as usize, dim: p.head_dim as usize };
    let span = |(at, keys): (usize, Range<usize>)| one::Span { keys: block.keys(), at, first: keys.start, length: keys.len() };
    for keys in block.spans() {
        one::scores(strip, q.row(block.queries.start), k, heads, span(keys));
    }
    for (strip, lse) in strip.chunks_mut(block.keys()).zip(lse) {
        let (most, total) = exponents(p, strip);
        *lse = most + total.ln();
        vector::scale(strip, total.recip());
    }
    out.fill(0.0);
    for keys in block.spans() {
        one::weigh(out, strip, v, heads, span(keys));
    }
}

/// What backward reads.
#[derive(Clone, Copy)]
struct Given<'a> {
    p: Params,
    q: Source<'a>,
    k: Source<'a>,
    v: Source<'a>,
    ranges: &'a [u32],
    out: Source<'a>,
    lse: Source<'a>,
    d_out: Source<'a>,
}

/// Tokens that no token outside of them reaches or is reached by, and one head of keys: work that shares no result.
struct Task<'a> {
    blocks: &'a [Block],
    first: usize,
    kv: usize,
    d_q: Option<MatMut<'a, f32>>,
    d_k: Option<MatMut<'a, f32>>,
    d_v: Option<MatMut<'a, f32>>,
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let given = Given {
        p: frame.step.params(),
        q: frame.input(0),
        k: frame.input(1),
        v: frame.input(2),
        ranges: frame.input(3).words(),
        out: frame.input(5),
        lse: frame.input(6),
        d_out: frame.input(7),
    };
    assert_eq!(given.q.rows, given.k.rows, "the derivative needs queries and keys of the same tokens");
    let mut targets = [0, 1, 2].map(|place| frame.target(place));
    targets.iter_mut().flatten().for_each(Target::clear);
    let [d_q, d_k, d_v] = targets;
    let blocks = Block::all(given.ranges);
    let tasks = tasks(&given, &blocks, d_q, d_k, d_v);
    let work = blocks.iter().map(|block| block.keys() * block.queries.len() * given.q.cols).sum::<usize>();
    let together = if work < 1 << 18 { tasks.len().max(1) } else { 1 };
    tasks.into_par_iter().with_min_len(together).for_each(|task| task.run(&given));
}

/// Cuts the work by runs of blocks and by heads of keys.
fn tasks<'a>(
    given: &Given<'_>,
    blocks: &'a [Block],
    d_q: Option<Target<'a>>,
    d_k: Option<Target<'a>>,
    d_v: Option<Target<'a>>,
) -> Vec<Task<'a>> {
    let (dim, kv_heads) = (given.p.head_dim as usize, given.p.kv_heads as usize);
    let group = (given.p.heads / given.p.kv_heads) as usize;
    let [mut d_q, mut d_k, mut d_v] = [d_q, d_k, d_v].map(|d| d.map(Target::into_matrix));
    let mut tasks = Vec::new();
    for run in runs(blocks) {
        let (first, rows) = (run[0].queries.start, run[run.len() - 1].queries.end - run[0].queries.start);
        let [mut q, mut k, mut v] = [&mut d_q, &mut d_k, &mut d_v].map(|d| cut_rows(d, rows));
        for kv in 0..kv_heads {
            let (d_q, d_k, d_v) = (cut_cols(&mut q, group * dim), cut_cols(&mut k, dim), cut_cols(&mut v, dim));
            tasks.push(Task { blocks: run, first, kv, d_q, d_k, d_v });
        }
    }
    tasks
}

/// Runs of blocks whose keys lie within the run's own tokens.
fn runs(blocks: &[Block]) -> Vec<&[Block]> {
    let lowest = |block: &Block| block.spans().map(|(_, keys)| keys.start).min().unwrap_or(block.queries.start);
    let mut cuts = vec![blocks.len()];
    let mut reached = usize::MAX;
    for (at, block) in blocks.iter().enumerate().rev() {
        reached = reached.min(lowest(block));
        if reached >= block.queries.start {
            cuts.push(at);
        }
    }
    cuts.windows(2).rev().map(|cut| &blocks[cut[1]..cut[0]]).collect()
}

fn cut_rows<'a>(from: &mut Option<MatMut<'a, f32>>, rows: usize) -> Option<MatMut<'a, f32>> {
    let (cut, rest) = from.take()?.split_at_row_mut(rows);
    *from = Some(rest);
    Some(cut)
}

fn cut_cols<'a>(from: &mut Option<MatMut<'a, f32>>, cols: usize) -> Option<MatMut<'a, f32>> {
    let (cut, rest) = from.take()?.split_at_col_mut(cols);
    *from = Some(rest);
    Some(cut)
}

impl Task<'_> {
    fn run(mut self, given: &Given<'_>) {
        let group = (given.p.heads / given.p.kv_heads) as usize;
        for block in self.blocks {
            parallel::scratch(2 * block.queries.len() * block.keys(), |strips| {
                let (weights, d_scores) = strips.split_at_mut(block.queries.len() * block.keys());
                for h in 0..group {
                    self.block(given, block, h, weights, d_scores);
                }
            });
        }
    }

    /// One block of queries, head `h` of the group.
    fn block(&mut self, given: &Given<'_>, block: &Block, h: usize, weights: &mut [f32], d_scores: &mut [f32]) {
        let (dim, heads) = (given.p.head_dim as usize, given.p.heads as usize);
        let all = self.kv * (heads / given.p.kv_heads as usize) + h;
        let (q, d_out) = (head(given.q, &block.queries, all, dim), head(given.d_out, &block.queries, all, dim));
        scores(weights, block, q, given.k, self.kv);
        scores(d_scores, block, d_out, given.v, self.kv);
        for (i, t) in block.queries.clone().enumerate() {
            let row = i * block.keys()..(i + 1) * block.keys();
            let reach = block.reach(given.ranges, t);
            let weights = within(&mut weights[row.clone()], reach.clone());
            let d_scores = within(&mut d_scores[row], reach);
            let columns = all * dim..(all + 1) * dim;
            let e = vector::dot(&given.d_out.row(t)[columns.clone()], &given.out.row(t)[columns]);
            match given.p.cap > 0.0 {
                true => capped_backward(weights, d_scores, given.p.scale, given.p.cap, given.lse.row(t)[all], e),
                false => softmax_backward(weights, d_scores, given.p.scale, given.lse.row(t)[all], e),
            }
        }
        if let Some(d_q) = &mut self.d_q {
            let rows = d_q.as_mut().subrows_mut(block.queries.start - self.first, block.queries.len());
            weigh(rows.subcols_mut(h * dim, dim), true, d_scores, block, given.k, self.kv);
        }
        spread(&mut self.d_k, self.first, d_scores, block, q);
        spread(&mut self.d_v, self.first, weights, block, d_out);
    }
}

/// `to[keys] += strip^T x`; x is (queries, D).
fn spread(to: &mut Option<MatMut<'_, f32>>, first: usize, strip: &[f32], block: &Block, x: MatRef<'_, f32>) {
    let Some(to) = to else { return };
    let strip = MatRef::from_row_major_slice(strip, block.queries.len(), block.keys());
    for (at, keys) in block.spans() {
        let rows = to.as_mut().subrows_mut(keys.start - first, keys.len());
        product_here(rows, true, strip.subcols(at, keys.len()).transpose(), x);
    }
}

fastest! {
    /// From scores and dL/dweight: weight = exp(scale score - lse), and dL/dscore = weight (dL/dweight - e) scale.
    fn softmax_backward(weights: &mut [f32], d_scores: &mut [f32], scale: f32, lse: f32, e: f32) {
        for (weight, d) in weights.iter_mut().zip(d_scores) {
            *weight = exp::<FMA>(fma::<FMA>(*weight, scale, -lse));
            *d = *weight * (*d - e) * scale;
        }
    }

    /// The same with scores under a soft cap.
    fn capped_backward(weights: &mut [f32], d_scores: &mut [f32], scale: f32, cap: f32, lse: f32, e: f32) {
        let inner = scale / cap;
        for (weight, d) in weights.iter_mut().zip(d_scores) {
            let squeezed = tanh::<FMA>(*weight * inner);
            *weight = exp::<FMA>(fma::<FMA>(squeezed, cap, -lse));
            *d = *weight * (*d - e) * scale * fma::<FMA>(-squeezed, squeezed, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_prompts_and_runs_do_not_cut_them() {
        // A prompt of 2 with completions of 1 and 2, then a sequence of 1.
        let ranges = [0, 0, 0, 1, 0, 0, 0, 2, 0, 2, 2, 3, 0, 2, 3, 4, 0, 2, 3, 5, 5, 5, 5, 6];
        let blocks = Block::all(&ranges);
        let queries: Vec<_> = blocks.iter().map(|block| block.queries.clone()).collect();
        assert_eq!(queries, [0..2, 2..3, 3..5, 5..6]);
        assert_eq!(blocks[2].keys(), 4);
        assert_eq!(blocks[2].reach(&ranges, 3), 0..3);
        assert_eq!(runs(&blocks).iter().map(|run| run.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn windows_move_on_within_a_block() {
        // Windows of 3: a prompt of 2 with completions of 4 and 1.
        let ranges = [
            0, 0, 0, 1, 0, 0, 0, 2, 0, 2, 2, 3, 1, 2, 2, 4, 2, 2, 2, 5, 2, 2, 3, 6, // the prompt and its first completion
            0, 2, 6, 7,
        ];
        let blocks = Block::all(&ranges);
        let queries: Vec<_> = blocks.iter().map(|block| block.queries.clone()).collect();
        assert_eq!(queries, [0..2, 2..6, 6..7]);
        let reached: Vec<_> = (2..6).map(|t| blocks[1].reach(&ranges, t)).collect();
        assert_eq!(reached, [0..3, 1..4, 2..5, 3..6]);
        assert_eq!(runs(&blocks).len(), 1);
    }

    #[test]
    fn blocks_are_of_bounded_length() {
        let ranges: Vec<u32> = (0..200).flat_map(|t| [0, 0, 0, t + 1]).collect();
        let blocks = Block::all(&ranges);
        assert_eq!(blocks.len(), 200usize.div_ceil(QUERIES));
        assert_eq!(runs(&blocks).len(), 1);
    }
}
