//! Networks as files, in passes, in training and in sampling: what must hold whatever the numbers are.

mod adapters;
#[path = "../toy/mod.rs"]
mod toy;

use std::fs;
use std::path::Path;

use align::engine::Device;
use align::engine::cpu::CpuDevice;
use align::engine::oracle::OracleDevice;
use align::model::{
    AdamStep, Adapter, AdapterSpec, BlockFormat, Budget, Coefficients, Engine, Extras, FAMILIES, Head, HeadStart, Learns, ModelError,
    NetId, Network, NetworkSize, Request, Sample, Sampling, TensorFile, Tensors, TokenSequence, Want, write_tensors,
};
use serde_json::json;
use tempfile::TempDir;
use toy::Shape;

fn device() -> Box<dyn Device> {
    Box::new(OracleDevice::<f32>::new())
}

fn toy(head: Head) -> (TempDir, Network) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    toy::write(folder.path(), Shape::TINY, head);
    let network = Network::open(folder.path()).expect("a toy network opens");
    (folder, network)
}

fn engine(head: Head, trainable: bool) -> (Engine, NetId) {
    let mut engine = Engine::new(device());
    let net = engine.load(&toy(head).1, trainable).expect("a toy network loads");
    (engine, net)
}

fn sequences() -> Vec<TokenSequence> {
    let of = |prompt: &[u32], completion: &[u32]| TokenSequence::new(prompt, completion);
    vec![
        of(&[1, 5, 6], &[7, 8, 2]),
        of(&[1, 5, 6], &[7, 9, 10, 2]),
        of(&[1, 11], &[12]),
        of(&[1, 5, 6], &[7, 8, 2]),
        of(&[1, 30, 31, 32, 33], &[34, 35]),
    ]
}

const STEP: AdamStep = AdamStep { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, anchor: 0.0, clip: Some(1.0) };

// Files

#[test]
fn a_saved_network_opens_again_with_the_same_bytes() {
    for head in [Head::Language, Head::Score, Head::Value] {
        let (_folder, network) = toy(head);
        let place = tempfile::tempdir().expect("a temporary folder");
        let (once, twice) = (place.path().join("once"), place.path().join("twice"));
        network.save(&once).expect("it can be written");
        let again = Network::open(&once).expect("what was written opens");
        assert_eq!(again.head, head);
        assert_eq!(again.tokenizer.hash(), network.tokenizer.hash());
        assert_eq!(again.tokenizer.start(), network.tokenizer.start());
        again.save(&twice).expect("it can be written");
        for entry in fs::read_dir(&once).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let bytes = |folder: &Path| fs::read(folder.join(&name)).expect("a file");
            assert!(bytes(&once) == bytes(&twice), "{name:?} differs");
        }
        assert!(matches!(network.save(&once), Err(ModelError::Exists { .. })));
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 2, "no partial folder is left");
    }
}

#[test]
fn a_network_cut_anywhere_is_an_error() {
    let (folder, _) = toy(Head::Language);
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).expect("a file");
    for length in (0..200).chain((200..whole.len()).step_by(997)).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).expect("a file");
        let error = Network::open(folder.path()).expect_err("it is cut");
        assert!(matches!(error, ModelError::Damaged { .. }), "{length}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
}

#[test]
fn a_header_that_lies_is_an_error() {
    let (folder, _) = toy(Head::Language);
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).expect("a file");
    let header_end = 8 + usize::try_from(u64::from_le_bytes(whole[..8].try_into().expect("8 bytes"))).expect("small");
    let mut errors = 0;
    for at in (0..9).chain((9..header_end).step_by(7)) {
        for flip in [1, 4, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            fs::write(&path, &bytes).expect("a file");
            // Some flips only rename metadata or swap equal digits; none may panic.
            errors += u32::from(Network::open(folder.path()).is_err());
        }
    }
    assert!(errors > 300, "{errors}");
}

/// Opens a toy network after its configuration was changed.
fn open_with(field: &str, value: serde_json::Value) -> Result<Network, ModelError> {
    let (folder, _) = toy(Head::Language);
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    config[field] = value;
    fs::write(&path, config.to_string()).expect("a file");
    Network::open(folder.path())
}

