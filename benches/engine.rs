//! A training step of a small Llama on the native device, against the processor's own matrix rate measured beside it.
//!
//! `cargo bench --bench engine`. Prints, per model: milliseconds (median), GFLOP/s, the share of the raw matrix rate, and
//! where the time goes by op. Rates are of the arithmetic that the step must do; recomputed scores count once.

#![expect(clippy::print_stdout, reason = "what a bench finds is printed")]

use std::collections::BTreeMap;
use std::time::Instant;

use align::engine::cpu::CpuDevice;
use align::engine::op::attention::{Params as Heads, Reach};
use align::engine::op::linear_logp::{Params as Head, Scored};
use align::engine::op::rms_norm::Params as Norm;
use align::engine::optim::AdamW;
use align::engine::{Arena, Device, Gradients, Pass, Recorder, Recording, View, backward, probe};

const NORM: Norm = Norm { eps: 1e-5, offset: 0.0 };

struct Shape {
    name: &'static str,
    dim: usize,
    layers: usize,
    heads: usize,
    mlp: usize,
    vocabulary: usize,
    /// Lengths of the packed sequences; the second half of each is scored.
    sequences: usize,
    length: usize,
}

const SHAPES: &[Shape] = &[
    Shape { name: "15m, 8x128", dim: 288, layers: 6, heads: 6, mlp: 768, vocabulary: 8192, sequences: 8, length: 128 },
    Shape { name: "15m, 1x1024", dim: 288, layers: 6, heads: 6, mlp: 768, vocabulary: 8192, sequences: 1, length: 1024 },
    Shape { name: "260k, 8x32", dim: 64, layers: 5, heads: 8, mlp: 172, vocabulary: 512, sequences: 8, length: 32 },
    Shape { name: "260k, 32x96", dim: 64, layers: 5, heads: 8, mlp: 172, vocabulary: 512, sequences: 32, length: 96 },
];

fn main() {
    let mut device = CpuDevice::new(None).expect("threads start");
    println!("{}", device.describe().features);
    for shape in SHAPES {
        train(&mut device, shape);
    }
    for rows in [1, 8, 16, 17, 64] {
        decode(&mut device, rows);
    }
}

/// All weights with their gradients and moments.
struct Weights {
    all: Vec<[View; 4]>,
}

impl Weights {
    fn new() -> Self {
        Self { all: Vec::new() }
    }

    fn add(&mut self, device: &mut dyn Device, rows: usize, cols: usize) -> View {
        let seed = self.all.len() as f32;
        let numbers: Vec<f32> = (0..rows * cols).map(|i| ((i as f32 + seed) * 1.7).sin() * 0.05).collect();
        let weight = device.load(&numbers, rows, cols).expect("there is memory");
        let mut zeros = || View::new(device.alloc(rows * cols).expect("there is memory"), rows, cols);
        self.all.push([weight, zeros(), zeros(), zeros()]);
        weight
    }

    fn words(&self) -> usize {
        self.all.iter().map(|views| views[0].words()).sum()
    }
}

struct Layer {
    norms: [View; 2],
    qkvo: [View; 4],
    gate_up: [View; 2],
    down: View,
}

