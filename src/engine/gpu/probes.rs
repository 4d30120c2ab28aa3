//! What is timed to choose between kernels: products, attention and heads at sizes that models of 100 million to some
//! billion weights have.

use std::fmt;

use crate::engine::op::attention::{Params as Heads, Reach};
use crate::engine::op::linear_logp::{Params as Cooling, Scored};
use crate::engine::op::rms_norm::Params as Norm;
use crate::engine::{Arena, Device, EngineError, Gradients, Precision, Recorder, Recording, View, backward};

/// Something to time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// x (M, K) times the transpose of a weight (N, K).
    Product { m: usize, n: usize, k: usize },
    /// The same with the weight as halves: sampling.
    Halves { m: usize, n: usize, k: usize },
    /// So many sequences with `queries` tokens behind others, `keys` in all: decoding with one, reading a prompt with all.
    Attention { sequences: usize, queries: usize, keys: usize },
    /// The norm of so many rows.
    Norm { rows: usize, width: usize },
    /// Log-probs of so many tokens over a vocabulary.
    Head { rows: usize, width: usize, vocabulary: usize },
    /// Their derivative by states and weight.
    HeadBack { rows: usize, width: usize, vocabulary: usize },
}

/// Products of a step's forward and backward passes: widths 576 and 2048, hidden layers 1536 and 8192.
pub const PRODUCTS: &[Probe] = &[
    Probe::Product { m: 512, n: 576, k: 576 },
    Probe::Product { m: 512, n: 1536, k: 576 },
    Probe::Product { m: 2048, n: 576, k: 1536 },
    Probe::Product { m: 2048, n: 1536, k: 576 },
    Probe::Product { m: 1024, n: 2048, k: 2048 },
    Probe::Product { m: 2048, n: 2048, k: 2048 },
];

/// Products with few results and a long sum: keys and values of grouped heads, gradients of weights, small batches.
pub const THIN: &[Probe] = &[
    Probe::Product { m: 32, n: 576, k: 1536 },
    Probe::Product { m: 32, n: 2048, k: 8192 },
    Probe::Product { m: 192, n: 576, k: 2048 },
    Probe::Product { m: 576, n: 576, k: 4096 },
    Probe::Product { m: 16, n: 512, k: 4096 },
];

/// Products of a batch that samples, and of its prompts.
pub const HALVES: &[Probe] =
    &[Probe::Halves { m: 64, n: 1536, k: 576 }, Probe::Halves { m: 64, n: 576, k: 1536 }, Probe::Halves { m: 512, n: 2048, k: 2048 }];

/// Attention of decoding, and of prompts that are as few queries.
pub const DECODING: &[Probe] = &[
    Probe::Attention { sequences: 16, queries: 1, keys: 512 },
    Probe::Attention { sequences: 64, queries: 1, keys: 512 },
    Probe::Attention { sequences: 128, queries: 1, keys: 256 },
    Probe::Attention { sequences: 512, queries: 1, keys: 128 },
    Probe::Attention { sequences: 1, queries: 64, keys: 64 },
    Probe::Attention { sequences: 1, queries: 256, keys: 256 },
];

/// Heads of small and of usual vocabularies.
pub const HEADS: &[Probe] =
    &[Probe::Head { rows: 128, width: 576, vocabulary: 49_152 }, Probe::Head { rows: 1024, width: 576, vocabulary: 49_152 }];

/// The same backwards.
pub const HEADS_BACK: &[Probe] =
    &[Probe::HeadBack { rows: 128, width: 576, vocabulary: 49_152 }, Probe::HeadBack { rows: 1024, width: 576, vocabulary: 49_152 }];

/// What lanes reduce together: rows of norms, decoding's results, its queries.
pub const REDUCTIONS: &[Probe] = &[
    Probe::Norm { rows: 2048, width: 576 },
    Probe::Norm { rows: 2048, width: 2048 },
    Probe::Product { m: 1, n: 1536, k: 576 },
    Probe::Product { m: 1, n: 2048, k: 8192 },
    Probe::Product { m: 8, n: 1536, k: 576 },
    Probe::Attention { sequences: 16, queries: 1, keys: 512 },
];