#[test]
fn a_wrong_configuration_is_named() {
    let messages = [
        ("model_type", "mamba".into(), "describes `mamba`, which is not supported"),
        ("hidden_size", serde_json::Value::Null, "no valid `hidden_size`: it is missing"),
        ("num_key_value_heads", 3.into(), "4 heads cannot share 3 key-value heads evenly"),
        ("num_hidden_layers", 3.into(), "tensor `model.layers.2.self_attn.q_proj.weight` is missing"),
        ("num_hidden_layers", 1.into(), "tensor `model.layers.1.input_layernorm.weight`"),
        ("intermediate_size", 25.into(), "has shape [24, 16], expected [25, 16]"),
        ("hidden_act", "relu".into(), "activation `relu`"),
        ("rope_scaling", serde_json::json!({ "rope_type": "yarn", "factor": 2 }), "rotary scaling `yarn`"),
        ("eos_token_id", 40.into(), "token id 40 is outside the 40 words"),
        ("rms_norm_eps", "small".into(), "no valid `rms_norm_eps`: expected a positive number"),
    ];
    for (field, value, expected) in messages {
        let error = open_with(field, value).expect_err(field).to_string();
        assert!(error.contains(expected), "{field}: {error}");
    }
    assert!(open_with("eos_token_id", serde_json::json!([2, 3])).is_ok());
    assert!(open_with("rope_parameters", serde_json::json!({ "rope_type": "default", "rope_theta": 5e5 })).is_ok());
}

#[test]
fn halves_are_read_as_they_are_meant() {
    let (folder, network) = toy(Head::Language);
    let parameters = network.parameters();
    let tensors: Vec<_> = parameters.iter().enumerate().map(|(i, p)| network.tensor(i, p).expect("a tensor").to_vec()).collect();
    for (format, narrow) in [("F16", half_bits as fn(f32) -> u16), ("BF16", bfloat_bits)] {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (parameter, numbers) in parameters.iter().zip(&tensors) {
            let begin = data.len();
            data.extend(numbers.iter().flat_map(|x| narrow(*x).to_le_bytes()));
            let entry = serde_json::json!({ "dtype": format, "shape": parameter.shape, "data_offsets": [begin, data.len()] });
            header.insert(parameter.name.clone(), entry);
        }
        let header = serde_json::Value::Object(header).to_string();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
        fs::write(folder.path().join("model.safetensors"), bytes).expect("a file");
        let halved = Network::open(folder.path()).expect("halves open");
        for (i, parameter) in parameters.iter().enumerate() {
            for (found, expected) in halved.tensor(i, parameter).expect("a tensor").iter().zip(&tensors[i]) {
                assert!((found - expected).abs() <= expected.abs() / 128.0 + 1e-6, "{format}: {found} {expected}");
            }
        }
    }
}

fn bfloat_bits(x: f32) -> u16 {
    u16::try_from(x.to_bits() >> 16).expect("the upper half")
}

/// Truncates; fine for normal numbers of ordinary size.
fn half_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let exponent = i32::try_from(bits >> 23 & 0xff).expect("8 bits") - 127 + 15;
    let sign = u16::try_from(bits >> 16 & 0x8000).expect("one bit");
    if exponent <= 0 {
        return sign;
    }
    sign | u16::try_from(exponent << 10).expect("5 bits") | u16::try_from(bits >> 13 & 0x3ff).expect("10 bits")
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    let (folder, network) = toy(Head::Language);
    let mut weights: Vec<_> = network
        .parameters()
        .iter()
        .enumerate()
        .map(|(i, p)| std::sync::Arc::<[f32]>::from(network.tensor(i, p).expect("a tensor")))
        .collect();
    weights[3] = vec![f32::NAN; weights[3].len()].into();
    let broken = folder.path().join("broken");
    network.with_weights(weights).save(&broken).expect("it can be written");
    let error = Engine::new(device()).load(&Network::open(&broken).expect("headers are fine"), false).expect_err("NaN");
    assert!(error.to_string().contains("infinite or NaN"), "{error}");
}

#[test]
fn heads_are_exchanged() {
    let (_folder, network) = toy(Head::Language);
    let scorer = network.with_head(Head::Score, HeadStart::Normal { seed: 3 }).expect("a score head");
    let critic = scorer.with_head(Head::Value, HeadStart::Kept).expect("a value head");
    let zero = network.with_head(Head::Value, HeadStart::Zero).expect("a value head");
    let last = |network: &Network| {
        let parameters = network.parameters();
        network.tensor(parameters.len() - 1, &parameters[parameters.len() - 1]).expect("a head").to_vec()
    };
    assert_eq!(last(&scorer), last(&critic));
    assert_eq!(last(&zero), vec![0.0; 16]);
    let size = last(&scorer).iter().map(|x| x * x).sum::<f32>();
    assert!((0.3..2.5).contains(&size), "{size}");
    assert!(network.with_head(Head::Score, HeadStart::Kept).is_err());
}

// Families

/// A golden network with the word tokenizer, as a folder.
fn golden(model: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = Path::new("tests/golden/models");
    for (model, file) in [(model, "config.json"), (model, "model.safetensors"), ("word-tokenizer", "tokenizer.json")] {
        fs::copy(from.join(model).join(file), folder.path().join(file)).expect("a file");
    }
    folder
}

