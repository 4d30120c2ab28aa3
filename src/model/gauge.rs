//! What a network's work reaches of a device: its products and attention alone, a training step, and decoding.
//!
//! Work is counted as the field does: 2 operations a multiplication and addition, 6 a weight and token of a training step
//! (Kaplan et al. 2020, §2.1), 4 D a query, key and head of attention. What is computed twice, or left out because nobody
//! reads it, does not change the count.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::chance::{below, uniform};
use crate::engine::Device;
use crate::engine::probe::{attention, product};

use super::adapter::Site;
use super::transformer::heads;
use super::{AdamStep, Coefficients, Engine, Extras, Head, ModelError, ModelSpec, Network, Request, Sampling, TokenSequence, Want};

/// So many sequences of so many tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    pub batch: usize,
    /// Tokens that are read, and tokens that are scored or sampled.
    pub prompt: usize,
    pub completion: usize,
}

/// One measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Gauge {
    pub what: String,
    pub seconds: f64,
    /// Operations.
    pub work: f64,
    /// Bytes that must come from memory, where these are what it waits for.
    pub bytes: Option<f64>,
    pub tokens: Option<f64>,
}

/// Runs of a step or of a decoding; the best one counts, because other programs only ever take away.
const RUNS: usize = 5;

/// Products of the network's shapes and its attention, with all rows of a step and with one row a sequence, `patience`
/// seconds each.
///
/// # Errors
/// When the device is out of memory or lost.
pub fn kernels(device: &mut dyn Device, spec: &ModelSpec, load: Load, patience: f64) -> Result<Vec<Gauge>, ModelError> {
    let rows = load.batch * (load.prompt + load.completion);
    let mut gauges = Vec::new();
    for m in [rows, load.batch] {
        for ((n, k), names) in shapes(spec) {
            let seconds = product(device, (m, n, k), patience)?;
            let bytes = (m == load.batch).then(|| (4 * n * k) as f64);
            gauges.push(Gauge { what: format!("{m} x {n} x {k}  {names}"), seconds, work: (2 * m * n * k) as f64, bytes, tokens: None });
        }
    }
    let (sequences, tokens) = (load.batch, load.prompt + load.completion);
    let seconds = attention(device, (sequences, tokens), heads(spec), patience)?;
    let pairs = sequences * tokens * (tokens + 1) / 2;
    let work = (4 * spec.heads * spec.head_dim * pairs) as f64;
    gauges.push(Gauge { what: format!("{sequences} x {tokens} tokens  attention"), seconds, work, bytes: None, tokens: None });
    Ok(gauges)
}

/// (N, K) of every product, and who has it.
fn shapes(spec: &ModelSpec) -> BTreeMap<(usize, usize), String> {
    let parameters = spec.parameters(Head::Language);
    let block = Site::all(spec, &parameters).into_iter().filter(|(site, _)| site.block == 0);
    let own = block.map(|(site, at)| ((parameters[at].shape[0], parameters[at].shape[1]), site.target.word().trim_end_matches("_proj")));
    let mut named: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for (shape, name) in own.chain([((spec.vocabulary, spec.width), "head")]) {
        let names = named.entry(shape).or_default();
        names.push_str(if names.is_empty() { "" } else { ", " });
        names.push_str(name);
    }
    named
}

/// A training step of supervised fine-tuning over every weight, and sampling one sequence and a batch.
///
/// # Errors
/// When the network has no language head or cannot be read, or the device fails.
pub fn steps(device: Box<dyn Device>, network: &Network, load: Load) -> Result<Vec<Gauge>, ModelError> {
    let mut engine = Engine::new(device);
    let sampled = [sampling(&mut engine, network, load, 1)?, sampling(&mut engine, network, load, load.batch)?];
    let trained = training(&mut engine, network, load)?;
    Ok([trained].into_iter().chain(sampled).collect())
}

