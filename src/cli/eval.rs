//! `align eval`: an objective or `fn` at given numbers, for people who write losses.

use std::fs;

use serde_json::{Value, json};

use crate::formula::at;
use crate::formula::expr::Output;
use crate::recipe::{self, Subject};
use crate::run::number;
use crate::world::Sources;

use super::Exit;
use super::args::EvalArgs;
use super::out;

pub(super) fn eval(args: &EvalArgs) -> Exit {
    match answer(args) {
        Ok(answer) => {
            if args.json {
                out::line(&answer.to_string());
            } else {
                out::print(&shown(&answer));
            }
            Exit::Done
        }
        Err(Some(message)) => {
            out::error(&message);
            Exit::Failed
        }
        Err(None) => Exit::Failed,
    }
}

/// The answer as JSON; `None` once the diagnostics have been shown.
fn answer(args: &EvalArgs) -> Result<Value, Option<String>> {
    let cannot = |path: &std::path::Path, why: String| Some(format!("`{}` cannot be read: {why}", path.display()));
    let text = fs::read_to_string(&args.at).map_err(|e| cannot(&args.at, e.to_string()))?;
    let file: Value = serde_json::from_str(&text).map_err(|e| cannot(&args.at, e.to_string()))?;
    let (file, params) = case(file, &args.params);
    if file.get("rows").is_some_and(|rows| rows.as_array().is_some_and(Vec::is_empty)) || file.get("rows").is_none() && !file.is_array() {
        return Err(Some(format!("`{}` has no rows: write `{{\"rows\": [{{…}}]}}`", args.at.display())));
    }
    let mut sources = Sources::default();
    let from = match &args.from {
        Some(path) => Some(sources.read(path).map_err(|e| cannot(path, e.to_string()))?),
        None => None,
    };
    let (subject, names) = recipe::subject(&mut sources, from, &args.name, &params).map_err(|diagnostics| {
        out::diagnostics(&diagnostics, &sources);
        None
    })?;
    let name = |output: &Output| names.get(output.stage.0).cloned().unwrap_or_else(|| "…".to_owned());
    let answer = match &subject {
        Subject::Objective(def) => at::objective(def, &file, &name).map(|answer| json!(answer)),
        Subject::Formula(formula) => at::formula(formula, &file, &name),
    };
    answer.map_err(|error| match error {
        at::AtError::Refused(mistakes) => {
            let diagnostics: Vec<_> = mistakes.iter().map(crate::formula::shape::ShapeError::diagnostic).collect();
            out::diagnostics(&diagnostics, &sources);
            None
        }
        at::AtError::Eval(error) => {
            out::diagnostics(&[error.diagnostic()], &sources);
            None
        }
        other => Some(format!("`{}`: {other}", args.at.display())),
    })
}

/// A test case (`tests/objectives`) holds its rows under `at` and its params beside them; the command line wins.
fn case(file: Value, given: &[(String, String)]) -> (Value, Vec<(String, String)>) {
    let Some(rows) = file.get("at") else { return (file, given.to_vec()) };
    let written = file.get("params").and_then(Value::as_object).into_iter().flatten();
    let params = written.map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    (rows.clone(), params.chain(given.iter().cloned()).collect())
}

/// One line for every number, lists in a row.
fn shown(answer: &Value) -> String {
    let mut text = String::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Object(fields) if fields.is_empty() => {}
            Value::Object(fields) => {
                text += &format!("{name}\n");
                for (field, value) in fields {
                    text += &format!("  {field}  {}\n", numbers(value));
                }
            }
            other => text += &format!("{name}  {}\n", numbers(other)),
        }
    }
    text
}

fn numbers(value: &Value) -> String {
    match value {
        Value::Number(x) => x.as_f64().map_or_else(|| x.to_string(), number),
        Value::Array(items) => format!("[{}]", items.iter().map(numbers).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_line_by_line() {
        let answer = json!({ "loss": 0.6211, "losses": [0.6211], "metrics": { "accuracy": 0.5 }, "next": {} });
        assert_eq!(shown(&answer), "loss  0.6211\nlosses  [0.6211]\nmetrics\n  accuracy  0.5000\n");
    }
}
