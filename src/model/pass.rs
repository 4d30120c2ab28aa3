//! Forward and backward: from token sequences to numbers, and from a loss's derivatives to gradients.

use std::sync::Arc;

use crate::engine::op::linear_logp::{Params as Logits, Scored};
use crate::engine::{Recorder, Recording, View, backward};

use super::session::{Engine, NetId};
use super::tokens::{Fed, Tokens};
use super::transformer::{NoMemory, decoder};
use super::{Batch, Coefficients, Layout, ModelError, ModelSpec, Place, Readout, TokenSequence, Want};

/// A forward pass whose backward is still to come. Dropping it frees what it kept.
#[derive(Debug)]
#[must_use = "a pass holds activations until its backward"]
pub struct Pass {
    net: NetId,
    want: Want,
    temperature: f32,
    layout: Layout,
    /// One a batch of the layout; `None` where the backward computes it again.
    kept: Vec<Option<Kept>>,
}

/// A forward of one batch whose activations are still there.
#[derive(Debug)]
struct Kept {
    recording: Recording,
    answers: Answers,
    /// While this lives, [`Engine::sweep`] spares its activations.
    _alive: Arc<()>,
}

/// Where the results of a batch are on the device.
#[derive(Clone, Copy, Default, Debug)]
struct Answers {
    logp: Option<View>,
    entropy: Option<View>,
    value: Option<View>,
    score: Option<View>,
}

/// Numbers of a batch: its results, or the derivatives by them.
#[derive(Clone, Default, Debug)]
struct Numbers<T> {
    logp: Vec<T>,
    entropy: Vec<T>,
    value: Vec<T>,
    score: Vec<T>,
}

impl Engine {
    /// Log-probs, entropies, values or scores of sequences; nothing is kept. Logits are divided by `temperature`.
    ///
    /// # Errors
    /// When the network's head cannot give what is wanted, an id is outside the vocabulary, or the device fails.
    pub fn readout(&mut self, net: NetId, sequences: &[TokenSequence], want: Want, temperature: f64) -> Result<Readout, ModelError> {
        self.check(net, sequences, want)?;
        let layout = Layout::new(sequences, want, self.budget.rows);
        let mut numbers = Vec::with_capacity(layout.batches.len());
        for batch in &layout.batches {
            let (_, answers) = self.run_forward(net, batch, want, narrow(temperature), false)?;
            numbers.push(self.read(answers)?);
            self.sweep();
        }
        Ok(collect(&layout.places, &numbers, want, self.spec(net).scores))
    }

    /// As [`Engine::readout`], for a trained network: what the backward needs is kept.
    ///
    /// # Errors
    /// As [`Engine::readout`], and when the network was loaded frozen.
    pub fn forward(
        &mut self,
        net: NetId,
        sequences: &[TokenSequence],
        want: Want,
        temperature: f64,
    ) -> Result<(Pass, Readout), ModelError> {
        self.check(net, sequences, want)?;
        if self.loaded(net).training.is_none() {
            return Err(ModelError::Frozen);
        }
        let layout = Layout::new(sequences, want, self.batch_rows(net));
        let temperature = narrow(temperature);
        let (mut numbers, mut kept, mut bytes) = (Vec::new(), Vec::new(), 0);
        for batch in &layout.batches {
            bytes += activation_bytes(self.spec(net), batch.tokens.len());
            // The first is kept whatever its size: it must fit for its backward anyway.
            let keep = kept.is_empty() || bytes <= self.budget.kept_bytes;
            let (recording, answers) = self.run_forward(net, batch, want, temperature, keep)?;
            numbers.push(self.read(answers)?);
            kept.push(keep.then(|| Kept { recording, answers, _alive: self.hold() }));
            self.sweep();
        }
        let readout = collect(&layout.places, &numbers, want, self.spec(net).scores);
        Ok((Pass { net, want, temperature, layout, kept }, readout))
    }

    /// The batch of [`Engine::forward`] in which each sequence is computed.
    pub fn batches(&self, net: NetId, sequences: &[TokenSequence], want: Want) -> Vec<usize> {
        Layout::new(sequences, want, self.batch_rows(net)).places.iter().map(|place| place.batch).collect()
    }

    /// Bytes of activations that a pass over sequences keeps, where one batch holds them all and the budget has room for
    /// it beside as many bytes kept already.
    pub fn room_for(&self, net: NetId, sequences: &[TokenSequence], want: Want, beside: u64) -> Option<u64> {
        let layout = Layout::new(sequences, want, self.batch_rows(net));
        let bytes = activation_bytes(self.spec(net), layout.rows());
        (layout.batches.len() == 1 && beside + bytes <= self.budget.kept_bytes).then_some(bytes)
    }

