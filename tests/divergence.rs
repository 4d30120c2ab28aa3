//! Two networks side by side, ensembles, and heads trained alone: against sums over every word, and against themselves.

mod toy;

use align::engine::cpu::CpuDevice;
use align::model::{AdamStep, Coefficients, Engine, Head, HeadStart, Learns, ModelError, NetId, Network, Sides, TokenSequence, Want};
use tempfile::TempDir;
use toy::Shape;

const WORDS: u32 = 40;

fn toy() -> (TempDir, Network) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    toy::write(folder.path(), Shape::TINY, Head::Language);
    let network = Network::open(folder.path()).expect("a toy network opens");
    (folder, network)
}

/// The same network with every weight moved a little.
fn moved(network: &Network) -> Network {
    let tensor = |(i, p)| -> std::sync::Arc<[f32]> {
        let numbers = network.tensor(i, p).expect("a tensor");
        numbers.iter().enumerate().map(|(at, x)| x * (1.0 + 0.3 * ((at + i) as f32).sin())).collect()
    };
    network.with_weights(network.parameters().iter().enumerate().map(tensor).collect())
}

fn engine() -> Engine {
    Engine::new(Box::new(CpuDevice::new(Some(1)).expect("a processor")))
}

/// Every word behind a prompt, as a sequence of its own.
fn every_word(prompt: &[u32]) -> Vec<TokenSequence> {
    (0..WORDS).map(|word| TokenSequence::new(prompt, [word])).collect()
}

fn log_probs(engine: &mut Engine, net: NetId, prompt: &[u32], temperature: f64) -> Vec<f64> {
    let read = engine.readout(net, &every_word(prompt), Want::LOGP, temperature).expect("a readout");
    read.logp.iter().map(|logp| logp[0]).collect()
}

#[test]
fn it_is_the_sum_over_every_word() {
    let (_folder, network) = toy();
    let mut engine = engine();
    let [a, b] = [network.clone(), moved(&network)].map(|n| engine.load(&n, false).expect("it loads"));
    // the second reads another prompt; of three completions two are equal
    let first: Vec<_> = [[7, 8, 2], [9, 3, 2], [7, 8, 2]].map(|c| TokenSequence::new([1, 5, 6], c)).to_vec();
    let second: Vec<_> = [[7, 8, 2], [9, 3, 2], [7, 8, 2]].map(|c| TokenSequence::new([1, 11, 12, 13], c)).to_vec();
    let sides = Sides { nets: [a, b], sequences: [&first, &second] };
    let found = engine.divergence(sides, 0.8).expect("a divergence");
    for (row, completion) in [[7_u32, 8, 2], [9, 3, 2], [7, 8, 2]].iter().enumerate() {
        for token in 0..3 {
            let before = |prompt: &[u32]| [prompt, &completion[..token]].concat();
            let p = log_probs(&mut engine, a, &before(&[1, 5, 6]), 0.8);
            let q = log_probs(&mut engine, b, &before(&[1, 11, 12, 13]), 0.8);
            let wanted: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
            assert!((found[row][token] - wanted).abs() < 1e-5, "{} {wanted}", found[row][token]);
        }
    }
    let same = engine.divergence(Sides { nets: [a, a], sequences: [&first, &first] }, 1.0).expect("a divergence");
    assert!(same.iter().flat_map(|tokens| tokens.iter()).all(|x| x.abs() < 1e-6));
}

#[test]
fn either_side_is_differentiated() {
    let (_folder, network) = toy();
    let other = moved(&network);
    let prompt = [1, 5, 6];
    let sequence = vec![TokenSequence::new(prompt, [7])];
    for trained in [0, 1] {
        let mut engine = engine();
        let nets = [(&network, 0), (&other, 1)].map(|(n, side)| engine.load(n, side == trained).expect("it loads"));
        let (p, q) = (log_probs(&mut engine, nets[0], &prompt, 1.0), log_probs(&mut engine, nets[1], &prompt, 1.0));
        let sides = Sides { nets, sequences: [&sequence, &sequence] };
        engine.divergence_backward(sides, 1.0, &[vec![1.0]]).expect("a backward");
        let found = engine.gradients(nets[trained]).expect("gradients");
        engine.update(nets[trained], &STILL).expect("it starts from zero again");
        // the same gradient through the log-probs of all words
        let by_word = |word: usize| if trained == 0 { p[word].exp() * (p[word] - q[word]) } else { -p[word].exp() };
        let (pass, _) = engine.forward(nets[trained], &every_word(&prompt), Want::LOGP, 1.0).expect("a forward");
        let logp = (0..WORDS as usize).map(|word| vec![by_word(word)]).collect();
        engine.backward(pass, &Coefficients { logp, ..Coefficients::default() }).expect("a backward");
        let wanted = engine.gradients(nets[trained]).expect("gradients");
        let size = wanted.iter().flatten().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(size > 1e-4, "{size}");
        for (a, b) in found.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((a - b).abs() < 1e-3 * size + 1e-7, "side {trained}: {a} {b}");
        }
    }
}

