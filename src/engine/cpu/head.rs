//! `linear_logp`: scores of a block of tokens over a block of the vocabulary at a time, so that they stay in the cache.
//!
//! Forward keeps, per token, what [`Running`] says of the blocks of the vocabulary so far. Backward computes a block's
//! scores again, turns them into their derivative in place and multiplies it both ways.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::matmul::product;
use super::memory::{Frame, Source, Target, lend};
use super::rows::column_sums;
use super::simd::{LANES, fastest, fma};
use super::vector::{self, exp, sum};
use crate::engine::op::linear_logp::Params;

/// Tokens and words of a block: 8 MiB of scores.
const TOKENS: usize = 256;
const VOCABULARY: usize = 8192;

/// The head's weight, and how scores come from it.
#[derive(Clone, Copy)]
struct Head<'a> {
    states: Source<'a>,
    weight: Source<'a>,
    bias: Option<Source<'a>>,
    /// 1 / temperature.
    sharpness: f32,
    /// The soft cap, 0 for none.
    cap: f32,
}

impl<'a> Head<'a> {
    fn of(frame: &Frame<'a>) -> Self {
        let Params { temperature, cap } = frame.step.params();
        Self { states: frame.input(0), weight: frame.input(1), bias: frame.option(2), sharpness: temperature.recip(), cap }
    }

    /// Copies the states that predict the tokens at `places` to `to`, (tokens, C).
    fn gather(&self, pred: &[u32], places: &[usize], to: &mut [f32]) {
        let rows = to.chunks_mut(self.states.cols).zip(places);
        rows.for_each(|(to, place)| to.copy_from_slice(self.states.row(pred[*place] as usize)));
    }

    /// The blocks of the vocabulary.
    fn blocks(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let all = self.weight.rows;
        (0..all).step_by(VOCABULARY).map(move |begin| begin..all.min(begin + VOCABULARY))
    }

    /// The rows of W of a block, (words, C).
    fn rows(&self, block: &std::ops::Range<usize>) -> MatRef<'a, f32> {
        self.weight.matrix().subrows(block.start, block.len())
    }

    /// scores (tokens, words) = states W^T + b under the cap, not yet divided by the temperature.
    fn score(&self, states: MatRef<'_, f32>, block: &std::ops::Range<usize>, scores: &mut [f32]) {
        let to = MatMut::from_row_major_slice_mut(scores, states.nrows(), block.len());
        product(to, false, states, self.rows(block).transpose());
        if let Some(bias) = self.bias {
            let bias = &bias.data[block.clone()];
            scores.par_chunks_mut(block.len()).for_each(|row| vector::add(row, bias));
        }
        if self.cap > 0.0 {
            scores.par_chunks_mut(block.len()).for_each(|row| vector::cap_scaled(row, 1.0, self.cap));
        }
    }
}

/// The largest score z seen of a token, and sums of exp(z - largest) and of exp(z - largest) z.
#[derive(Clone, Copy, Debug)]
struct Running {
    most: f32,
    total: f32,
    weighted: f32,
}

impl Running {
    const NONE: Self = Self { most: f32::NEG_INFINITY, total: 0.0, weighted: 0.0 };

    fn merge(self, other: Self) -> Self {
        let most = if other.most > self.most { other.most } else { self.most };
        let (a, b) = ((self.most - most).exp(), (other.most - most).exp());
        let a = if self.total == 0.0 { 0.0 } else { a };
        Self { most, total: a * self.total + b * other.total, weighted: a * self.weighted + b * other.weighted }
    }

    fn lse(self) -> f32 {
        self.most + self.total.ln()
    }
}

pub(super) fn forward(frame: &mut Frame<'_>) {
    let head = Head::of(frame);
    let (pred, target) = (frame.input(3).words(), frame.input(5).words());
    let (logp, lse, mut entropy) = (frame.output(0), frame.output(1), frame.target(2));
    let places: Vec<usize> = (0..target.len()).collect();
    let channels = head.states.cols;
    let width = VOCABULARY.min(head.weight.rows);
    for places in places.chunks(TOKENS) {
        let (states, scores) = lend(frame.scratch, places.len() * channels, places.len() * width);
        head.gather(pred, places, states);
        let states = MatRef::from_row_major_slice(states, places.len(), channels);
        let mut running = [(Running::NONE, 0.0); TOKENS];
        for block in head.blocks() {
            let scores = &mut scores[..places.len() * block.len()];
            head.score(states, &block, scores);
            let rows = running.par_iter_mut().zip(scores.par_chunks(block.len())).zip(places);
            rows.with_min_len(4).for_each(|(((running, hit), scores), place)| {
                *running = running.merge(summarise(scores, head.sharpness));
                let word = target[*place] as usize;
                if block.contains(&word) {
                    *hit = scores[word - block.start] * head.sharpness;
                }
            });
        }
        for (place, (running, hit)) in places.iter().zip(running) {
            lse.data[*place] = running.lse();
            logp.data[*place] = hit - running.lse();
            if let Some(entropy) = &mut entropy {
                entropy.data[*place] = running.lse() - running.weighted / running.total;
            }
        }
    }
}

/// What backward knows of each scored token.
struct Scored<'a> {
    pred: &'a [u32],
    target: &'a [u32],
    lse: &'a [f32],
    entropy: Option<&'a [f32]>,
    d_logp: Option<&'a [f32]>,
    d_entropy: Option<&'a [f32]>,
}

