//! The core formula: what a checked expression *means*, with every name resolved, every call inlined and every
//! default filled in. Comments, bindings' names and the order of arguments are gone, so equal formulas hash equally.
//!
//! Bindings are shared, not copied: `margin` used three times is one `Arc`. [`super::program`] makes sharing explicit.

use std::sync::Arc;

use crate::syntax::span::Span;
use crate::value::Cell;

/// A shared formula.
pub type Formula = Arc<Expr>;

/// A formula and the text it came from. The span takes no part in meaning.
#[derive(Clone, Debug)]
pub struct Expr {
    pub span: Span,
    pub kind: Kind,
}

/// Names a stage of the plan being built: its place in `recipe::Checked::stages`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StageId(pub usize);

/// What a stage produced, or a part of it: `[]` is its main result, `["accuracy"]` an extra.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Output {
    pub stage: StageId,
    pub path: Vec<Arc<str>>,
}

/// What a reduction runs over.
#[derive(Clone, Debug)]
pub enum Axis {
    /// The tokens of one sequence, or the items of a list: the default.
    Tokens,
    /// Rows that agree in these columns.
    Columns(Vec<Formula>),
    /// One row by itself: the default of `dice`.
    Row,
    /// The rows of one optimiser step.
    Batch,
    /// The whole table or rollout.
    All,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// A number, text, list or record known before anything runs.
    Const(Cell),
    /// `.name` of the row at hand.
    Column(Arc<str>),
    /// An artifact: a network, a table, or (for numbers and estimates) its value.
    Artifact(Output),
    /// The network that the objective trains.
    Model,
    /// A network among the objective's `trained` parameters, by parameter name; its start is in `ObjectiveDef`.
    TrainedNetwork(Arc<str>),
    /// A number or list among the objective's `trained` parameters.
    TrainedNumber(Arc<str>),
    /// A controller's current value.
    State(Arc<str>),
    /// A word of the formula language with all its arguments in declared order (see `super::words::WORDS`).
    /// Operators are words too: `+ - * / ^ == != < <= > >= and or not negate`.
    Word {
        word: &'static str,
        args: Vec<Formula>,
    },
    /// A reduction or another word that takes `over:`.
    Over {
        word: &'static str,
        args: Vec<Formula>,
        axis: Axis,
    },
    If {
        condition: Formula,
        then: Formula,
        otherwise: Formula,
    },
    List(Vec<Formula>),
    Record(Vec<(Arc<str>, Formula)>),
    /// A field of a record, turn, completion or estimate.
    Field {
        of: Formula,
        name: Arc<str>,
    },
    Index {
        of: Formula,
        index: Formula,
    },
    /// `"…{x}…"`: texts and values joined; a dialogue is shown as its transcript.
    Template(Vec<Formula>),
}

/// One `loss = value weighted weight` line.
#[derive(Clone, Debug)]
pub struct Loss {
    pub value: Formula,
    pub weight: Option<Formula>,
    /// The factor from `2 * objective(…)`.
    pub scale: Formula,
    /// The term's own rows (`nll_loss(on: text)`), else the rows being trained on.
    pub on: Option<Output>,
}

/// `state name = start then next`.
#[derive(Clone, Debug)]
pub struct State {
    pub name: Arc<str>,
    pub start: Formula,
    pub next: Formula,
}

/// A `trained` parameter.
#[derive(Clone, Debug)]
pub enum Trained {
    /// A further network and the artifact it starts from.
    Network { name: Arc<str>, start: Output },
    /// A number, or a list of numbers, and where it starts.
    Number { name: Arc<str>, start: Formula },
}

/// An objective with all its parameters bound.
#[derive(Clone, Debug, Default)]
pub struct ObjectiveDef {
    pub losses: Vec<Loss>,
    pub metrics: Vec<(Arc<str>, Formula)>,
    pub states: Vec<State>,
    pub trained: Vec<Trained>,
}
