//! What a stage produced, before the store has it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::formula::expr::Output;
use crate::value::{Cell, Table};

/// A part of a stage's result.
#[derive(Clone, Debug)]
pub enum Item {
    /// A network written under [`super::Context::folder`]; the path is relative to it: `model`.
    Network(PathBuf),
    /// A network that stays where it is, outside the store: what `load_model` read. Names the argument that holds its
    /// path, one of [`super::Primitive::file_arguments`].
    Outside(&'static str),
    Table(Arc<Table>),
    /// Numbers, texts, estimates.
    Value(Cell),
    /// A drawing as data: what `src/report/page/plot.js` draws.
    Figure(serde_json::Value),
    /// Named parts: `split` gives `train` and `test`, `measure` its metrics.
    Record(Vec<(Arc<str>, Item)>),
    /// One of the call's own inputs under a new name: what `keep` chose. Nothing is copied.
    Same(Output),
}

/// The main result and what comes beside it (`Model with { accuracy: Estimate }`).
#[derive(Clone, Debug)]
pub struct Product {
    pub main: Item,
    pub extras: Vec<(Arc<str>, Item)>,
}

impl Product {
    /// A result with nothing beside it.
    pub fn new(main: Item) -> Self {
        Self { main, extras: Vec::new() }
    }

    /// A table.
    pub fn table(table: Table) -> Self {
        Self::new(Item::Table(Arc::new(table)))
    }

    /// A network in `folder`, relative to [`super::Context::folder`].
    pub fn network(folder: impl Into<PathBuf>) -> Self {
        Self::new(Item::Network(folder.into()))
    }

    /// Named values as one record.
    pub fn record(fields: impl IntoIterator<Item = (Arc<str>, Item)>) -> Self {
        Self::new(Item::Record(fields.into_iter().collect()))
    }

    /// Adds a result beside the main one.
    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, item: Item) -> Self {
        self.extras.push((name.into(), item));
        self
    }
}