/// A golden network of every family with a language head.
fn families() -> Vec<(String, TempDir)> {
    let entries = fs::read_dir("tests/golden/models").expect("goldens").map(|e| e.expect("an entry").file_name());
    let names = entries.map(|name| name.into_string().expect("a plain name")).filter(|name| name.starts_with("tiny-"));
    let mut found: Vec<_> = names.filter(|name| !name.ends_with("-rm")).map(|name| (golden(&name), name)).map(|(f, n)| (n, f)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let types: std::collections::BTreeSet<_> =
        found.iter().map(|(_, f)| Network::open(f.path()).expect("it opens").spec.family.model_type).collect();
    assert_eq!(types.len(), FAMILIES.len(), "every family has a golden network");
    found
}

fn on_processor(network: &Network, trainable: bool) -> (Engine, NetId) {
    let mut engine = Engine::new(Box::new(CpuDevice::new(None).expect("threads start")));
    let net = engine.load(network, trainable).expect("it loads");
    (engine, net)
}

/// Name, shape and numbers of every tensor of a folder.
fn tensors(folder: &Path) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let file = TensorFile::open(&[folder.join("model.safetensors")]).expect("it opens");
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let one = |name: String| (file.shape(&name).expect("a tensor").to_vec(), file.read(&name).expect("numbers"), name);
    names.into_iter().map(one).map(|(shape, numbers, name)| (name, shape, numbers)).collect()
}

#[test]
fn every_family_is_written_as_it_was_read() {
    for (name, folder) in families() {
        let network = Network::open(folder.path()).expect("it opens");
        let place = tempfile::tempdir().expect("a temporary folder");
        let (straight, through) = (place.path().join("straight"), place.path().join("through"));
        network.save(&straight).expect("it can be written");
        // Through the device every tensor is taken apart and put together again.
        let (mut engine, net) = on_processor(&network, false);
        engine.network(net).expect("a copy").save(&through).expect("it can be written");
        let original = tensors(folder.path());
        assert!(original == tensors(&straight), "{name}");
        assert!(original == tensors(&through), "{name}");
        for head in [Head::Score, Head::Value] {
            let other = network.with_head(head, HeadStart::Normal { seed: 1 }).expect("a head");
            let folder = place.path().join(head.word());
            other.save(&folder).expect("it can be written");
            assert_eq!(Network::open(&folder).expect("it opens").head, head, "{name}");
        }
    }
}

#[test]
fn every_family_samples_what_it_would_score() {
    for (name, folder) in families() {
        let (mut engine, net) = on_processor(&Network::open(folder.path()).expect("it opens"), false);
        let sampling = Sampling { max_tokens: 20, ..Sampling::default() };
        let samples = sample(&mut engine, net, &requests(6), &sampling);
        let read: Vec<_> = requests(6).iter().zip(&samples).map(|(r, s)| TokenSequence::new(r.prompt.clone(), &s.tokens[..])).collect();
        let readout = engine.readout(net, &read, Want::LOGP, 1.0).expect("a readout");
        for (sample, logp) in samples.iter().zip(&readout.logp) {
            assert!(sample.logps.iter().zip(logp.iter()).all(|(a, b)| (a - b).abs() < 5e-5), "{name}");
        }
        engine.set_budget(Budget { slots: 1, rows: 9, ..Budget::default() });
        let alone = sample(&mut engine, net, &requests(6), &sampling);
        assert!(alone.iter().zip(&samples).all(|(a, b)| a.tokens == b.tokens), "{name}");
        let split = engine.readout(net, &read, Want::LOGP, 1.0).expect("a readout");
        readout.logp.iter().zip(&split.logp).for_each(|(a, b)| close(a, b, 5e-5));
    }
}

#[test]
fn every_family_has_one_gradient() {
    for (name, folder) in families() {
        let network = Network::open(folder.path()).expect("it opens");
        let critic = network.with_head(Head::Value, HeadStart::Normal { seed: 4 }).expect("a head");
        for (network, want) in [(network, Want { entropy: true, ..Want::LOGP }), (critic, Want::VALUE)] {
            let (mut engine, net) = on_processor(&network, true);
            let whole = gradients(&mut engine, net, &sequences(), want);
            assert!(whole.iter().all(|g| g.iter().any(|x| *x != 0.0)), "{name}: every tensor is reached");
            engine.set_budget(Budget { rows: 8, kept_bytes: 0, ..Budget::default() });
            let split = gradients(&mut engine, net, &sequences(), want);
            let size = |all: &[Vec<f32>]| all.iter().flatten().fold(0f32, |most, x| most.max(x.abs()));
            let off = whole.iter().flatten().zip(split.iter().flatten()).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(off <= 1e-4 * size(&whole), "{name}: {off} of {}", size(&whole));
        }
    }
}

