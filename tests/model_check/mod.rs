//! Networks on any device against numbers of `transformers` and TRL: log-probs, losses, gradients, greedy tokens,
//! scores, five steps of training.
//!
//! The folder is `tests/golden`, or the one that `ALIGN_GOLDEN` names. A file or a case that is not known fails.

mod adapters;

use std::path::{Path, PathBuf};

use align::engine::Device;
use align::model::{
    AdamStep, Coefficients, Constraint, Engine, Extras, FAMILIES, NetId, Network, Request, Sampling, Stored, TokenSequence, Want,
};
use serde_json::Value;

pub use adapters::check_adapters;

/// How far a device may be off.
#[derive(Clone, Copy)]
pub struct Tolerance {
    pub logits: f64,
    pub loss: f64,
    pub gradient: f64,
}

pub fn golden_folder() -> PathBuf {
    std::env::var_os("ALIGN_GOLDEN").map_or_else(|| "tests/golden".into(), PathBuf::from)
}

/// A golden of this name: in the folder asked for, or else the project's own.
pub fn golden_file(name: &str) -> PathBuf {
    let asked = golden_folder().join(name);
    if asked.exists() { asked } else { Path::new("tests/golden").join(name) }
}

pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().unwrap_or(f64::NEG_INFINITY)).collect()
}

pub fn ids(value: &Value) -> Vec<u32> {
    floats(value).into_iter().map(|x| x as u32).collect()
}

pub fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list of rows")
}

pub fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected} within {tolerance}");
}

/// Opens a golden checkpoint; those of tests come without a tokenizer, so the word tokenizer goes beside a copy.
fn open(model: &str) -> Network {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden_file(&format!("{model}/{file}")), copy.path().join(file)).expect("a golden checkpoint");
    }
    let tokenizer = golden_file("models/word-tokenizer/tokenizer.json");
    std::fs::copy(tokenizer, copy.path().join("tokenizer.json")).expect("the word tokenizer");
    Network::open(copy.path()).expect("a golden checkpoint opens")
}

/// Log-probs of every word after each of `prefixes`.
fn all_logps(engine: &mut Engine, net: NetId, prefixes: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let vocabulary = u32::try_from(engine.spec(net).vocabulary).expect("small");
    let after = |prefix: &Vec<u32>| {
        let prefix: std::sync::Arc<[u32]> = prefix.as_slice().into();
        (0..vocabulary).map(move |id| TokenSequence::new(prefix.clone(), [id]))
    };
    let sequences: Vec<_> = prefixes.iter().flat_map(after).collect();
    let readout = engine.readout(net, &sequences, Want::LOGP, 1.0).expect("a readout");
    let flat: Vec<f64> = readout.logp.iter().map(|logp| logp[0]).collect();
    flat.chunks(vocabulary as usize).map(<[f64]>::to_vec).collect()
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = top + logits.iter().map(|l| (l - top).exp()).sum::<f64>().ln();
    logits.iter().map(|l| l - total).collect()
}

/// A section with `input_ids`, maybe `attention_mask`, and `logits` [B, T, V].
fn check_logits(engine: &mut Engine, net: NetId, section: &Value, tolerance: Tolerance) {
    for (b, row) in rows(&section["input_ids"]).iter().enumerate() {
        let all = ids(row);
        let seen = |t: &usize| section["attention_mask"].get(b).is_none_or(|mask| mask[*t] == 1);
        let places: Vec<usize> = (0..all.len()).filter(seen).collect();
        let kept: Vec<u32> = places.iter().map(|&t| all[t]).collect();
        let prefixes: Vec<Vec<u32>> = (1..=kept.len()).map(|n| kept[..n].to_vec()).collect();
        let found = all_logps(engine, net, &prefixes);
        for (found, &t) in found.iter().zip(&places) {
            let expected = log_softmax(&floats(&section["logits"][b][t]));
            for (v, (found, expected)) in found.iter().zip(&expected).enumerate() {
                close(&format!("logit [{b}, {t}, {v}]"), *found, *expected, tolerance.logits);
            }
        }
        if let Some(entropy) = section.get("entropy") {
            let expected = floats(&entropy[b]);
            let last = |prefix: &Vec<u32>| TokenSequence::new(prefix.as_slice(), [0]);
            let sequences: Vec<_> = prefixes.iter().map(last).collect();
            let want = Want { entropy: true, ..Want::default() };
            let found = engine.readout(net, &sequences, want, 1.0).expect("a readout").entropy;
            for (found, &t) in found.iter().zip(&places) {
                close(&format!("entropy [{b}, {t}]"), found[0], expected[t], tolerance.logits);
            }
        }
        if let Some(expected) = section.get("next_token_logps") {
            let sequence = TokenSequence::new(&kept[..1], &kept[1..]);
            let found = engine.readout(net, &[sequence], Want::LOGP, 1.0).expect("a readout").logp;
            for (found, expected) in found[0].iter().zip(floats(&expected[b])) {
                close("log-prob", *found, expected, tolerance.logits);
            }
        }
    }
}

