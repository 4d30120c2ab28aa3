//! Objectives: their parameters are bound, their lines become formulas, and they add and scale.

use std::rc::Rc;
use std::sync::Arc;

use crate::formula::expr::{Expr as Core, Formula, Kind, Loss, ObjectiveDef, Output, State, Trained};
use crate::formula::shape::{self, Under};
use crate::syntax::span::Span;
use crate::syntax::tree::{BinaryOp, Binder, Objective, ObjectiveKind};
use crate::value::Cell;

use super::arguments::{Matched, Param};
use super::checked::Arg;
use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::ModuleId;
use super::mistake::Mistake;
use super::resolve::Generics;
use super::scope::{Scope, Slot};
use super::types::{Row, Type};
use super::value::{Bound, Typed, Value};

impl<'a> Elaborator<'a> {
    /// `dpo_loss(reference, beta: 0.2)`
    pub fn objective(
        &mut self,
        item: &'a Objective,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        span: Span,
    ) -> Outcome<Typed> {
        let on = self.own_rows(item, module, matched, scope)?;
        let mut bound = Bound { span: Some(span), ..Bound::default() };
        let inner = self.objective_params(item, module, matched, scope, &mut bound)?;
        let rows = self.resolve(&inner, &item.rows)?;
        let Type::Record(rows) = rows else { return Err(self.report(Mistake::NotARow { found: rows, span: item.rows.span })) };
        let inner = Scope { row: Some(rows.clone()), body_row: Some(rows.clone()), model: true, ..inner };
        self.objective_body(item, &inner, &mut bound)?;
        if bound.def.losses.is_empty() {
            return Err(self.report(Mistake::NoLoss { name: item.name.text.clone(), span: item.name.span }));
        }
        bound.reads = reads(&bound.def);
        bound.rows = rows;
        match on {
            Own::Training => {}
            Own::Nothing => bound = Bound { span: bound.span, ..Bound::default() },
            Own::Rows(output) => {
                bound.rows = Row::new();
                for loss in &mut bound.def.losses {
                    loss.on = Some(output.clone());
                }
                bound.def.metrics.clear();
                bound.metrics.clear();
            }
        }
        let ty = Type::Objective { rows: bound.rows.clone(), metrics: bound.metrics.clone() };
        Ok(Typed { ty, value: Value::Objective(Arc::new(bound)), span })
    }

    /// `on: rows` gives a term its own data; `on: none` drops it.
    fn own_rows(&mut self, item: &'a Objective, module: ModuleId, matched: &Matched<'a>, scope: &Scope<'a>) -> Outcome<Own> {
        let Some(given) = &matched.implicit else { return Ok(Own::Training) };
        let wanted = self.resolve(&Scope::new(module), &item.rows)?;
        let Type::Record(row) = wanted else { return Err(Refused) };
        let wanted = Type::Optional(Box::new(Type::Data(row)));
        let value = self.argument(given, &Param { name: "on", wanted: &wanted, ty: None }, scope)?;
        Ok(match value.as_artifact() {
            Some(output) => Own::Rows(output),
            None => Own::Nothing,
        })
    }

