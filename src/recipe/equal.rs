//! Which calls are one stage: those that do the same with the same.
//!
//! Lowering formulas to what they mean is dear beside the rest of a check, so calls are compared in two steps: by everything but
//! their formulas, and only where that agrees by the formulas.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::formula::expr::{Output, StageId};
use crate::formula::program::{meaning, objective_meaning};

use super::checked::{Arg, StageCall};

/// The stages so far, by what they do.
#[derive(Default, Debug)]
pub struct Calls {
    /// By everything but the formulas: the stages, each with the meaning of its formulas once somebody asked for it.
    alike: HashMap<String, Vec<(StageId, Option<String>)>>,
}

impl Calls {
    /// The stage among `stages` that a call is; where there is none, the call becomes the next one.
    pub fn known_or_next(&mut self, call: &StageCall, stages: &[StageCall]) -> Option<StageId> {
        let alike = self.alike.entry(plain(call)).or_default();
        let mut own = None;
        for (id, known) in alike.iter_mut() {
            let known = known.get_or_insert_with(|| formulas(&stages[id.0]));
            if own.get_or_insert_with(|| formulas(call)) == known {
                return Some(*id);
            }
        }
        alike.push((StageId(stages.len()), own));
        None
    }

    /// Forgets the stages from the `first` on.
    pub fn truncate(&mut self, first: usize) {
        for alike in self.alike.values_mut() {
            alike.retain(|(id, _)| id.0 < first);
        }
    }
}

/// What a call does, not what it is called, formulas aside.
fn plain(call: &StageCall) -> String {
    let parts = call.args.iter().map(|(name, arg)| {
        let value = match arg {
            Arg::Value(cell) => format!("{cell:?}"),
            Arg::Artifact(output) => artifact(output),
            Arg::Artifacts(outputs) => format!("[{}]", outputs.iter().map(artifact).collect::<Vec<_>>().join(",")),
            Arg::Columns(columns) => columns.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(","),
            Arg::Rows(ty) => ty.to_string(),
            Arg::Formula(_) | Arg::Objective(_) => String::new(),
        };
        format!("{name:?}: {value:?}")
    });
    format!("{} {:?} {}", call.primitive, call.seed, parts.collect::<Vec<_>>().join("; "))
}

/// What the formulas of a call mean, in the order of its arguments; as a text, in which 0 and -0 are two things.
fn formulas(call: &StageCall) -> String {
    let mut named = artifact;
    let part = |arg: &Arg| match arg {
        Arg::Formula(formula) => meaning(formula, &mut named),
        Arg::Columns(columns) => columns.iter().map(|(_, formula)| meaning(formula, &mut named)).collect(),
        Arg::Objective(def) => objective_meaning(def, &mut named),
        Arg::Value(_) | Arg::Artifact(_) | Arg::Artifacts(_) | Arg::Rows(_) => json!(null),
    };
    call.args.values().map(part).collect::<Value>().to_string()
}

fn artifact(output: &Output) -> String {
    format!("{}#{}", output.stage.0, output.path.join("."))
}