/// A section with `labels`, `loss`, `total_grad_norm` and `grads`.
fn check_loss(engine: &mut Engine, net: NetId, section: &Value, tolerance: Tolerance) {
    let flags = rows(&section["labels"]).iter().map(|row| floats(row).iter().map(|l| u8::from(*l >= 0.0)).collect());
    let flags = serde_json::json!(flags.collect::<Vec<Vec<u8>>>());
    let sequences = padded(section, Some(&flags));
    let count: usize = sequences.iter().map(TokenSequence::scored_len).sum();
    assert_eq!(count as u64, section["num_loss_tokens"].as_u64().expect("a count"));
    let expected = section["loss"].as_f64().expect("a loss");
    close("loss", nll_step(engine, net, &sequences), expected, tolerance.loss * expected.abs());
    check_gradients(engine, net, section, tolerance);
}

/// Gradients as files hold their tensors, which is what `transformers` differentiates by; those of adapters as they are.
fn named_gradients(engine: &mut Engine, net: NetId) -> Vec<(String, Vec<f32>)> {
    let gradients = engine.gradients(net).expect("gradients");
    let join = |tensor: &Stored| tensor.join(&tensor.parts.iter().map(|part| &gradients[*part][..]).collect::<Vec<_>>());
    engine.spec(net).stored_of(engine.parameters(net)).iter().map(|tensor| (tensor.name.clone(), join(tensor))).collect()
}

fn check_gradients(engine: &mut Engine, net: NetId, section: &Value, tolerance: Tolerance) {
    let gradients = named_gradients(engine, net);
    let expected = section["grads"].as_object().expect("gradients by name");
    assert_eq!(expected.len(), gradients.len(), "one gradient a tensor");
    // A gradient that is 0 but for rounding, as that of a bias which every score shares, has no relative error.
    let rounding = 1e-6 * section["total_grad_norm"].as_f64().expect("a norm");
    for (name, gradient) in &gradients {
        // GPT-NeoX's language head has one name in files and another in the module.
        let given = expected.get(name).unwrap_or_else(|| &expected[&name.replace("embed_out", "lm_head")]);
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let expected_norm = given["norm"].as_f64().expect("a norm");
        close(&format!("norm of {name}"), norm, expected_norm, tolerance.gradient * expected_norm + rounding);
        let slack = |x: f64| tolerance.gradient * (x.abs() + expected_norm) + rounding;
        let sum = given["sum"].as_f64().expect("a sum");
        close(&format!("sum of {name}"), gradient.iter().map(|g| f64::from(*g)).sum(), sum, slack(sum));
        for (found, expected) in gradient.iter().zip(floats(&given["first4"])) {
            close(&format!("element of {name}"), f64::from(*found), expected, slack(expected));
        }
    }
    // A step with lr 0 changes nothing and clears the gradients.
    let step = AdamStep { lr: 0.0, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, anchor: 0.0, clip: Some(1.0) };
    let update = engine.update(net, &step).expect("an update");
    let total = section["total_grad_norm"].as_f64().expect("a norm");
    close("gradient norm", update.grad_norm, total, tolerance.gradient * total);
}