/// Opens a golden network after fields of its configuration were changed; `null` takes one out.
fn altered(model: &str, changes: &[(&str, serde_json::Value)]) -> Result<Network, ModelError> {
    let folder = golden(model);
    let path = folder.path().join("config.json");
    let mut config: serde_json::Map<_, _> = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    for (field, value) in changes {
        match value.is_null() {
            true => config.shift_remove(*field),
            false => config.insert((*field).into(), value.clone()),
        };
    }
    fs::write(&path, serde_json::Value::Object(config).to_string()).expect("a file");
    Network::open(folder.path())
}

#[test]
fn what_a_family_does_not_compute_is_refused() {
    let cases = [
        ("tiny-llama", "attn_logit_softcapping", json!(30.0), "asks for `attn_logit_softcapping` = 30.0"),
        ("tiny-llama", "layer_types", json!(["sliding_attention", "full_attention"]), "asks for a sliding window"),
        ("tiny-llama", "partial_rotary_factor", json!(0.5), "asks for rotary positions of 0.5 of a head"),
        ("tiny-gemma3", "attn_logit_softcapping", json!(30.0), "asks for `attn_logit_softcapping` = 30.0"),
        ("tiny-gemma2", "use_bidirectional_attention", json!(true), "asks for `use_bidirectional_attention` = true"),
        ("tiny-gemma2", "layer_types", json!(["full_attention"]), "no valid `layer_types`: 1 types for 2 blocks"),
        ("tiny-gemma2", "layer_types", json!(["chunked_attention", "full_attention"]), "asks for a block of type \"chunked_attention\""),
        ("tiny-gemma2", "sliding_window", json!(-1), "no valid `sliding_window`: expected a positive whole number"),
        ("tiny-qwen2", "layer_types", json!(["sliding_attention", "full_attention"]), "no valid `sliding_window`: blocks with a window"),
        ("tiny-qwen3", "rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 }), "asks for rotary scaling `yarn`"),
        ("tiny-phi3", "rope_parameters", json!({ "rope_type": "longrope" }), "asks for rotary scaling `longrope`"),
        ("tiny-gptneox", "rope_parameters", json!({ "partial_rotary_factor": 0.1 }), "0 of 8 dimensions cannot be turned in pairs"),
        ("tiny-gptneox", "hidden_act", json!("silu"), "asks for activation `silu`"),
        ("tiny-gpt2", "scale_attn_by_inverse_layer_idx", json!(true), "asks for `scale_attn_by_inverse_layer_idx` = true"),
        ("tiny-mistral", "num_local_experts", json!(8), "asks for `num_local_experts` = 8"),
        ("tiny-olmo2", "quantization_config", json!({ "bits": 4 }), "asks for `quantization_config` = {\"bits\":4}"),
    ];
    for (model, field, value, expected) in cases {
        // The newer spelling of rotary positions would hide the older one.
        let hidden = if field == "rope_scaling" { "rope_parameters" } else { "" };
        let error = altered(model, &[(hidden, json!(null)), (field, value)]).expect_err(field).to_string();
        assert!(error.contains(expected), "{model}, {field}: {error}");
    }
}

#[test]
fn older_spellings_say_the_same() {
    let null = || json!(null);
    let older = [
        ("tiny-gemma2", vec![("layer_types", null()), ("rope_parameters", null()), ("attn_logit_softcapping", json!(20.0))]),
        (
            "tiny-gemma3",
            vec![
                ("layer_types", null()),
                ("rope_parameters", null()),
                ("_sliding_window_pattern", null()),
                ("sliding_window_pattern", json!(3)),
                ("rope_theta", json!(1e6)),
                ("rope_local_base_freq", json!(1e4)),
            ],
        ),
        ("tiny-gptneox", vec![("rope_parameters", null()), ("rotary_pct", json!(0.25)), ("rotary_emb_base", json!(10000))]),
        ("tiny-phi3", vec![("rope_parameters", null()), ("rope_theta", json!(10000.0)), ("rope_scaling", null())]),
        ("tiny-gpt2", vec![("n_inner", null()), ("tie_word_embeddings", null()), ("activation_function", null())]),
    ];
    for (model, changes) in older {
        let (newer, older) = (altered(model, &[]).expect("it opens").spec, altered(model, &changes).expect("it opens").spec);
        assert_eq!(format!("{newer:?}"), format!("{older:?}"), "{model}");
    }
}

#[test]
fn a_checkpoint_saved_without_a_head_opens_too() {
    let folder = golden("tiny-gpt2");
    let bare: Vec<_> =
        tensors(folder.path()).into_iter().map(|(name, s, n)| (name.trim_start_matches("transformer.").to_owned(), s, n)).collect();
    let causal = vec![1.0; 64 * 64];
    let old = [("h.0.attn.bias", &[1, 1, 64, 64][..], &causal[..])];
    let all = bare.iter().map(|(name, s, n)| (name.as_str(), &s[..], &n[..])).chain(old);
    let whole = Network::open(folder.path()).expect("it opens");
    let expected: Vec<_> = whole.parameters().iter().enumerate().map(|(i, p)| whole.tensor(i, p).expect("a tensor").to_vec()).collect();
    write_tensors(&folder.path().join("model.safetensors"), all).expect("a file");
    let found = Network::open(folder.path()).expect("it opens");
    for (i, parameter) in found.parameters().iter().enumerate() {
        assert_eq!(found.tensor(i, parameter).expect("a tensor")[..], expected[i]);
    }
}

#[test]
fn learned_positions_end() {
    let folder = golden("tiny-gpt2");
    let (mut engine, net) = on_processor(&Network::open(folder.path()).expect("it opens"), false);
    let long: Vec<u32> = (0..64).collect();
    assert!(engine.readout(net, &[TokenSequence::new([1], &long[..63])], Want::LOGP, 1.0).is_ok());
    let result = engine.readout(net, &[TokenSequence::new([1], &long[..])], Want::LOGP, 1.0);
    assert!(matches!(result, Err(ModelError::TooLong { tokens: 65, most: 64 })));
    let sampling = Sampling { max_tokens: 62, ..Sampling::default() };
    let result = engine.generate(net, &requests(1), &sampling, Extras::default());
    assert!(matches!(result, Err(ModelError::TooLong { tokens: 65, most: 64 })));
}

/// Writes networks twice, as they were found and as they are saved, for `tests/exchange.py` to compare.
#[test]
#[ignore = "needs ALIGN_EXCHANGE, and Python with transformers afterwards"]
fn export_for_exchange() {
    let place = std::path::PathBuf::from(std::env::var_os("ALIGN_EXCHANGE").expect("a folder to write to"));
    fs::create_dir_all(&place).expect("a folder");
    let copy = |from: &Path, name: &str| {
        let original = place.join(format!("{name}.original"));
        fs::create_dir_all(&original).expect("a folder");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(from.join(file), original.join(file)).expect("a file");
        }
        // Through a device, so that tensors are taken apart and put together again.
        let (mut engine, net) = on_processor(&Network::open(&original).expect("it opens"), false);
        engine.network(net).expect("a copy").save(&place.join(format!("{name}.exported"))).expect("it can be written");
    };
    copy(Path::new("recipes/quickstart"), "stories");
    copy(toy(Head::Language).0.path(), "toy");
    copy(toy(Head::Score).0.path(), "score");
    for (name, folder) in families() {
        copy(folder.path(), &name);
        let network = Network::open(folder.path()).expect("it opens");
        let scorer = network.with_head(Head::Score, HeadStart::Normal { seed: 2 }).expect("a score head");
        let there = folder.path().join("score");
        scorer.save(&there).expect("it can be written");
        copy(&there, &format!("{name}-score"));
    }
}

