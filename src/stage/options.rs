//! The options of training, `type Training` of the prelude, as their own type.

use crate::engine::optim::{Decay, Schedule};
use crate::model::{AdamStep, AdapterSpec, Learns};

use super::adapter;
use super::call::Call;
use super::failure::Failure;

/// AdamW's settings that no recipe changes: METHODS of language models use these throughout.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.95;
const EPS: f64 = 1e-8;

/// How to train.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    pub epochs: u64,
    pub steps: Option<u64>,
    pub batch: usize,
    lr: f64,
    decay: Decay,
    warmup: f64,
    weight_decay: f64,
    clip: f64,
    pub max_length: usize,
    /// What is trained in place of every weight.
    pub adapter: Option<AdapterSpec>,
    /// Whether a scorer's or critic's head is all that is trained.
    pub head_only: bool,
    /// Whether each member of an ensemble sees a resample of the rows of its own.
    pub bootstrap: bool,
    pub anchor: Option<f64>,
    /// Tokens that are computed at a time, at most; `None` for as many as suit.
    pub at_once: Option<usize>,
}

impl Options {
    /// Reads the flattened options of a call.
    ///
    /// # Errors
    /// When the declaration and this type disagree.
    pub fn new(call: &Call<'_>) -> Result<Self, Failure> {
        let decay = match call.get::<String>("schedule")?.as_str() {
            "linear" => Decay::Linear,
            "constant" => Decay::Constant,
            _ => Decay::Cosine,
        };
        Ok(Self {
            epochs: call.get("epochs")?,
            steps: call.get("steps")?,
            batch: call.get("batch")?,
            lr: call.get("lr")?,
            decay,
            warmup: call.get("warmup")?,
            weight_decay: call.get("weight_decay")?,
            clip: call.get("clip_norm")?,
            max_length: call.get("max_length")?,
            adapter: adapter::asked(call)?,
            head_only: call.given("head_only")?.unwrap_or(false),
            bootstrap: call.given("bootstrap")?.unwrap_or(false),
            anchor: call.given("anchor")?,
            at_once: call.given("tokens_at_once")?,
        })
    }

    /// What of each network is trained.
    pub fn learns(&self) -> Learns {
        if self.head_only { Learns::Head } else { Learns::All }
    }

    /// The learning rate over `updates` optimiser steps. The first step of a warm-up is not lost on a rate of 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of few steps")]
    pub fn schedule(&self, updates: u64) -> Schedule {
        // the first step of a warm-up is at 0: a single step would learn nothing
        let warmup = ((self.warmup * updates as f64).ceil() as u64).min(updates.saturating_sub(1));
        Schedule { peak: self.lr, floor: 0.0, decay: self.decay, warmup, total: updates }
    }

    /// One step at a learning rate.
    pub fn adam(&self, lr: f64) -> AdamStep {
        let clip = (self.clip > 0.0).then_some(self.clip);
        AdamStep { lr, beta1: BETA1, beta2: BETA2, eps: EPS, weight_decay: self.weight_decay, anchor: self.anchor.unwrap_or(0.0), clip }
    }
}