/// Greedy tokens, end token suppressed.
fn check_greedy(engine: &mut Engine, net: NetId, section: &Value) {
    let end = engine.tokenizer(net).end().to_vec();
    let never_end = |_: usize, _: &[u32], logits: &mut [f32]| end.iter().for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
    let mut check = |prompts: Vec<Vec<u32>>, expected: &Value, penalty: Option<f64>, constraint: &Constraint<'_>| {
        let request = |(key, prompt): (usize, &Vec<u32>)| Request { prompt: prompt.as_slice().into(), key: key as u64 };
        let requests: Vec<_> = prompts.iter().enumerate().map(request).collect();
        let sampling = Sampling { temperature: 0.0, repetition_penalty: penalty, max_tokens: 16, ..Sampling::default() };
        let extras = Extras { constraint: Some(constraint), ..Extras::default() };
        let samples = engine.generate(net, &requests, &sampling, extras).expect("samples");
        for (sample, expected) in samples.iter().zip(rows(expected)) {
            assert_eq!(sample.tokens, ids(expected));
            assert!(!sample.finished);
        }
    };
    let prompts: Vec<_> = rows(&section["prompt"]).iter().map(ids).collect();
    for (name, content) in section.as_object().expect("cases") {
        match name.as_str() {
            "note" | "prompt" | "row0_top1_minus_top2_margin" | "left_padded_prompt" | "left_padded_mask" => {}
            "greedy_new_tokens" => check(prompts.clone(), content, None, &never_end),
            "left_padded_greedy_new_tokens" => {
                let kept = |(row, mask): (&Value, &Value)| {
                    ids(row).into_iter().zip(ids(mask)).filter(|(_, m)| *m == 1).map(|(id, _)| id).collect()
                };
                let padded = rows(&section["left_padded_prompt"]).iter().zip(rows(&section["left_padded_mask"]));
                check(padded.map(kept).collect(), content, None, &never_end);
            }
            "row0_repetition_penalty_1.3_no_repeat_ngram_3" => {
                let prompt = prompts[0].clone();
                let never = |request: usize, sampled: &[u32], logits: &mut [f32]| {
                    never_end(request, sampled, logits);
                    ban_repeats(&[&prompt[..], sampled].concat(), 3, logits);
                };
                check(prompts[..1].to_vec(), content, Some(1.3), &never);
            }
            other => panic!("unknown generation `{other}`"),
        }
    }
}

/// Forbids every token that would repeat an n-gram of `all`.
pub fn ban_repeats(all: &[u32], n: usize, logits: &mut [f32]) {
    let Some(begun) = all.len().checked_sub(n - 1).map(|at| &all[at..]) else { return };
    for gram in all.windows(n).filter(|gram| gram[..n - 1] == *begun) {
        logits[gram[n - 1] as usize] = f32::NEG_INFINITY;
    }
}

fn check_model(device: Box<dyn Device>, golden: &Value, tolerance: Tolerance) {
    let network = open(golden["model"].as_str().expect("a model"));
    let mut engine = Engine::new(device);
    let net = engine.load(&network, true).expect("a network loads");
    let about = ["file", "versions", "what", "model", "architecture", "attn_implementation", "token_ids"];
    for (section, content) in golden.as_object().expect("sections") {
        match section.as_str() {
            "plain" | "right_padded" | "left_padded" => check_logits(&mut engine, net, content, tolerance),
            "sft_all_tokens" | "sft_completion_only" => check_loss(&mut engine, net, content, tolerance),
            "generate" => check_greedy(&mut engine, net, content),
            "n_params" => assert_eq!(engine.spec(net).parameter_count(engine.head(net)) as u64, content.as_u64().unwrap()),
            "param_shapes" => check_shapes(&engine.spec(net).stored(engine.head(net)), content),
            known if about.contains(&known) => {}
            other => panic!("unknown section `{other}`"),
        }
    }
}

