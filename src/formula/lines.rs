//! An objective's lines on tapes, one tape for every table that its losses run over, checked line by line.

use std::sync::Arc;

use crate::syntax::span::Span;

use super::expr::{Formula, ObjectiveDef, Output};
use super::program::{Along, Op, Program, Slot};
use super::refusal::{Refusal, ShapeError};
use super::shape::{self, Changes, Form, Inner, Shape, Under};

/// A loss line's slots.
#[derive(Clone, Copy, Debug)]
pub struct LossLine {
    pub value: Slot,
    pub weight: Option<Slot>,
    pub scale: Slot,
}

/// A state's slots on the tape of the rows that are trained on.
#[derive(Clone, Debug)]
pub struct StateLine {
    pub name: Arc<str>,
    pub start: Slot,
    pub next: Slot,
}

/// The lines that run over one table.
#[derive(Clone, Debug)]
pub struct Tape {
    /// The table: `None` is the rows that are trained on.
    pub on: Option<Output>,
    pub program: Program,
    pub forms: Vec<Form>,
    pub losses: Vec<LossLine>,
    pub metrics: Vec<(Arc<str>, Slot)>,
    pub states: Vec<StateLine>,
}

/// All lines of an objective; the first tape is the main one.
#[derive(Clone, Debug)]
pub struct Lines {
    pub tapes: Vec<Tape>,
}

impl Lines {
    /// Lowers and checks.
    ///
    /// # Errors
    /// Everything that is wrong with the objective.
    pub fn new(def: &ObjectiveDef, under: Under) -> Result<Self, Vec<ShapeError>> {
        let mut tables: Vec<Option<Output>> = vec![None];
        for loss in &def.losses {
            if !tables.contains(&loss.on) {
                tables.push(loss.on.clone());
            }
        }
        let (mut tapes, mut errors) = (Vec::new(), Vec::new());
        for on in tables {
            match Tape::new(def, on, under) {
                Ok(tape) => tapes.push(tape),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() { Ok(Self { tapes }) } else { Err(errors) }
    }
}

impl Tape {
    fn new(def: &ObjectiveDef, on: Option<Output>, under: Under) -> Result<Self, Vec<ShapeError>> {
        let main = on.is_none();
        let mut roots: Vec<Formula> = Vec::new();
        let mut add = |formula: &Formula| {
            roots.push(formula.clone());
            roots.len() - 1
        };
        let mut losses: Vec<LossLine> = Vec::new();
        for loss in def.losses.iter().filter(|loss| loss.on == on) {
            losses.push(LossLine { value: add(&loss.value), weight: loss.weight.as_ref().map(&mut add), scale: add(&loss.scale) });
        }
        let mut metrics: Vec<(Arc<str>, Slot)> = Vec::new();
        let mut states: Vec<StateLine> = Vec::new();
        if main {
            metrics.extend(def.metrics.iter().map(|(name, formula)| (name.clone(), add(formula))));
            states.extend(def.states.iter().map(|s| StateLine { name: s.name.clone(), start: add(&s.start), next: add(&s.next) }));
        }
        let program = Program::lower(&roots).map_err(|e| vec![e.into()])?;
        let slot = |root: &mut Slot| *root = program.roots[*root];
        for loss in &mut losses {
            slot(&mut loss.value);
            loss.weight.as_mut().map(slot);
            slot(&mut loss.scale);
        }
        metrics.iter_mut().for_each(|(_, root)| slot(root));
        states.iter_mut().for_each(|s| [&mut s.start, &mut s.next].into_iter().for_each(slot));
        let (forms, errors) = shape::forms(&program, under);
        let tape = Self { on, program, forms, losses, metrics, states };
        tape.check(under, errors).map(|()| tape)
    }

    fn check(&self, under: Under, errors: Vec<ShapeError>) -> Result<(), Vec<ShapeError>> {
        let mut check = Check { tape: self, errors };
        if under == Under::Train {
            check.old();
        }
        self.losses.iter().for_each(|line| check.loss(line));
        self.metrics.iter().for_each(|(_, slot)| check.number("metric", *slot));
        self.states.iter().for_each(|state| check.state(state, under));
        check.all();
        if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
    }
}

struct Check<'a> {
    tape: &'a Tape,
    errors: Vec<ShapeError>,
}

impl Check<'_> {
    fn form(&self, slot: Slot) -> &Form {
        &self.tape.forms[slot]
    }

