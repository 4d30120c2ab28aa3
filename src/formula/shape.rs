//! What each part of a formula runs over, how often it changes, and whether a gradient passes through it: known
//! before anything runs.
//!
//! Token → row → group → step → table: coarse broadcasts into fine, never back, and the tokens of two different
//! sequences never mix. Which columns hold lists is the type checker's knowledge; here they may.

use crate::syntax::span::Span;

use super::expr::{Formula, ObjectiveDef};
pub use super::infer::forms;
use super::lines::Lines;
use super::program::{LowerError, Program, Slot};
pub use super::refusal::{Refusal, ShapeError};

/// What a value runs over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A number at the last token of whichever sequence it meets, 0 before.
    Ends,
    /// The scored tokens of the sequence at this slot (of a completion: whatever it answers).
    Token(Slot),
    Row,
    /// Rows that agree in the columns at these slots, which are sorted.
    Group(Vec<Slot>),
    /// The rows of one optimiser step.
    Step,
    Table,
}

impl Shape {
    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ends | Self::Token(_) => "token",
            Self::Row => "row",
            Self::Group(_) => "group",
            Self::Step => "batch",
            Self::Table => "table",
        }
    }

    /// The finer of two, when one broadcasts into the other. Two different groupings meet in the row.
    pub fn join(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Token(a), Self::Token(b)) if a != b => return None,
            (Self::Group(a), Self::Group(b)) if b.iter().all(|column| a.contains(column)) => Self::Group(a.clone()),
            (Self::Group(a), Self::Group(b)) if a.iter().all(|column| b.contains(column)) => Self::Group(b.clone()),
            (Self::Group(_), Self::Group(_)) => Self::Row,
            _ if self.rank() >= other.rank() => self.clone(),
            _ => other.clone(),
        })
    }

    fn rank(&self) -> usize {
        match self {
            Self::Table => 0,
            Self::Step => 1,
            Self::Group(_) => 2,
            Self::Row => 3,
            Self::Ends => 4,
            Self::Token(_) => 5,
        }
    }
}

/// Whether each value is one number or a list of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Inner {
    One,
    /// Only the type checker knows.
    Unknown,
    List,
}

/// How often a value changes; a later one includes the earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Changes {
    /// Known once the table or rollout is.
    Once,
    /// Depends on which rows are in the step, or on a controller that moves with every step.
    Step,
    /// Depends on the networks as they are in the present step.
    Present,
}

/// What is known about a slot.
#[derive(Clone, PartialEq, Debug)]
pub struct Form {
    pub shape: Shape,
    pub inner: Inner,
    pub changes: Changes,
    /// Whether a derivative passes through it to something that is trained.
    pub gradient: bool,
}

/// What a formula stands under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Under {
    /// Rows of a table, steps over them.
    Train,
    /// Rollouts; `old(…)` exists and controllers move once a rollout.
    Rl,
    /// `with`, `filter`, `measure` …: no optimiser, so no `batch`.
    Rows,
}

/// Checks an objective before anything runs.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(def: &ObjectiveDef, under: Under) -> Result<(), Vec<ShapeError>> {
    Lines::new(def, under).map(|_| ())
}

/// Checks a formula over rows: a column, a filter, a reward, a metric of `measure`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check_rows(formula: &Formula) -> Result<Form, Vec<ShapeError>> {
    let program = Program::lower(std::slice::from_ref(formula)).map_err(|e| vec![e.into()])?;
    let (forms, mut errors) = forms(&program, Under::Rows);
    let form = forms[program.roots[0]].clone();
    if form.shape == Shape::Ends {
        errors.push(ShapeError::new(&program, program.roots[0], Refusal::NoSequence));
    }
    if errors.is_empty() { Ok(form) } else { Err(errors) }
}

impl From<LowerError> for ShapeError {
    fn from(error: LowerError) -> Self {
        Self { span: error.span, shown: String::new(), refusal: Refusal::Lower(error) }
    }
}

/// The place of a slot.
pub(super) fn span(program: &Program, slot: Slot) -> Span {
    program.nodes[slot].span
}
