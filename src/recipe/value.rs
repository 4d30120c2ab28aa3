//! What an expression of a recipe stands for while it is being checked.

use std::sync::Arc;

use crate::formula::expr::{Expr, Formula, Kind, ObjectiveDef, Output, StageId};
use crate::syntax::span::Span;
use crate::value::Cell;

use super::types::{Row, Type};

/// A value and its type.
#[derive(Clone, Debug)]
pub struct Typed {
    pub ty: Type,
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// Anything a formula can say: constants, columns, artifacts, arithmetic.
    Formula(Formula),
    /// Fields known by name: options, a stage's record of results, a round's bindings.
    Record(Vec<(Arc<str>, Typed)>),
    List(Vec<Typed>),
    Objective(Arc<Bound>),
    /// A stage's main result and what else it gives: `Model with { accuracy: Estimate }`.
    With {
        main: Box<Typed>,
        extras: Vec<(Arc<str>, Extra)>,
    },
    /// `0..count`: rows, rounds or values; a list of whole numbers where a formula asks for one.
    Range {
        low: Formula,
        high: Formula,
    },
}

/// A result beside the main one.
#[derive(Clone, Debug)]
pub enum Extra {
    Here(Typed),
    /// The stage was called without `eval:`, so it has no such number.
    NoEval,
}

/// An objective whose parameters are bound, and what its networks must be.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    pub def: ObjectiveDef,
    pub rows: Row,
    pub metrics: Row,
    /// Its trained numbers: each a number or a list of them.
    pub numbers: Row,
    /// Words of `model` that it reads.
    pub reads: Vec<&'static str>,
    /// Where it was written.
    pub span: Option<Span>,
}

impl Typed {
    /// A formula of a type.
    pub fn formula(ty: Type, kind: Kind, span: Span) -> Self {
        Self { ty, value: Value::Formula(Arc::new(Expr { span, kind })), span }
    }

    /// A constant.
    pub fn constant(ty: Type, cell: Cell, span: Span) -> Self {
        Self::formula(ty, Kind::Const(cell), span)
    }

    /// What a stage produced, or a part of it.
    pub fn artifact(ty: Type, stage: StageId, path: Vec<Arc<str>>, span: Span) -> Self {
        Self::formula(ty, Kind::Artifact(Output { stage, path }), span)
    }

    /// The formula in it: a result's main part, a list or record of formulas joined into one.
    pub fn as_formula(&self) -> Option<Formula> {
        let joined = |kind| Some(Arc::new(Expr { span: self.span, kind }));
        match &self.value {
            Value::Formula(formula) => Some(formula.clone()),
            Value::With { main, .. } => main.as_formula(),
            Value::List(items) => {
                let items: Vec<Formula> = items.iter().map(Self::as_formula).collect::<Option<_>>()?;
                match items.iter().map(constant_of).collect::<Option<Vec<Cell>>>() {
                    Some(cells) => joined(Kind::Const(Cell::List(cells.into()))),
                    None => joined(Kind::List(items)),
                }
            }
            Value::Record(fields) => {
                let fields: Vec<(Arc<str>, Formula)> =
                    fields.iter().map(|(n, f)| Some((n.clone(), f.as_formula()?))).collect::<Option<_>>()?;
                let cells = fields.iter().map(|(n, f)| Some((n.clone(), constant_of(f)?))).collect::<Option<Vec<_>>>();
                match cells {
                    Some(cells) => joined(Kind::Const(Cell::Record(cells.into()))),
                    None => joined(Kind::Record(fields)),
                }
            }
            Value::Range { low, high } => joined(Kind::Word { word: "..", args: vec![low.clone(), high.clone()] }),
            Value::Objective(_) => None,
        }
    }

    /// The constant in it, if it is one.
    pub fn as_constant(&self) -> Option<Cell> {
        constant_of(&self.as_formula()?)
    }

    /// The artifact it names, if it is nothing but one.
    pub fn as_artifact(&self) -> Option<Output> {
        match &self.as_formula()?.kind {
            Kind::Artifact(output) => Some(output.clone()),
            _ => None,
        }
    }

    /// The same with its place changed, so that a later message points at the use and not at the definition.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }
}

/// The constant that a formula is, if it is one.
pub fn constant_of(formula: &Formula) -> Option<Cell> {
    match &formula.kind {
        Kind::Const(cell) => Some(cell.clone()),
        _ => None,
    }
}
