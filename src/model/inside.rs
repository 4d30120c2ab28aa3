//! What goes on inside a network, one sequence at a time: states between blocks, what they say already, what the answer
//! owes to each input, who looks at whom.
//!
//! All of it is parts of one pass: states behind some blocks go in, further blocks and the head follow, and where it is
//! asked for, the derivative of the answer by the states that went in comes back.

use std::ops::Range;

use crate::engine::op::linear_logp::{Params as Logits, Scored};
use crate::engine::{Gradients, Recorder, backward};

use super::session::{Engine, NetId};
use super::tokens::{Fed, Tokens};
use super::transformer::{compared, embedded, final_norm, some_blocks};
use super::{Batch, Head, Layout, ModelError, TokenSequence, Want};

/// Everything is fed, the last token too.
const WHOLE: Want = Want { logp: true, entropy: false, value: false, score: true };

/// What a part of a pass gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Inner {
    /// The states behind the last block asked for, (T, C).
    pub states: Vec<f32>,
    /// Log-probs of the scored tokens, read off those states.
    pub logp: Vec<f64>,
    /// The derivative of the sum of `logp` by the states that went in, (T, C).
    pub gradient: Vec<f32>,
}

/// What to read of a part of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    States,
    LogProbs,
    /// Log-probs and their derivative by the states that are given.
    Gradient,
}

/// How much each token looks at each token, a row of T a token: those it cannot see have 0.
pub type Attention = Vec<Vec<f64>>;

impl Engine {
    /// Runs blocks `blocks` of a network for one sequence, from `given` states (T, C) or, with `None`, from the embeddings
    /// through every block before.
    ///
    /// # Errors
    /// When the network has no language head or not as many blocks, or the device fails.
    pub fn inside(
        &mut self,
        net: NetId,
        sequence: &TokenSequence,
        blocks: Range<usize>,
        given: Option<&[f32]>,
        read: Read,
    ) -> Result<Inner, ModelError> {
        self.check_depth(net, blocks.end)?;
        if read != Read::States && self.head(net) != Head::Language {
            return Err(ModelError::WrongHead { expected: Head::Language.word(), found: self.head(net).word() });
        }
        let batch = self.alone(net, sequence)?;
        let result = self.part(net, &batch, blocks, given, read);
        self.sweep();
        result
    }

    fn part(&mut self, net: NetId, batch: &Batch, blocks: Range<usize>, given: Option<&[f32]>, read: Read) -> Result<Inner, ModelError> {
        let (spec, tensors, tables) = self.recorded(net, batch)?;
        let (rows, width) = (batch.tokens.len(), spec.width);
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let tokens = upload(&mut rec, &spec, batch, tables);
        let (start, first) = match given {
            Some(states) => (rec.upload_f32(states, rows, width), blocks.start),
            None => (embedded(&mut rec, &spec, &tensors, tokens), 0),
        };
        let states = some_blocks(&mut rec, &spec, &tensors, (tokens, first..blocks.end), start);
        let mut inner = Inner::default();
        if read == Read::States {
            let recording = rec.finish()?;
            self.device.run(&recording)?;
            inner.states = self.device.read_f32(states)?;
            return Ok(inner);
        }
        if batch.targets.is_empty() {
            inner.gradient = vec![0.0; rows * width];
            return Ok(inner);
        }
        let needed = rec.indices(&batch.needed);
        let states = rec.gather(needed, states);
        let normed = final_norm(&mut rec, &spec, &tensors, states);
        let pred = rec.indices(&batch.predicting);
        let target = rec.upload_u32(&batch.targets, batch.targets.len(), 1);
        let logits = Logits { temperature: 1.0, cap: spec.logit_cap };
        let said = rec.linear_logp(normed, (tensors.head, None), Scored { pred, target }, logits, false);
        let forward = rec.finish()?;
        self.device.run(&forward)?;
        inner.logp = self.device.read_f32(said.logp)?.into_iter().map(f64::from).collect();
        if read == Read::Gradient {
            let mut tape = Gradients::new();
            tape.want(start);
            let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
            let seeds = rec.upload_f32(&vec![1.0; batch.targets.len()], batch.targets.len(), 1);
            tape.seed(said.logp, seeds);
            backward(&mut rec, &forward, &mut tape);
            let recording = rec.finish()?;
            self.device.run(&recording)?;
            inner.gradient = match tape.of(start) {
                Some(gradient) => self.device.read_f32(gradient)?,
                None => vec![0.0; rows * width],
            };
        }
        Ok(inner)
    }

