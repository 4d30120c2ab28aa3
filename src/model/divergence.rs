//! How far two networks' next-word distributions are apart, token by token, over the whole vocabulary: forward and
//! backward. The second network may read another prompt before the same completion.
//!
//! Logits are whole here, unlike in `linear_logp`: two heads must stand side by side. Sequences are taken in pieces
//! whose logits fit [`LOGITS`]; what the backward needs is computed again.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::op::kl::Params;
use crate::engine::{Recorder, Recording, View, backward};

use super::session::{Engine, NetId};
use super::tokens::{Fed, Tokens};
use super::transformer::{NoMemory, decoder};
use super::{Batch, Layout, ModelError, TokenSequence, Want};

/// Logits of a piece at most, for each network: 64 MiB.
const LOGITS: usize = 1 << 24;

/// Two networks and what each reads: sequences that end in the same scored tokens.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    pub nets: [NetId; 2],
    pub sequences: [&'a [TokenSequence]; 2],
}

impl Engine {
    /// KL(first ‖ second) of the distribution behind every scored token, logits divided by `temperature`.
    ///
    /// # Errors
    /// When a network has no language head, the vocabularies or scored tokens differ, or the device fails.
    pub fn divergence(&mut self, sides: Sides<'_>, temperature: f64) -> Result<Vec<Arc<[f64]>>, ModelError> {
        self.check_sides(sides)?;
        let mut found = Vec::with_capacity(sides.sequences[0].len());
        for piece in self.pieces(sides) {
            let (_, kl) = self.record_sides(sides, &piece, temperature, false)?;
            let numbers = kl.map_or(Ok(Vec::new()), |kl| self.device.read_f32(kl))?;
            let mut rest = &numbers[..];
            for sequence in &sides.sequences[0][piece] {
                let (own, after) = rest.split_at(sequence.scored_len());
                found.push(own.iter().map(|&x| f64::from(x)).collect());
                rest = after;
            }
            self.sweep();
        }
        Ok(found)
    }

    /// Adds the gradient of a loss whose derivatives by [`Engine::divergence`]'s numbers are `coefficients`, to each of
    /// the two networks that is trained.
    ///
    /// # Errors
    /// As [`Engine::divergence`].
    pub fn divergence_backward(&mut self, sides: Sides<'_>, temperature: f64, coefficients: &[Vec<f64>]) -> Result<(), ModelError> {
        self.check_sides(sides)?;
        let mut trained: Vec<NetId> = sides.nets.into_iter().filter(|net| self.loaded(*net).training.is_some()).collect();
        trained.dedup();
        for piece in self.pieces(sides) {
            #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
            let seeds: Vec<f32> = coefficients[piece.clone()].iter().flatten().map(|&d| d as f32).collect();
            for &net in trained.iter().filter(|_| seeds.iter().any(|seed| *seed != 0.0)) {
                let (recording, kl) = self.record_sides(sides, &piece, temperature, true)?;
                if let Some(kl) = kl {
                    self.seed(net, &recording, kl, &seeds)?;
                }
                self.sweep();
            }
        }
        Ok(())
    }

    fn seed(&mut self, net: NetId, recording: &Recording, kl: View, seeds: &[f32]) -> Result<(), ModelError> {
        let mut training = self.loaded_mut(net).training.take().ok_or(ModelError::Frozen)?;
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        training.tape.forget();
        let gradient = rec.upload_f32(seeds, kl.rows, kl.cols);
        training.tape.seed(kl, gradient);
        backward(&mut rec, recording, &mut training.tape);
        let recorded = rec.finish();
        self.loaded_mut(net).training = Some(training);
        Ok(self.device.run(&recorded?)?)
    }