// Passes

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance), "{a:?} {b:?}");
}

#[test]
fn a_sequence_reads_the_same_alone_and_in_any_batch() {
    let (mut engine, net) = engine(Head::Language, false);
    let want = Want { entropy: true, ..Want::LOGP };
    let together = engine.readout(net, &sequences(), want, 0.7).expect("a readout");
    for rows in [1, 4, 9] {
        engine.set_budget(Budget { rows, ..Budget::default() });
        let split = engine.readout(net, &sequences(), want, 0.7).expect("a readout");
        for (i, sequence) in sequences().iter().enumerate() {
            let alone = engine.readout(net, std::slice::from_ref(sequence), want, 0.7).expect("a readout");
            assert_eq!(together.logp[i].len(), sequence.completion().len());
            for other in [(&split.logp[i], &split.entropy[i]), (&alone.logp[0], &alone.entropy[0])] {
                close(&together.logp[i], other.0, 1e-5);
                close(&together.entropy[i], other.1, 1e-5);
            }
        }
    }
    assert_eq!(together.logp[0], together.logp[3], "equal sequences share their numbers");
}

#[test]
fn the_temperature_divides_logits() {
    let (mut engine, net) = engine(Head::Language, false);
    let every: Vec<_> = (0..40).map(|id| TokenSequence::new([1, 5], [id])).collect();
    let mut logps = |temperature| -> Vec<f64> {
        let readout = engine.readout(net, &every, Want::LOGP, temperature).expect("a readout");
        readout.logp.iter().map(|logp| logp[0]).collect()
    };
    let (plain, hot) = (logps(1.0), logps(2.0));
    assert!((hot.iter().map(|x| x.exp()).sum::<f64>() - 1.0).abs() < 1e-5);
    for i in 1..40 {
        assert!(((hot[i] - hot[0]) - (plain[i] - plain[0]) / 2.0).abs() < 1e-5);
    }
}