    /// Who looks at whom in block `index`: of one query head, or the mean over all.
    ///
    /// # Errors
    /// When there is no such block or head, or the device fails.
    pub fn attention(&mut self, net: NetId, sequence: &TokenSequence, index: usize, head: Option<usize>) -> Result<Attention, ModelError> {
        self.check_depth(net, index + 1)?;
        let heads = self.spec(net).heads;
        if head.is_some_and(|head| head >= heads) {
            return Err(ModelError::Depth { what: "head", asked: head.unwrap_or(0), most: heads - 1 });
        }
        let batch = self.alone(net, sequence)?;
        let result = self.looks(net, &batch, index, head);
        self.sweep();
        result
    }

    fn looks(&mut self, net: NetId, batch: &Batch, index: usize, head: Option<usize>) -> Result<Attention, ModelError> {
        let (spec, tensors, tables) = self.recorded(net, batch)?;
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let tokens = upload(&mut rec, &spec, batch, tables);
        let start = embedded(&mut rec, &spec, &tensors, tokens);
        let states = some_blocks(&mut rec, &spec, &tensors, (tokens, 0..index), start);
        let [q, k] = compared(&mut rec, &spec, &tensors, (tokens, index), states);
        let recording = rec.finish()?;
        self.device.run(&recording)?;
        let (q, k) = (self.device.read_f32(q)?, self.device.read_f32(k)?);
        let rows = batch.tokens.len();
        let mut mean = vec![vec![0.0; rows]; rows];
        let chosen = head.map_or(0..spec.heads, |head| head..head + 1);
        let share = 1.0 / real(chosen.len());
        let window = spec.window.filter(|_| spec.sliding[index]).unwrap_or(usize::MAX);
        for head in chosen {
            let key_head = head / (spec.heads / spec.kv_heads);
            for (t, row) in mean.iter_mut().enumerate() {
                let query = slice(&q, t, spec.heads, head, spec.head_dim);
                let seen = (t + 1).saturating_sub(window)..t + 1;
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|s| {
                        let key = slice(&k, s, spec.kv_heads, key_head, spec.head_dim);
                        let dot: f64 = query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        capped(dot * f64::from(spec.attention_scale), f64::from(spec.attention_cap))
                    })
                    .collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|x| (x - most).exp()).sum();
                seen.zip(scores).for_each(|(s, x)| row[s] += share * (x - most).exp() / sum);
            }
        }
        Ok(mean)
    }

    /// The embedding's rows (V, C) as the first block meets them, and their mean.
    ///
    /// # Errors
    /// When the device fails.
    pub fn embeddings(&mut self, net: NetId) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        let (view, scale) = (self.loaded(net).tensors.embedding, self.spec(net).embedding_scale);
        let mut all = self.device.read_f32(view)?;
        all.iter_mut().for_each(|x| *x *= scale);
        let mut mean = vec![0.0_f64; view.cols];
        for row in all.chunks_exact(view.cols) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
        let mean = mean.into_iter().map(|sum| (sum / real(view.rows)) as f32).collect();
        Ok((all, mean))
    }

    fn check_depth(&self, net: NetId, blocks: usize) -> Result<(), ModelError> {
        let most = self.spec(net).layers;
        if blocks <= most { Ok(()) } else { Err(ModelError::Depth { what: "layer", asked: blocks, most }) }
    }

    fn alone(&self, net: NetId, sequence: &TokenSequence) -> Result<Batch, ModelError> {
        self.check_lengths(net, std::iter::once(sequence.len()))?;
        let vocabulary = self.spec(net).vocabulary;
        let mut ids = sequence.prompt().iter().chain(sequence.completion().iter()).copied();
        if let Some(id) = ids.find(|id| *id as usize >= vocabulary) {
            return Err(ModelError::TokenOutside { id, vocabulary });
        }
        if sequence.is_empty() {
            return Err(ModelError::NothingToRead);
        }
        Ok(Layout::new(std::slice::from_ref(sequence), WHOLE, usize::MAX).batches.swap_remove(0))
    }

    fn recorded(
        &mut self,
        net: NetId,
        batch: &Batch,
    ) -> Result<(super::ModelSpec, super::transformer::Tensors, super::tokens::Tables), ModelError> {
        let tables = self.tables(net, batch.tokens.len())?;
        Ok((self.spec(net).clone(), self.loaded(net).tensors.clone(), tables))
    }
}

fn upload(rec: &mut Recorder<'_>, spec: &super::ModelSpec, batch: &Batch, tables: super::tokens::Tables) -> Tokens {
    let fed = Fed { ids: &batch.tokens, positions: &batch.positions, ranges: &batch.ranges, differentiable: true };
    Tokens::upload(rec, spec, fed, tables)
}

/// One head's numbers of one token.
fn slice(all: &[f32], token: usize, heads: usize, head: usize, dim: usize) -> &[f32] {
    let start = (token * heads + head) * dim;
    &all[start..start + dim]
}

/// cap tanh(x / cap), or x where there is no cap.
fn capped(x: f64, cap: f64) -> f64 {
    if cap > 0.0 { cap * (x / cap).tanh() } else { x }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn real(n: usize) -> f64 {
    n as f64
}