    fn objective_params(
        &mut self,
        item: &'a Objective,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        bound: &mut Bound,
    ) -> Outcome<Scope<'a>> {
        let mut inner = Scope::new(module);
        let mut generics = Generics::new();
        let mut refused = false;
        for param in &item.params {
            let value = self.bind_param(param, module, matched, scope, &inner, &mut generics);
            inner.generics = Rc::new(generics.clone());
            inner.define(&param.name);
            let value = value.and_then(|v| if param.trained { self.trained(param, v, bound) } else { Ok(v) });
            match value {
                Ok(value) => inner.insert(param.name.text.clone(), value),
                Err(Refused) => {
                    inner.refuse(param.name.text.clone());
                    refused = true;
                }
            }
        }
        if refused { Err(Refused) } else { Ok(inner) }
    }

    /// `trained critic: Critic` is learned too; inside, the name is the network or number of the moment.
    fn trained(&mut self, param: &Binder, value: Typed, bound: &mut Bound) -> Outcome<Typed> {
        let name = param.name.text.clone();
        if value.ty.is_network() {
            let Some(start) = value.as_artifact() else { return Err(self.report(Mistake::NotConstant { name, span: value.span })) };
            bound.def.trained.push(Trained::Network { name: name.clone(), start });
            return Ok(Typed::formula(value.ty, Kind::TrainedNetwork(name), param.span));
        }
        let Some(start) = value.as_formula() else { return Err(Refused) };
        bound.numbers.insert(name.clone(), value.ty.clone());
        bound.def.trained.push(Trained::Number { name: name.clone(), start });
        Ok(Typed::formula(value.ty, Kind::TrainedNumber(name), param.span))
    }

    fn objective_body(&mut self, item: &'a Objective, inner: &Scope<'a>, bound: &mut Bound) -> Outcome<()> {
        let mut refused = false;
        for statement in &item.body {
            match &statement.kind {
                ObjectiveKind::Bind { name, value } => {
                    if inner.contains(&name.text) {
                        self.report(Mistake::Shadowed { name: name.text.clone(), span: name.span });
                        refused = true;
                        continue;
                    }
                    inner.names.borrow_mut().slots.insert(name.text.clone(), Slot::Pending { value, span: name.span });
                    inner.define_line(name);
                }
                ObjectiveKind::State { name, .. } => {
                    inner.insert(name.text.clone(), Typed::formula(Type::Float, Kind::State(name.text.clone()), name.span));
                    inner.define_line(name);
                }
                ObjectiveKind::Loss { .. } | ObjectiveKind::Metric { .. } => {}
            }
        }
        for statement in &item.body {
            refused |= self.objective_line(&statement.kind, inner, bound).is_err();
        }
        if refused { Err(Refused) } else { Ok(()) }
    }

    fn objective_line(&mut self, line: &'a ObjectiveKind, inner: &Scope<'a>, bound: &mut Bound) -> Outcome<()> {
        match line {
            ObjectiveKind::Bind { name, .. } => self.local(inner, &name.text, name.span).map_or(Ok(()), |v| v.map(|_| ())),
            ObjectiveKind::Loss { value, weight } => {
                let value = self.number_line(value, inner)?;
                let weight = weight.as_ref().map(|w| self.number_line(w, inner)).transpose()?;
                let scale = Arc::new(Core { span: value.span, kind: Kind::Const(Cell::Float(1.0)) });
                bound.def.losses.push(Loss { value, weight, scale, on: None });
                Ok(())
            }
            ObjectiveKind::Metric { name, value } => {
                let value = match value {
                    Some(e) => self.expression(e, inner, None)?,
                    None => match self.local(inner, &name.text, name.span) {
                        Some(value) => value?,
                        None => {
                            return Err(self.report(Mistake::UnknownName {
                                name: name.text.clone(),
                                span: name.span,
                                known: inner.known(),
                            }));
                        }
                    },
                };
                let number = value.ty.is_number() || matches!(value.ty, Type::Bool | Type::Tokens);
                let formula = value
                    .as_formula()
                    .filter(|_| number)
                    .ok_or_else(|| self.report(Mistake::mismatch(None, value.ty.clone(), Type::Float, value.span)))?;
                bound.def.metrics.push((name.text.clone(), formula));
                bound.metrics.insert(name.text.clone(), Type::Estimate);
                Ok(())
            }
            ObjectiveKind::State { name, start, next } => {
                let (start, next) = (self.number_line(start, inner)?, self.number_line(next, inner)?);
                bound.def.states.push(State { name: name.text.clone(), start, next });
                Ok(())
            }
        }
    }

    fn number_line(&mut self, e: &'a crate::syntax::tree::Expr, inner: &Scope<'a>) -> Outcome<Formula> {
        let value = self.expression(e, inner, Some(&Type::Float))?;
        let value = self.numeric(value, inner)?;
        if value.ty.is_numbers() {
            return Err(self.report(Mistake::mismatch(None, value.ty.clone(), Type::Float, value.span)));
        }
        value.as_formula().ok_or(Refused)
    }

    /// `a + b` and `2 * a` of objectives.
    pub fn objective_arithmetic(&mut self, op: BinaryOp, a: Typed, b: Typed, span: Span) -> Outcome<Typed> {
        match (op, &a.value, &b.value) {
            (BinaryOp::Add, Value::Objective(x), Value::Objective(y)) => {
                let mut sum = Bound::clone(x);
                sum.span = Some(span);
                sum.def.losses.extend(y.def.losses.iter().cloned());
                sum.def.states.extend(y.def.states.iter().cloned());
                sum.def.trained.extend(y.def.trained.iter().cloned());
                sum.numbers.extend(y.numbers.clone());
                for (name, formula) in &y.def.metrics {
                    if sum.metrics.insert(name.clone(), Type::Estimate).is_none() {
                        sum.def.metrics.push((name.clone(), formula.clone()));
                    }
                }
                sum.rows.extend(y.rows.clone());
                sum.reads.extend(y.reads.iter().copied());
                let ty = Type::Objective { rows: sum.rows.clone(), metrics: sum.metrics.clone() };
                Ok(Typed { ty, value: Value::Objective(Arc::new(sum)), span })
            }
            (BinaryOp::Multiply, Value::Objective(x), _) if b.ty.is_number() => self.scaled(x, &b, &a.ty, span),
            (BinaryOp::Multiply, _, Value::Objective(y)) if a.ty.is_number() => self.scaled(y, &a, &b.ty, span),
            _ => Err(self.report(Mistake::ObjectiveArithmetic { span })),
        }
    }

    fn scaled(&mut self, objective: &Arc<Bound>, factor: &Typed, ty: &Type, span: Span) -> Outcome<Typed> {
        let mut scaled = Bound::clone(objective);
        for loss in &mut scaled.def.losses {
            let before = Typed { ty: Type::Float, value: Value::Formula(loss.scale.clone()), span };
            let after = self.word("*", vec![factor.clone(), before], Type::Float, span)?;
            loss.scale = after.as_formula().ok_or(Refused)?;
        }
        Ok(Typed { ty: ty.clone(), value: Value::Objective(Arc::new(scaled)), span })
    }

    /// Shapes and networks of an objective, once it is known what it trains.
    pub fn check_objective(&mut self, bound: &Bound, primitive: &str, args: &std::collections::BTreeMap<Arc<str>, Arg>) -> Outcome<()> {
        let under = if primitive == "rl" { Under::Rl } else { Under::Train };
        if let Err(errors) = shape::check(&bound.def, under) {
            for error in errors {
                self.add(error.diagnostic());
            }
            return Err(Refused);
        }
        let Some(Arg::Artifact(output)) = args.get("network").or_else(|| args.get("policy")) else {
            let networks = bound.def.trained.iter().any(|t| matches!(t, Trained::Network { .. }));
            // an objective that nothing calls yet is checked without arguments
            if args.contains_key("objective") && (networks || !bound.reads.is_empty()) {
                let span = bound.span.expect("objectives have a place");
                return Err(self.report(Mistake::TrainsNetwork { stage: primitive.into(), span }));
            }
            return Ok(());
        };
        let found = self.output_type(output);
        let wanted = bound.reads.iter().map(|word| match *word {
            "score" => Type::Scorer,
            "value" => Type::Critic,
            _ => Type::Model,
        });
        for wanted in wanted {
            // a scorer of a tied network still gives log-probs; where it is not tied, its first step says so
            let beside = found == Type::Scorer && wanted == Type::Model && bound.reads.contains(&"score");
            if found != wanted && found != Type::Network && !beside {
                let span = bound.span.expect("objectives have a place");
                return Err(self.report(Mistake::WrongNetwork { found, wanted, span }));
            }
        }
        Ok(())
    }

    /// The type of an artifact of this plan.
    pub fn output_type(&self, output: &Output) -> Type {
        let Some(stage) = self.stages.get(output.stage.0) else { return Type::Network };
        match output.path.first() {
            None => stage.output.clone(),
            Some(name) => stage.extras.get(name).cloned().unwrap_or(Type::Unknown),
        }
    }
}

enum Own {
    Training,
    Rows(Output),
    Nothing,
}

/// The words of `model` that an objective's formulas use.
fn reads(def: &ObjectiveDef) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let roots = def.losses.iter().map(|l| &l.value).chain(def.metrics.iter().map(|(_, f)| f));
    for root in roots {
        walk(root, &mut seen, &mut found);
    }
    found
}

fn walk(formula: &Formula, seen: &mut std::collections::BTreeSet<*const Core>, found: &mut Vec<&'static str>) {
    if !seen.insert(Arc::as_ptr(formula)) {
        return;
    }
    if let Kind::Word { word, args } = &formula.kind {
        if args.first().is_some_and(|a| matches!(a.kind, Kind::Model)) && !found.contains(word) {
            found.push(word);
        }
    }
    for child in crate::formula::program::children(formula) {
        walk(&child, seen, found);
    }
}