/// The gradients of Σ w · number over all numbers, with weights that differ.
fn gradients(engine: &mut Engine, net: NetId, sequences: &[TokenSequence], want: Want) -> Vec<Vec<f32>> {
    let (pass, readout) = engine.forward(net, sequences, want, 1.0).expect("a pass");
    let weight = |i: usize, t: usize| 0.3 + 0.1 * i as f64 - 0.2 * t as f64;
    let of = |numbers: &[std::sync::Arc<[f64]>]| -> Vec<Vec<f64>> {
        numbers.iter().enumerate().map(|(i, n)| (0..n.len()).map(|t| weight(i, t)).collect()).collect()
    };
    let coefficients = Coefficients {
        logp: of(&readout.logp),
        entropy: of(&readout.entropy),
        value: of(&readout.value),
        score: (0..readout.score.len()).map(|i| weight(i, 0)).collect(),
    };
    engine.backward(pass, &coefficients).expect("a backward pass");
    let gradients = engine.gradients(net).expect("gradients");
    let step = AdamStep { lr: 0.0, weight_decay: 0.0, ..STEP };
    engine.update(net, &step).expect("an update");
    gradients
}

fn same(a: &[Vec<f32>], b: &[Vec<f32>]) {
    for (a, b) in a.iter().zip(b) {
        let size = a.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * size + 1e-7));
    }
}

#[test]
fn gradients_do_not_depend_on_batches_or_recomputation() {
    let heads = [(Head::Language, Want { entropy: true, ..Want::LOGP }), (Head::Score, Want::SCORE), (Head::Value, Want::VALUE)];
    for (head, want) in heads {
        let (mut engine, net) = engine(head, true);
        let whole = gradients(&mut engine, net, &sequences(), want);
        assert!(whole.iter().all(|g| g.iter().any(|x| *x != 0.0)), "every tensor is reached");
        for (rows, kept_bytes) in [(1, u64::MAX), (8, 0), (2048, 0)] {
            engine.set_budget(Budget { rows, kept_bytes, ..Budget::default() });
            same(&whole, &gradients(&mut engine, net, &sequences(), want));
        }
    }
}

#[test]
fn gradients_add_up_over_passes() {
    let (mut engine, net) = engine(Head::Score, true);
    let all = sequences();
    let coefficients =
        |from: usize, to: usize| Coefficients { score: (from..to).map(|i| 1.0 + i as f64).collect(), ..Coefficients::default() };
    let (pass, _) = engine.forward(net, &all, Want::SCORE, 1.0).expect("a pass");
    engine.backward(pass, &coefficients(0, 5)).expect("a backward pass");
    let whole = engine.gradients(net).expect("gradients");
    engine.update(net, &AdamStep { lr: 0.0, weight_decay: 0.0, ..STEP }).expect("an update");
    // Two passes alive at once, and one dropped.
    let (first, _) = engine.forward(net, &all[..2], Want::SCORE, 1.0).expect("a pass");
    let (second, _) = engine.forward(net, &all[2..], Want::SCORE, 1.0).expect("a pass");
    let (dropped, _) = engine.forward(net, &all, Want::SCORE, 1.0).expect("a pass");
    drop(dropped);
    engine.backward(second, &coefficients(2, 5)).expect("a backward pass");
    engine.backward(first, &coefficients(0, 2)).expect("a backward pass");
    same(&whole, &engine.gradients(net).expect("gradients"));
}

#[test]
fn a_value_is_read_where_its_token_is_predicted() {
    let (mut engine, net) = engine(Head::Value, false);
    let of = |completion: &[u32]| TokenSequence::new([1, 5, 6], completion);
    let readout = engine.readout(net, &[of(&[7, 8]), of(&[9, 8]), of(&[7, 9])], Want::VALUE, 1.0).expect("a readout");
    assert_eq!(readout.value[0].len(), 2);
    assert_eq!(readout.value[0][0], readout.value[1][0], "the first value does not see the first token");
    assert_ne!(readout.value[0][1], readout.value[1][1], "the second one does");
    assert_eq!(readout.value[0][1], readout.value[2][1], "and not its own token");
}