    fn refuse(&mut self, slot: Slot, refusal: Refusal) {
        self.errors.push(ShapeError::new(&self.tape.program, slot, refusal));
    }

    fn span(&self, slot: Slot) -> Span {
        shape::span(&self.tape.program, slot)
    }

    fn old(&mut self) {
        for &span in &self.tape.program.olds {
            self.errors.push(ShapeError { span, shown: "old(…)".to_owned(), refusal: Refusal::OldOutsideRl });
        }
    }

    /// A line is one number per element of its shape.
    fn number(&mut self, line: &'static str, slot: Slot) {
        if self.form(slot).shape == Shape::Ends {
            self.refuse(slot, Refusal::NoSequence);
        }
        if self.form(slot).inner == Inner::List {
            self.refuse(slot, Refusal::IsList { line });
        }
    }

    fn loss(&mut self, line: &LossLine) {
        self.number("loss", line.value);
        if !self.form(line.value).gradient {
            self.refuse(line.value, Refusal::NoGradient);
        }
        if let Some(weight) = line.weight {
            self.number("weighted", weight);
            let (value, form) = (self.form(line.value), self.form(weight).clone());
            if value.shape.join(&form.shape).as_ref() != Some(&value.shape) {
                let (first, second) = (value.shape.name(), form.shape.name());
                let there = self.span(weight);
                self.refuse(line.value, Refusal::Clash { line: "loss", first, second, there });
            }
            if form.gradient {
                self.refuse(weight, Refusal::LiveWeight);
            }
        }
        let scale = self.form(line.scale);
        if scale.changes == Changes::Present || !matches!(scale.shape, Shape::Table | Shape::Step) {
            self.refuse(line.scale, Refusal::LiveScale);
        }
    }

    fn state(&mut self, state: &StateLine, under: Under) {
        for slot in [state.start, state.next] {
            if !matches!(self.form(slot).shape, Shape::Table | Shape::Step) {
                let shape = self.form(slot).shape.name();
                self.refuse(slot, Refusal::StateShape { shape });
            }
        }
        if self.form(state.start).changes != Changes::Once {
            self.refuse(state.start, Refusal::StartChanges);
        }
        if under == Under::Rl && self.form(state.next).changes != Changes::Once {
            self.refuse(state.next, Refusal::StateReadsPresent { name: state.name.to_string() });
        }
    }

    /// In a loss, `over: all` holds only what is known once; in a metric it means the rows at hand.
    fn all(&mut self) {
        let tape = self.tape;
        let roots = tape.losses.iter().flat_map(|l| [Some(l.value), l.weight, Some(l.scale)]).flatten();
        let inside = tape.program.cone(roots.chain(tape.states.iter().map(|s| s.next)));
        for slot in (0..inside.len()).filter(|&slot| inside[slot]) {
            let node = &tape.program.nodes[slot];
            let whole = match &node.op {
                Op::Over { along, .. } => *along == Along::All,
                Op::Word(_) => node.crosses_rows(),
                _ => false,
            };
            if !whole {
                continue;
            }
            if node.reads().any(|arg| self.form(arg).gradient) {
                self.refuse(slot, Refusal::GradientThroughAll);
            } else if node.reads().any(|arg| self.form(arg).changes != Changes::Once) {
                self.refuse(slot, Refusal::PresentOverAll);
            }
        }
    }
}
