//! out[t, h] = sum over keys j in reach of t of softmax_j(scale q[t, h] . k[j, g(h)]) v[j, g(h)], for every head h, where
//! g(h) = h Hkv / H; q, out (Tq, H D), k, v (Tk, Hkv D), ranges u32 (Tq, 4) = prefix begin, prefix end, own begin, own
//! end. Query t reaches keys in prefix and in own; it is causal because own ends with the token itself. With packed
//! sequences, shared prompts, a cache of keys and a sliding window this is the same op. Saves lse[t, h], the log of the sum
//! of exponents. With a soft cap c > 0, scores s = scale q.k become c tanh(s / c).
//!
//! Backward, with p = exp(s - lse), e = dout[t, h] . out[t, h], ds = p (dout[t, h] . v[j] - e) scale, times
//! 1 - (s / c)^2 with a cap:
//! dq[t] = sum_j ds k[j], dk[j] = sum over t that reach j of ds q[t], dv[j] = sum p dout[t]. All queries that reach key j
//! lie in j .. key_until[j]; key_until u32 (Tk, 1).

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: q, k, v, ranges, key_until?; outputs: out, lse (Tq, H).
/// Backward inputs: q, k, v, ranges, key_until, out, lse, dout; outputs: dq?, dk?, dv?.
#[derive(Debug)]
pub struct Attention;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub heads: u32,
    pub kv_heads: u32,
    pub head_dim: u32,
    pub scale: f32,
    /// The soft cap of scores, 0 for none.
    pub cap: f32,
}

impl Params {
    /// Capped scores, and the derivative by what was capped.
    fn cap<T: Float>(self, score: T) -> (T, T) {
        let cap = T::of(f64::from(self.cap));
        if self.cap == 0.0 {
            return (score, T::of(1.0));
        }
        let squeezed = (score / cap).tanh();
        (cap * squeezed, T::of(1.0) - squeezed * squeezed)
    }
}

/// Which keys each query attends to.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// u32 (Tq, 4): prefix begin, prefix end, own begin, own end.
    pub ranges: View,
    /// u32 (Tk, 1), needed for the derivative only, where queries and keys are the same tokens.
    pub key_until: Option<View>,
}

impl Recorder<'_> {
    /// Attention of q (Tq, H D) over k and v (Tk, Hkv D).
    pub fn attention(&mut self, q: View, k: View, v: View, reach: Reach, params: Params) -> View {
        let (heads, dim) = (params.heads as usize, params.head_dim as usize);
        assert_eq!(q.cols, heads * dim, "queries are (Tq, H D)");
        assert_eq!((k.rows, k.cols), (v.rows, v.cols), "keys and values have one shape");
        assert_eq!(k.cols, params.kv_heads as usize * dim, "keys are (Tk, Hkv D)");
        assert!(params.heads.is_multiple_of(params.kv_heads), "query heads share key heads evenly");
        assert_eq!((reach.ranges.rows, reach.ranges.cols), (q.rows, 4), "every query has its two ranges");
        let (out, lse) = (self.temp(q.rows, q.cols), self.temp(q.rows, heads));
        let inputs = vec![Some(q), Some(k), Some(v), Some(reach.ranges), reach.key_until];
        self.forward(&Attention, words(&params), inputs, vec![Output::set(out), Output::set(lse)]);
        out
    }
}

/// Query t's keys, in order.
fn keys<T: Float>(ranges: &Matrix<T>, t: usize) -> impl Iterator<Item = usize> {
    (ranges.word(t, 0)..ranges.word(t, 1)).chain(ranges.word(t, 2)..ranges.word(t, 3))
}

fn dot<T: Float>(a: &Matrix<T>, row_a: usize, col_a: usize, b: &Matrix<T>, row_b: usize, col_b: usize, n: usize) -> T {
    let mut sum = T::default();
    for i in 0..n {
        sum += a.at(row_a, col_a + i) * b.at(row_b, col_b + i);
    }
    sum
}