#[test]
fn heads_give_what_they_can() {
    let (mut engine, net) = engine(Head::Score, false);
    let error = engine.readout(net, &sequences(), Want::LOGP, 1.0).expect_err("no language head");
    assert_eq!(error.to_string(), "the network has a score head where a language head is needed");
    assert!(matches!(engine.forward(net, &sequences(), Want::SCORE, 1.0), Err(ModelError::Frozen)));
    let outside = [TokenSequence::new([1], [40])];
    assert!(matches!(engine.readout(net, &outside, Want::SCORE, 1.0), Err(ModelError::TokenOutside { id: 40, .. })));
    let nothing = [TokenSequence::new([], [])];
    assert!(matches!(engine.readout(net, &nothing, Want::SCORE, 1.0), Err(ModelError::NothingToRead)));
    assert!(engine.readout(net, &[], Want::SCORE, 1.0).expect("no questions, no answers").score.is_empty());
}

// Training

/// Everything that training changes, as the bytes of its file and the steps taken.
fn state(engine: &mut Engine, net: NetId) -> (Vec<u8>, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.safetensors");
    let steps = engine.write_state(net, &path).expect("a state");
    (std::fs::read(&path).expect("the file"), steps)
}

#[test]
fn training_continues_bit_by_bit() {
    let (mut engine, net) = engine(Head::Language, true);
    let step = |engine: &mut Engine, net| {
        let (pass, readout) = engine.forward(net, &sequences(), Want::LOGP, 1.0).expect("a pass");
        let logp = readout.logp.iter().map(|logp| vec![-0.1; logp.len()]).collect();
        engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward pass");
        assert!(engine.update(net, &STEP).expect("an update").applied);
        readout.logp
    };
    let before = step(&mut engine, net);
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("state.safetensors");
    let steps = engine.write_state(net, &saved).expect("a state");
    assert_eq!(steps, 1);
    let after = [step(&mut engine, net), step(&mut engine, net)];
    assert_ne!(before, after[0]);

    let (mut other, again) = self::engine(Head::Language, true);
    other.read_state(again, &saved, steps).expect("it fits");
    assert_eq!([step(&mut other, again), step(&mut other, again)], after);
    assert_eq!(state(&mut other, again), state(&mut engine, net));

    let (mut scorer, wrong) = self::engine(Head::Score, true);
    assert!(matches!(scorer.read_state(wrong, &saved, steps), Err(ModelError::State { .. })));
}

#[test]
fn a_gradient_that_is_not_finite_is_thrown_away() {
    let (mut engine, net) = engine(Head::Score, true);
    let before = state(&mut engine, net);
    let (pass, _) = engine.forward(net, &sequences(), Want::SCORE, 1.0).expect("a pass");
    let score = vec![f64::NAN; 5];
    engine.backward(pass, &Coefficients { score, ..Coefficients::default() }).expect("a backward pass");
    assert!(!engine.update(net, &STEP).expect("an update").applied);
    assert_eq!(state(&mut engine, net), before);
}

#[test]
fn memory_comes_back() {
    let mut engine = Engine::new(device());
    let (_folder, network) = toy(Head::Language);
    let net = engine.load(&network, true).expect("it loads");
    let (pass, _) = engine.forward(net, &sequences(), Want::LOGP, 1.0).expect("a pass");
    drop(pass);
    engine.unload(net);
    engine.trim();
    assert_eq!(engine.memory().in_use, 0);
}

#[test]
fn memory_is_foreseen() {
    let (mut engine, net) = engine(Head::Language, true);
    let rows = 200;
    let completion: Vec<u32> = (0..48).map(|t| t % 40).collect();
    let long: Vec<_> = (0..4).map(|i| TokenSequence::new([1, i], &completion[..])).collect();
    let (pass, readout) = engine.forward(net, &long, Want::LOGP, 1.0).expect("a pass");
    let logp = readout.logp.iter().map(|logp| vec![1.0; logp.len()]).collect();
    engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward pass");
    let size = NetworkSize::of(engine.spec(net), Head::Language);
    let foreseen = (size.learnt(None) + size.kept(rows) + size.gradients(rows)) as f64;
    let found = engine.memory().peak as f64;
    assert!((0.6..1.6).contains(&(found / foreseen)), "{found} bytes, foreseen {foreseen}");
}

// Sampling

fn requests(count: u64) -> Vec<Request> {
    (0..count).map(|key| Request { prompt: [1, 3 + u32::try_from(key / 3).expect("small"), 9].into(), key }).collect()
}

fn sample(engine: &mut Engine, net: NetId, requests: &[Request], sampling: &Sampling) -> Vec<Sample> {
    engine.generate(net, requests, sampling, Extras::default()).expect("samples")
}

