//! Networks that learn through adapters.

use super::*;

fn adapted(network: &Network, spec: AdapterSpec) -> Network {
    network.with_adapter(Adapter::new(network, spec, [1, 2], 0).expect("adapters"))
}

/// One step towards the toy sequences; the log-probs before it.
fn learn(engine: &mut Engine, net: NetId) -> Vec<std::sync::Arc<[f64]>> {
    let (pass, readout) = engine.forward(net, &sequences(), Want::LOGP, 1.0).expect("a pass");
    let logp = readout.logp.iter().map(|logp| vec![-0.1; logp.len()]).collect();
    engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward pass");
    assert!(engine.update(net, &STEP).expect("an update").applied);
    readout.logp
}

/// Sampled with its adapters or, written and read, with merged weights: the same distribution.
fn check_merged(engine: &mut Engine, net: NetId, learnt: &Network) {
    let place = tempfile::tempdir().expect("a temporary folder");
    learnt.save(&place.path().join("merged")).expect("written");
    let merged = Network::open(&place.path().join("merged")).expect("it opens");
    assert_eq!(merged.blocks, None, "what an adapter was merged into is on no grid");
    let merged = engine.load(&merged, false).expect("it loads");
    let sampling = Sampling { max_tokens: 8, ..Sampling::default() };
    let samples = sample(engine, net, &requests(6), &sampling);
    for (a, b) in samples.iter().zip(sample(engine, merged, &requests(6), &sampling)) {
        assert_eq!(a.tokens, b.tokens);
        close(&a.logps, &b.logps, 1e-4);
    }
}

#[test]
fn an_adapter_learns_and_its_base_does_not() {
    for magnitude in [false, true] {
        let (_folder, network) = toy(Head::Language);
        let mut engine = Engine::new(device());
        let base = engine.load(&network, false).expect("it loads");
        let plain = engine.readout(base, &sequences(), Want::LOGP, 1.0).expect("a readout").logp;
        let net = engine.load(&adapted(&network, AdapterSpec { magnitude, ..AdapterSpec::new(4) }), true).expect("it loads");
        let total = |logp: &[std::sync::Arc<[f64]>]| logp.iter().flat_map(|l| l.iter()).sum::<f64>();
        let first = learn(&mut engine, net);
        // B is zero, so nothing is added; with magnitudes each row is brought to the length it has
        assert!(if magnitude { (total(&first) - total(&plain)).abs() < 1e-4 } else { first == plain });
        let mut last = Vec::new();
        for _ in 0..20 {
            last = learn(&mut engine, net);
        }
        assert!(total(&last) > total(&first) + 5.0, "{} after {}", total(&last), total(&first));
        assert_eq!(engine.readout(base, &sequences(), Want::LOGP, 1.0).expect("a readout").logp, plain, "the base, bit for bit");
        let learnt = engine.network(net).expect("it can be read");
        for (at, parameter) in network.parameters().iter().enumerate() {
            assert_eq!(learnt.tensor(at, parameter).expect("a tensor"), network.tensor(at, parameter).expect("a tensor"));
        }
        check_merged(&mut engine, net, &learnt);
    }
}

