//! An objective or formula at given values: what `align eval` shows, and what outside numbers are compared with.
//!
//! In: rows as JSON objects. Plain keys are columns; a key such as `model.logp(.chosen)`, `old(critic.value(.completion))`
//! or `length(.chosen)` gives what a network or a layout would say, so neither is needed. Numbers per token are arrays. A
//! plain number in their place is the sum of `length(…)` equal parts, and its derivative is the one of that sum.
//! Lengths that are not given are those of the arrays; what is not said about `finished(…)` is yes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::value::Cell;

use super::column::Column;
use super::eval::{self, Alone};
use super::expr::{Expr, Formula, Kind, Loss, ObjectiveDef, Output};
use super::failure::EvalError;
use super::given::Given;
use super::objective::{Compiled, Per, Source, States, TrainedNumbers};
use super::phases::Fixed;
use super::program::{Program, children};
use super::shape::{self, ShapeError, Under};
use super::show::Show;

/// What an artifact is called in the file.
pub type Names<'a> = &'a dyn Fn(&Output) -> String;

/// An objective's value, derivatives and metrics.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Answer {
    pub loss: f64,
    /// The share of each `loss` line.
    pub losses: Vec<f64>,
    pub metrics: BTreeMap<String, f64>,
    /// The controllers' next values.
    pub next: States,
    /// Per leaf, per row: one number, or one per token.
    pub derivatives: BTreeMap<String, Value>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AtError {
    #[error("expected {expected}, found {found}")]
    File { expected: &'static str, found: String },
    #[error("row {} does not give `{name}`", row + 1)]
    NotGiven { name: String, row: usize },
    #[error("row {}: `{name}` has {found} numbers, and `{other}` {expected}", row + 1)]
    Length { name: String, other: String, row: usize, found: usize, expected: usize },
    #[error("the objective is refused")]
    Refused(Vec<ShapeError>),
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// Evaluates an objective at the values of a file: `{"rows": […], "states": {…}, "trained": {…}, "on": {name: […]}}`, or
/// just the rows.
///
/// # Errors
/// When the objective is refused, the file does not hold what it reads, or a row has no value.
pub fn objective(def: &ObjectiveDef, file: &Value, names: Names<'_>) -> Result<Answer, AtError> {
    let under = if uses_old(def) { Under::Rl } else { Under::Train };
    let compiled = Compiled::new(def, under).map_err(AtError::Refused)?;
    let (states, numbers) = (states(&compiled, file)?, trained(&compiled, file)?);
    let mut answer = Answer { loss: 0.0, losses: vec![], metrics: BTreeMap::new(), next: States::new(), derivatives: BTreeMap::new() };
    for source in compiled.sources {
        let rows = match source.on() {
            None => rows(file)?,
            Some(output) => rows(file.pointer(&format!("/on/{}", names(output))).unwrap_or(&Value::Null))?,
        };
        Given::new(&source, rows, names)?.answer(source, &states, &numbers, names, &mut answer)?;
    }
    Ok(answer)
}

/// Evaluates a formula at the values of a file: its values, and the derivatives of their sum.
///
/// # Errors
/// As [`objective`].
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn formula(formula: &Formula, file: &Value, names: Names<'_>) -> Result<Value, AtError> {
    let one = Arc::new(Expr { span: formula.span, kind: Kind::Const(Cell::Float(1.0)) });
    let loss = Loss { value: formula.clone(), weight: None, scale: one, on: None };
    let mut def = ObjectiveDef { metrics: vec![("value".into(), formula.clone())], ..ObjectiveDef::default() };
    let program = Program::lower(std::slice::from_ref(formula)).map_err(|e| AtError::Refused(vec![e.into()]))?;
    let (forms, _) = shape::forms(&program, Under::Rl);
    if forms[program.roots[0]].gradient {
        def.losses.push(loss);
    }
    let compiled = Compiled::new(&def, Under::Rl).map_err(AtError::Refused)?;
    let source = compiled.sources.first().expect("there is always a main table").clone();
    let given = Given::new(&source, rows(file)?, names)?;
    let (states, numbers) = (states(&compiled, file)?, trained(&compiled, file)?);
    let fixed = given.fix(&source, &states, &numbers)?;
    let all: Vec<usize> = (0..given.table.len()).collect();
    let metrics = source.metrics(&fixed, &all, &states, &numbers, &given.leaves)?;
    let values = metrics.first().map(|m| m.values.clone()).unwrap_or_default();
    let mut answer = Answer { loss: 0.0, losses: vec![], metrics: BTreeMap::new(), next: States::new(), derivatives: BTreeMap::new() };
    given.differentiate(&source, &fixed, &states, &numbers, names, values.len().max(1) as f64, &mut answer)?;
    Ok(json!({ "values": values, "derivatives": answer.derivatives }))
}

fn uses_old(def: &ObjectiveDef) -> bool {
    fn within(formula: &Formula, seen: &mut std::collections::BTreeSet<*const Expr>) -> bool {
        if !seen.insert(Arc::as_ptr(formula)) {
            return false;
        }
        matches!(formula.kind, Kind::Word { word: "old", .. }) || children(formula).iter().any(|f| within(f, seen))
    }
    let mut seen = std::collections::BTreeSet::new();
    let lines = def.losses.iter().map(|l| &l.value).chain(def.metrics.iter().map(|(_, f)| f)).chain(def.states.iter().map(|s| &s.next));
    lines.into_iter().any(|f| within(f, &mut seen))
}

pub(super) fn wrong(expected: &'static str, found: &Value) -> AtError {
    let found = found.to_string();
    AtError::File { expected, found: if found.len() > 60 { format!("{}…", found.chars().take(60).collect::<String>()) } else { found } }
}

fn rows(value: &Value) -> Result<Vec<&Map<String, Value>>, AtError> {
    if value.is_object() && value.get("rows").is_none() {
        return Ok(Vec::new());
    }
    let list = value.get("rows").unwrap_or(value);
    let list = list.as_array().ok_or_else(|| wrong("a list of rows", list))?;
    list.iter().map(|row| row.as_object().ok_or_else(|| wrong("a row: an object", row))).collect()
}

fn states(compiled: &Compiled, file: &Value) -> Result<States, AtError> {
    let mut states = compiled.start_states(&mut Alone)?;
    for (name, x) in &mut states {
        if let Some(given) = file.pointer(&format!("/states/{name}")) {
            *x = given.as_f64().ok_or_else(|| wrong("a number", given))?;
        }
    }
    Ok(states)
}

fn trained(compiled: &Compiled, file: &Value) -> Result<TrainedNumbers, AtError> {
    let mut numbers = compiled.start_numbers(&mut Alone)?;
    for (name, x) in &mut numbers {
        if let Some(given) = file.pointer(&format!("/trained/{name}")) {
            let cell = Cell::from_json(given.clone()).map_err(|_| wrong("a number or a list of them", given))?;
            *x = Column::once(cell).numbers().map_err(|_| wrong("a number or a list of them", given))?.into_owned();
        }
    }
    Ok(numbers)
}

impl Given {
    fn answer(
        &self,
        source: Source,
        states: &States,
        numbers: &TrainedNumbers,
        names: Names<'_>,
        answer: &mut Answer,
    ) -> Result<(), AtError> {
        let blocked = eval::dependents(&source.tape.program, |slot| self.missing.contains(&slot));
        let source = source.with_metrics(|slot| !blocked[slot]);
        let fixed = self.fix(&source, states, numbers)?;
        self.differentiate(&source, &fixed, states, numbers, names, 1.0, answer)?;
        let all: Vec<usize> = (0..self.table.len()).collect();
        let metrics = source.metrics(&fixed, &all, states, numbers, &self.leaves)?;
        answer.metrics.extend(metrics.iter().map(|m| (m.name.to_string(), m.mean())));
        answer.next.extend(fixed.next_states().clone());
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a step reads, and where its answer goes")]
    fn differentiate(
        &self,
        source: &Source,
        fixed: &Fixed,
        states: &States,
        numbers: &TrainedNumbers,
        names: Names<'_>,
        factor: f64,
        answer: &mut Answer,
    ) -> Result<(), AtError> {
        let all: Vec<usize> = (0..self.table.len()).collect();
        let step = source.begin(fixed, &all, states, numbers, &self.leaves)?;
        let outcome = source.part(&step, &all, &self.leaves)?;
        answer.loss += outcome.loss;
        answer.losses.extend(outcome.lines);
        answer.next.extend(step.next_states().clone());
        let show = Show::new(&source.tape.program, names);
        for (i, (leaf, coefficients)) in source.leaves().iter().zip(outcome.coefficients).enumerate() {
            if let Some(coefficients) = coefficients {
                let scaled: Vec<f64> = coefficients.into_iter().map(|c| c * factor).collect();
                let shown = self.by_row(i, leaf.per, &scaled);
                answer.derivatives.insert(show.slot(leaf.slot), shown);
            }
        }
        for (name, derivative) in outcome.numbers {
            let scaled: Vec<f64> = derivative.into_iter().map(|d| d * factor).collect();
            answer.derivatives.insert(name.to_string(), if let [one] = scaled[..] { json!(one) } else { json!(scaled) });
        }
        Ok(())
    }

    /// A leaf's derivatives row by row; of a sum of equal parts, the mean over the parts.
    fn by_row(&self, leaf: usize, per: Per, coefficients: &[f64]) -> Value {
        let mut rest = coefficients;
        let row = |n: &usize| {
            let (own, after) = rest.split_at(*n);
            rest = after;
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            match per {
                Per::Row => json!(own[0]),
                Per::Token if self.sums[leaf] => json!(own.iter().sum::<f64>() / own.len().max(1) as f64),
                Per::Token => json!(own),
            }
        };
        self.lengths[leaf].iter().map(row).collect()
    }
}
