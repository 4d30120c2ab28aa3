//! How long the steps of training and sampling take on the processor, beside the rate of a plain matrix product at the
//! same moment: `cargo bench --bench steps [-- NAME…]`.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

#[path = "../tests/toy/mod.rs"]
mod toy;

use std::path::Path;
use std::time::Instant;

use align::chance::{below, uniform};
use align::engine::BlockFormat;
use align::engine::cpu::CpuDevice;
use align::model::{
    AdamStep, Adapter, AdapterSpec, Coefficients, Engine, Extras, Head, NetId, Network, Request, Sampling, TokenSequence, Want,
};
use toy::Shape;

/// 10.7 million parameters.
const LLAMA_15M: Shape = Shape { layers: 6, width: 288, heads: 6, kv_heads: 6, mlp: 768, vocabulary: 8192, tied: false };

type Bench = fn(&Network);

const STEP: AdamStep = AdamStep { lr: 1e-5, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, anchor: 0.0, clip: Some(1.0) };

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    toy::write(folder.path(), LLAMA_15M, Head::Language);
    let llama = Network::open(folder.path()).expect("it opens");
    let stories = Network::open(Path::new("recipes/quickstart")).expect("it opens");
    let nf4 = llama.quantised(BlockFormat::Nf4).expect("it is a language model");
    let benches: [(&str, &Network, Bench); 13] = [
        ("llama-15m sft", &llama, |n| sft(n, 8, 64, 64)),
        ("llama-15m dpo", &llama, |n| dpo(n, 8, 64, 64)),
        ("llama-15m lora sft", &llama, |n| sft(&adapted(n), 8, 64, 64)),
        ("llama-15m lora dpo", &llama, |n| dpo(&adapted(n), 8, 64, 64)),
        ("llama-15m generate", &llama, |n| generate(n, 8, 64, 64, 5)),
        ("llama-15m one", &llama, |n| generate(n, 1, 64, 64, 5)),
        ("llama-15m four", &llama, |n| generate(n, 4, 64, 64, 5)),
        ("llama-15m many", &llama, |n| generate(n, 64, 64, 64, 5)),
        ("llama-15m nf4, eight", &nf4, |n| generate(n, 8, 64, 64, 5)),
        ("llama-15m nf4, one", &nf4, |n| generate(n, 1, 64, 64, 5)),
        ("stories sft", &stories, |n| sft(n, 40, 25, 48)),
        ("stories dpo", &stories, |n| dpo(n, 25, 25, 48)),
        ("stories generate", &stories, |n| generate(n, 600, 20, 48, 1)),
    ];
    for (name, network, bench) in benches {
        if is_wanted(name) {
            println!("{name}: matrix product {:.0} GFLOP/s", product_rate());
            bench(network);
        }
    }
}

/// GFLOP/s of faer's f32 product at a layer's size, best of five.
fn product_rate() -> f64 {
    let (m, k, n) = (1024, 288, 768);
    let a = faer::Mat::<f32>::from_fn(m, k, |i, j| (i * 7 + j) as f32 % 3.0 - 1.0);
    let b = faer::Mat::<f32>::from_fn(k, n, |i, j| (i + j * 5) as f32 % 3.0 - 1.0);
    let mut c = faer::Mat::<f32>::zeros(m, n);
    let mut once = || {
        let begin = Instant::now();
        faer::linalg::matmul::matmul(&mut c, faer::Accum::Replace, &a, &b, 1.0, faer::Par::rayon(0));
        (2 * m * k * n) as f64 / begin.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}

/// Random ids above the special ones.
fn tokens(network: &Network, key: u32, count: usize) -> Vec<u32> {
    let words = network.spec.vocabulary as u64 - 3;
    let id = |i: usize| {
        let draw = uniform([11, key], [u32::try_from(i).expect("small"), 0, 0, 0]);
        3 + u32::try_from(below(words, draw[0], draw[1])).expect("an id")
    };
    (0..count).map(id).collect()
}

/// Adapters of rank 16 on every projection.
fn adapted(network: &Network) -> Network {
    network.with_adapter(Adapter::new(network, AdapterSpec::new(16), [1, 2], 0).expect("adapters"))
}

fn start(network: &Network, trainable: bool) -> (Engine, NetId) {
    let mut engine = Engine::new(Box::new(CpuDevice::new(None).expect("threads")));
    let net = engine.load(network, trainable).expect("it loads");
    (engine, net)
}

/// Prints the median of several runs, after one that warms up.
fn report(what: &str, tokens: usize, runs: usize, mut run: impl FnMut()) {
    run();
    let used = processor_seconds();
    let mut seconds: Vec<f64> = (0..runs).map(|_| timed(&mut run)).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[runs / 2];
    print!("  {what}: {:.1} ms, {:.0} tokens/s", median * 1e3, tokens as f64 / median);
    // On a machine that is busy with other work, this is the number to compare.
    let used = used.zip(processor_seconds()).map(|(before, after)| (after - before) / runs as f64);
    println!("{}", used.map_or_else(String::new, |s| format!(", {:.1} ms of processor time", s * 1e3)));
}

fn timed(run: &mut impl FnMut()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_secs_f64()
}

/// Time that the threads of this process have run so far, where the system tells.
fn processor_seconds() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = tasks.flatten().map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<Option<f64>>().map(|total| total / 1e9)
}

