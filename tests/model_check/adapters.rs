//! Adapters against PEFT: log-probs, loss, gradients, merged weights, and what is written again.

use std::path::Path;

use align::engine::Device;
use align::model::{Adapter, BlockFormat, Engine, NetId, Network, TokenSequence, Want};
use serde_json::{Value, json};

use super::{Tolerance, all_logps, check_gradients, check_logits, close, golden_file, ids, nll_step, open, padded, read_json, rows};

/// Every case of `lora.json` and, where it is there, of `qlora.json`, on devices that `device` makes.
pub fn check_adapters(device: fn() -> Box<dyn Device>, tolerance: Tolerance) {
    let files = ["lora.json", "qlora.json"].map(golden_file);
    let mut checked = 0;
    for golden in files.iter().filter(|file| file.ends_with("lora.json") || file.exists()).map(|file| read_json(file)) {
        for (name, case) in golden["cases"].as_object().expect("cases") {
            let base = open(case["base"].as_str().expect("a base"));
            check_adapter(device(), name, case, &in_blocks(base, &case["blocks"]), tolerance);
            checked += 1;
        }
    }
    assert!(checked > 0, "no case was checked");
}

/// The base as a case holds it.
fn in_blocks(base: Network, word: &Value) -> Network {
    let Some(word) = word.as_str() else { return base };
    base.quantised(BlockFormat::of(word).expect("a format")).expect("it can be rounded")
}

fn check_adapter(device: Box<dyn Device>, name: &str, case: &Value, base: &Network, tolerance: Tolerance) {
    let folder = golden_file(case["adapter"].as_str().expect("an adapter"));
    let network = Adapter::open(&folder, base).expect("an adapter opens");
    let scale = network.adapter.as_ref().expect("it has one").spec.scale();
    assert_eq!(scale, case["scaling"].as_f64().expect("a number"), "{name}");
    let mut engine = Engine::new(device);
    let net = engine.load(&network, true).expect("it loads");
    let reference = engine.load(base, false).expect("it loads");
    check_logits(&mut engine, net, case, tolerance);

    let sequences = padded(case, None);
    let sequences: Vec<TokenSequence> = sequences.iter().map(after_the_first).collect();
    let plain = engine.readout(reference, &sequences, Want::LOGP, 1.0).expect("a readout");
    let expected = case["sft_loss_all_tokens"].as_f64().expect("a loss");
    close(&format!("{name}: loss"), nll_step(&mut engine, net, &sequences), expected, tolerance.loss * expected);
    // as the file of the adapter has them: without the name of the adapter, and magnitudes without `weight`
    let stored = |name: &String| name.replace("vector.default.weight", "vector").replace(".default", "");
    let gradients = case["grads"].as_object().expect("gradients").iter();
    let named: serde_json::Map<String, Value> = gradients.map(|(name, given)| (stored(name), given.clone())).collect();
    check_gradients(&mut engine, net, &json!({ "grads": named, "total_grad_norm": case["total_grad_norm"] }), tolerance);
    assert_eq!(engine.readout(reference, &sequences, Want::LOGP, 1.0).expect("a readout"), plain, "{name}: the base is as it was");

    check_merged(&mut engine, net, &network, case, tolerance);
    check_written(&network, &folder);
}

/// The same tokens, the first one as a prompt: nothing predicts it.
fn after_the_first(sequence: &TokenSequence) -> TokenSequence {
    let all: Vec<u32> = sequence.prompt().iter().chain(sequence.completion().iter()).copied().collect();
    TokenSequence::new(&all[..1], &all[1..])
}

/// Merged weights compute the same, and are PEFT's where its own are at hand.
fn check_merged(engine: &mut Engine, net: NetId, network: &Network, case: &Value, tolerance: Tolerance) {
    let place = tempfile::tempdir().expect("a temporary folder");
    network.save(&place.path().join("merged")).expect("it can be written");
    let merged = Network::open(&place.path().join("merged")).expect("what was written opens");
    let loaded = engine.load(&merged, false).expect("it loads");
    check_logits(engine, loaded, case, tolerance);
    let prefix = vec![ids(&case["input_ids"][0])];
    for (merged, beside) in all_logps(engine, loaded, &prefix)[0].iter().zip(&all_logps(engine, net, &prefix)[0]) {
        close("merged log-prob", *merged, *beside, tolerance.logits);
    }
    let theirs = golden_file(case["merged"].as_str().expect("a folder")).join("model.safetensors");
    if theirs.exists() {
        let theirs = align::model::TensorFile::open(&[theirs]).expect("a golden checkpoint");
        for (at, parameter) in merged.parameters().iter().enumerate() {
            let expected = align::model::Tensors::read(&theirs, &parameter.name).expect("a tensor");
            for (found, expected) in merged.tensor(at, parameter).expect("a tensor").iter().zip(&expected) {
                close(&parameter.name, f64::from(*found), f64::from(*expected), 1e-6);
            }
        }
    }
}

/// What is written for PEFT holds the same numbers and says the same of them.
fn check_written(network: &Network, original: &Path) {
    let place = tempfile::tempdir().expect("a temporary folder");
    Adapter::write(network, place.path()).expect("it can be written");
    let again = Adapter::open(place.path(), &network.without_adapter()).expect("what was written opens");
    assert_eq!(again.adapter, network.adapter);
    Adapter::check_base(place.path(), network).expect("the same weights");
    let (ours, theirs) = (read_json(&place.path().join("adapter_config.json")), read_json(&original.join("adapter_config.json")));
    for (field, value) in ours.as_object().expect("an object") {
        let same = match field.as_str() {
            "base_model_name_or_path" => value.is_null(),
            // PEFT keeps a set, and writes whole names where a network's every linear map was asked for
            "target_modules" => last_parts(value) == last_parts(&theirs[field]),
            "lora_alpha" => value.as_f64() == theirs[field].as_f64(),
            _ => *value == theirs[field],
        };
        assert!(same, "`{field}` is {value}, PEFT says {}", theirs[field]);
    }
}

fn last_parts(names: &Value) -> std::collections::BTreeSet<String> {
    let last = |name: &Value| name.as_str().and_then(|n| n.rsplit('.').next()).expect("a name").to_owned();
    rows(names).iter().map(last).collect()
}
