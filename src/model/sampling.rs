//! How the next token is chosen from logits: penalty, temperature, filters, and a draw keyed by its place.
//!
//! The order is that of `transformers`: repetition penalty, constraint, temperature, top-k, top-p, min-p.

use crate::chance::{halves, uniform, unit};

/// How completions are sampled.
#[derive(Clone, PartialEq, Debug)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keeps the k likeliest tokens (and ties of the last one).
    pub top_k: Option<usize>,
    /// Keeps the likeliest tokens whose probabilities reach p together.
    pub top_p: Option<f64>,
    /// Drops tokens less likely than this share of the likeliest one's probability.
    pub min_p: Option<f64>,
    /// Divides positive and multiplies negative logits of tokens that occurred, in the prompt too.
    pub repetition_penalty: Option<f64>,
    /// Texts that end a completion; like the end token they belong to its tokens and not to its text.
    pub stop: Vec<String>,
    /// The longest completion, in tokens.
    pub max_tokens: usize,
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: None,
            stop: Vec::new(),
            max_tokens: 256,
            seed: 0,
        }
    }
}

/// A token and how likely it was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Choice {
    pub token: u32,
    /// Log-prob under the network at the sampling temperature (1 where that is 0), before penalty and filters: what
    /// re-scoring the completion gives.
    pub logp: f64,
}

impl Sampling {
    /// Chooses from `logits` (V). `previous` is everything before, prompt first; `constrain` may set logits to -∞. The
    /// draw depends on the seed, `key` and `position` only.
    pub fn choose(&self, logits: &[f32], previous: &[u32], constrain: Option<impl FnOnce(&mut [f32])>, key: u64, position: u32) -> Choice {
        let scale = if self.temperature == 0.0 { 1.0 } else { 1.0 / self.temperature };
        let weights = Weights::new(logits, scale);
        let at = if self.repetition_penalty.is_some() || constrain.is_some() {
            let mut allowed = logits.to_vec();
            self.penalise(&mut allowed, previous);
            constrain.into_iter().for_each(|constrain| constrain(&mut allowed));
            self.pick(&allowed, &Weights::new(&allowed, scale), key, position)
        } else {
            self.pick(logits, &weights, key, position)
        };
        Choice::new(at, f64::from(logits[at]) * scale - weights.log_total())
    }

    /// The probability of every token (V) after penalty, temperature and filters: what is drawn from.
    pub fn distribution(&self, logits: &[f32], previous: &[u32]) -> Vec<f64> {
        let mut logits = logits.to_vec();
        self.penalise(&mut logits, previous);
        let mut distribution = vec![0.0; logits.len()];
        if self.temperature == 0.0 {
            distribution[argmax(&logits)] = 1.0;
            return distribution;
        }
        let weights = Weights::new(&logits, 1.0 / self.temperature);
        let kept = self.kept(&logits, &weights);
        let total: f64 = kept.iter().map(|&i| f64::from(weights.each[i])).sum();
        for i in kept {
            distribution[i] = f64::from(weights.each[i]) / total;
        }
        distribution
    }

    fn pick(&self, logits: &[f32], weights: &Weights, key: u64, position: u32) -> usize {
        if self.temperature == 0.0 {
            return argmax(logits);
        }
        let words = uniform(halves(self.seed), [halves(key)[0], halves(key)[1], position, 0]);
        let u = unit(words[0], words[1]);
        if self.top_k.is_none() && self.top_p.is_none() && self.min_p.is_none() {
            return weights.draw(u);
        }
        let kept = self.kept(logits, weights);
        let of_kept = || kept.iter().map(|&i| weights.each[i]);
        kept[draw(of_kept(), u * of_kept().map(f64::from).sum::<f64>())]
    }

    fn penalise(&self, logits: &mut [f32], previous: &[u32]) {
        let Some(penalty) = self.repetition_penalty else { return };
        #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
        let penalty = penalty as f32;
        let mut seen = previous.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            let logit = &mut logits[id as usize];
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }

