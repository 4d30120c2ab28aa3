//! Checked recipes written by hand, for tests of plan and run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::formula::expr::{Expr, Formula, Kind, Output, StageId};
use crate::recipe::checked::{Arg, Checked, Expectation, StageCall};
use crate::recipe::types::{Row, Type};
use crate::syntax::span::{FileId, Span};
use crate::value::Cell;

/// A recipe in the making.
#[derive(Clone, Debug)]
pub struct Sketch {
    pub checked: Checked,
}

impl Default for Sketch {
    fn default() -> Self {
        let checked = Checked {
            name: "sketch".into(),
            title: None,
            stages: Vec::new(),
            expectations: Vec::new(),
            exports: Vec::new(),
            limited_by: None,
        };
        Self { checked }
    }
}

impl Sketch {
    /// Adds a stage that makes a table, with a value `mean` beside it, and returns its main output.
    pub fn stage(&mut self, name: &str, primitive: &str, args: Vec<(&str, Arg)>) -> Output {
        self.typed(name, primitive, args, Type::Data(Row::new()))
    }

    /// Adds a stage whose main output has type `output`.
    pub fn typed(&mut self, name: &str, primitive: &str, args: Vec<(&str, Arg)>, output: Type) -> Output {
        let at = self.checked.stages.len();
        self.checked.stages.push(StageCall {
            name: name.into(),
            primitive: primitive.into(),
            args: args.into_iter().map(|(name, arg)| (Arc::from(name), arg)).collect(),
            seed: 0,
            span: span(at),
            when: Vec::new(),
            rounds: Vec::new(),
            output,
            extras: BTreeMap::from([("mean".into(), Type::Float)]),
        });
        Output { stage: StageId(at), path: Vec::new() }
    }

    /// A part of a stage's result, in a formula.
    pub fn part(&self, output: &Output, name: &str) -> Formula {
        let path = output.path.iter().cloned().chain([Arc::from(name)]).collect();
        expr(Kind::Artifact(Output { stage: output.stage, path }))
    }

    /// `expect condition`
    #[allow(dead_code, reason = "`tests/run.rs` includes this file and calls it")]
    pub fn expect(&mut self, text: &str, condition: Formula) {
        self.checked.expectations.push(Expectation { text: text.into(), condition, message: None, span: span(0) });
    }
}

/// `.name`
pub fn column(name: &str) -> Formula {
    expr(Kind::Column(name.into()))
}

/// A number.
pub fn constant(x: f64) -> Formula {
    expr(Kind::Const(Cell::Float(x)))
}

/// A word with its arguments.
pub fn word(word: &'static str, args: Vec<Formula>) -> Formula {
    expr(Kind::Word { word, args })
}

/// A formula without a place.
pub fn expr(kind: Kind) -> Formula {
    Arc::new(Expr { span: span(0), kind })
}

/// The place of the `at`th stage.
pub fn span(at: usize) -> Span {
    Span::new(FileId(0), at, at + 1)
}
