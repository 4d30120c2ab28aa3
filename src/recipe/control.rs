//! `repeat` and `sweep` unroll: every round's stages are nodes of their own.

use std::sync::Arc;

use crate::formula::expr::{Formula, Kind};
use crate::syntax::span::Span;
use crate::syntax::tree::{Bind, Expr, ExprKind, Name, Repeat, Statement, StatementKind, Sweep};
use crate::value::Cell;

use super::checked::{Arg, Condition, Round, StageCall};
use super::elaborate::{Elaborator, Outcome, Refused};
use super::mistake::Mistake;
use super::scope::Scope;
use super::types::{Row, Type};
use super::value::{Extra, Typed, Value};

/// More rounds than this are taken for a mistake.
const ROUNDS: i64 = 1000;

/// What one round or one run of a sweep bound.
#[derive(Clone, Debug)]
struct Bound {
    bindings: Vec<(Arc<str>, Typed)>,
    /// Holds when the round counts: its gates.
    gates: Vec<Formula>,
    score: Option<Formula>,
}

/// What a round has from its loop.
struct Head {
    index: usize,
    /// What its stages are called by.
    label: String,
    values: Vec<(Arc<str>, Cell)>,
}

/// How one of several rounds is chosen.
struct Keep {
    order: &'static str,
}

impl<'a> Elaborator<'a> {
    /// `repeat round in 1..=3 carrying p = base { … } until … keep max(…)`
    pub fn repeat(&mut self, repeat: &'a Repeat, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let counts = self.counts(&repeat.range, scope)?;
        let mut carried = Vec::new();
        for bind in &repeat.carried {
            carried.push((bind.name.text.clone(), self.expression(&bind.value, scope, None)?));
        }
        let outer_when = self.when.len();
        let mut rounds: Vec<Bound> = Vec::new();
        let mut conditional = false;
        for (index, count) in counts.enumerate() {
            let inner = scope.nested();
            inner.insert(repeat.counter.text.clone(), Typed::constant(Type::Int, Cell::Int(count), repeat.counter.span));
            inner.define_line(&repeat.counter);
            repeat.carried.iter().for_each(|bind| inner.define_line(&bind.name));
            for (name, value) in &carried {
                inner.insert(name.clone(), value.clone());
            }
            if let Some(last) = rounds.last() {
                inner.insert("previous".into(), record(last.bindings.clone(), span));
            }
            let names: Vec<Arc<str>> = carried.iter().map(|(n, _)| n.clone()).collect();
            let head = Head { index, label: count.to_string(), values: vec![(repeat.counter.text.clone(), Cell::Int(count))] };
            let round = self.round(&repeat.body, &inner, &names, head, repeat.keep.as_ref())?;
            for (name, value) in &mut carried {
                if let Some((_, new)) = round.bindings.iter().find(|(n, _)| n == name) {
                    *value = new.clone();
                }
            }
            conditional |= !round.gates.is_empty();
            if let Some(until) = &repeat.until {
                let asked = self.expression(until, &inner, Some(&Type::Bool))?;
                let asked = self.fit(asked, &Type::Bool, &inner, None)?;
                conditional = true;
                self.when.push(Condition { formula: asked.as_formula().ok_or(Refused)?, holds: false, message: None });
            }
            rounds.push(round);
        }
        self.when.truncate(outer_when);
        let keep = self.keep(repeat.keep.as_ref())?;
        self.chosen(rounds, conditional, keep, "rounds", span)
    }