#[test]
fn frozen_weights_are_held_once() {
    let (_folder, network) = toy(Head::Language);
    let mut engine = Engine::new(device());
    let spec = AdapterSpec::new(2);
    let weights: u64 = network.parameters().iter().map(|p| 4 * p.len() as u64).sum();
    let policy = adapted(&network, spec);
    let small: u64 = policy.adapter.as_ref().expect("adapters").parameters(&policy).iter().map(|p| 16 * p.len() as u64).sum();
    let net = engine.load(&policy, true).expect("it loads");
    let begun = engine.memory().in_use;
    assert_eq!(begun, weights + small, "weights once; adapters with gradients and two moments");
    // the reference, and a critic on the same trunk: no second copy
    let reference = engine.load(&network, false).expect("it loads");
    assert_eq!(engine.memory().in_use, begun);
    let critic = adapted(&network.with_head(Head::Value, HeadStart::Zero).expect("a head"), spec);
    let value = engine.load(&critic, true).expect("it loads");
    let head = 16 * network.spec.width as u64;
    assert_eq!(engine.memory().in_use, begun + small + head);
    assert_eq!(engine.memory().peak, engine.memory().in_use, "nothing was copied on the way");
    let before = engine.readout(reference, &sequences(), Want::LOGP, 1.0).expect("a readout");
    learn(&mut engine, net);
    engine.unload(net);
    engine.unload(value);
    engine.trim();
    assert_eq!(engine.readout(reference, &sequences(), Want::LOGP, 1.0).expect("a readout"), before, "who is left still has its weights");
    engine.unload(reference);
    engine.trim();
    assert_eq!(engine.memory().in_use, 0);
}

#[test]
fn weights_in_blocks_are_read_by_adapters_reference_and_sampler() {
    for format in BlockFormat::ALL {
        let (_folder, network) = toy(Head::Language);
        let network = network.quantised(format).expect("it can be rounded");
        let mut engine = Engine::new(device());
        let mut plain = network.clone();
        plain.blocks = None;
        let whole = engine.load(&plain, false).expect("it loads");
        let taken = engine.memory().in_use;
        let expected = engine.readout(whole, &sequences(), Want::LOGP, 1.0).expect("a readout").logp;
        engine.unload(whole);
        engine.trim();

        let reference = engine.load(&network, false).expect("it loads");
        let held = engine.memory().in_use;
        assert!(held < taken, "{held} of {taken} bytes");
        let found = engine.readout(reference, &sequences(), Want::LOGP, 1.0).expect("a readout").logp;
        found.iter().zip(&expected).for_each(|(found, expected)| close(found, expected, 1e-5));

        // the policy brings its adapters only
        let policy = adapted(&network, AdapterSpec::new(2));
        let small: u64 = policy.adapter.as_ref().expect("adapters").parameters(&policy).iter().map(|p| 16 * p.len() as u64).sum();
        engine.trim();
        let before = engine.memory().in_use;
        let net = engine.load(&policy, true).expect("it loads");
        assert_eq!(engine.memory().in_use, before + small);
        for _ in 0..10 {
            learn(&mut engine, net);
        }
        assert_eq!(engine.readout(reference, &sequences(), Want::LOGP, 1.0).expect("a readout").logp, found, "the base, bit for bit");

        // what is read back, written and opened again is in the same blocks
        let learnt = engine.network(net).expect("it can be read");
        assert_eq!(numbers(&learnt), numbers(&network));
        let place = tempfile::tempdir().expect("a temporary folder");
        network.save(&place.path().join("blocks")).expect("written");
        assert_eq!(Network::open(&place.path().join("blocks")).expect("it opens").blocks, Some(format));
        check_merged(&mut engine, net, &learnt);
    }
}

#[test]
fn weights_in_blocks_are_never_trained() {
    let (_folder, network) = toy(Head::Language);
    let network = network.quantised(BlockFormat::Nf4).expect("it can be rounded");
    let mut engine = Engine::new(device());
    let refused = |result: Result<NetId, ModelError>| matches!(result, Err(ModelError::Blocks { .. }));
    assert!(refused(engine.load(&network, true)));
    assert!(refused(engine.load(&adapted(&network, AdapterSpec { magnitude: true, ..AdapterSpec::new(2) }), true)));
    assert_eq!(engine.memory().in_use, 0);
    let scorer = network.with_head(Head::Score, HeadStart::Zero).expect("a head");
    assert!(engine.load_for(&scorer, Learns::Head).is_ok(), "a head beside them is not in blocks");
}

fn numbers(network: &Network) -> Vec<Vec<f32>> {
    let parameters = network.parameters();
    parameters.iter().enumerate().map(|(at, p)| network.tensor(at, p).expect("a tensor").into_owned()).collect()
}