fn check_shapes(stored: &[Stored], expected: &Value) {
    assert_eq!(stored.len(), expected.as_object().expect("shapes").len());
    for tensor in stored {
        let expected = expected.get(&tensor.name).unwrap_or_else(|| &expected[&tensor.name.replace("embed_out", "lm_head")]);
        assert_eq!(serde_json::json!(tensor.shape), *expected, "{}", tensor.name);
    }
}

fn check_reward(device: Box<dyn Device>, case: &Value, tolerance: Tolerance) {
    let network = open(case["model"].as_str().expect("a model"));
    let mut engine = Engine::new(device);
    let net = engine.load(&network, true).expect("a network loads");
    let sequences = padded(&case["batch"], None);
    let margins = case["batch"].get("margin").map(floats).unwrap_or_default();
    let centering = case["center_rewards_coefficient"].as_f64().unwrap_or(0.0);
    let (loss, scores) = reward_step(&mut engine, net, &sequences, &margins, centering);
    for (found, expected) in scores.iter().zip(floats(&case["rewards"])) {
        close("reward", *found, expected, tolerance.logits);
    }
    let expected = case["loss"].as_f64().expect("a loss");
    close("loss", loss, expected, tolerance.loss * expected);
    check_gradients(&mut engine, net, case, tolerance);
}

/// Bradley-Terry with margins and centering over sequences of which the first half are chosen: loss and scores.
fn reward_step(engine: &mut Engine, net: NetId, sequences: &[TokenSequence], margins: &[f64], centering: f64) -> (f64, Vec<f64>) {
    let (pass, readout) = engine.forward(net, sequences, Want::SCORE, 1.0).expect("a forward pass");
    let pairs = sequences.len() / 2;
    let (mut loss, mut score, n) = (0.0, vec![0.0; 2 * pairs], pairs as f64);
    for i in 0..pairs {
        let (chosen, rejected) = (readout.score[i], readout.score[pairs + i]);
        let margin = chosen - rejected - margins.get(i).unwrap_or(&0.0);
        loss += ((-margin).exp().ln_1p() + centering * (chosen + rejected).powi(2)) / n;
        let slope = -1.0 / (1.0 + margin.exp()) / n;
        let pull = 2.0 * centering * (chosen + rejected) / n;
        (score[i], score[pairs + i]) = (slope + pull, -slope + pull);
    }
    engine.backward(pass, &Coefficients { score, ..Coefficients::default() }).expect("a backward pass");
    (loss, readout.score)
}

/// Mean negative log-prob of all scored tokens.
fn nll_step(engine: &mut Engine, net: NetId, sequences: &[TokenSequence]) -> f64 {
    let (pass, readout) = engine.forward(net, sequences, Want::LOGP, 1.0).expect("a forward pass");
    let count: usize = readout.logp.iter().map(|logp| logp.len()).sum();
    let logp = readout.logp.iter().map(|logp| vec![-1.0 / count as f64; logp.len()]).collect();
    engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward pass");
    -readout.logp.iter().flat_map(|logp| logp.iter()).sum::<f64>() / count as f64
}

/// The rows of a right-padded batch; `flags` says which tokens are scored.
fn padded(batch: &Value, flags: Option<&Value>) -> Vec<TokenSequence> {
    let row = |b: usize| {
        let length = ids(&batch["attention_mask"][b]).iter().filter(|m| **m == 1).count();
        let tokens = &ids(&batch["input_ids"][b])[..length];
        let flags: Vec<bool> = flags.map_or_else(|| vec![true; length], |f| ids(&f[b]).iter().map(|f| *f == 1).collect());
        TokenSequence::with_flags(tokens, &flags[..length])
    };
    (0..rows(&batch["input_ids"]).len()).map(row).collect()
}

