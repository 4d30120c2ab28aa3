//! What can go wrong while a formula runs.

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Span;

use super::text::TextError;

/// What a network or an artifact says when it cannot answer.
pub type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// A formula's failure: where it was written and at which row of the table it happened.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct EvalError {
    pub span: Span,
    /// Counted from 0.
    pub row: Option<usize>,
    pub cause: Cause,
}

#[derive(Debug, Error)]
pub enum Cause {
    #[error("expected a number, found {found}")]
    NotANumber { found: String },
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("lists of {first} and {second} numbers do not line up")]
    Lengths { first: usize, second: usize },
    #[error("a list was expected, and this is one number")]
    NotAList,
    #[error("`{word}` of no numbers at all has no value")]
    Empty { word: &'static str },
    #[error("column `.{column}` is missing")]
    NoColumn { column: String },
    #[error("there is no field `{field}` in {found}")]
    NoField { field: String, found: String },
    #[error("there is no item {index}: {}", items(*length))]
    NoItem { index: i64, length: usize },
    #[error("`{word}` needs a whole number of at least 1, found {found}")]
    NotPositive { word: &'static str, found: f64 },
    #[error("nothing is known about `{name}`")]
    NotGiven { name: String },
    #[error("`{word}` gave {found} where {expected} was expected")]
    WrongAnswer { word: &'static str, expected: &'static str, found: String },
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

fn items(length: usize) -> String {
    match length {
        0 => "the list is empty".to_owned(),
        1 => "the list has only item 0".to_owned(),
        _ => format!("the list has items 0 to {}", length - 1),
    }
}

impl EvalError {
    /// The failure as it is shown, at the formula's place.
    pub fn diagnostic(&self) -> Diagnostic {
        let place = self.row.map_or_else(|| "here".to_owned(), |row| format!("in row {}", row + 1));
        Diagnostic::error("align::formula::evaluation", self.cause.to_string()).at(self.span, place)
    }
}