    /// Rows of a batch whose activations are kept.
    fn batch_rows(&self, net: NetId) -> usize {
        self.budget.kept_rows(self.spec(net))
    }

    /// Adds the gradient of the loss whose derivatives by the pass's numbers are `coefficients`. Equal sequences of
    /// the request each count.
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(&mut self, mut pass: Pass, coefficients: &Coefficients) -> Result<(), ModelError> {
        for (index, batch) in pass.layout.batches.iter().enumerate() {
            let kept = pass.kept[index].take();
            let seeds = seeds(&pass.layout, index, coefficients, self.spec(pass.net).scores);
            if !seeds.are_zero() {
                let (recording, answers) = match kept {
                    Some(kept) => (kept.recording, kept.answers),
                    None => self.run_forward(pass.net, batch, pass.want, pass.temperature, true)?,
                };
                self.run_backward(pass.net, &recording, answers, &seeds)?;
            }
            self.sweep();
        }
        Ok(())
    }

    fn check(&self, net: NetId, sequences: &[TokenSequence], want: Want) -> Result<(), ModelError> {
        // a frozen scorer is asked for scores alone
        let beside = self.spec(net).tied && self.loaded(net).training.is_some();
        want.check(self.head(net), beside)?;
        self.check_lengths(net, sequences.iter().map(|s| s.prompt().len() + s.completion().len()))?;
        let vocabulary = self.spec(net).vocabulary;
        let ids = sequences.iter().flat_map(|s| s.prompt().iter().chain(s.completion().iter()));
        match ids.copied().find(|id| *id as usize >= vocabulary) {
            Some(id) => Err(ModelError::TokenOutside { id, vocabulary }),
            None if want.score && sequences.iter().any(TokenSequence::is_empty) => Err(ModelError::NothingToRead),
            None => Ok(()),
        }
    }

    /// Records and runs the forward of one batch.
    fn run_forward(
        &mut self,
        net: NetId,
        batch: &Batch,
        want: Want,
        temperature: f32,
        keep: bool,
    ) -> Result<(Recording, Answers), ModelError> {
        if batch.tokens.is_empty() {
            return Ok(Default::default());
        }
        let positions = batch.positions.iter().max().map_or(0, |p| *p as usize + 1);
        let tables = self.tables(net, positions)?;
        let (spec, tensors) = (self.spec(net).clone(), self.loaded(net).tensors.clone());
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let fed = Fed { ids: &batch.tokens, positions: &batch.positions, ranges: &batch.ranges, differentiable: true };
        let tokens = Tokens::upload(&mut rec, &spec, fed, tables);
        let needed = (batch.needed.len() < batch.tokens.len()).then(|| rec.indices(&batch.needed));
        let hidden = decoder(&mut rec, &spec, &tensors, (tokens, needed), &mut NoMemory, keep);
        let logits = Logits { temperature, cap: spec.logit_cap };
        let language = if spec.tied { tensors.embedding } else { tensors.head };
        let answers = heads(&mut rec, batch, want, logits, hidden, (language, tensors.head));
        let recording = rec.finish()?;
        self.device.run(&recording)?;
        Ok((recording, answers))
    }

    fn run_backward(&mut self, net: NetId, recording: &Recording, answers: Answers, seeds: &Numbers<f64>) -> Result<(), ModelError> {
        let mut training = self.loaded_mut(net).training.take().ok_or(ModelError::Frozen)?;
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        training.tape.forget();
        for (answer, seeds) in answers.each().into_iter().zip(seeds.each()) {
            if let Some(answer) = answer.filter(|_| seeds.iter().any(|&seed| seed != 0.0)) {
                let seeds: Vec<f32> = seeds.iter().copied().map(narrow).collect();
                let gradient = rec.upload_f32(&seeds, answer.rows, answer.cols);
                training.tape.seed(answer, gradient);
            }
        }
        backward(&mut rec, recording, &mut training.tape);
        let recorded = rec.finish();
        self.loaded_mut(net).training = Some(training);
        Ok(self.device.run(&recorded?)?)
    }

    fn read(&mut self, answers: Answers) -> Result<Numbers<f32>, ModelError> {
        let [logp, entropy, value, score] = answers.each().map(|view| view.map_or(Ok(Vec::new()), |view| self.device.read_f32(view)));
        Ok(Numbers { logp: logp?, entropy: entropy?, value: value?, score: score? })
    }
}