/// Five optimiser steps of whole trainer runs: loss and gradient norm of each.
pub fn check_curves(device: fn() -> Box<dyn Device>) {
    let curves = &read_json(&golden_file("optim.json"))["training_curves"];
    let batch = &read_json(&golden_file("dpo.json"))["batch"];
    let pairs = &read_json(&golden_file("reward.json"))["cases"]["tiny-llama-rm/plain"]["batch"];
    for (name, curve) in curves.as_object().expect("curves") {
        let (model, sequences) = match name.as_str() {
            "sft_completion_only" => ("models/tiny-llama", padded(batch, Some(&batch["completion_mask"]))[..4].to_vec()),
            "sft_all_tokens" => ("models/tiny-llama", padded(batch, None)[..4].to_vec()),
            "reward" => ("models/tiny-llama-rm", padded(pairs, None)),
            // Objectives with a reference are tested where they are defined.
            "note" | "hyper" | "dataset" | "no_decay_params_tiny_llama" | "dpo_beta0.1" | "kto_beta0.1" => continue,
            other => panic!("unknown curve `{other}`"),
        };
        let mut engine = Engine::new(device());
        let net = engine.load(&open(model), true).expect("a network loads");
        for step in rows(curve) {
            let loss = match name.as_str() {
                "reward" => reward_step(&mut engine, net, &sequences, &[], 0.0).0,
                _ => nll_step(&mut engine, net, &sequences),
            };
            let number = |field: &str| step[field].as_f64().expect("a number");
            close(&format!("{name}: loss"), loss, number("loss"), 2e-4 * number("loss"));
            let lr = number("learning_rate");
            let adam = AdamStep { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, anchor: 0.0, clip: Some(1.0) };
            let norm = engine.update(net, &adam).expect("an update").grad_norm;
            close(&format!("{name}: gradient norm"), norm, number("grad_norm"), 1e-3 * number("grad_norm"));
        }
    }
}

/// Every golden of this folder that is about networks, on devices that `device` makes.
pub fn golden(device: fn() -> Box<dyn Device>, tolerance: Tolerance) {
    let folder = golden_folder();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("goldens").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let mut checked = 0;
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !(name.starts_with("model-") && name.ends_with(".json")) {
            continue;
        }
        let golden = read_json(&path);
        let class = golden["architecture"].as_str().expect("an architecture");
        assert!(FAMILIES.iter().any(|f| f.language_class == class), "{name} holds `{class}`, which nobody knows");
        check_model(device(), &golden, tolerance);
        checked += 1;
    }
    assert!(checked > 0, "no golden of a network in {}", folder.display());
    let cases = read_json(&golden_file("reward.json"));
    for (name, case) in cases["cases"].as_object().expect("cases") {
        match name.split('/').next().expect("a model") {
            "tiny-llama-rm" | "tiny-gpt2-rm" | "tiny-qwen2-rm" => check_reward(device(), case, tolerance),
            other => panic!("unknown reward model `{other}`"),
        }
    }
}

fn stories(engine: &mut Engine) -> NetId {
    let network = Network::open(Path::new("recipes/quickstart")).expect("the story model opens");
    engine.load(&network, false).expect("the story model loads")
}

fn greedy(engine: &mut Engine, net: NetId, prompt: &[u32], max_tokens: usize) -> Vec<u32> {
    let sampling = Sampling { temperature: 0.0, max_tokens, ..Sampling::default() };
    let request = Request { prompt: prompt.into(), key: 0 };
    engine.generate(net, &[request], &sampling, Extras::default()).expect("a sample").remove(0).tokens
}

/// The story model against llama2.c's own output and `transformers`.
pub fn check_stories(device: Box<dyn Device>) {
    let mut engine = Engine::new(device);
    let net = stories(&mut engine);
    let tokenizer = engine.tokenizer(net).clone();
    let golden = read_json(&golden_file("stories260k.json"));
    let found = greedy(&mut engine, net, &ids(&golden["prompt_ids"]), 100);
    assert_eq!(found, ids(&golden["greedy_ids"]));
    assert_eq!(tokenizer.decode(&found), golden["greedy_text"].as_str().expect("a text"));
    let golden = read_json(&golden_file("real-models.json"));
    for (model, cases) in golden["models"].as_object().expect("models") {
        match model.as_str() {
            "stories260k" => rows(cases).iter().for_each(|case| check_story(&mut engine, net, case)),
            // 98 MB that are not in the repository: see `check_smollm2`.
            "smollm2-135m-instruct" => {}
            other => panic!("unknown model `{other}`"),
        }
    }
}