#[test]
fn adapters_go_on_where_they_were_saved() {
    let (_folder, network) = toy(Head::Score);
    let policy = adapted(&network, AdapterSpec::new(3));
    let step = |engine: &mut Engine, net| {
        let (pass, readout) = engine.forward(net, &sequences(), Want::SCORE, 1.0).expect("a pass");
        let score = readout.score.iter().map(|score| score - 1.0).collect();
        engine.backward(pass, &Coefficients { score, ..Coefficients::default() }).expect("a backward pass");
        assert!(engine.update(net, &STEP).expect("an update").applied);
        readout.score
    };
    let mut engine = Engine::new(device());
    let net = engine.load(&policy, true).expect("it loads");
    let first = step(&mut engine, net);
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("state.safetensors");
    let steps = engine.write_state(net, &saved).expect("a state");
    let file = TensorFile::open(std::slice::from_ref(&saved)).expect("a file");
    assert_eq!(
        file.names().filter(|name| name.starts_with("weights.")).count(),
        2 * 7 * network.spec.layers + 1,
        "A and B of every projection, and the head"
    );
    let restored = policy.restored(&saved, Learns::All).expect("it fits");
    let now = engine.network(net).expect("a network");
    assert_eq!(restored.adapter, now.adapter);
    assert_eq!(numbers(&restored), numbers(&now));
    assert!(matches!(network.restored(&saved, Learns::All), Err(ModelError::State { .. })), "it has no adapters");
    let after = [step(&mut engine, net), step(&mut engine, net)];
    assert_ne!(first, after[0]);
    let mut other = Engine::new(device());
    let again = other.load(&policy, true).expect("it loads");
    other.read_state(again, &saved, steps).expect("it fits");
    assert_eq!([step(&mut other, again), step(&mut other, again)], after);
    let frozen = other.load(&network, false).expect("it loads");
    assert!(matches!(other.read_state(frozen, &saved, steps), Err(ModelError::Frozen)));
}

#[test]
fn a_first_adapter_depends_on_its_key_alone() {
    let (_folder, network) = toy(Head::Language);
    let numbers = |key: [u32; 2], stream: u32| {
        let adapter = Adapter::new(&network, AdapterSpec::new(4), key, stream).expect("adapters");
        let place = tempfile::tempdir().expect("a temporary folder");
        Adapter::write(&network.with_adapter(adapter), place.path()).expect("written");
        fs::read(place.path().join("adapter_model.safetensors")).expect("there")
    };
    assert_eq!(numbers([1, 2], 0), numbers([1, 2], 0));
    assert_ne!(numbers([1, 2], 0), numbers([1, 3], 0));
    assert_ne!(numbers([1, 2], 0), numbers([1, 2], 1));
    // uniform within 1 / sqrt(K): mean 0, deviation bound / sqrt(3)
    let adapter = Adapter::new(&network, AdapterSpec::new(64), [5, 6], 0).expect("adapters");
    let place = tempfile::tempdir().expect("a temporary folder");
    Adapter::write(&network.with_adapter(adapter), place.path()).expect("written");
    let file = align::model::TensorFile::open(&[place.path().join("adapter_model.safetensors")]).expect("it opens");
    let name = "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight";
    let a = align::model::Tensors::read(&file, name).expect("a tensor");
    let bound = 1.0 / (network.spec.mlp as f32).sqrt();
    assert!(a.iter().all(|x| x.abs() <= bound));
    let deviation = (a.iter().map(|x| x * x).sum::<f32>() / a.len() as f32).sqrt();
    assert!((deviation * 3.0_f32.sqrt() / bound - 1.0).abs() < 0.05, "{deviation}");
}