const STILL: AdamStep = AdamStep { lr: 0.0, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, anchor: 0.0, clip: None };

#[test]
fn what_cannot_be_compared_is_refused() {
    let (_folder, network) = toy();
    let mut engine = engine();
    let net = engine.load(&network, false).expect("it loads");
    let (a, b) = (vec![TokenSequence::new([1], [7, 2])], vec![TokenSequence::new([1], [8, 2])]);
    let error = engine.divergence(Sides { nets: [net, net], sequences: [&a, &b] }, 1.0).expect_err("other words");
    assert!(matches!(error, ModelError::Unlike { what: "scored tokens" }), "{error}");
    let scorer = engine.load(&network.with_head(Head::Value, HeadStart::Zero).expect("a head"), false).expect("it loads");
    assert!(engine.divergence(Sides { nets: [net, scorer], sequences: [&a, &a] }, 1.0).is_err());
}

#[test]
fn an_ensemble_gives_every_members_score_and_learns_each_apart() {
    let (_folder, network) = toy();
    let ensemble = network.with_heads(Head::Score, HeadStart::Normal { seed: 3 }, 4).expect("heads");
    let place = tempfile::tempdir().expect("a temporary folder");
    ensemble.save(&place.path().join("ensemble")).expect("it can be written");
    let again = Network::open(&place.path().join("ensemble")).expect("it opens");
    assert_eq!(again.spec.scores, 4);
    let sequences: Vec<_> = [[7, 8], [9, 3], [4, 2]].map(|c| TokenSequence::new([1, 5], c)).to_vec();
    let mut engine = engine();
    let net = engine.load_for(&again, Learns::Head).expect("it loads");
    assert_eq!(engine.parameters(net).len(), 1, "the head is all that learns");
    let before = engine.network(net).expect("a copy");
    let (pass, read) = engine.forward(net, &sequences, Want::SCORE, 1.0).expect("a forward");
    assert_eq!(read.score.len(), 12);
    // a loss that is the second member's score of the first sequence
    let mut score = vec![0.0; 12];
    score[1] = 1.0;
    engine.backward(pass, &Coefficients { score, ..Coefficients::default() }).expect("a backward");
    let gradient = engine.gradients(net).expect("gradients").swap_remove(0);
    let width = gradient.len() / 4;
    assert!(gradient[width..2 * width].iter().any(|x| *x != 0.0));
    assert!(gradient[..width].iter().chain(&gradient[2 * width..]).all(|x| *x == 0.0));
    engine.update(net, &AdamStep { lr: 0.1, ..STILL }).expect("a step");
    let after = engine.readout(net, &sequences, Want::SCORE, 1.0).expect("a readout");
    assert!(after.score[1] < read.score[1] && after.score[0] == read.score[0]);
    let trunk = |network: &Network| network.tensor(0, &network.parameters()[0]).expect("a tensor").to_vec();
    assert_eq!(trunk(&before), trunk(&engine.network(net).expect("a copy")));
    assert!(matches!(engine.load_for(&network, Learns::Head), Err(ModelError::WrongHead { .. })));
}

#[test]
fn an_anchor_pulls_back_to_the_start() {
    let (_folder, network) = toy();
    let scorer = network.with_head(Head::Score, HeadStart::Normal { seed: 1 }).expect("a head");
    let sequence = vec![TokenSequence::new([1, 5], [7])];
    let mut engine = engine();
    let net = engine.load_for(&scorer, Learns::Head).expect("it loads");
    engine.anchor(net).expect("it is remembered");
    let push = |engine: &mut Engine, by: f64, step: &AdamStep| {
        let (pass, _) = engine.forward(net, &sequence, Want::SCORE, 1.0).expect("a forward");
        engine.backward(pass, &Coefficients { score: vec![by], ..Coefficients::default() }).expect("a backward");
        engine.update(net, step).expect("a step").grad_norm
    };
    let step = AdamStep { lr: 0.05, anchor: 3.0, ..STILL };
    push(&mut engine, 1.0, &step);
    // 2 λ / n (w − w₀) of weights that Adam moved by the learning rate each
    let found = push(&mut engine, 0.0, &AdamStep { lr: 0.0, ..step });
    let now = engine.network(net).expect("a network");
    let now = now.tensor(now.parameters().len() - 1, now.parameters().last().expect("a head")).expect("numbers").to_vec();
    let start = scorer.tensor(scorer.parameters().len() - 1, scorer.parameters().last().expect("a head")).expect("numbers").to_vec();
    let away: f64 = now.iter().zip(&start).map(|(w, s)| f64::from(w - s).powi(2)).sum();
    let wanted = 2.0 * 3.0 / start.len() as f64 * away.sqrt();
    assert!((found - wanted).abs() < 1e-4 * wanted, "{found} {wanted}");
}