    /// The tokens that pass the filters, likeliest first; never none.
    fn kept(&self, logits: &[f32], weights: &Weights) -> Vec<usize> {
        let mut kept = by_likelihood(logits, self.top_k.unwrap_or(logits.len()));
        let weight = |i: &usize| f64::from(weights.each[*i]);
        if let Some(p) = self.top_p {
            let enough = p * kept.iter().map(weight).sum::<f64>();
            let mut before = 0.0;
            let needed = |i: &&usize| {
                let needed = before < enough;
                before += weight(i);
                needed
            };
            kept.truncate(kept.iter().take_while(needed).count().max(1));
        }
        if let Some(p) = self.min_p {
            let least = p * weight(&kept[0]);
            kept.truncate(kept.iter().take_while(|i| weight(i) >= least).count().max(1));
        }
        kept
    }
}

impl Choice {
    fn new(at: usize, logp: f64) -> Self {
        Self { token: u32::try_from(at).expect("ids fit 32 bits"), logp }
    }
}

/// e^(scale (logit - max)) of every token, and their sum.
struct Weights {
    each: Vec<f32>,
    /// The sum of every [`BLOCK`] of them: a draw skips those that it does not fall into.
    blocks: Vec<f64>,
    total: f64,
    /// scale · max.
    top: f64,
}

/// Numbers that a loop handles side by side, and whose sum is kept.
const LANES: usize = 16;
const BLOCK: usize = 512;

impl Weights {
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    fn new(logits: &[f32], scale: f64) -> Self {
        let (each, top, blocks) = pulp::Arch::new().dispatch(Exponentials { logits, scale: scale as f32 });
        Self { each, total: blocks.iter().sum(), blocks, top: f64::from(top) * scale }
    }

    fn log_total(&self) -> f64 {
        self.top + self.total.ln()
    }

    /// The index that `u` in [0, 1) falls on.
    fn draw(&self, u: f64) -> usize {
        let (mut left, mut block, mut passed) = (u * self.total, 0, 0.0);
        for (at, sum) in self.blocks.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
            // of the last block nothing is taken: where rounding leaves more than there is, its last token is drawn
            left -= passed;
            (block, passed) = (at, *sum);
            if left < *sum {
                break;
            }
        }
        let first = block * BLOCK;
        first + draw(self.each[first..self.each.len().min(first + BLOCK)].iter().copied(), left)
    }
}

/// e^(scale (logit - max)), the largest logit and the sums of blocks; compiled for the best instructions of the processor.
struct Exponentials<'a> {
    logits: &'a [f32],
    scale: f32,
}

impl pulp::WithSimd for Exponentials<'_> {
    type Output = (Vec<f32>, f32, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
        let (blocks, rest) = self.logits.as_chunks::<LANES>();
        let mut tops = [f32::NEG_INFINITY; LANES];
        for block in blocks {
            for i in 0..LANES {
                tops[i] = if block[i] > tops[i] { block[i] } else { tops[i] };
            }
        }
        let mut top = f32::NEG_INFINITY;
        for &x in tops.iter().chain(rest) {
            top = if x > top { x } else { top };
        }
        let mut each = self.logits.to_vec();
        for x in &mut each {
            *x = exp((*x - top) * self.scale);
        }
        let mut blocks = Vec::with_capacity(each.len().div_ceil(BLOCK));
        for block in each.chunks(BLOCK) {
            let mut total = 0.0;
            // so few numbers are summed in f32 as exactly as they were computed
            for few in block.chunks(4 * LANES) {
                let mut sums = [0.0; LANES];
                let (lanes, rest) = few.as_chunks::<LANES>();
                for lanes in lanes {
                    for i in 0..LANES {
                        sums[i] += lanes[i];
                    }
                }
                for x in sums.iter().chain(rest) {
                    total += f64::from(*x);
                }
            }
            blocks.push(total);
        }
        (each, top, blocks)
    }
}

/// The `k` likeliest tokens and ties of the last, likeliest first, equal ones by id.
fn by_likelihood(logits: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|&i| logits[i] > f32::NEG_INFINITY).collect();
    let descending = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if k < order.len() {
        let (_, &mut last, _) = order.select_nth_unstable_by(k.max(1) - 1, descending);
        order.retain(|&i| logits[i] >= logits[last]);
    }
    order.sort_unstable_by(descending);
    order
}

