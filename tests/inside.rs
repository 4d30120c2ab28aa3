//! What is read inside a network must agree with what the network says as a whole, in every family.

use std::fs;
use std::path::Path;

use align::engine::cpu::CpuDevice;
use align::model::{Engine, ModelError, NetId, Network, Read, TokenSequence, Want};
use tempfile::TempDir;

/// A golden network of every family with a language head, as a folder with the word tokenizer.
fn families() -> Vec<TempDir> {
    let from = Path::new("tests/golden/models");
    let names = fs::read_dir(from).expect("goldens").map(|e| e.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut names: Vec<String> = names.filter(|name| name.starts_with("tiny-") && !name.ends_with("-rm")).collect();
    names.sort();
    let folder = |model: &String| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (model, file) in [(model.as_str(), "config.json"), (model, "model.safetensors"), ("word-tokenizer", "tokenizer.json")] {
            fs::copy(from.join(model).join(file), folder.path().join(file)).expect("a file");
        }
        folder
    };
    names.iter().map(folder).collect()
}

fn load(folder: &TempDir) -> (Engine, NetId, Network) {
    let network = Network::open(folder.path()).expect("a network");
    let mut engine = Engine::new(Box::new(CpuDevice::new(Some(1)).expect("a processor")));
    let net = engine.load(&network, false).expect("it loads");
    (engine, net, network)
}

fn sequence() -> TokenSequence {
    TokenSequence::new([1, 5, 6, 9], [7, 8, 2])
}

fn logp(engine: &mut Engine, net: NetId, sequence: &TokenSequence) -> Vec<f64> {
    engine.readout(net, std::slice::from_ref(sequence), Want::LOGP, 1.0).expect("log-probs").logp[0].to_vec()
}

fn close(a: &[f64], b: &[f64], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} is not {b}"));
}

#[test]
fn the_last_depth_is_the_network_and_any_depth_goes_on_to_it() {
    for folder in families() {
        let (mut engine, net, network) = load(&folder);
        let (sequence, depth, name) = (sequence(), network.spec.layers, network.spec.family.model_type.to_owned());
        let whole = logp(&mut engine, net, &sequence);
        let lens = engine.inside(net, &sequence, 0..depth, None, Read::LogProbs).expect("a lens").logp;
        close(&lens, &whole, 1e-5, &name);
        for layer in 0..depth {
            let states = engine.inside(net, &sequence, 0..layer, None, Read::States).expect("states").states;
            assert_eq!(states.len(), sequence.len() * network.spec.width, "{name}");
            let on = engine.inside(net, &sequence, layer..depth, Some(&states), Read::LogProbs).expect("the rest").logp;
            close(&on, &whole, 1e-5, &name);
        }
        let beyond = engine.inside(net, &sequence, 0..depth + 1, None, Read::States);
        assert!(matches!(beyond, Err(ModelError::Depth { .. })), "{name}");
    }
}

#[test]
fn the_gradient_is_that_of_small_changes() {
    for folder in families() {
        let (mut engine, net, network) = load(&folder);
        let (sequence, depth, width) = (sequence(), network.spec.layers, network.spec.width);
        let states = engine.inside(net, &sequence, 0..0, None, Read::States).expect("embeddings").states;
        let mut f = |states: &[f32]| -> f64 {
            engine.inside(net, &sequence, 0..depth, Some(states), Read::LogProbs).expect("a value").logp.iter().sum()
        };
        let at: Vec<usize> = (0..4).map(|t| t * width + (3 * t + 1) % width).collect();
        let numeric: Vec<f64> = at
            .iter()
            .map(|i| {
                let mut moved = |by: f32| {
                    let mut states = states.clone();
                    states[*i] += by;
                    f(&states)
                };
                (moved(1e-2) - moved(-1e-2)) / 2e-2
            })
            .collect();
        let gradient = engine.inside(net, &sequence, 0..depth, Some(&states), Read::Gradient).expect("a gradient").gradient;
        let found: Vec<f64> = at.iter().map(|i| f64::from(gradient[*i])).collect();
        close(&found, &numeric, 2e-2, network.spec.family.model_type);
        // a token that nothing follows decides on nothing
        assert!(gradient[(sequence.len() - 1) * width..].iter().all(|x| *x == 0.0));
    }
}

#[test]
fn attention_sums_to_one_and_never_looks_ahead() {
    for folder in families() {
        let (mut engine, net, network) = load(&folder);
        for layer in 0..network.spec.layers {
            for head in [None, Some(network.spec.heads - 1)] {
                let map = engine.attention(net, &sequence(), layer, head).expect("a map");
                for (t, row) in map.iter().enumerate() {
                    let sum: f64 = row.iter().sum();
                    assert!(
                        (sum - 1.0).abs() < 1e-9 && row[t + 1..].iter().all(|x| *x == 0.0),
                        "{}: {row:?}",
                        network.spec.family.model_type
                    );
                }
            }
        }
        assert!(engine.attention(net, &sequence(), 0, Some(network.spec.heads)).is_err());
        assert!(engine.attention(net, &sequence(), network.spec.layers, None).is_err());
    }
}

/// What a network's attention adds is the values mixed as the map says: with one token, all of it is the token's own.
#[test]
fn a_token_alone_looks_at_itself() {
    let (mut engine, net, _) = load(&families()[0]);
    let map = engine.attention(net, &TokenSequence::new([1], []), 0, None).expect("a map");
    assert_eq!(map, [[1.0]]);
}

#[test]
fn nothing_is_written_along_a_direction_that_was_taken_out() {
    for folder in families() {
        let (mut engine, net, network) = load(&folder);
        let (width, depth) = (network.spec.width, network.spec.layers);
        let direction: Vec<f64> = (0..width).map(|c| f64::from(u32::try_from(c * c % 7).expect("small")) - 2.5).collect();
        let steered = match network.along(&direction, 0.0) {
            Ok(steered) => steered,
            Err(error) => {
                assert!(error.to_string().contains("this family"), "{error}");
                continue;
            }
        };
        let other = engine.load(&steered, false).expect("it loads");
        let along = |states: &[f32], t: usize| -> f64 { direction.iter().zip(&states[t * width..]).map(|(v, x)| v * f64::from(*x)).sum() };
        let mut part = |net, layer| engine.inside(net, &sequence(), 0..layer, None, Read::States).expect("states").states;
        let (before, after) = (part(other, 0), part(other, depth));
        for t in 0..sequence().len() {
            let (a, b) = (along(&before, t), along(&after, t));
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{}: {a} became {b}", network.spec.family.model_type);
        }
        assert!((along(&part(net, 0), 1) - along(&part(net, depth), 1)).abs() > 1e-3, "the network wrote nothing along it anyway");
        let same = network.along(&direction, 1.0).expect("it changes nothing");
        let third = engine.load(&same, false).expect("it loads");
        close(&logp(&mut engine, third, &sequence()), &logp(&mut engine, net, &sequence()), 1e-5, "scale 1");
        assert!(network.along(&direction[1..], 0.0).is_err() && network.along(&vec![0.0; width], 0.0).is_err());
    }
}
