//! One query of attention against its keys: what decoding does. A product of single rows is not worth a call, and a
//! head's columns lie far apart; so keys are read row by row, all heads of a row at once, and values likewise.

use pulp::{Simd, WithSimd};

use super::memory::Source;

/// The query heads (H, D) and how they share the columns of keys and values (Hkv, D).
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) count: usize,
    pub(super) of_kv: usize,
    pub(super) dim: usize,
}

impl Heads {
    /// The columns of the keys and values that query head `h` reads.
    #[inline(always)]
    fn columns(self, h: usize) -> std::ops::Range<usize> {
        let kv = h * self.of_kv / self.count * self.dim;
        kv..kv + self.dim
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
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { strip, q, k, heads, span } = self;
        for j in 0..span.length {
            let k = k.row(span.first + j);
            for h in 0..heads.count {
                let (q, q_rest) = S::as_simd_f32s(&q[h * heads.dim..(h + 1) * heads.dim]);
                let (k, k_rest) = S::as_simd_f32s(&k[heads.columns(h)]);
                let k = &k[..q.len()];
                let mut total = simd.splat_f32s(0.0);
                for i in 0..q.len() {
                    total = simd.mul_add_e_f32s(q[i], k[i], total);
                }
                let mut sum = simd.reduce_sum_f32s(total);
                for i in 0..q_rest.len() {
                    sum += q_rest[i] * k_rest[i];
                }
                strip[h * span.keys + span.at + j] = sum;
            }
        }
    }
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
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, strip, v, heads, span } = self;
        for j in 0..span.length {
            let v = v.row(span.first + j);
            for h in 0..heads.count {
                let weight = strip[h * span.keys + span.at + j];
                let (out, out_rest) = S::as_mut_simd_f32s(&mut out[h * heads.dim..(h + 1) * heads.dim]);
                let (v, v_rest) = S::as_simd_f32s(&v[heads.columns(h)]);
                let (v, weights) = (&v[..out.len()], simd.splat_f32s(weight));
                for i in 0..out.len() {
                    out[i] = simd.mul_add_e_f32s(weights, v[i], out[i]);
                }
                for i in 0..out_rest.len() {
                    out_rest[i] += weight * v_rest[i];
                }
            }
        }
    }
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
                let row = |j: usize| &source.row(span.first + j)[heads.columns(h)];
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