/// The index that so much of the weights' sum falls on.
fn draw(weights: impl Iterator<Item = f32>, mut left: f64) -> usize {
    let mut last = 0;
    for (i, weight) in weights.enumerate() {
        left -= f64::from(weight);
        if left < 0.0 {
            return i;
        }
        if weight > 0.0 {
            last = i;
        }
    }
    // Rounding left a rest: the last token that can be drawn at all.
    last
}

/// The index of the largest, the first of equal ones.
fn argmax(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, better)
}

/// e^x for x <= 0 to 1e-7 relative, 0 below the normal range. Written without branches, so that it is vectorised:
/// sampling takes as many exponentials as the vocabulary has words, for every token.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let n = x.max(-87.0) * std::f32::consts::LOG2_E + ROUND;
    let whole = n - ROUND;
    // ln 2 in two parts: the first has few bits, so that its product with `whole` is exact.
    let r = (x.max(-87.0) - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.000_000_3e-1;
    let y = p * r * r + r + 1.0;
    let power = f32::from_bits((n.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { y * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_seven_digits() {
        for i in 0..87_000 {
            let x = -(i as f32) / 1000.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 2e-7, "{x}: {found} {expected}");
        }
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY), exp(-1000.0)), (1.0, 0.0, 0.0));
    }

    fn choose(sampling: &Sampling, logits: &[f32], position: u32) -> Choice {
        sampling.choose(logits, &[], None::<fn(&mut [f32])>, 7, position)
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.1_f32, 0.2, 0.3, 0.4].map(f32::ln);
        let sampling = Sampling::default();
        let mut counts = [0_u32; 4];
        for position in 0..10_000 {
            let choice = choose(&sampling, &logits, position);
            counts[choice.token as usize] += 1;
            assert!((choice.logp - f64::from(logits[choice.token as usize])).abs() < 1e-6);
        }
        for (i, count) in counts.into_iter().enumerate() {
            assert!((f64::from(count) / 1000.0 - (i + 1) as f64).abs() < 0.15, "{counts:?}");
        }
    }

    #[test]
    fn draws_fall_where_the_sum_of_all_before_says() {
        let count = 3 * BLOCK + 5;
        // one block can not be drawn from, and one token is as likely as all others
        let logits: Vec<f32> = (0..count)
            .map(|i| if (BLOCK..2 * BLOCK).contains(&i) { f32::NEG_INFINITY } else { (i as f32).sin() + if i == 7 { 8.0 } else { 0.0 } })
            .collect();
        let weights = Weights::new(&logits, 1.0);
        let exact: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp()).collect();
        let total: f64 = exact.iter().sum();
        assert!((weights.log_total() - total.ln()).abs() < 1e-6);
        let mut before = 0.0;
        for (i, weight) in exact.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            assert_eq!(weights.draw((before + weight / 2.0) / total), i);
            before += weight;
        }
    }

    #[test]
    fn a_draw_depends_on_seed_key_and_position() {
        let logits = [0.0; 50];
        let tokens = |seed, key| -> Vec<u32> {
            let sampling = Sampling { seed, ..Sampling::default() };
            let at = |p| sampling.choose(&logits, &[], None::<fn(&mut [f32])>, key, p).token;
            (0..20).map(at).collect()
        };
        assert_eq!(tokens(1, 2), tokens(1, 2));
        assert_ne!(tokens(1, 2), tokens(1, 3));
        assert_ne!(tokens(1, 2), tokens(2, 2));
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        assert_eq!(choose(&greedy, &[1.0, 3.0, 3.0, 2.0], 0).token, 1);
    }

    #[test]
    fn a_constraint_is_never_broken() {
        for temperature in [0.0, 1.0, 5.0] {
            let sampling = Sampling { temperature, top_p: Some(0.9), ..Sampling::default() };
            for position in 0..50 {
                let allow_two = |logits: &mut [f32]| (0..8).filter(|i| *i != 2).for_each(|i| logits[i] = f32::NEG_INFINITY);
                let choice = sampling.choose(&[1.0; 8], &[], Some(allow_two), 0, position);
                assert_eq!(choice.token, 2);
                assert!((choice.logp + 8_f64.ln()).abs() < 1e-6, "the log-prob is the network's, without the constraint");
            }
        }
    }
}
