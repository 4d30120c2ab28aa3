//! What a plan asks of the store, so that planning needs none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::stage::Size;
use crate::value::Cell;

use super::fingerprint::{Fingerprint, Key};

/// What a store has of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// The artifact, whole.
    Whole,
    /// A checkpoint after this many steps.
    Partial(u64),
    Nothing,
    /// An artifact that is no longer what it was; the text says in what way.
    Damaged(String),
}

/// The last time a stage of some name ran to its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Past {
    pub fingerprint: Fingerprint,
    pub key: Key,
    /// Place → how the input was called.
    pub names: BTreeMap<String, String>,
    /// When, as `2026-11-21T05:20:28Z`.
    pub finished: String,
    pub seconds: f64,
    /// Tokens that passed through networks, by the plan's estimate.
    pub tokens: Option<u64>,
}

/// Finished artifacts, checkpoints and memories.
pub trait Shelf {
    /// What there is of a stage.
    fn find(&self, fingerprint: &Fingerprint) -> Found;

    /// A value among a stage's results.
    fn value(&self, fingerprint: &Fingerprint, path: &[Arc<str>]) -> Option<Cell>;

    /// How large a stage's results are.
    fn size(&self, fingerprint: &Fingerprint, path: &[Arc<str>]) -> Size;

    /// The last finished run of the stage of this name, in this recipe.
    fn past(&self, recipe: &str, stage: &str) -> Option<Past>;
}

/// A store with nothing in it.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Shelf for Bare {
    fn find(&self, _: &Fingerprint) -> Found {
        Found::Nothing
    }

    fn value(&self, _: &Fingerprint, _: &[Arc<str>]) -> Option<Cell> {
        None
    }

    fn size(&self, _: &Fingerprint, _: &[Arc<str>]) -> Size {
        Size::default()
    }

    fn past(&self, _: &str, _: &str) -> Option<Past> {
        None
    }
}