/// The heads of attention that are timed: smollm2-135m's.
const HEADS_OF: Heads = Heads { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, cap: 0.0 };

/// The norm that is timed.
const NORM: Norm = Norm { eps: 1e-5, offset: 0.0 };

impl Probe {
    /// The same at a quarter of each size, for drivers that run on the processor.
    #[must_use]
    pub fn small(self) -> Self {
        let quarter = |x: usize| x.div_ceil(4);
        match self {
            Self::Product { m, n, k } => Self::Product { m: quarter(m), n: quarter(n), k: quarter(k) },
            Self::Halves { m, n, k } => Self::Halves { m: quarter(m), n: quarter(n), k: quarter(k) },
            Self::Attention { sequences, queries, keys } => {
                Self::Attention { sequences: quarter(sequences), queries: quarter(queries), keys: quarter(keys) }
            }
            Self::Norm { rows, width } => Self::Norm { rows: quarter(rows), width: quarter(width) },
            Self::Head { rows, width, vocabulary } => {
                Self::Head { rows: quarter(rows), width: quarter(width), vocabulary: vocabulary / 16 }
            }
            Self::HeadBack { rows, width, vocabulary } => {
                Self::HeadBack { rows: quarter(rows), width: quarter(width), vocabulary: vocabulary / 16 }
            }
        }
    }

    /// Operations: 2 a multiplication and addition.
    pub fn work(self) -> usize {
        match self {
            Self::Product { m, n, k } | Self::Halves { m, n, k } => 2 * m * n * k,
            Self::Attention { sequences, queries, keys } => {
                let pairs: usize = (keys - queries..keys).map(|before| before + 1).sum();
                4 * HEADS_OF.heads as usize * HEADS_OF.head_dim as usize * sequences * pairs
            }
            // a square and a sum, and two factors
            Self::Norm { rows, width } => 4 * rows * width,
            Self::Head { rows, width, vocabulary } => 2 * rows * width * vocabulary,
            // the logits again, and a product for each of the two gradients
            Self::HeadBack { rows, width, vocabulary } => 6 * rows * width * vocabulary,
        }
    }

    /// Its steps alone, over memory of `arena` that is filled. Weights that it froze are the caller's to thaw.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    pub fn record(self, device: &mut dyn Device, arena: &mut Arena) -> Result<Recording, EngineError> {
        match self {
            Self::Product { m, n, k } | Self::Halves { m, n, k } => {
                let [x, weight] = filled(device, arena, [(m, k), (n, k)])?;
                if matches!(self, Self::Halves { .. }) {
                    device.freeze(&[weight], Precision::Half)?;
                }
                let mut rec = Recorder::new(device, arena);
                rec.linear(x, weight, None);
                rec.finish()
            }
            Self::Attention { sequences, queries, keys } => {
                let dim = HEADS_OF.head_dim as usize;
                let shapes = [(sequences * queries, HEADS_OF.heads as usize * dim), (sequences * keys, HEADS_OF.kv_heads as usize * dim)];
                let [q, k] = filled(device, arena, shapes)?;
                let ranges = ranges(sequences, queries, keys);
                let mut rec = Recorder::new(device, arena);
                let reach = Reach { ranges: rec.upload_u32(&ranges, sequences * queries, 4), key_until: None };
                rec.attention(q, k, k, reach, HEADS_OF);
                rec.finish()
            }
            Self::Norm { rows, width } => {
                let [x, gain] = filled(device, arena, [(rows, width), (1, width)])?;
                let mut rec = Recorder::new(device, arena);
                rec.rms_norm(x, gain, NORM);
                rec.finish()
            }
            Self::Head { rows, width, vocabulary } => Ok(head(device, arena, (rows, width, vocabulary))?.0),
            Self::HeadBack { rows, width, vocabulary } => {
                let (forward, [h, weight, logp]) = head(device, arena, (rows, width, vocabulary))?;
                device.run(&forward)?;
                let [d_weight, d_logp] = filled(device, arena, [(vocabulary, width), (rows, 1)])?;
                let mut gradients = Gradients::new();
                gradients.leaf(weight, d_weight);
                gradients.want(h);
                gradients.seed(logp, d_logp);
                let mut rec = Recorder::new(device, arena);
                backward(&mut rec, &forward, &mut gradients);
                rec.finish()
            }
        }
    }
}