    fn check_sides(&self, sides: Sides<'_>) -> Result<(), ModelError> {
        let differ = |what: &'static str| Err(ModelError::Unlike { what });
        for (net, sequences) in sides.nets.into_iter().zip(sides.sequences) {
            Want::LOGP.check(self.head(net), false)?;
            self.check_lengths(net, sequences.iter().map(TokenSequence::len))?;
            let vocabulary = self.spec(net).vocabulary;
            let mut ids = sequences.iter().flat_map(|s| s.prompt().iter().chain(s.completion().iter()));
            if let Some(id) = ids.find(|id| **id as usize >= vocabulary) {
                return Err(ModelError::TokenOutside { id: *id, vocabulary });
            }
        }
        let [a, b] = sides.nets.map(|net| self.spec(net).vocabulary);
        if a != b {
            return differ("vocabularies");
        }
        let [a, b] = sides.sequences;
        let same = |(a, b): (&TokenSequence, &TokenSequence)| {
            a.completion() == b.completion() && (0..a.completion().len()).all(|i| a.is_scored(i) == b.is_scored(i))
        };
        if a.len() == b.len() && a.iter().zip(b).all(same) { Ok(()) } else { differ("scored tokens") }
    }

    /// Ranges of sequences that are computed at once.
    fn pieces(&self, sides: Sides<'_>) -> Vec<Range<usize>> {
        let [first, second] = sides.sequences;
        let vocabulary = self.spec(sides.nets[0]).vocabulary;
        let (mut pieces, mut begin, mut rows, mut words) = (Vec::new(), 0, 0, 0);
        for at in 0..first.len() {
            let (own_rows, own_words) = (first[at].len() + second[at].len(), first[at].scored_len() * vocabulary);
            if at > begin && (rows + own_rows > 2 * self.budget.rows || words + own_words > LOGITS) {
                pieces.push(begin..at);
                (begin, rows, words) = (at, 0, 0);
            }
            (rows, words) = (rows + own_rows, words + own_words);
        }
        pieces.push(begin..first.len());
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Records and runs both networks over a piece; `None` where nothing is scored.
    fn record_sides(
        &mut self,
        sides: Sides<'_>,
        piece: &Range<usize>,
        temperature: f64,
        keep: bool,
    ) -> Result<(Recording, Option<View>), ModelError> {
        let layouts = sides.sequences.map(|all| Layout::new(&all[piece.clone()], Want::LOGP, usize::MAX));
        let batches: Vec<Batch> = layouts.iter().map(|layout| layout.batches.first().cloned().unwrap_or_default()).collect();
        let mut tables = Vec::with_capacity(2);
        for (net, batch) in sides.nets.into_iter().zip(&batches) {
            tables.push(self.tables(net, batch.positions.iter().max().map_or(0, |p| *p as usize + 1))?);
        }
        let networks = sides.nets.map(|net| (self.spec(net).clone(), self.loaded(net).tensors.clone()));
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let mut logits = Vec::with_capacity(2);
        for (side, (spec, tensors)) in networks.iter().enumerate() {
            let batch = &batches[side];
            if batch.targets.is_empty() {
                return Ok((rec.finish()?, None));
            }
            let fed = Fed { ids: &batch.tokens, positions: &batch.positions, ranges: &batch.ranges, differentiable: true };
            let tokens = Tokens::upload(&mut rec, spec, fed, tables[side]);
            let needed = (batch.needed.len() < batch.tokens.len()).then(|| rec.indices(&batch.needed));
            let hidden = decoder(&mut rec, spec, tensors, (tokens, needed), &mut NoMemory, keep);
            let predicting: Vec<u32> =
                layouts[side].places.iter().flat_map(|place| batch.predicting[place.pairs.clone()].iter().copied()).collect();
            let predicting = rec.indices(&predicting);
            let states = rec.gather(predicting, hidden);
            logits.push(rec.linear(states, tensors.head, None));
        }
        let cap = |side: usize| networks[side].0.logit_cap;
        #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
        let params = Params { temperature: temperature as f32, cap_x: cap(0), cap_y: cap(1) };
        let kl = rec.kl(logits[0], logits[1], params);
        let recording = rec.finish()?;
        self.device.run(&recording)?;
        Ok((recording, Some(kl)))
    }
}
