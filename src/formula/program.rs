//! Formulas as one tape: every distinct part once, after everything it reads.
//!
//! Nodes are in post-order and hash-consed by structure (spans do not count); `super::lower` makes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::value::Cell;

use super::expr::{Axis, Formula, Kind, Output};
use super::key::Key;
pub use super::lower::{LowerError, Problem};
pub use super::meaning::{meaning, objective_meaning};
use super::words::{self, Word};

/// A node's place in the tape.
pub type Slot = usize;

/// Whose weights answer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Network {
    /// The network that the objective trains.
    Model,
    /// Another network that the objective trains.
    Trained(Arc<str>),
    /// A finished one.
    Artifact(Output),
}

/// At which time a trained network or number is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum When {
    /// As it is in the present step.
    Now,
    /// As it was when the rollout was sampled.
    Sampled,
}

/// What a reduction runs over; columns are slots.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Along {
    Tokens,
    /// Sorted, without doubles.
    Columns(Vec<Slot>),
    /// One row by itself.
    Row,
    Batch,
    All,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    Const(Cell),
    Column(Arc<str>),
    Artifact(Output),
    Trained {
        name: Arc<str>,
        when: When,
    },
    State(Arc<str>),
    /// A network word; the arguments are the word's without its networks.
    Call {
        word: &'static Word,
        network: Network,
        /// The second network of a word that compares two.
        other: Option<Network>,
        when: When,
    },
    Word(&'static Word),
    Over {
        word: &'static Word,
        along: Along,
    },
    /// Condition, then, otherwise.
    If,
    List,
    Record(Vec<Arc<str>>),
    Field(Arc<str>),
    /// A list and a place, 0 first.
    Index,
    Template,
}

/// One distinct part of a formula.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub args: Vec<Slot>,
    /// Where it was first written.
    pub span: Span,
    /// Digest of its structure, arguments included.
    pub key: Key,
}

impl Node {
    /// Every slot that it reads, the columns of `over:` included.
    pub fn reads(&self) -> impl Iterator<Item = Slot> + '_ {
        let columns: &[Slot] = match &self.op {
            Op::Over { along: Along::Columns(columns), .. } => columns,
            _ => &[],
        };
        self.args.iter().chain(columns).copied()
    }

    /// Whether its value at a row depends on other rows.
    pub fn crosses_rows(&self) -> bool {
        match &self.op {
            Op::Over { word, along: Along::Columns(_) | Along::Batch | Along::All } => {
                !matches!(word.kind, words::Kind::Rows(words::Rows::Dice))
            }
            Op::Word(word) => {
                matches!(word.kind, words::Kind::Aggregate(_) | words::Kind::Distinct | words::Kind::Cluster | words::Kind::Kept(_))
            }
            _ => false,
        }
    }
}

/// A tape and where its formulas end in it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub nodes: Vec<Node>,
    /// One slot for each formula, in the given order.
    pub roots: Vec<Slot>,
    /// Where `old(…)` was written.
    pub olds: Vec<Span>,
}

impl Program {
    /// Every artifact that is read, networks included, in order and once.
    pub fn artifacts(&self) -> Vec<Output> {
        let of = |network: &Network| if let Network::Artifact(output) = network { Some(output.clone()) } else { None };
        let read = self.nodes.iter().flat_map(|node| match &node.op {
            Op::Artifact(output) => [Some(output.clone()), None],
            Op::Call { network, other, .. } => [of(network), other.as_ref().and_then(of)],
            _ => [None, None],
        });
        read.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Every column that is read, in order and once.
    pub fn columns(&self) -> Vec<Arc<str>> {
        let read = self.nodes.iter().filter_map(|node| match &node.op {
            Op::Column(name) => Some(name.clone()),
            _ => None,
        });
        read.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Marks everything that `slots` depend on, themselves included.
    pub fn cone(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<bool> {
        let mut inside = vec![false; self.nodes.len()];
        slots.into_iter().for_each(|slot| inside[slot] = true);
        for slot in (0..self.nodes.len()).rev() {
            if inside[slot] {
                self.nodes[slot].reads().for_each(|read| inside[read] = true);
            }
        }
        inside
    }
}

/// The formulas that a formula is directly made of, the columns of its `over:` included.
pub fn children(formula: &Formula) -> Vec<Formula> {
    match &formula.kind {
        Kind::Word { args, .. } | Kind::List(args) | Kind::Template(args) => args.clone(),
        Kind::Over { args, axis, .. } => {
            let columns: &[Formula] = if let Axis::Columns(columns) = axis { columns } else { &[] };
            args.iter().chain(columns).cloned().collect()
        }
        Kind::If { condition, then, otherwise } => vec![condition.clone(), then.clone(), otherwise.clone()],
        Kind::Record(fields) => fields.iter().map(|(_, value)| value.clone()).collect(),
        Kind::Field { of, .. } => vec![of.clone()],
        Kind::Index { of, index } => vec![of.clone(), index.clone()],
        Kind::Const(_) | Kind::Column(_) | Kind::Artifact(_) | Kind::Model => vec![],
        Kind::TrainedNetwork(_) | Kind::TrainedNumber(_) | Kind::State(_) => vec![],
    }
}