/// What was left in memory, here gradients that are no numbers, does not reach a sample.
pub fn check_remains(device: Box<dyn Device>) {
    let mut engine = Engine::new(device);
    let net = stories(&mut engine);
    let story = ids(&read_json(&golden_file("stories260k.json"))["greedy_ids"]);
    let requests: Vec<Request> = story.windows(40).take(16).map(|prompt| Request { prompt: prompt.into(), key: 0 }).collect();
    let sampling = Sampling { temperature: 0.0, max_tokens: 8, ..Sampling::default() };
    let clean = engine.generate(net, &requests, &sampling, Extras::default()).expect("samples");

    let network = Network::open(Path::new("recipes/quickstart")).expect("the story model opens");
    let learner = engine.load(&network, true).expect("it loads");
    let sequences: Vec<TokenSequence> = story.windows(48).take(16).map(|text| TokenSequence::new(&text[..1], &text[1..])).collect();
    let (pass, read) = engine.forward(learner, &sequences, Want::LOGP, 1.0).expect("a forward pass");
    let logp = read.logp.iter().map(|tokens| vec![f64::NAN; tokens.len()]).collect();
    engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward pass");

    let after = engine.generate(net, &requests, &sampling, Extras::default()).expect("samples");
    assert!(clean.iter().zip(&after).all(|(clean, after)| clean.tokens == after.tokens && clean.logps == after.logps));
}

/// SmolLM2-135M-Instruct from its GGUF: log-probs and greedy tokens as `transformers` has them.
pub fn check_smollm2(device: Box<dyn Device>, gguf: &Path) {
    let mut engine = Engine::new(device);
    let network = Network::open(gguf).expect("a network");
    let net = engine.load(&network, false).expect("it fits");
    let golden = read_json(&golden_file("real-models.json"));
    for case in rows(&golden["models"]["smollm2-135m-instruct"]) {
        if case["kind"] == "chat" {
            let turn = |turn: &Value| align::value::Turn {
                role: align::value::Role::from_name(turn["role"].as_str().expect("a role")).expect("a role"),
                text: turn["content"].as_str().expect("a text").into(),
            };
            let dialogue: Vec<_> = rows(&case["input"]).iter().map(turn).collect();
            assert_eq!(network.tokenizer.encode_prompt(&dialogue).expect("a prompt"), ids(&case["ids"]));
        }
        check_numbers(&mut engine, net, &ids(&case["ids"]), case);
    }
}

fn check_story(engine: &mut Engine, net: NetId, case: &Value) {
    assert_eq!(case["kind"], "text");
    let tokenizer = engine.tokenizer(net).clone();
    let text = case["input"].as_str().expect("a text");
    let turn = align::value::Turn { role: align::value::Role::User, text: text.into() };
    let prompt = tokenizer.encode_prompt(&[turn]).expect("a prompt");
    assert_eq!(prompt, ids(&case["ids"]));
    check_numbers(engine, net, &prompt, case);
}

fn check_numbers(engine: &mut Engine, net: NetId, prompt: &[u32], case: &Value) {
    let tokenizer = engine.tokenizer(net).clone();
    let sequence = TokenSequence::new(&prompt[..1], &prompt[1..]);
    let readout = engine.readout(net, &[sequence], Want::LOGP, 1.0).expect("a readout");
    for (found, expected) in readout.logp[0].iter().zip(floats(&case["next_token_logps"])) {
        close("log-prob", *found, expected, 2e-3);
    }
    let found = greedy(engine, net, prompt, ids(&case["greedy_ids"]).len());
    assert_eq!(found, ids(&case["greedy_ids"]));
    let said = case["greedy_text"].as_str().expect("a text");
    assert_eq!(tokenizer.decode(&found), said.trim_end_matches("<|im_end|>"));
}
