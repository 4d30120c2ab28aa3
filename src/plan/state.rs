//! What will happen to each stage: `cached`, `resume at step N`, `run`, `skip`, or `maybe` when a round's number decides.

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::formula::eval::{Call, Networks, single};
use crate::formula::expr::{Output, StageId};
use crate::formula::failure::Unanswered;
use crate::recipe::checked::Condition;
use crate::stage::Primitive;
use crate::value::Cell;

use super::Plan;
use super::meaning::artifacts;
use super::shelf::{Found, Shelf};

/// A stage's state before a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Cached,
    /// From a checkpoint after this many steps.
    Resume(u64),
    Run,
    /// A gate or `until` above it is not known yet.
    Maybe,
    /// A gate above it is closed, or an `until` has been reached.
    Skip,
}

impl State {
    /// Whether a run works on the stage, or may.
    pub fn works(self) -> bool {
        matches!(self, Self::Resume(_) | Self::Run | Self::Maybe)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cached => f.write_str("cached"),
            Self::Resume(step) => write!(f, "resume at step {step}"),
            Self::Run => f.write_str("run"),
            Self::Maybe => f.write_str("maybe"),
            Self::Skip => f.write_str("skip"),
        }
    }
}

/// Gives every node its state.
pub(super) fn settle(plan: &mut Plan, shelf: &dyn Shelf, primitives: &[&'static dyn Primitive]) {
    for at in (0..plan.nodes.len()).map(StageId) {
        let (state, damage) = state_of(plan, at, shelf, primitives);
        plan.nodes[at.0].state = state;
        plan.warnings.extend(damage);
    }
}

fn state_of(plan: &Plan, at: StageId, shelf: &dyn Shelf, primitives: &[&'static dyn Primitive]) -> (State, Option<Diagnostic>) {
    let node = plan.node(at);
    let takes_missing = primitives.iter().any(|p| p.name() == &*node.call.primitive && p.takes_missing());
    let inputs = || node.places.values().map(|output| plan.node(output.stage).state);
    match conditions(plan, &node.call.when, shelf) {
        Some(false) => return (State::Skip, None),
        _ if !takes_missing && inputs().any(|state| state == State::Skip) => return (State::Skip, None),
        None => return (State::Maybe, None),
        Some(true) => {}
    }
    if !takes_missing && inputs().any(|state| state == State::Maybe) {
        return (State::Maybe, None);
    }
    match shelf.find(&node.fingerprint) {
        Found::Whole => (State::Cached, None),
        Found::Partial(step) => (State::Resume(step), None),
        Found::Nothing => (State::Run, None),
        Found::Damaged(how) => {
            let warning =
                Diagnostic::warning("align::run::damaged_artifact", format!("the stored result of `{}` is damaged: {how}", node.call.name));
            (State::Run, Some(warning.at(node.call.span, "made again").help("it is set aside and not used; check the disk")))
        }
    }
}

/// Whether all conditions hold; `None` while one depends on what is not there yet.
fn conditions(plan: &Plan, conditions: &[Condition], shelf: &dyn Shelf) -> Option<bool> {
    let mut all = Some(true);
    for condition in conditions {
        let known = artifacts(&condition.formula).iter().all(|output| plan.node(output.stage).state == State::Cached);
        let answer = if known { single(&condition.formula, &mut Values { plan, shelf }).ok() } else { None };
        match answer {
            Some(Cell::Bool(holds)) if holds == condition.holds => {}
            Some(_) => return Some(false),
            None => all = None,
        }
    }
    all
}

/// Values that a store has; no networks.
struct Values<'a> {
    plan: &'a Plan,
    shelf: &'a dyn Shelf,
}

impl Networks for Values<'_> {
    fn call(&mut self, call: Call<'_>, _: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        Err(format!("`{}` asks a network", call.word).into())
    }

    fn lengths(&mut self, _: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        Err("`length` asks a tokenizer".into())
    }

    fn artifact(&mut self, output: &Output) -> Result<Cell, Unanswered> {
        let node = self.plan.node(output.stage);
        self.shelf.value(&node.fingerprint, &output.path).ok_or_else(|| format!("`{}` is not there yet", self.plan.shown(output)).into())
    }
}
