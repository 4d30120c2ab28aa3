//! What a stage will take, before it runs: rows, tokens, memory, disk. Everything may be unknown.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::formula::expr::Output;
pub use crate::model::NetworkSize;
use crate::score::FixedScorer;

/// Letters of a token, about.
pub const LETTERS: f64 = 4.0;

/// What is known of an artifact that may not exist yet.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Size {
    pub rows: Option<u64>,
    /// Tokens of one row's texts together: a prompt and every answer to it.
    pub tokens_per_row: Option<f64>,
    /// Rows of the same prompt.
    pub alike: Option<u64>,
    /// Of a network.
    pub network: Option<NetworkSize>,
    /// On disk.
    pub bytes: Option<u64>,
}

/// The sizes of the network or fixed rule at a path; `None` where there is none that can be read.
pub fn network_at(path: &Path) -> Option<NetworkSize> {
    if FixedScorer::is_at(path) { Some(NetworkSize::default()) } else { NetworkSize::at(path) }
}

/// The sizes of a stage's inputs.
pub type Sizes<'a> = dyn Fn(&Output) -> Size + 'a;

/// What a stage will take and how large its results will be.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Cost {
    /// Tokens that pass through a network, each pass counted.
    pub tokens: Option<u64>,
    /// Peak, in bytes: weights, gradients, optimiser state, activations, cache.
    pub memory: Option<u64>,
    /// Bytes that the store will grow by.
    pub disk: Option<u64>,
    /// By output path: `[]` is the main result.
    pub outputs: BTreeMap<Vec<Arc<str>>, Size>,
    /// Changes that would take less memory.
    pub smaller: Vec<Smaller>,
}

/// A change of a call, and the memory that it would take then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Smaller {
    pub change: String,
    pub bytes: u64,
}

impl Cost {
    /// Only the main result's size is known.
    pub fn of(size: Size) -> Self {
        Self { outputs: BTreeMap::from([(Vec::new(), size)]), ..Self::default() }
    }
}
