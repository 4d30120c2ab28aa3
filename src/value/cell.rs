//! One value of one row.

use std::sync::Arc;

use super::Estimate;

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One turn of a dialogue.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Turn {
    pub role: Role,
    pub text: Arc<str>,
}

/// Turns in order. A plain text is a dialogue of one user turn.
pub type Dialogue = Vec<Turn>;

/// Text that answers a prompt, with the tokens it was sampled as (when it was sampled) and whether it ended by itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Completion {
    pub text: Arc<str>,
    /// The sampled ids, end token included when it was sampled; `None` for text that a person or a file wrote.
    pub tokens: Option<Arc<[u32]>>,
    /// Whether an end token (or stop string) ended it. Text from a file counts as finished.
    pub finished: bool,
}

/// What a network reads: a dialogue, and the completion after it that is scored.
/// Without a completion every assistant turn of the dialogue is scored.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sequence {
    pub prompt: Arc<Dialogue>,
    pub completion: Option<Arc<Completion>>,
}

/// A value of a column, a constant of a formula, or one row's result.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Arc<[Cell]>),
    /// Fields in the order they were written.
    Record(Arc<[(Arc<str>, Cell)]>),
    Dialogue(Arc<Dialogue>),
    Completion(Arc<Completion>),
    Sequence(Arc<Sequence>),
    /// One number per scored token of one sequence.
    Tokens(Arc<[f64]>),
    Estimate(Estimate),
}

impl Cell {
    /// A text cell.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The number in it: numbers as they are, booleans as 0 and 1, an estimate as its mean.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            Self::Int(i) => Some(*i as f64),
            Self::Float(x) => Some(*x),
            Self::Estimate(e) => Some(e.mean),
            _ => None,
        }
    }

    /// A field of a record, or of an estimate.
    pub fn field(&self, name: &str) -> Option<Cell> {
        match self {
            Self::Record(fields) => fields.iter().find(|(n, _)| &**n == name).map(|(_, v)| v.clone()),
            Self::Estimate(e) => match name {
                "mean" => Some(Self::Float(e.mean)),
                "n" => Some(Self::Int(i64::try_from(e.n).unwrap_or(i64::MAX))),
                "lower95" => Some(Self::Float(e.lower95)),
                "upper95" => Some(Self::Float(e.upper95)),
                _ => None,
            },
            _ => None,
        }
    }
}
