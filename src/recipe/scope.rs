//! The names in reach of an expression, bound lazily: a recipe's lines may stand in any order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::syntax::tree::{Expr, Name};

use super::index::Meant;
use super::library::ModuleId;
use super::resolve::Generics;
use super::types::Row;
use super::value::Typed;

/// What is known of a name.
#[derive(Clone, Debug)]
pub enum Slot<'a> {
    Ready(Typed),
    /// Written, not yet needed.
    Pending {
        value: &'a Expr,
        span: Span,
    },
    /// Being worked out: meeting it again is a cycle.
    Busy {
        span: Span,
    },
    /// Refused, and reported.
    Refused,
}

/// The names of one body, shared by everything inside it.
#[derive(Default, Debug)]
pub struct Names<'a> {
    pub slots: BTreeMap<Arc<str>, Slot<'a>>,
    /// Where each name stands that was written, and what it is; for editors.
    pub defined: BTreeMap<Arc<str>, (Span, Meant)>,
    /// The order in which names were met while being worked out, to name a cycle.
    pub busy: Vec<Arc<str>>,
}

/// Where an expression stands.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    pub module: ModuleId,
    pub names: Rc<RefCell<Names<'a>>>,
    /// The body around this one: a round sees the recipe's bindings.
    pub parent: Option<Rc<Scope<'a>>>,
    /// The row type of the body itself: an objective's, otherwise none. Bindings are worked out against it.
    pub body_row: Option<Row>,
    /// The row at hand, in a formula.
    pub row: Option<Row>,
    /// Inside an objective: `model` is the network being trained.
    pub model: bool,
    pub generics: Rc<Generics>,
}

impl<'a> Scope<'a> {
    /// An empty scope of a file.
    pub fn new(module: ModuleId) -> Self {
        Self { module, names: Rc::default(), parent: None, body_row: None, row: None, model: false, generics: Rc::default() }
    }

    /// The same place with another row at hand.
    #[must_use]
    pub fn with_row(&self, row: Row) -> Self {
        Self { row: Some(row), ..self.clone() }
    }

    /// Binds a name to a value.
    pub fn insert(&self, name: Arc<str>, value: Typed) {
        self.names.borrow_mut().slots.insert(name, Slot::Ready(value));
    }

    /// Remembers where a parameter stands.
    pub fn define(&self, name: &Name) {
        self.names.borrow_mut().defined.insert(name.text.clone(), (name.span, Meant::Parameter));
    }

    /// Remembers where a line's name stands.
    pub fn define_line(&self, name: &Name) {
        self.names.borrow_mut().defined.insert(name.text.clone(), (name.span, Meant::Binding));
    }

    /// Makes a name known whose value was refused.
    pub fn refuse(&self, name: Arc<str>) {
        self.names.borrow_mut().slots.insert(name, Slot::Refused);
    }

    /// Whether a name is bound here or around here.
    pub fn contains(&self, name: &str) -> bool {
        self.names.borrow().slots.contains_key(name) || self.parent.as_ref().is_some_and(|p| p.contains(name))
    }

    /// Every bound name.
    pub fn known(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.names.borrow().slots.keys().cloned().collect();
        names.extend(self.parent.iter().flat_map(|p| p.known()));
        names
    }

    /// A body inside this one.
    #[must_use]
    pub fn nested(&self) -> Self {
        Self { parent: Some(Rc::new(self.clone())), names: Rc::default(), ..self.clone() }
    }
}