fn train(device: &mut CpuDevice, shape: &Shape) {
    let mut weights = Weights::new();
    let (dim, mlp, vocabulary) = (shape.dim, shape.mlp, shape.vocabulary);
    let embedding = weights.add(device, vocabulary, dim);
    let mut layers = Vec::new();
    for _ in 0..shape.layers {
        layers.push(Layer {
            norms: std::array::from_fn(|_| weights.add(device, 1, dim)),
            qkvo: std::array::from_fn(|_| weights.add(device, dim, dim)),
            gate_up: std::array::from_fn(|_| weights.add(device, mlp, dim)),
            down: weights.add(device, dim, mlp),
        });
    }
    let (norm, head) = (weights.add(device, 1, dim), weights.add(device, vocabulary, dim));
    let table: Vec<f32> = (0..shape.length * dim / shape.heads).map(|i| (i as f32).cos()).collect();
    let table = device.load(&table, shape.length, dim / shape.heads).expect("there is memory");

    let mut arena = Arena::new();
    let mut gradients = Gradients::new();
    for [weight, gradient, ..] in &weights.all {
        gradients.leaf(*weight, *gradient);
    }
    let mut record = |device: &mut CpuDevice| {
        arena.reset();
        let mut rec = Recorder::new(device, &mut arena);
        let logp = forward(&mut rec, shape, embedding, &layers, (norm, head), table);
        let forward = rec.finish().expect("there is memory");
        device.run(&forward).expect("it runs");
        let mut rec = Recorder::new(device, &mut arena);
        gradients.begin();
        let seed = rec.upload_f32(&vec![-1.0 / logp.rows as f32; logp.rows], logp.rows, 1);
        gradients.seed(logp, seed);
        backward(&mut rec, &forward, &mut gradients);
        let derivative = rec.finish().expect("there is memory");
        let mut rec = Recorder::new(device, &mut arena);
        let sum = rec.temp(1, 1);
        rec.norm_sq(&weights.all.iter().map(|views| views[1]).collect::<Vec<_>>(), sum);
        let adam = AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1 };
        for [weight, gradient, m, v] in &weights.all {
            rec.adamw(*weight, *gradient, (*m, *v), adam.params(1, 1.0, true));
        }
        let update = rec.finish().expect("there is memory");
        device.run(&derivative).expect("it runs");
        device.run(&update).expect("it runs");
        [forward, derivative, update]
    };
    for _ in 0..3 {
        record(device);
    }
    let mut rates = Vec::new();
    let mut times = Vec::new();
    for _ in 0..9 {
        rates.push(probe::matrix_rate(device, 0.03).expect("it runs"));
        let begin = Instant::now();
        record(device);
        times.push(begin.elapsed().as_secs_f64());
    }
    let recordings = record(device);
    let (time, best, rate) = (median(&mut times), times[0], median(&mut rates));
    let flops = work(shape, &weights);
    let reached = flops / time / rate * 100.0;
    println!(
        "{}: {:.2} ms (best {:.2}), {:.1} GFLOP at {:.0} GFLOP/s, {reached:.0} % of the matrix rate {:.0} GFLOP/s",
        shape.name,
        time * 1e3,
        best * 1e3,
        flops / 1e9,
        flops / time / 1e9,
        rate / 1e9
    );
    shares(device, &recordings);
}

fn forward(rec: &mut Recorder<'_>, shape: &Shape, embedding: View, layers: &[Layer], (norm, head): (View, View), table: View) -> View {
    let (length, tokens) = (shape.length as u32, (shape.sequences * shape.length) as u32);
    let ids: Vec<u32> = (0..tokens).map(|t| t * 7919 % shape.vocabulary as u32).collect();
    let ranges: Vec<u32> = (0..tokens).flat_map(|t| [0, 0, t / length * length, t + 1]).collect();
    let until: Vec<u32> = (0..tokens).map(|t| (t / length + 1) * length).collect();
    let scored: Vec<u32> = (0..tokens).filter(|t| t % length >= length / 2).collect();
    let targets: Vec<u32> = scored.iter().map(|t| t * 31 % shape.vocabulary as u32).collect();
    let positions: Vec<u32> = (0..tokens).map(|t| t % length).collect();
    let rows = tokens as usize;
    let (ids, positions) = (rec.indices(&ids), rec.upload_u32(&positions, rows, 1));
    let reach = Reach { ranges: rec.upload_u32(&ranges, rows, 4), key_until: Some(rec.upload_u32(&until, rows, 1)) };
    let head_dim = shape.dim / shape.heads;
    let scale = (head_dim as f32).sqrt().recip();
    let heads = Heads { heads: shape.heads as u32, kv_heads: shape.heads as u32, head_dim: head_dim as u32, scale, cap: 0.0 };
    let mut x = rec.embed(ids, embedding, 1.0);
    for layer in layers {
        let normed = rec.rms_norm(x, layer.norms[0], NORM);
        let [q, k, v] = [0, 1, 2].map(|i| rec.linear(normed, layer.qkvo[i], None));
        let (q, k) = (rec.rope(q, positions, table, head_dim), rec.rope(k, positions, table, head_dim));
        let mixed = rec.attention(q, k, v, reach, heads);
        let mixed = rec.linear(mixed, layer.qkvo[3], None);
        x = rec.add(x, mixed);
        let normed = rec.rms_norm(x, layer.norms[1], NORM);
        let [gate, up] = layer.gate_up.map(|weight| rec.linear(normed, weight, None));
        let gated = rec.swiglu(gate, up);
        let down = rec.linear(gated, layer.down, None);
        x = rec.add(x, down);
    }
    let hidden = rec.rms_norm(x, norm, NORM);
    let pred = rec.indices(&scored);
    let target = rec.upload_u32(&targets, targets.len(), 1);
    rec.linear_logp(hidden, (head, None), Scored { pred, target }, Head { temperature: 1.0, cap: 0.0 }, false).logp
}

