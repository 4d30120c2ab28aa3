//! What a call says, without what it is called: arguments as canonical data, inputs as places.
//!
//! A place names an input by where it stands in the call: `policy`, `candidates.2`, `reward#0` (the first artifact that
//! the formula `reward` mentions). Arguments speak of inputs by place only, so the meaning of a call does not change
//! when a stage above it does; [`super::fingerprint`] adds what stands at each place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::formula::expr::{Expr, Formula, Kind, Output};
use crate::formula::meaning::{constant, meaning, objective_meaning};
use crate::formula::program::children;
use crate::recipe::checked::{Arg, Condition, StageCall};

/// A call's arguments, and which output stands at each place.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Meaning {
    pub arguments: BTreeMap<String, Value>,
    pub places: BTreeMap<String, Output>,
}

impl Meaning {
    /// The meaning of a call.
    pub fn of(stage: &StageCall) -> Self {
        let mut this = Self::default();
        for (name, arg) in &stage.args {
            let value = this.argument(name, arg);
            this.arguments.insert(name.to_string(), value);
        }
        this
    }

    fn argument(&mut self, name: &str, arg: &Arg) -> Value {
        match arg {
            Arg::Value(cell) => constant(cell),
            Arg::Artifact(output) => self.place(name.to_owned(), output),
            Arg::Artifacts(outputs) => outputs.iter().enumerate().map(|(i, output)| self.place(format!("{name}.{i}"), output)).collect(),
            Arg::Formula(formula) => self.formula(name, formula),
            Arg::Columns(columns) => {
                let columns = columns.iter().map(|(column, formula)| json!([**column, self.formula(&format!("{name}.{column}"), formula)]));
                columns.collect()
            }
            Arg::Objective(def) => {
                let mut namer = Namer::new(name);
                let value = objective_meaning(def, &mut |output| namer.name(output));
                self.places.extend(namer.places());
                value
            }
            Arg::Rows(ty) => json!({ "rows": ty.to_string() }),
        }
    }

    fn place(&mut self, place: String, output: &Output) -> Value {
        let value = json!({ "input": place });
        self.places.insert(place, output.clone());
        value
    }

    fn formula(&mut self, name: &str, formula: &Formula) -> Value {
        if let Kind::Const(cell) = &formula.kind {
            return constant(cell);
        }
        let mut namer = Namer::new(name);
        let value = meaning(formula, &mut |output| namer.name(output));
        self.places.extend(namer.places());
        value
    }

    /// Conditions under which something exists, for a call that also runs without it.
    pub fn conditions(&mut self, name: &str, conditions: &[Condition]) -> Value {
        let each = conditions
            .iter()
            .enumerate()
            .map(|(i, condition)| json!([condition.holds, self.formula(&format!("{name}.{i}"), &condition.formula)]));
        each.collect()
    }
}

/// Numbers the artifacts of one argument in the order in which its meaning mentions them.
struct Namer<'a> {
    argument: &'a str,
    outputs: Vec<Output>,
}

impl<'a> Namer<'a> {
    fn new(argument: &'a str) -> Self {
        Self { argument, outputs: Vec::new() }
    }

    fn name(&mut self, output: &Output) -> String {
        let known = self.outputs.iter().position(|o| o == output);
        let at = known.unwrap_or_else(|| {
            self.outputs.push(output.clone());
            self.outputs.len() - 1
        });
        format!("{}#{at}", self.argument)
    }

    fn places(self) -> impl Iterator<Item = (String, Output)> {
        let argument = self.argument.to_owned();
        self.outputs.into_iter().enumerate().map(move |(at, output)| (format!("{argument}#{at}"), output))
    }
}

/// A call whose `...columns` stand in a fixed order where their order says nothing: no column reads another new one.
pub fn canonical(stage: &StageCall) -> StageCall {
    let mut stage = stage.clone();
    for arg in stage.args.values_mut() {
        if let Arg::Columns(columns) = arg {
            let names: BTreeSet<Arc<str>> = columns.iter().map(|(name, _)| name.clone()).collect();
            // a list that the checker wrote is numbered, and its order counts
            let written = names.len() == columns.len() && names.iter().all(|name| !name.starts_with(|c: char| c.is_ascii_digit()));
            if written && !columns.iter().any(|(_, formula)| reads(formula, &names)) {
                columns.sort_by(|a, b| a.0.cmp(&b.0));
            }
        }
    }
    stage
}

fn reads(formula: &Formula, names: &BTreeSet<Arc<str>>) -> bool {
    let mut found = false;
    walk(formula, &mut |expr| found |= matches!(&expr.kind, Kind::Column(name) if names.contains(name)));
    found
}

/// Every artifact that a formula mentions, each once.
pub fn artifacts(formula: &Formula) -> Vec<Output> {
    let mut found = Vec::new();
    walk(formula, &mut |expr| {
        if let Kind::Artifact(output) = &expr.kind
            && !found.contains(output)
        {
            found.push(output.clone());
        }
    });
    found
}

/// Visits every part of a formula once, shared parts too.
pub fn walk(formula: &Formula, visit: &mut dyn FnMut(&Expr)) {
    let (mut seen, mut open) = (BTreeSet::new(), vec![formula.clone()]);
    while let Some(next) = open.pop() {
        if seen.insert(Arc::as_ptr(&next)) {
            visit(&next);
            open.extend(children(&next).into_iter().rev());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{Sketch, column, constant as number, word};
    use crate::value::Cell;

    #[test]
    fn inputs_are_named_by_where_they_stand() {
        let mut sketch = Sketch::default();
        let rows = sketch.stage("rows", "blank", vec![("count", Arg::Value(Cell::Int(3)))]);
        let bar = sketch.stage("bar", "measure", vec![("data", Arg::Artifact(rows.clone()))]);
        let where_ = word(">", vec![column("x"), sketch.part(&bar, "mean")]);
        sketch.stage("kept", "filter", vec![("data", Arg::Artifact(rows)), ("where", Arg::Formula(where_))]);
        let meaning = Meaning::of(&sketch.checked.stages[2]);
        assert_eq!(meaning.places.keys().collect::<Vec<_>>(), ["data", "where#0"]);
        assert_eq!(meaning.arguments["data"], json!({ "input": "data" }));
    }

    #[test]
    fn columns_that_do_not_read_each_other_have_no_order() {
        let mut sketch = Sketch::default();
        let rows = sketch.stage("rows", "blank", vec![("count", Arg::Value(Cell::Int(3)))]);
        let mut with = |columns: Vec<(&str, Formula)>| {
            let columns = columns.into_iter().map(|(n, f)| (Arc::from(n), f)).collect();
            sketch.stage("w", "with", vec![("data", Arg::Artifact(rows.clone())), ("columns", Arg::Columns(columns))]);
            Meaning::of(&canonical(sketch.checked.stages.last().expect("added")))
        };
        let (a, b) = (number(1.0), number(2.0));
        assert_eq!(with(vec![("a", a.clone()), ("b", b.clone())]), with(vec![("b", b.clone()), ("a", a.clone())]));
        let reads_a = word("+", vec![column("a"), b]);
        assert_ne!(with(vec![("a", a.clone()), ("b", reads_a.clone())]), with(vec![("b", reads_a), ("a", a)]));
    }
}