impl Define for Attention {
    const NAME: &'static str = "attention";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let p: Params = params(given);
        let ([q, k, v, ranges, _], [out, lse]) = (inputs(views), outputs(out));
        let dim = p.head_dim as usize;
        out.fill(T::default());
        for t in 0..q.rows {
            for head in 0..p.heads as usize {
                let (at, kv) = (head * dim, head * p.kv_heads as usize / p.heads as usize * dim);
                let scores: Vec<(usize, T)> =
                    keys(ranges, t).map(|j| (j, p.cap(T::of(f64::from(p.scale)) * dot(q, t, at, k, j, kv, dim)).0)).collect();
                let most = scores.iter().fold(scores[0].1, |most, (_, s)| if *s > most { *s } else { most });
                let mut total = T::default();
                for (_, score) in &scores {
                    total += (*score - most).exp();
                }
                lse.set(t, head, most + total.ln());
                for (j, score) in scores {
                    for i in 0..dim {
                        out.add(t, at + i, (score - most).exp() / total * v.at(j, kv + i));
                    }
                }
            }
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let p: Params = params(given);
        let ([q, k, v, ranges, _, y, lse, d_y], [d_q, d_k, d_v]) = (inputs(views), outputs(out));
        let (dim, scale) = (p.head_dim as usize, T::of(f64::from(p.scale)));
        for d in [&mut *d_q, &mut *d_k, &mut *d_v] {
            d.fill(T::default());
        }
        for t in 0..q.rows {
            for head in 0..p.heads as usize {
                let (at, kv) = (head * dim, head * p.kv_heads as usize / p.heads as usize * dim);
                let e = dot(d_y, t, at, y, t, at, dim);
                for j in keys(ranges, t) {
                    let (score, slope) = p.cap(scale * dot(q, t, at, k, j, kv, dim));
                    let weight = (score - lse.at(t, head)).exp();
                    let d_score = weight * (dot(d_y, t, at, v, j, kv, dim) - e) * scale * slope;
                    for i in 0..dim {
                        d_q.add(t, at + i, d_score * k.at(j, kv + i));
                        d_k.add(j, kv + i, d_score * q.at(t, at + i));
                        d_v.add(j, kv + i, weight * d_y.at(t, at + i));
                    }
                }
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_out) = context.upstream(step.output(0)) {
            let outputs = (0..3).map(|place| context.target(step.inputs[place])).collect();
            let mut inputs = step.inputs.clone();
            inputs.extend([Some(step.output(0)), Some(step.output(1)), Some(d_out)]);
            context.push(step, inputs, outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let shape = |heads, kv_heads, head_dim| Params { heads, kv_heads, head_dim, scale: 0.3, cap: 0.0 };
        let capped = |heads, kv_heads, head_dim| Params { cap: 1.5, ..shape(heads, kv_heads, head_dim) };
        vec![
            case("one", &packed(&[(0, &[1])]), shape(1, 1, 2)),
            case("odd", &packed(&[(0, &[5]), (0, &[3])]), shape(3, 1, 6)),
            case("grouped heads", &packed(&[(0, &[4]), (0, &[1]), (0, &[7])]), shape(4, 2, 8)),
            case("shared prompts", &packed(&[(5, &[3, 1, 4]), (0, &[6]), (2, &[9, 2])]), shape(2, 2, 10)),
            case("large", &packed(&[(0, &[150]), (40, &[33, 50])]), shape(2, 1, 48)),
            case("window", &windowed(3, &packed(&[(5, &[3, 1, 4]), (0, &[6]), (2, &[9, 2])])), shape(2, 1, 10)),
            case("window large", &windowed(40, &packed(&[(0, &[150]), (40, &[33, 50])])), shape(2, 1, 48)),
            case("cap", &packed(&[(0, &[5]), (2, &[3, 4])]), capped(4, 2, 6)),
            case("cap and window large", &windowed(20, &packed(&[(0, &[70]), (20, &[33, 10])])), capped(2, 1, 40)),
            decoding(0.0),
            decoding(2.0),
        ]
    }
}

/// Ranges (begin, end, begin, end) and key_until of packed groups: a prompt of some length, then its completions.
fn packed(groups: &[(u32, &[u32])]) -> (Vec<u32>, Vec<u32>) {
    let (mut ranges, mut until, mut at) = (Vec::new(), Vec::new(), 0);
    for (prompt, completions) in groups {
        let end = at + prompt + completions.iter().sum::<u32>();
        ranges.extend((at..at + prompt).flat_map(|t| [at, at, at, t + 1]));
        until.extend((0..*prompt).map(|_| end));
        let mut begin = at + prompt;
        for length in *completions {
            ranges.extend((begin..begin + length).flat_map(|t| [at, at + prompt, begin, t + 1]));
            until.extend((0..*length).map(|_| begin + length));
            begin += length;
        }
        at = end;
    }
    (ranges, until)
}

/// The same, each query reaching its last `window` keys only.
fn windowed(window: u32, (ranges, until): &(Vec<u32>, Vec<u32>)) -> (Vec<u32>, Vec<u32>) {
    let near = |r: &[u32]| {
        let own = (r[3] - r[2]).min(window);
        [r[1] - (r[1] - r[0]).min(window - own), r[1], r[3] - own, r[3]]
    };
    (ranges.chunks(4).flat_map(near).collect(), until.clone())
}

fn case(name: &'static str, (ranges, until): &(Vec<u32>, Vec<u32>), shape: Params) -> Case {
    let tokens = until.len();
    let keys = (shape.kv_heads * shape.head_dim) as usize;
    let given = vec![
        Given::Normal(tokens, (shape.heads * shape.head_dim) as usize),
        Given::Normal(tokens, keys),
        Given::Normal(tokens, keys),
        Given::Words(ranges.clone(), tokens, 4),
        Given::column(until),
    ];
    Case::new(name, given, move |rec, v| {
        let reach = Reach { ranges: v[3], key_until: Some(v[4]) };
        vec![rec.attention(v[0], v[1], v[2], reach, shape)]
    })
}

/// Three queries over a cache of 80 keys, of which each reaches a few; not differentiated.
fn decoding(cap: f32) -> Case {
    let numbers = |rows: usize, cols: usize, step: f32| {
        let all = (0u16..).take(rows * cols).map(|i| (f32::from(i) * step).sin()).collect();
        Given::Numbers(all, rows, cols)
    };
    let ranges = vec![0, 20, 60, 61, 3, 3, 20, 57, 0, 20, 61, 80];
    let given = vec![numbers(3, 24, 0.7), numbers(80, 12, 0.3), numbers(80, 12, 0.9), Given::Words(ranges, 3, 4)];
    let name = if cap > 0.0 { "decoding under a cap" } else { "decoding" };
    Case::new(name, given, move |rec, v| {
        let reach = Reach { ranges: v[3], key_until: None };
        vec![rec.attention(v[0], v[1], v[2], reach, Params { heads: 4, kv_heads: 2, head_dim: 6, scale: 0.4, cap })]
    })
}
