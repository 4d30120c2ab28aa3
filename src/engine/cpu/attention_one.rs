//! One query of attention against its keys: what decoding does. A product of single rows is not worth a call, and a
//! head's columns lie far apart; so keys are read row by row, all heads of a row at once, and values likewise.

use pulp::{Simd, WithSimd};

use super::ahead::{AHEAD, ask};
use super::memory::Source;

/// The query heads (H, D) and how they share the columns of keys and values (Hkv, D).
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) count: usize,
    pub(super) of_kv: usize,
    pub(super) dim: usize,
}

impl Heads {
    /// How many query heads read the same columns of keys and values.
    #[inline(always)]
    fn sharing(self) -> usize {
        self.count / self.of_kv
    }
}

/// Of a strip (H, keys), the columns of keys `first..first + length`, which begin at column `at`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) keys: usize,
    pub(super) at: usize,
    pub(super) first: usize,
    pub(super) length: usize,
}

/// `strip[h, at + j] = q[h] · k[first + j, columns of h]`.
pub(super) fn scores(strip: &mut [f32], q: &[f32], k: Source<'_>, heads: Heads, span: Span) {
    pulp::Arch::new().dispatch(Scores { strip, q, k, heads, span });
}

/// `out[h] += Σ strip[h, at + j] v[first + j, columns of h]`.
pub(super) fn weigh(out: &mut [f32], strip: &[f32], v: Source<'_>, heads: Heads, span: Span) {
    pulp::Arch::new().dispatch(Weigh { out, strip, v, heads, span });
}

/// Keys that are taken at a time: what is read and written of a query or a result is shared by so many.
const KEYS: usize = 4;

struct Scores<'a> {
    strip: &'a mut [f32],
    q: &'a [f32],
    k: Source<'a>,
    heads: Heads,
    span: Span,
}

impl WithSimd for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut j = 0;
        while j < self.span.length {
            j += if self.span.length - j >= KEYS { self.tile::<S, KEYS>(simd, j) } else { self.tile::<S, 1>(simd, j) };
        }
    }
}

impl Scores<'_> {
    /// The scores of keys `j..j + N` of the span; N.
    #[inline(always)]
    fn tile<S: Simd, const N: usize>(&mut self, simd: S, j: usize) -> usize {
        let Self { strip, q, k, heads, span } = self;
        ask_behind::<N>(*k, span.first + j);
        for kv in 0..heads.of_kv {
            let keys = columns::<N>(*k, span.first + j, kv * heads.dim, heads.dim);
            for h in kv * heads.sharing()..(kv + 1) * heads.sharing() {
                let sums = products::<S, N>(simd, &q[h * heads.dim..(h + 1) * heads.dim], keys);
                strip[h * span.keys + span.at + j..][..N].copy_from_slice(&sums);
            }
        }
        N
    }
}

/// The inner product of q with each key.
#[inline(always)]
fn products<S: Simd, const N: usize>(simd: S, q: &[f32], keys: [&[f32]; N]) -> [f32; N] {
    let (q, q_rest) = S::as_simd_f32s(q);
    let (mut whole, mut rest): ([&[S::f32s]; N], [&[f32]; N]) = ([&[]; N], [&[]; N]);
    for n in 0..N {
        let (a, b) = S::as_simd_f32s(keys[n]);
        (whole[n], rest[n]) = (&a[..q.len()], &b[..q_rest.len()]);
    }
    let mut totals = [simd.splat_f32s(0.0); N];
    for i in 0..q.len() {
        for n in 0..N {
            totals[n] = simd.mul_add_e_f32s(q[i], whole[n][i], totals[n]);
        }
    }
    let mut sums = [0.0; N];
    for n in 0..N {
        sums[n] = simd.reduce_sum_f32s(totals[n]);
        for i in 0..q_rest.len() {
            sums[n] += q_rest[i] * rest[n][i];
        }
    }
    sums
}

struct Weigh<'a> {
    out: &'a mut [f32],
    strip: &'a [f32],
    v: Source<'a>,
    heads: Heads,
    span: Span,
}

impl WithSimd for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut j = 0;
        while j < self.span.length {
            j += if self.span.length - j >= KEYS { self.tile::<S, KEYS>(simd, j) } else { self.tile::<S, 1>(simd, j) };
        }
    }
}