fn training(engine: &mut Engine, network: &Network, load: Load) -> Result<Gauge, ModelError> {
    let step = AdamStep { lr: 1e-6, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, anchor: 0.0, clip: Some(1.0) };
    // in blocks nothing learns: the same network with every weight as it is
    let net = engine.load(&network.plain(), true)?;
    let of = |row: usize| {
        let ids = ids(&network.spec, row, load.prompt + load.completion);
        TokenSequence::new(&ids[..load.prompt], &ids[load.prompt..])
    };
    let sequences: Vec<TokenSequence> = (0..load.batch).map(of).collect();
    #[expect(clippy::cast_precision_loss, reason = "counts of one step")]
    let (scored, tokens) = ((load.batch * load.completion) as f64, (load.batch * (load.prompt + load.completion)) as f64);
    let seconds = best(|| {
        let (pass, readout) = engine.forward(net, &sequences, Want::LOGP, 1.0)?;
        let logp = readout.logp.iter().map(|logp| vec![-1.0 / scored; logp.len()]).collect();
        engine.backward(pass, &Coefficients { logp, ..Coefficients::default() })?;
        engine.update(net, &step).map(drop)
    })?;
    engine.unload(net);
    engine.trim();
    let (projections, head) = weights(&network.spec);
    let what = format!("{} x ({} + {})  training step", load.batch, load.prompt, load.completion);
    Ok(Gauge { what, seconds, work: 6.0 * (projections * tokens + head * scored), bytes: None, tokens: Some(tokens) })
}

fn sampling(engine: &mut Engine, network: &Network, load: Load, batch: usize) -> Result<Gauge, ModelError> {
    let net = engine.load(network, false)?;
    let requests: Vec<Request> =
        (0..batch).zip(0..).map(|(row, key)| Request { prompt: ids(&network.spec, row, load.prompt).into(), key }).collect();
    let end = network.tokenizer.end().to_vec();
    let never_end = |_: usize, _: &[u32], logits: &mut [f32]| end.iter().for_each(|id| logits[*id as usize] = f32::NEG_INFINITY);
    let seconds = best(|| {
        let extras = Extras { constraint: Some(&never_end), ..Extras::default() };
        engine.generate(net, &requests, &Sampling { max_tokens: load.completion, ..Sampling::default() }, extras).map(drop)
    })?;
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let (tokens, passes) = ((batch * load.completion) as f64, load.completion as f64);
    let read = engine.decoded_bytes(net);
    engine.unload(net);
    engine.trim();
    let (projections, head) = weights(&network.spec);
    let what = format!("{batch} x {} behind {}  sampling", load.completion, load.prompt);
    #[expect(clippy::cast_precision_loss, reason = "bytes of a network")]
    Ok(Gauge { what, seconds, work: 2.0 * (projections + head) * tokens, bytes: Some(read as f64 * passes), tokens: Some(tokens) })
}

/// Weights of the projections, and of the head.
#[expect(clippy::cast_precision_loss, reason = "counts of one network")]
fn weights(spec: &ModelSpec) -> (f64, f64) {
    let parameters = spec.parameters(Head::Language);
    let projections: usize = Site::all(spec, &parameters).iter().map(|(_, at)| parameters[*at].len()).sum();
    (projections as f64, (spec.vocabulary * spec.width) as f64)
}

/// Random ids.
fn ids(spec: &ModelSpec, row: usize, count: usize) -> Vec<u32> {
    let small = |i: usize| u32::try_from(i).expect("few tokens");
    let id = |i: usize| {
        let draw = uniform([11, small(row)], [small(i), 0, 0, 0]);
        small(usize::try_from(below(spec.vocabulary as u64, draw[0], draw[1])).expect("an id"))
    };
    (0..count).map(id).collect()
}

/// The least seconds of several runs, after one that warms up.
fn best(mut run: impl FnMut() -> Result<(), ModelError>) -> Result<f64, ModelError> {
    run()?;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = Instant::now();
        run()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