    /// `sweep beta in [0.05, 0.1], seed in 1..=3 { … } keep max(…)`
    pub fn sweep(&mut self, sweep: &'a Sweep, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let mut axes: Vec<(&'a Bind, Vec<Typed>)> = Vec::new();
        for axis in &sweep.axes {
            let value = self.expression(&axis.value, scope, None)?;
            let values = match value.value {
                Value::List(items) => items,
                Value::Range { .. } => {
                    self.counts(&axis.value, scope)?.map(|n| Typed::constant(Type::Int, Cell::Int(n), axis.value.span)).collect()
                }
                _ => return Err(self.report(Mistake::NotAList { found: value.ty, span: axis.value.span })),
            };
            axes.push((axis, values));
        }
        let total: usize = axes.iter().map(|(_, v)| v.len()).product();
        let mut runs = Vec::new();
        for run in 0..total {
            let inner = scope.nested();
            let (mut rest, mut given) = (run, Vec::new());
            for (axis, values) in axes.iter().rev() {
                let value = &values[rest % values.len()];
                inner.insert(axis.name.text.clone(), value.clone());
                inner.define_line(&axis.name);
                given.insert(0, (axis.name.text.clone(), self.told(value)));
                rest /= values.len();
            }
            let head = Head { index: run, label: (run + 1).to_string(), values: given };
            runs.push(self.round(&sweep.body, &inner, &[], head, sweep.keep.as_ref())?);
        }
        let keep = self.keep(sweep.keep.as_ref())?;
        if keep.is_none() {
            return Ok(lists(&runs, span));
        }
        self.chosen(runs, true, keep, "runs", span)
    }

    fn counts(&mut self, range: &'a Expr, scope: &Scope<'a>) -> Outcome<std::ops::Range<i64>> {
        let value = self.expression(range, scope, None)?;
        let Value::Range { low, high } = &value.value else {
            return Err(self.report(Mistake::NotARange { found: value.ty, span: range.span }));
        };
        match (&low.kind, &high.kind) {
            (Kind::Const(Cell::Int(low)), Kind::Const(Cell::Int(high))) if high - low <= ROUNDS && low < high => Ok(*low..*high),
            (Kind::Const(_), Kind::Const(_)) => Err(self.report(Mistake::RoundCount { most: ROUNDS, span: range.span })),
            _ => Err(self.report(Mistake::NotConstant { name: "the range".into(), span: range.span })),
        }
    }

    fn round(
        &mut self,
        body: &'a [Statement],
        inner: &Scope<'a>,
        carried: &[Arc<str>],
        head: Head,
        keep: Option<&'a Expr>,
    ) -> Outcome<Bound> {
        let known = Round { of: self.path.join(".").into(), index: head.index, values: head.values, name: String::new() };
        self.path.push(head.label);
        self.rounds.push((known, self.path.len()));
        let round = self.round_body(body, inner, carried, keep);
        self.rounds.pop();
        self.path.pop();
        round
    }

    /// A value of an axis for people: as it is, or as it was written.
    fn told(&self, value: &Typed) -> Cell {
        let written = || self.sources.get(value.span.file).text[value.span.range()].split_whitespace().collect::<Vec<_>>().join(" ");
        value.as_constant().unwrap_or_else(|| Cell::text(written()))
    }

    fn round_body(&mut self, body: &'a [Statement], inner: &Scope<'a>, carried: &[Arc<str>], keep: Option<&'a Expr>) -> Outcome<Bound> {
        let mut round = Bound { bindings: Vec::new(), gates: Vec::new(), score: None };
        let mut refused = false;
        for statement in body {
            match &statement.kind {
                StatementKind::Bind { name, value } => refused |= self.round_binding(name, value, inner, carried, &mut round).is_err(),
                StatementKind::Gate { condition, message } => {
                    let asked = self.expression(condition, inner, Some(&Type::Bool)).and_then(|v| self.fit(v, &Type::Bool, inner, None));
                    match asked.and_then(|v| v.as_formula().ok_or(Refused)) {
                        // as with expectations: what little work comes to decides nothing
                        Ok(_) if !self.limits.is_empty() => {}
                        Ok(formula) => {
                            round.gates.push(formula.clone());
                            self.when.push(Condition { formula, holds: true, message: message.clone() });
                        }
                        Err(Refused) => refused = true,
                    }
                }
                StatementKind::Expect { .. } | StatementKind::Export { .. } => {
                    self.report(Mistake::Misplaced { what: "`expect` and `export`", place: "a round", span: statement.span });
                    refused = true;
                }
            }
        }
        if refused {
            return Err(Refused);
        }
        if let Some(argument) = keep.and_then(kept_argument) {
            let score = self.expression(argument, inner, None)?;
            let score = self.numeric(score, inner)?;
            round.score = score.as_formula();
        }
        Ok(round)
    }

    fn round_binding(
        &mut self,
        name: &'a Name,
        value: &'a Expr,
        inner: &Scope<'a>,
        carried: &[Arc<str>],
        round: &mut Bound,
    ) -> Outcome<()> {
        if inner.contains(&name.text) && !carried.contains(&name.text) {
            return Err(self.report(Mistake::Shadowed { name: name.text.clone(), span: name.span }));
        }
        let worked = self.named(&name.text, |this| this.expression(value, inner, None));
        self.bound(&name.text, name.span, &worked);
        match carried.contains(&name.text) {
            // the carried name is defined in the loop's head, and this line gives it its next value
            true => {
                let head = inner.names.borrow().defined.get(&name.text).copied();
                if let Some((head, meant)) = head {
                    self.refer(name.span, head, meant);
                }
            }
            false => inner.define_line(name),
        }
        match worked {
            Ok(value) => {
                inner.insert(name.text.clone(), value.clone());
                round.bindings.retain(|(n, _)| *n != name.text);
                round.bindings.push((name.text.clone(), value));
                Ok(())
            }
            Err(Refused) => {
                inner.refuse(name.text.clone());
                Err(Refused)
            }
        }
    }

    fn keep(&mut self, keep: Option<&'a Expr>) -> Outcome<Option<Keep>> {
        let Some(e) = keep else { return Ok(None) };
        match &e.kind {
            ExprKind::Call { callee, args } if args.len() == 1 && matches!(&*callee.text, "max" | "min") => {
                Ok(Some(Keep { order: if &*callee.text == "max" { "max" } else { "min" } }))
            }
            _ => Err(self.report(Mistake::KeepForm { span: e.span })),
        }
    }

    /// The value of a loop: the last round's bindings, or those of the round that is chosen when the numbers are known.
    fn chosen(&mut self, rounds: Vec<Bound>, conditional: bool, keep: Option<Keep>, list: &str, span: Span) -> Outcome<Typed> {
        let Some(last) = rounds.last().cloned() else { return Err(Refused) };
        let mut fields = Vec::new();
        for (name, value) in &last.bindings {
            let candidates: Vec<Typed> =
                rounds.iter().filter_map(|r| r.bindings.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())).collect();
            let value =
                if conditional || keep.is_some() { self.choose(name, &candidates, &rounds, keep.as_ref(), span)? } else { value.clone() };
            fields.push((name.clone(), value));
        }
        fields.push((list.into(), lists(&rounds, span)));
        Ok(record(fields, span))
    }

    fn choose(&mut self, name: &Arc<str>, candidates: &[Typed], rounds: &[Bound], keep: Option<&Keep>, span: Span) -> Outcome<Typed> {
        let first = &candidates[0];
        if let Value::With { extras, .. } = &first.value {
            let mains: Vec<Typed> =
                candidates.iter().map(|c| if let Value::With { main, .. } = &c.value { (**main).clone() } else { c.clone() }).collect();
            let main_value = self.choose(name, &mains, rounds, keep, span)?;
            let extras = extras.iter().map(|(n, e)| (n.clone(), e.clone())).filter(|(_, e)| matches!(e, Extra::NoEval)).collect();
            return Ok(Typed { ty: first.ty.clone(), value: Value::With { main: Box::new(main_value), extras }, span });
        }
        let outputs: Option<Vec<_>> = candidates.iter().map(Typed::as_artifact).collect();
        let Some(outputs) = outputs.filter(|_| first.as_constant().is_none()) else { return Ok(candidates[candidates.len() - 1].clone()) };
        let labelled = |formulas: Vec<Option<Formula>>| {
            formulas
                .into_iter()
                .enumerate()
                .filter_map(|(at, f)| Some((Arc::from(at.to_string()), f?)))
                .collect::<Vec<(Arc<str>, Formula)>>()
        };
        let scores = labelled(rounds.iter().map(|r| r.score.clone()).collect());
        let gates =
            rounds.iter().enumerate().flat_map(|(at, r)| r.gates.iter().map(move |g| (Arc::from(at.to_string()), g.clone()))).collect();
        let args = [
            ("candidates", Arg::Artifacts(outputs)),
            ("scores", Arg::Columns(scores)),
            ("gates", Arg::Columns(gates)),
            ("order", Arg::Value(Cell::text(keep.map_or("last", |k| k.order)))),
        ];
        let mut path = self.path.clone();
        path.push(name.to_string());
        let call = StageCall {
            name: path.join("."),
            primitive: "keep".into(),
            args: args.into_iter().map(|(n, a)| (Arc::from(n), a)).collect(),
            seed: 0,
            span: self.user_span(span),
            when: Vec::new(),
            rounds: Vec::new(),
            output: first.ty.clone(),
            extras: Row::new(),
        };
        let stage = self.add_stage(call);
        Ok(Typed::artifact(first.ty.clone(), stage, Vec::new(), span))
    }
}

fn kept_argument(keep: &Expr) -> Option<&Expr> {
    match &keep.kind {
        ExprKind::Call { args, .. } => args.first().map(|a| &a.value),
        _ => None,
    }
}

fn record(fields: Vec<(Arc<str>, Typed)>, span: Span) -> Typed {
    let ty = Type::Record(fields.iter().map(|(n, v)| (n.clone(), v.ty.clone())).collect());
    Typed { ty, value: Value::Record(fields), span }
}

/// `loop.rounds.x`: every round's `x` in a list.
fn lists(rounds: &[Bound], span: Span) -> Typed {
    let names: Vec<Arc<str>> = rounds.first().map_or_else(Vec::new, |r| r.bindings.iter().map(|(n, _)| n.clone()).collect());
    let fields = names.into_iter().map(|name| {
        let items: Vec<Typed> = rounds.iter().filter_map(|r| r.bindings.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone())).collect();
        let ty = Type::List(Box::new(items.first().map_or(Type::Unknown, |v| v.ty.clone())));
        (name, Typed { ty, value: Value::List(items), span })
    });
    record(fields.collect(), span)
}