impl<'a> Scored<'a> {
    fn of(frame: &Frame<'a>) -> Self {
        let (pred, target, lse) = (frame.input(3).words(), frame.input(5).words(), frame.input(6).data);
        let [entropy, d_logp, d_entropy] = [7, 8, 9].map(|place| frame.option(place).map(|input| input.data));
        Self { pred, target, lse, entropy, d_logp, d_entropy }
    }

    /// dL/dlogp and dL/dentropy of a token.
    fn coefficients(&self, place: usize) -> (f32, f32) {
        let at = |x: Option<&[f32]>| x.map_or(0.0, |x| x[place]);
        (at(self.d_logp), at(self.d_entropy))
    }

    /// Turns a token's scores over a block into dL/dscore.
    fn differentiate(&self, place: usize, block: &std::ops::Range<usize>, head: &Head<'_>, scores: &mut [f32]) {
        let (d_logp, d_entropy) = self.coefficients(place);
        let entropy = self.entropy.map_or(0.0, |entropy| entropy[place]);
        let word = Some(self.target[place] as usize).filter(|word| block.contains(word)).map(|word| word - block.start);
        // What is left of a score's derivative under the cap: at the target, which is added to apart.
        let slope = |score: f32| if head.cap > 0.0 { 1.0 - (score / head.cap).powi(2) } else { 1.0 };
        let at_word = word.map_or(0.0, |word| slope(scores[word]));
        turn(scores, head.sharpness, self.lse[place], d_logp + d_entropy * entropy, d_entropy, head.cap);
        if let Some(word) = word {
            scores[word] += d_logp * head.sharpness * at_word;
        }
    }
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let (head, scored) = (Head::of(frame), Scored::of(frame));
    let [mut d_states, mut d_weight, mut d_bias] = [0, 1, 2].map(|place| frame.target(place));
    for target in [&mut d_states, &mut d_weight, &mut d_bias].into_iter().flatten() {
        target.clear();
    }
    let active: Vec<usize> = (0..scored.target.len()).filter(|p| scored.coefficients(*p) != (0.0, 0.0)).collect();
    let channels = head.states.cols;
    let width = VOCABULARY.min(head.weight.rows);
    for places in active.chunks(TOKENS) {
        let words = places.len() * channels;
        let (both, scores) = lend(frame.scratch, 2 * words, places.len() * width);
        let (states, back) = both.split_at_mut(words);
        head.gather(scored.pred, places, states);
        let states = MatRef::from_row_major_slice(states, places.len(), channels);
        for block in head.blocks() {
            let scores = &mut scores[..places.len() * block.len()];
            head.score(states, &block, scores);
            let rows = scores.par_chunks_mut(block.len()).zip(places).with_min_len(4);
            rows.for_each(|(scores, place)| scored.differentiate(*place, &block, &head, scores));
            let d_scores = MatRef::from_row_major_slice(scores, places.len(), block.len());
            if d_states.is_some() {
                let back = MatMut::from_row_major_slice_mut(back, places.len(), channels);
                product(back, block.start > 0, d_scores, head.rows(&block));
            }
            if let Some(d_weight) = &mut d_weight {
                let rows = d_weight.matrix().subrows_mut(block.start, block.len());
                product(rows, true, d_scores.transpose(), states);
            }
            if let Some(d_bias) = &mut d_bias {
                let to = d_bias.part(block.clone());
                column_sums(to, places.len(), |row, sums| {
                    vector::add(sums, &scores[row * block.len()..][..block.len()]);
                });
            }
        }
        if let Some(d_states) = &mut d_states {
            add_back(d_states, scored.pred, places, back);
        }
    }
}

/// Adds the tokens' rows to those of the states that predicted them, in order.
fn add_back(d_states: &mut Target<'_>, pred: &[u32], places: &[usize], back: &[f32]) {
    let channels = d_states.cols;
    for (back, place) in back.chunks(channels).zip(places) {
        let at = pred[*place] as usize * channels;
        vector::add(&mut d_states.data[at..at + channels], back);
    }
}

/// What the scores of one token over a block come to.
fn summarise(scores: &[f32], sharpness: f32) -> Running {
    let most = vector::max(scores) * sharpness;
    let (total, weighted) = exponents(scores, sharpness, most);
    Running { most, total, weighted }
}

fastest! {
    /// Sums of exp(z - most) and exp(z - most) z, where z = sharpness x.
    fn exponents(x: &[f32], sharpness: f32, most: f32) -> (f32, f32) {
        let (x, rest) = x.as_chunks::<LANES>();
        let (mut total, mut weighted) = ([0.0; LANES], [0.0; LANES]);
        for x in x {
            for i in 0..LANES {
                let z = x[i] * sharpness;
                let e = exp::<FMA>(z - most);
                total[i] += e;
                weighted[i] = fma::<FMA>(e, z, weighted[i]);
            }
        }
        let (mut total, mut weighted) = (sum(total), sum(weighted));
        for x in rest {
            let e = exp::<FMA>(x * sharpness - most);
            total += e;
            weighted += e * x * sharpness;
        }
        (total, weighted)
    }

    /// x = -sharpness q (a + b ln q) with ln q = sharpness x - lse; times 1 - (x / cap)^2 under a cap.
    fn turn(x: &mut [f32], sharpness: f32, lse: f32, a: f32, b: f32, cap: f32) {
        let inverse = if cap > 0.0 { cap.recip() } else { 0.0 };
        for x in x {
            let (log, squeezed) = (fma::<FMA>(*x, sharpness, -lse), *x * inverse);
            *x = -sharpness * exp::<FMA>(log) * fma::<FMA>(b, log, a) * fma::<FMA>(-squeezed, squeezed, 1.0);
        }
    }
}