/// Multiplications and additions of matrix products, forward and backward.
fn work(shape: &Shape, weights: &Weights) -> f64 {
    let tokens = shape.sequences * shape.length;
    let head = shape.vocabulary * shape.dim;
    let matrices = weights.words() - 2 * head;
    let keys = shape.length / 2;
    let attention = 2 * shape.layers * shape.dim * keys;
    (6 * (tokens * (matrices + attention) + tokens / 2 * head)) as f64
}

/// Runs every step by itself and prints where the time goes.
fn shares(device: &mut CpuDevice, recordings: &[Recording]) {
    let mut spent: BTreeMap<(&str, Pass), f64> = BTreeMap::new();
    for step in recordings.iter().flat_map(|recording| &recording.steps) {
        let alone = Recording { steps: vec![step.clone()] };
        let begin = Instant::now();
        device.run(&alone).expect("it runs");
        *spent.entry((step.op.name(), step.pass)).or_default() += begin.elapsed().as_secs_f64();
    }
    let total: f64 = spent.values().sum();
    let mut spent: Vec<_> = spent.into_iter().collect();
    spent.sort_by(|a, b| b.1.total_cmp(&a.1));
    for ((op, pass), time) in spent.iter().filter(|(_, time)| *time > 0.005 * total) {
        println!("    {:5.1} %  {:8.3} ms  {op} {pass}", time / total * 100.0, time * 1e3);
    }
}

/// The products of a decoding step with `rows` sequences.
fn decode(device: &mut CpuDevice, rows: usize) {
    for (n, k) in [(288, 288), (768, 288), (288, 768), (8192, 288), (576, 1536)] {
        let mut arena = Arena::new();
        let x = device.load(&vec![0.5; rows * k], rows, k).expect("there is memory");
        let weight = device.load(&vec![0.25; n * k], n, k).expect("there is memory");
        let mut rec = Recorder::new(device, &mut arena);
        for _ in 0..20 {
            let y = rec.linear(x, weight, None);
            rec.release(y);
        }
        let recording = rec.finish().expect("there is memory");
        let mut times: Vec<f64> = (0..30)
            .map(|_| {
                let begin = Instant::now();
                device.run(&recording).expect("it runs");
                begin.elapsed().as_secs_f64() / 20.0
            })
            .collect();
        let (time, best) = (median(&mut times), times[0]);
        let (flops, bytes) = ((2 * rows * n * k) as f64, (4 * n * k) as f64);
        println!(
            "linear {rows}x{k}x{n}: {:.1} us (best {:.1}), {:.0} GFLOP/s, {:.1} GB/s of weights",
            time * 1e6,
            best * 1e6,
            flops / time / 1e9,
            bytes / time / 1e9
        );
        arena.clear(device);
        device.free(x.buffer);
        device.free(weight.buffer);
    }
}

/// Sorts and takes the middle.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