#[test]
fn a_wrong_adapter_is_named() {
    let (_folder, network) = toy(Head::Language);
    let open = |change: &dyn Fn(&mut serde_json::Value)| {
        let place = tempfile::tempdir().expect("a temporary folder");
        Adapter::write(&adapted(&network, AdapterSpec::new(4)), place.path()).expect("written");
        let path = place.path().join("adapter_config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        change(&mut config);
        fs::write(&path, config.to_string()).expect("a file");
        Adapter::open(place.path(), &network)
    };
    let messages: [(&str, serde_json::Value, &str); 8] = [
        ("peft_type", "IA3".into(), "an adapter of the kind `IA3`"),
        ("rank_pattern", serde_json::json!({ "q_proj": 8 }), "asks for `rank_pattern`"),
        ("bias", "all".into(), "asks for `bias`"),
        ("use_qalora", true.into(), "asks for `use_qalora`"),
        ("init_lora_weights", "pissa".into(), "changes the weights beside the adapter"),
        ("r", 8.into(), "has shape [4, 16], expected [8, 16]"),
        ("r", 0.into(), "no valid `r`"),
        ("use_dora", true.into(), "lora_magnitude_vector` is missing"),
    ];
    for (field, value, expected) in messages {
        let error = open(&|config| config[field] = value.clone()).expect_err(field).to_string();
        assert!(error.contains(expected), "{field}: {error}");
    }
    assert!(open(&|_| {}).is_ok());
    let (_other, scorer) = toy(Head::Score);
    let place = tempfile::tempdir().expect("a temporary folder");
    let trained = adapted(&scorer, AdapterSpec::new(4));
    Adapter::write(&trained, place.path()).expect("written");
    let error = Adapter::open(place.path(), &network).expect_err("it brings a head along").to_string();
    assert!(error.contains("`base_model.model.score.weight`"), "{error}");
    let head = scorer.parameters().len() - 1;
    let zero = scorer.with_head(Head::Language, HeadStart::Zero);
    assert!(zero.is_err(), "an untied toy has no language head to go back to");
    let opened = Adapter::open(place.path(), &scorer).expect("a scorer takes it");
    assert_eq!(
        opened.tensor(head, &scorer.parameters()[head]).expect("a head"),
        scorer.tensor(head, &scorer.parameters()[head]).expect("a head")
    );
    assert_eq!(opened.adapter, trained.adapter);
}

/// For `tests/exchange.py`: a network, its adapters as PEFT reads them, and merged.
#[test]
#[ignore = "writes into ALIGN_EXCHANGE what `tests/exchange.py` then loads"]
fn adapters_for_exchange() {
    let place = std::path::PathBuf::from(std::env::var_os("ALIGN_EXCHANGE").expect("ALIGN_EXCHANGE names a folder"));
    let kinds = [("lora", false, false), ("rslora", true, false), ("dora", false, true)];
    for (name, by_root, magnitude) in kinds {
        for head in [Head::Language, Head::Score] {
            let (_folder, network) = toy(head);
            let mut engine = Engine::new(device());
            let net = engine.load(&adapted(&network, AdapterSpec { by_root, magnitude, ..AdapterSpec::new(4) }), true).expect("it loads");
            for _ in 0..5 {
                if head == Head::Language {
                    learn(&mut engine, net);
                } else {
                    let (pass, read) = engine.forward(net, &sequences(), Want::SCORE, 1.0).expect("a pass");
                    let score = read.score.iter().map(|score| score - 1.0).collect();
                    engine.backward(pass, &Coefficients { score, ..Coefficients::default() }).expect("a backward pass");
                    engine.update(net, &STEP).expect("an update");
                }
            }
            let trained = engine.network(net).expect("it can be read");
            let stem = format!("{name}-{}", head.word());
            network.save(&place.join(format!("{stem}.base"))).expect("written");
            trained.save(&place.join(format!("{stem}.merged"))).expect("written");
            let folder = place.join(format!("{stem}.adapter"));
            fs::create_dir_all(&folder).expect("a folder");
            Adapter::write(&trained, &folder).expect("written");
        }
    }
}
