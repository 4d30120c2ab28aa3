//! Loops of a run as tables: a row for each round of a `repeat` or value of a `sweep`, its numbers with their intervals.
//!
//! A stage says which rounds it is of (`plan.json`); a call that two rounds share is one stage and counts in both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::ReportError;
use super::folder::whole;
use super::graph::stage_of;

/// What is known of a round so far.
#[derive(Default)]
struct Row {
    values: Value,
    /// What was measured, and what training said of itself.
    numbers: [Map<String, Value>; 2],
    /// States of its stages.
    states: BTreeSet<String>,
    kept: bool,
}

/// Every loop that has numbers, in the order of the plan.
pub(super) fn loops(store: &Path, stages: &[Value]) -> Result<Vec<Value>, ReportError> {
    let mut order: Vec<&str> = Vec::new();
    let mut found: BTreeMap<&str, BTreeMap<u64, Row>> = BTreeMap::new();
    for stage in stages {
        for round in stage["rounds"].as_array().into_iter().flatten() {
            let (Some(of), Some(index)) = (round["loop"].as_str(), round["index"].as_u64()) else { continue };
            if !order.contains(&of) {
                order.push(of);
            }
            let row = found.entry(of).or_default().entry(index).or_default();
            row.values = round["values"].clone();
            row.states.extend(stage["state"].as_str().map(str::to_owned));
            let numbers = &mut row.numbers[usize::from(stage["primitive"] != "measure")];
            add(numbers, round["name"].as_str().unwrap_or_default(), &stage["values"]);
        }
    }
    for (of, index) in kept(store, stages)? {
        if let Some(row) = found.get_mut(of).and_then(|rows| rows.get_mut(&index)) {
            row.kept = true;
        }
    }
    let each = order.into_iter().filter_map(|of| Some((of, found.remove(of)?))).filter(|(_, rows)| rows.len() > 1);
    Ok(each.map(|(of, rows)| shown(of, &rows)).filter(|table| !table["columns"].as_array().is_none_or(Vec::is_empty)).collect())
}

/// Adds a stage's numbers under what a recipe would write inside the loop: `seen.gold` of `seen.measure`.
fn add(numbers: &mut Map<String, Value>, stage: &str, values: &Value) {
    let mut parts: Vec<&str> = stage.strip_suffix(".measure").unwrap_or(stage).split('.').collect();
    // a binding that holds nothing but a library's binding of the same name
    parts.dedup();
    for (name, value) in values.as_object().into_iter().flatten().filter(|(_, value)| value.is_number() || value["mean"].is_number()) {
        let full = format!("{}.{name}", parts.join("."));
        let mut free = full.clone();
        for more in 2.. {
            if !numbers.contains_key(&free) {
                break;
            }
            free = format!("{full} {more}");
        }
        numbers.insert(free, value.clone());
    }
}

/// The loop and round of everything that a `keep` chose.
fn kept<'a>(store: &Path, stages: &'a [Value]) -> Result<Vec<(&'a str, u64)>, ReportError> {
    let named: BTreeMap<&str, &Value> = stages.iter().filter_map(|s| Some((s["name"].as_str()?, s))).collect();
    let mut found = Vec::new();
    for keep in stages.iter().filter(|s| s["primitive"] == "keep" && matches!(s["state"].as_str(), Some("made" | "cached"))) {
        let Some(fingerprint) = keep["fingerprint"].as_str() else { continue };
        let manifest = whole(&store.join("objects").join(fingerprint).join(crate::durable::MANIFEST))?;
        let place = manifest["note"]["main"]["same"]["place"].as_str().unwrap_or_default();
        let chosen = keep["inputs"][place].as_str().and_then(|shown| stage_of(shown, &named));
        let Some((chosen, at)) = chosen.zip(place.strip_prefix("candidates.").and_then(|at| at.parse::<u64>().ok())) else { continue };
        // a stage that several rounds share is that of the candidate's place
        let rounds = named[chosen]["rounds"].as_array().into_iter().flatten().filter(|round| round["index"] == at);
        found.extend(rounds.filter_map(|round| Some((round["loop"].as_str()?, at))));
    }
    Ok(found)
}

fn shown(of: &str, rows: &BTreeMap<u64, Row>) -> Value {
    let [measured, trained] = [0, 1].map(|kind| columns(rows, kind));
    let axes: Vec<Value> = rows.values().next().into_iter().flat_map(|row| row.values.as_array()).flatten().map(|v| v[0].clone()).collect();
    let each = rows.iter().map(|(index, row)| {
        let is = |state: &str| row.states.contains(state);
        let state = match () {
            () if is("failed") => "failed",
            () if is("running") => "running",
            () if is("made") || is("cached") => "made",
            () if is("skipped") => "skipped",
            () => "left",
        };
        let values: Vec<Value> = row.values.as_array().into_iter().flatten().map(|v| v[1].clone()).collect();
        let cells = [&measured, &trained].into_iter().zip(&row.numbers);
        let cells = cells.flat_map(|(names, numbers)| names.iter().map(|name| numbers.get(*name).cloned().unwrap_or(Value::Null)));
        json!({ "index": index, "values": values, "state": state, "kept": row.kept, "numbers": cells.collect::<Vec<_>>() })
    });
    let each: Vec<Value> = each.collect();
    let names = [&measured[..], &trained[..]].concat();
    json!({ "loop": of, "axes": axes, "columns": names, "measured": measured.len(), "rounds": each })
}

/// Names of numbers that the rounds share. What one of several has alone (a binding that was first needed there) says
/// nothing about the others.
fn columns(rows: &BTreeMap<u64, Row>, kind: usize) -> Vec<&String> {
    let told = rows.values().filter(|row| row.numbers.iter().any(|numbers| !numbers.is_empty())).count().min(2);
    let mut found: Vec<&String> = Vec::new();
    for name in rows.values().flat_map(|row| row.numbers[kind].keys()) {
        if !found.contains(&name) && rows.values().filter(|row| row.numbers[kind].contains_key(name)).count() >= told {
            found.push(name);
        }
    }
    found
}