#[test]
fn samples_do_not_depend_on_what_is_sampled_beside_them() {
    let (mut engine, net) = engine(Head::Language, false);
    let sampling = Sampling { max_tokens: 12, seed: 5, ..Sampling::default() };
    let together = sample(&mut engine, net, &requests(12), &sampling);
    assert!(together.iter().any(|s| s.tokens != together[0].tokens));
    for slots in [1, 2, 5] {
        engine.set_budget(Budget { slots, ..Budget::default() });
        let found = sample(&mut engine, net, &requests(12), &sampling);
        assert!(found.iter().zip(&together).all(|(a, b)| a.tokens == b.tokens), "{slots} slots");
    }
    let mut reversed = requests(12);
    reversed.reverse();
    let mut found = sample(&mut engine, net, &reversed, &sampling);
    found.reverse();
    assert!(found.iter().zip(&together).all(|(a, b)| a.tokens == b.tokens));
    let other = Sampling { seed: 6, ..sampling };
    assert_ne!(sample(&mut engine, net, &requests(12), &other)[0].tokens, together[0].tokens);
}

#[test]
fn sampled_log_probs_are_those_of_training() {
    let (mut engine, net) = engine(Head::Language, false);
    for temperature in [0.7, 1.0] {
        let sampling = Sampling { temperature, max_tokens: 10, top_k: Some(20), ..Sampling::default() };
        let samples = sample(&mut engine, net, &requests(9), &sampling);
        let read: Vec<_> = requests(9).iter().zip(&samples).map(|(r, s)| TokenSequence::new(r.prompt.clone(), &s.tokens[..])).collect();
        let readout = engine.readout(net, &read, Want::LOGP, temperature).expect("a readout");
        for (sample, logp) in samples.iter().zip(&readout.logp) {
            close(&sample.logps, logp, 1e-5);
        }
    }
}

#[test]
fn a_large_network_samples_from_nearly_its_own_log_probs() {
    // so many weights that the processor samples with halves of them
    let shape = Shape { layers: 2, width: 256, heads: 4, kv_heads: 2, mlp: 512, vocabulary: 16_384, tied: true };
    let folder = tempfile::tempdir().expect("a temporary folder");
    toy::write(folder.path(), shape, Head::Language);
    let network = Network::open(folder.path()).expect("it opens");
    let mut engine = Engine::new(device());
    let net = engine.load(&network, false).expect("it loads");
    let requests = requests(4);
    let samples = sample(&mut engine, net, &requests, &Sampling { max_tokens: 12, ..Sampling::default() });
    let said = requests.iter().zip(&samples).map(|(r, s)| TokenSequence::new(&r.prompt[..], &s.tokens[..]));
    let readout = engine.readout(net, &said.collect::<Vec<_>>(), Want::LOGP, 1.0).expect("a readout");
    let pairs = samples.iter().zip(&readout.logp).flat_map(|(sample, logp)| sample.logps.iter().zip(logp.iter()));
    let most = pairs.map(|(sampled, trained)| (sampled - trained).abs()).fold(0.0, f64::max);
    assert!(most > 1e-6 && most < 2e-3, "{most}");
}

#[test]
fn a_sample_ends_where_it_must() {
    let (mut engine, net) = engine(Head::Language, false);
    let sampling = Sampling { max_tokens: 60, seed: 1, ..Sampling::default() };
    let samples = sample(&mut engine, net, &requests(30), &sampling);
    let ended = samples.iter().filter(|s| s.finished).count();
    assert!(ended > 5, "a toy network ends now and then: {ended}");
    for sample in &samples {
        let end = sample.tokens.iter().position(|t| *t == 2);
        assert_eq!(sample.finished, end == Some(sample.tokens.len() - 1));
        assert_eq!(end.is_none(), sample.tokens.len() == 60);
        assert_eq!(sample.tokens.len(), sample.logps.len());
        assert!(!sample.text.contains("</s>"));
    }
    // The word after the first one of some sample ends every sample in which it occurs.
    let stop = samples[0].text.split(' ').nth(2).expect("a third word").to_owned();
    let stopping = Sampling { stop: vec![format!("{stop} ")], ..sampling.clone() };
    let stopped = sample(&mut engine, net, &requests(30), &stopping);
    assert!(stopped[0].finished && !stopped[0].text.contains(&format!("{stop} ")));
    assert_eq!(stopped[0].tokens, samples[0].tokens[..stopped[0].tokens.len()]);
    let none = sample(&mut engine, net, &requests(2), &Sampling { max_tokens: 0, ..sampling });
    assert!(none.iter().all(|s| s.tokens.is_empty() && !s.finished));
}

#[test]
fn sampling_asks_for_a_prompt_and_a_language_head() {
    let (mut engine, net) = engine(Head::Language, false);
    let empty = [Request { prompt: [].into(), key: 0 }];
    let result = engine.generate(net, &empty, &Sampling::default(), Extras::default());
    assert!(matches!(result, Err(ModelError::NothingToRead)));
    let (mut engine, net) = self::engine(Head::Value, false);
    let result = engine.generate(net, &requests(1), &Sampling::default(), Extras::default());
    assert!(matches!(result, Err(ModelError::WrongHead { .. })));
}