impl Answers {
    fn each(&self) -> [Option<View>; 4] {
        [self.logp, self.entropy, self.value, self.score]
    }
}

impl<T> Numbers<T> {
    fn each(&self) -> [&[T]; 4] {
        [&self.logp, &self.entropy, &self.value, &self.score]
    }
}

impl Numbers<f64> {
    fn are_zero(&self) -> bool {
        self.each().iter().all(|numbers| numbers.iter().all(|&x| x == 0.0))
    }
}

/// Records what is read off the needed rows of the hidden states, (N, C).
fn heads(rec: &mut Recorder<'_>, batch: &Batch, want: Want, logits: Logits, hidden: View, (language, head): (View, View)) -> Answers {
    let mut answers = Answers::default();
    if (want.logp || want.entropy) && !batch.targets.is_empty() {
        let pred = rec.indices(&batch.predicting);
        let target = rec.upload_u32(&batch.targets, batch.targets.len(), 1);
        let said = rec.linear_logp(hidden, (language, None), Scored { pred, target }, logits, want.entropy);
        (answers.logp, answers.entropy) = (Some(said.logp), said.entropy);
    }
    let mut scalar = |rows: &[u32]| {
        let rows = rec.indices(rows);
        let states = rec.gather(rows, hidden);
        rec.linear(states, head, None)
    };
    answers.value = (want.value && !batch.predicting.is_empty()).then(|| scalar(&batch.predicting));
    answers.score = want.score.then(|| scalar(&batch.last));
    answers
}

/// The numbers of every batch, one entry a requested sequence.
fn collect(places: &[Place], numbers: &[Numbers<f32>], want: Want, scores: usize) -> Readout {
    let tokens = |wanted: bool, of: fn(&Numbers<f32>) -> &[f32]| -> Vec<Arc<[f64]>> {
        let one = |place: &Place| -> Arc<[f64]> {
            // A batch in which nothing is scored has no numbers at all.
            let all = of(&numbers[place.batch]).get(place.pairs.clone()).unwrap_or_default();
            all.iter().map(|&x| f64::from(x)).collect()
        };
        if wanted { places.iter().map(one).collect() } else { Vec::new() }
    };
    let score = |place: &Place| {
        let last = place.last.into_iter().flat_map(|last| last * scores..(last + 1) * scores);
        last.map(|at| f64::from(numbers[place.batch].score[at])).collect::<Vec<f64>>()
    };
    Readout {
        logp: tokens(want.logp, |n| &n.logp),
        entropy: tokens(want.entropy, |n| &n.entropy),
        value: tokens(want.value, |n| &n.value),
        score: places.iter().flat_map(score).collect(),
    }
}

/// The derivatives by the results of one batch; those of equal sequences add up.
fn seeds(layout: &Layout, index: usize, coefficients: &Coefficients, scores: usize) -> Numbers<f64> {
    let batch = &layout.batches[index];
    let members = || layout.places.iter().enumerate().filter(|(_, place)| place.batch == index);
    let tokens = |given: &[Vec<f64>]| {
        let mut sums = vec![0.0; batch.targets.len()];
        for (request, place) in members() {
            let given = given.get(request).map_or(&[][..], Vec::as_slice);
            sums[place.pairs.clone()].iter_mut().zip(given).for_each(|(sum, given)| *sum += given);
        }
        sums
    };
    let mut score = vec![0.0; batch.last.len() * scores];
    for (request, place) in members() {
        let given = coefficients.score.get(request * scores..(request + 1) * scores);
        if let (Some(last), Some(given)) = (place.last, given) {
            score[last * scores..].iter_mut().zip(given).for_each(|(sum, given)| *sum += given);
        }
    }
    let (logp, entropy) = (tokens(&coefficients.logp), tokens(&coefficients.entropy));
    Numbers { logp, entropy, value: tokens(&coefficients.value), score }
}

/// About what a kept batch of `rows` tokens holds until its backward.
pub(super) fn activation_bytes(spec: &ModelSpec, rows: usize) -> u64 {
    let (queries, keys) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
    let names = &spec.family.names;
    let post_norms = [names.attention_post_norm, names.mlp_post_norm].iter().flatten().count();
    let query_key_norm = if spec.family.query_key_norm.is_some() { queries + keys } else { 0 };
    let mlp = if names.gate.is_some() { 3 * spec.mlp } else { 2 * spec.mlp };
    let block = (6 + post_norms) * spec.width + 3 * queries + 3 * keys + query_key_norm + mlp + spec.heads + 2;
    4 * (rows * (spec.layers * block + 3 * spec.width)) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
fn narrow(x: f64) -> f32 {
    x as f32
}