/// Prefix and own range of every query.
fn ranges(sequences: usize, queries: usize, keys: usize) -> Vec<u32> {
    let small = |x: usize| u32::try_from(x).expect("few keys");
    let of = |sequence: usize| (keys - queries..keys).flat_map(move |at| [0, 0, small(sequence * keys), small(sequence * keys + at + 1)]);
    (0..sequences).flat_map(of).collect()
}

/// The head's forward steps; states, weight, and log-probs.
fn head(
    device: &mut dyn Device,
    arena: &mut Arena,
    (rows, width, vocabulary): (usize, usize, usize),
) -> Result<(Recording, [View; 3]), EngineError> {
    let [h, weight] = filled(device, arena, [(rows, width), (vocabulary, width)])?;
    let places: Vec<u32> = (0..).take(rows).collect();
    let mut rec = Recorder::new(device, arena);
    let scored = Scored { pred: rec.indices(&places), target: rec.upload_u32(&places, rows, 1) };
    let said = rec.linear_logp(h, (weight, None), scored, Cooling { temperature: 1.0, cap: 0.0 }, false);
    Ok((rec.finish()?, [h, weight, said.logp]))
}

/// Matrices of small numbers.
fn filled<const N: usize>(device: &mut dyn Device, arena: &mut Arena, shapes: [(usize, usize); N]) -> Result<[View; N], EngineError> {
    let mut rec = Recorder::new(device, arena);
    let views = shapes.map(|(rows, cols)| {
        let view = rec.temp(rows, cols);
        rec.fill(view, 0.01);
        view
    });
    let recording = rec.finish()?;
    device.run(&recording)?;
    Ok(views)
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product { m, n, k } => write!(f, "{m} x {n} x {k}"),
            Self::Halves { m, n, k } => write!(f, "halves, {m} x {n} x {k}"),
            Self::Attention { sequences, queries, keys } => write!(f, "attention, {sequences} x {queries} over {keys}"),
            Self::Norm { rows, width } => write!(f, "norm, {rows} x {width}"),
            Self::Head { rows, width, vocabulary } => write!(f, "head, {rows} x {vocabulary} x {width}"),
            Self::HeadBack { rows, width, vocabulary } => write!(f, "head back, {rows} x {vocabulary} x {width}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::CpuDevice;

    #[test]
    fn every_probe_is_a_sound_recording() {
        let mut device = CpuDevice::new(Some(1)).unwrap();
        for probe in [PRODUCTS, THIN, DECODING, HALVES, HEADS, HEADS_BACK, REDUCTIONS].concat() {
            // twice a quarter: seconds on one thread
            let small = probe.small().small();
            let mut arena = Arena::new();
            let recording = small.record(&mut device, &mut arena).unwrap();
            assert!(!recording.steps.is_empty() && small.work() > 0, "{small}");
            device.run(&recording).unwrap();
            device.thaw();
            arena.clear(&mut device);
        }
        assert_eq!(device.memory().in_use, 0);
    }

    #[test]
    fn queries_see_what_came_before_them() {
        assert_eq!(ranges(2, 1, 3), [0, 0, 0, 3, 0, 0, 3, 6]);
        assert_eq!(ranges(1, 2, 2), [0, 0, 0, 1, 0, 0, 0, 2]);
    }
}
