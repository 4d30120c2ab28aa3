//! The checker's state, and how mistakes are reported from inlined code.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::StageId;
use crate::syntax::span::Span;
use crate::syntax::tree::Expr;
use crate::world::Sources;

use super::Options;
use super::checked::{Condition, Round, StageCall};
use super::equal::Calls;
use super::index::Index;
use super::library::Library;
use super::mistake::Mistake;
use super::scope::{Scope, Slot};
use super::value::Typed;

/// Something was refused and has been reported; whatever depends on it is passed over in silence.
#[derive(Clone, Copy, Debug)]
pub struct Refused;

/// A value, or a refusal that was already reported.
pub type Outcome<T> = Result<T, Refused>;

/// One call being inlined.
#[derive(Clone, Debug)]
pub struct Frame {
    pub name: Arc<str>,
    pub span: Span,
}

/// Calls may nest this deep; deeper is taken for recursion.
const DEPTH: usize = 64;

#[derive(Debug)]
pub struct Elaborator<'a> {
    pub library: &'a Library,
    pub sources: &'a Sources,
    pub options: &'a Options,
    pub diagnostics: Vec<Diagnostic>,
    pub stages: Vec<StageCall>,
    /// Equal calls are one stage.
    pub calls: Calls,
    /// What earlier rounds ask of whatever is being written now.
    pub when: Vec<Condition>,
    /// `limit name = number` of the chosen profile.
    pub limits: BTreeMap<Arc<str>, f64>,
    pub stack: Vec<Frame>,
    /// The bindings being worked out, outermost first: names of stages.
    pub path: Vec<String>,
    /// The rounds being written, outermost first, each with the length of the path where it begins.
    pub rounds: Vec<(Round, usize)>,
    pub seed: i64,
    /// For editors; `None` in an ordinary check.
    pub index: Option<Index>,
}

impl<'a> Elaborator<'a> {
    pub fn new(library: &'a Library, sources: &'a Sources, options: &'a Options) -> Self {
        Self {
            library,
            sources,
            options,
            diagnostics: Vec::new(),
            stages: Vec::new(),
            calls: Calls::default(),
            when: Vec::new(),
            limits: BTreeMap::new(),
            stack: Vec::new(),
            path: Vec::new(),
            rounds: Vec::new(),
            seed: 0,
            index: None,
        }
    }

    /// Reports a mistake. In inlined library code the user's own call comes first, the library's line second.
    pub fn report(&mut self, mistake: Mistake) -> Refused {
        self.add(mistake.diagnostic());
        Refused
    }

    /// Adds a diagnostic, seen from the user's file.
    pub fn add(&mut self, mut diagnostic: Diagnostic) {
        let inside = diagnostic.labels.first().is_some_and(|label| self.library.is_std(label.span));
        if let Some(frame) = self.stack.iter().rev().find(|f| !self.library.is_std(f.span)).filter(|_| inside) {
            let label = crate::diagnostic::Label { span: frame.span, text: format!("in this call of `{}`", frame.name) };
            diagnostic.labels.insert(0, label);
        }
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// The place in the user's file that led to `span`.
    pub fn user_span(&self, span: Span) -> Span {
        if !self.library.is_std(span) {
            return span;
        }
        self.stack.iter().rev().map(|f| f.span).find(|s| !self.library.is_std(*s)).unwrap_or(span)
    }

    /// Works inside a call; refuses endless recursion.
    pub fn inside<T>(&mut self, name: &Arc<str>, span: Span, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.stack.len() >= DEPTH {
            return Err(self.report(Mistake::Recursion { name: name.clone(), span }));
        }
        self.stack.push(Frame { name: name.clone(), span });
        let result = work(self);
        self.stack.pop();
        result
    }

    /// The value of a bound name, worked out on first use. `None`: no such name here.
    pub fn local(&mut self, scope: &Scope<'a>, name: &str, span: Span) -> Option<Outcome<Typed>> {
        let slot = scope.names.borrow().slots.get(name).cloned();
        let Some(slot) = slot else {
            let parent = scope.parent.clone()?;
            return self.local(&parent, name, span);
        };
        let defined = scope.names.borrow().defined.get(name).copied();
        if let Some((defined, meant)) = defined.filter(|(defined, _)| *defined != span) {
            self.refer(span, defined, meant);
        }
        Some(match slot {
            Slot::Ready(value) => Ok(value.at(span)),
            Slot::Refused => Err(Refused),
            Slot::Busy { span: begun } => {
                let chain = scope.names.borrow().busy.clone();
                let from = chain.iter().position(|n| &**n == name).unwrap_or(0);
                Err(self.report(Mistake::StageCycle { chain: chain[from..].to_vec(), span, begun }))
            }
            Slot::Pending { value, span: begun } => self.force(scope, name, value, begun).map(|v| v.at(span)),
        })
    }

    /// Works out a pending binding.
    pub fn force(&mut self, scope: &Scope<'a>, name: &str, value: &'a Expr, begun: Span) -> Outcome<Typed> {
        let name: Arc<str> = name.into();
        {
            let mut names = scope.names.borrow_mut();
            names.slots.insert(name.clone(), Slot::Busy { span: begun });
            names.busy.push(name.clone());
        }
        let body = Scope { row: scope.body_row.clone(), ..scope.clone() };
        let result = self.named(&name, |this| this.expression(value, &body, None));
        self.bound(&name, begun, &result);
        let mut names = scope.names.borrow_mut();
        names.busy.pop();
        names.slots.insert(name, result.as_ref().map_or(Slot::Refused, |v| Slot::Ready(v.clone())));
        result
    }

    /// Works under a binding's name; the stage that makes the binding's value goes by that name.
    pub fn named(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Outcome<Typed>) -> Outcome<Typed> {
        let before = self.stages.len();
        self.path.push(name.to_owned());
        let result = work(self);
        let full = self.path.join(".");
        if let Some(output) = result.as_ref().ok().and_then(Typed::as_artifact).filter(|o| o.path.is_empty()) {
            self.name_in_round(output.stage);
            if output.stage.0 >= before {
                self.stages[output.stage.0].name = full;
            }
        }
        self.path.pop();
        result
    }

    /// The round that a call of a primitive stands in, if it stands in one.
    pub fn round_of(&self, primitive: &str) -> Vec<Round> {
        let named = |(round, from): &(Round, usize)| {
            let inside = self.path[*from..].iter().map(String::as_str).chain([primitive]);
            Round { name: inside.collect::<Vec<_>>().join("."), ..round.clone() }
        };
        self.rounds.last().map(named).into_iter().collect()
    }

    /// The stage that makes the value of a binding goes by that name inside its round too.
    fn name_in_round(&mut self, stage: StageId) {
        let Some((round, from)) = self.rounds.last() else { return };
        let stage = &mut self.stages[stage.0];
        let name = self.path[*from..].join(".");
        let called = format!("{name}.{}", stage.primitive);
        let own = stage.rounds.iter_mut().find(|r| (&r.of, r.index) == (&round.of, round.index) && r.name == called);
        own.into_iter().for_each(|own| own.name.clone_from(&name));
    }
}