fn sft(network: &Network, batch: usize, prompt: usize, completion: usize) {
    let (mut engine, net) = start(network, true);
    let sequence = |i: usize| {
        let ids = tokens(network, u32::try_from(i).expect("small"), prompt + completion);
        TokenSequence::new(&ids[..prompt], &ids[prompt..])
    };
    let sequences: Vec<_> = (0..batch).map(sequence).collect();
    let weight = -1.0 / (batch * completion) as f64;
    report("step", batch * (prompt + completion), 9, || {
        let (pass, readout) = engine.forward(net, &sequences, Want::LOGP, 1.0).expect("a pass");
        let logp = readout.logp.iter().map(|logp| vec![weight; logp.len()]).collect();
        engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("gradients");
        engine.update(net, &STEP).expect("a step");
    });
    println!("  {:.0} MiB at most", engine.memory().peak as f64 / f64::from(1 << 20));
}

fn dpo(network: &Network, pairs: usize, prompt: usize, completion: usize) {
    let (mut engine, net) = start(network, true);
    let reference = engine.load(&network.without_adapter(), false).expect("it loads");
    let sequence = |i: usize| {
        let before = tokens(network, u32::try_from(i / 2).expect("small"), prompt);
        TokenSequence::new(before, tokens(network, 1000 + u32::try_from(i).expect("small"), completion))
    };
    let sequences: Vec<_> = (0..2 * pairs).map(sequence).collect();
    report("step with reference", 2 * pairs * (prompt + completion), 9, || {
        let base = engine.readout(reference, &sequences, Want::LOGP, 1.0).expect("a readout");
        let (pass, readout) = engine.forward(net, &sequences, Want::LOGP, 1.0).expect("a pass");
        let ratio = |i: usize| readout.logp[i].iter().sum::<f64>() - base.logp[i].iter().sum::<f64>();
        let slope = |i: usize| {
            let margin = 0.1 * (ratio(i / 2 * 2) - ratio(i / 2 * 2 + 1));
            let slope = -0.1 / (1.0 + margin.exp()) / pairs as f64;
            if i.is_multiple_of(2) { slope } else { -slope }
        };
        let logp = (0..2 * pairs).map(|i| vec![slope(i); completion]).collect();
        engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("gradients");
        engine.update(net, &STEP).expect("a step");
    });
    println!("  {:.0} MiB at most", engine.memory().peak as f64 / f64::from(1 << 20));
}

fn generate(network: &Network, batch: usize, prompt: usize, new: usize, runs: usize) {
    let (mut engine, net) = start(network, false);
    let request = |i: usize| Request { prompt: tokens(network, u32::try_from(i).expect("small"), prompt).into(), key: i as u64 };
    let requests: Vec<_> = (0..batch).map(request).collect();
    let end = network.tokenizer.end().to_vec();
    let never_end = |_: usize, _: &[u32], logits: &mut [f32]| end.iter().for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
    let sampling = Sampling { max_tokens: new, ..Sampling::default() };
    report("sampling", batch * new, runs, || {
        let extras = Extras { constraint: Some(&never_end), ..Extras::default() };
        engine.generate(net, &requests, &sampling, extras).expect("samples");
    });
    println!("  {:.0} MiB at most", engine.memory().peak as f64 / f64::from(1 << 20));
}