impl Weigh<'_> {
    /// Adds the values of keys `j..j + N` of the span; N.
    #[inline(always)]
    fn tile<S: Simd, const N: usize>(&mut self, simd: S, j: usize) -> usize {
        let Self { out, strip, v, heads, span } = self;
        ask_behind::<N>(*v, span.first + j);
        for kv in 0..heads.of_kv {
            let values = columns::<N>(*v, span.first + j, kv * heads.dim, heads.dim);
            for h in kv * heads.sharing()..(kv + 1) * heads.sharing() {
                let weights = &strip[h * span.keys + span.at + j..][..N];
                add::<S, N>(simd, &mut out[h * heads.dim..(h + 1) * heads.dim], weights, values);
            }
        }
        N
    }
}

/// out += Σ weight · value.
#[inline(always)]
fn add<S: Simd, const N: usize>(simd: S, out: &mut [f32], weights: &[f32], values: [&[f32]; N]) {
    let (out, out_rest) = S::as_mut_simd_f32s(out);
    let (mut whole, mut rest): ([&[S::f32s]; N], [&[f32]; N]) = ([&[]; N], [&[]; N]);
    let mut wide = [simd.splat_f32s(0.0); N];
    for n in 0..N {
        let (a, b) = S::as_simd_f32s(values[n]);
        (whole[n], rest[n]) = (&a[..out.len()], &b[..out_rest.len()]);
        wide[n] = simd.splat_f32s(weights[n]);
    }
    for i in 0..out.len() {
        for n in 0..N {
            out[i] = simd.mul_add_e_f32s(wide[n], whole[n][i], out[i]);
        }
    }
    for i in 0..out_rest.len() {
        for n in 0..N {
            out_rest[i] += weights[n] * rest[n][i];
        }
    }
}

/// Asks for the rows that come some after N rows.
#[inline(always)]
fn ask_behind<const N: usize>(x: Source<'_>, first: usize) {
    ask(&x.data[first * x.cols..(first + N) * x.cols], AHEAD);
}

/// `count` columns from `begin` on of N rows.
#[inline(always)]
fn columns<const N: usize>(x: Source<'_>, first: usize, begin: usize, count: usize) -> [&[f32]; N] {
    let mut found: [&[f32]; N] = [&[]; N];
    for (n, found) in found.iter_mut().enumerate() {
        *found = &x.row(first + n)[begin..begin + count];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_passes_are_right_at_every_width() {
        for (count, of_kv, dim) in [(1, 1, 1), (2, 1, 5), (6, 3, 16), (4, 4, 48), (3, 1, 67)] {
            let (heads, rows) = (Heads { count, of_kv, dim }, 11);
            let numbers: Vec<f32> = (0..rows * of_kv * dim).map(|i| (i as f32 * 0.37).sin()).collect();
            let source = Source { data: &numbers, rows, cols: of_kv * dim };
            let q: Vec<f32> = (0..count * dim).map(|i| (i as f32 * 0.73).cos()).collect();
            let span = Span { keys: 9, at: 2, first: 3, length: 7 };
            let mut strip = vec![0.5; count * span.keys];
            scores(&mut strip, &q, source, heads, span);
            let mut out = vec![0.25; count * dim];
            weigh(&mut out, &strip, source, heads, span);
            for h in 0..count {
                let row = |j: usize| &source.row(span.first + j)[h / heads.sharing() * dim..][..dim];
                for j in 0..span.length {
                    let exact: f64 = (0..dim).map(|i| f64::from(q[h * dim + i] * row(j)[i])).sum();
                    assert!((f64::from(strip[h * span.keys + span.at + j]) - exact).abs() < 1e-5, "{heads:?}");
                }
                assert_eq!(strip[h * span.keys..][..span.at], [0.5; 2], "what is not of the span stays");
                for i in 0..dim {
                    let exact: f64 = (0..span.length).map(|j| f64::from(strip[h * span.keys + span.at + j] * row(j)[i])).sum();
                    assert!((f64::from(out[h * dim + i]) - 0.25 - exact).abs() < 1e-4, "{heads:?}");
                }
            }
        }
    }
}
