//! What is asked of a network about each sequence, what it answers, and what an objective sends back.

use std::sync::Arc;

use super::{Head, ModelError};

/// What to compute for each sequence.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Want {
    /// log π of every scored token, logits divided by the temperature.
    pub logp: bool,
    /// The entropy, in nats, of the distribution from which every scored token came.
    pub entropy: bool,
    /// The value of the state before every scored token: V_t of METHODS section 3, read where token t is predicted.
    pub value: bool,
    /// One number a sequence, read at its last token.
    pub score: bool,
}

impl Want {
    /// Log-probs only.
    pub const LOGP: Self = Self { logp: true, entropy: false, value: false, score: false };
    /// Values only.
    pub const VALUE: Self = Self { logp: false, entropy: false, value: true, score: false };
    /// Scores only.
    pub const SCORE: Self = Self { logp: false, entropy: false, value: false, score: true };

    /// Whether an answer to this also answers `other`.
    pub fn covers(self, other: Self) -> bool {
        self.and(other) == self
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            logp: self.logp || other.logp,
            entropy: self.entropy || other.entropy,
            value: self.value || other.value,
            score: self.score || other.score,
        }
    }

    /// Whether anything is wanted of every scored token.
    pub(super) fn tokens(self) -> bool {
        self.logp || self.entropy || self.value
    }

    /// Refuses what a head cannot give.
    pub(super) fn check(self, head: Head, tied: bool) -> Result<(), ModelError> {
        let wanted = [(self.logp || self.entropy, Head::Language), (self.value, Head::Value), (self.score, Head::Score)];
        // under tied embeddings a scorer still holds the language head
        let gives = |needs: Head| needs == head || (needs == Head::Language && tied && head == Head::Score);
        match wanted.into_iter().find(|(wanted, needs)| *wanted && !gives(*needs)) {
            None => Ok(()),
            Some((_, needs)) => Err(ModelError::WrongHead { expected: needs.word(), found: head.word() }),
        }
    }
}

/// A network's answers, one entry a requested sequence in their order; the lists not asked for are empty.
///
/// `logp`, `entropy` and `value` hold one number a scored token. Equal sequences share their numbers.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Readout {
    pub logp: Vec<Arc<[f64]>>,
    pub entropy: Vec<Arc<[f64]>>,
    pub value: Vec<Arc<[f64]>>,
    /// One number a sequence, or one for every member of an ensemble.
    pub score: Vec<f64>,
}

/// The derivative of a loss by each number of a [`Readout`], in the same shape. An empty list, or an empty inner list,
/// stands for zeros.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Coefficients {
    pub logp: Vec<Vec<f64>>,
    pub entropy: Vec<Vec<f64>>,
    pub value: Vec<Vec<f64>>,
    pub score: Vec<f64>,
}
