//! A recipe in which nothing is left to look up: stages in topological order, arguments resolved, formulas closed.
//!
//! This is what [`crate::plan`] receives. Names in it are for people only and take no part in fingerprints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::formula::expr::{Formula, ObjectiveDef, Output};
use crate::model::Form;
use crate::syntax::span::Span;
use crate::value::Cell;

use super::types::Type;

/// A resolved and typed recipe.
#[derive(Clone, Debug)]
pub struct Checked {
    pub name: Arc<str>,
    pub title: Option<String>,
    /// Every stage comes after the stages that it reads; equal calls are one stage.
    pub stages: Vec<StageCall>,
    pub expectations: Vec<Expectation>,
    pub exports: Vec<Export>,
    /// The profile whose `limit` lines cut the work short, if one was chosen: its run tries out, and proves nothing.
    pub limited_by: Option<Arc<str>>,
}

/// One call of an `extern stage`.
#[derive(Clone, Debug)]
pub struct StageCall {
    /// The binding it was written under, dotted through stdlib stages and rounds: `policy`, `before.attacks`, `loop.2.pairs`.
    pub name: String,
    pub primitive: Arc<str>,
    /// Every parameter of the declaration, defaults filled in; options records flattened.
    pub args: BTreeMap<Arc<str>, Arg>,
    pub seed: i64,
    /// The call in the user's recipe that led here.
    pub span: Span,
    /// Conditions over artifacts that must hold for it to run: earlier rounds' gates and `until`s. Empty: always.
    pub when: Vec<Condition>,
    /// The rounds of loops that it was written in, or that an equal call was: the innermost loop of each.
    pub rounds: Vec<Round>,
    /// What it produces.
    pub output: Type,
    pub extras: BTreeMap<Arc<str>, Type>,
}

/// One round of a `repeat`, or one run of a `sweep`, as a stage in it knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Round {
    /// What the loop was bound to, dotted as names of stages are.
    pub of: Arc<str>,
    /// From 0.
    pub index: usize,
    /// What the loop's head gave this round: the counter, or the value of every axis.
    pub values: Vec<(Arc<str>, Cell)>,
    /// What the stage is called inside: `seen.measure`.
    pub name: String,
}

/// A round's `gate` (must be true) or `until` (must be false).
#[derive(Clone, Debug)]
pub struct Condition {
    pub formula: Formula,
    pub holds: bool,
    pub message: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Arg {
    /// A constant; an absent optional is `Cell::None`; enum words are texts.
    Value(Cell),
    Artifact(Output),
    Artifacts(Vec<Output>),
    /// A `Row -> T` parameter, or a number that is only known once other stages have run.
    Formula(Formula),
    /// `...columns`, `...metrics`: names in written order.
    Columns(Vec<(Arc<str>, Formula)>),
    Objective(Arc<ObjectiveDef>),
    /// The row type that `as` states for a loaded file.
    Rows(Type),
}

/// `expect condition, "message"`.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// As written, for the report.
    pub text: String,
    pub condition: Formula,
    pub message: Option<String>,
    pub span: Span,
}

/// `export what to "path" as form`.
#[derive(Clone, Debug)]
pub struct Export {
    pub what: Output,
    pub ty: Type,
    /// Relative to the recipe's folder.
    pub path: PathBuf,
    /// For a network that is asked for in a form; without it, a folder as it was made.
    pub form: Option<Form>,
    pub span: Span,
}
