//! Red teaming: every measured number that says what harm it is about, row by row, and the worst rows to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::folder::{lines, whole};
use super::graph::stage_of;

/// Rows whose texts are shown for each measured number.
const SHOWN: usize = 60;
/// A column with more different texts than this says what a row is, not of which kind it is.
const KINDS: usize = 40;

/// What the measures of harm found. `details` are theirs; `previous` are the stages of an earlier run.
pub(super) fn attacks(store: &Path, stages: &[Value], details: &[Value], previous: Option<&[Value]>) -> Vec<Value> {
    let places: BTreeMap<&str, &Value> = stages.iter().filter_map(|s| Some((s["name"].as_str()?, s))).collect();
    let values: BTreeMap<&str, &Value> = details.iter().filter_map(|d| Some((d["stage"].as_str()?, d))).collect();
    let mut found = Vec::new();
    for stage in stages.iter().filter(|s| s["primitive"] == "measure" && s["args"]["about"].is_string()) {
        let Some(name) = stage["name"].as_str() else { continue };
        let Some(detail) = values.get(name) else { continue };
        let Some(rows) = table(store, stage, &places) else { continue };
        let before = previous.and_then(|stages| stages.iter().find(|s| s["name"] == name));
        for (metric, entry) in detail["metrics"].as_object().into_iter().flatten() {
            let Some(numbers) = entry["values"].as_array().filter(|n| n.len() == rows.len()) else { continue };
            let mut one = json!({
                "stage": name, "metric": metric, "card": stage["args"]["about"], "data": stage["inputs"]["data"],
                "estimate": stage["values"][metric], "seed": stage["seed"],
                "network": network(stage, &places),
                "values": numbers, "share": entry["share"],
            });
            one["labels"] = labels(&rows);
            one["prompts"] = rows.iter().map(|row| json!(key(&row["prompt"]))).collect();
            one["items"] = rows.iter().map(|row| row["item"].clone()).collect();
            one["shown"] = shown(&rows, numbers);
            if let Some(before) = before {
                one["before"] = before["values"][metric].clone();
                one["before_values"] = earlier(store, before, metric);
            }
            found.push(one);
        }
    }
    found
}

/// The rows that a measure read.
fn table(store: &Path, stage: &Value, places: &BTreeMap<&str, &Value>) -> Option<Vec<Value>> {
    let shown = stage["inputs"]["data"].as_str()?;
    let name = stage_of(shown, places)?;
    let folder = store.join("objects").join(places[name]["fingerprint"].as_str()?);
    let manifest = whole(&folder.join(crate::durable::MANIFEST)).ok()?;
    let mut stored = &manifest["note"]["main"];
    for part in shown[name.len()..].split('.').filter(|part| !part.is_empty()) {
        stored = stored["record"].as_array()?.iter().find(|field| field[0] == part).map(|field| &field[1])?;
    }
    lines(&folder.join(stored["table"]["path"].as_str()?)).ok()
}

/// The network whose answers were measured: the nearest above that wrote a column.
fn network(stage: &Value, places: &BTreeMap<&str, &Value>) -> Value {
    let mut at = stage;
    for _ in 0..64 {
        if let Some((_, network)) = at["samples"].as_object().and_then(|samples| samples.iter().next()) {
            return network.clone();
        }
        let Some(above) = at["inputs"]["data"].as_str().and_then(|shown| stage_of(shown, places)) else { break };
        at = places[above];
    }
    Value::Null
}

/// Columns of text that say of which kind a row is: technique, category, language …
fn labels(rows: &[Value]) -> Value {
    let mut found = Map::new();
    let columns =
        rows.first().and_then(Value::as_object).into_iter().flatten().filter(|(name, value)| value.is_string() && *name != "prompt");
    for (name, _) in columns {
        let texts: Vec<&str> = rows.iter().map(|row| row[name].as_str().unwrap_or_default()).collect();
        let kinds: BTreeSet<&str> = texts.iter().copied().collect();
        if kinds.len() < 2 || kinds.len() > KINDS || kinds.len() * 2 > rows.len() {
            continue;
        }
        let names: Vec<&str> = kinds.into_iter().collect();
        let places: Vec<usize> = texts.iter().map(|text| names.binary_search(text).unwrap_or(0)).collect();
        found.insert(name.clone(), json!({ "names": names, "of": places }));
    }
    Value::Object(found)
}

/// Equal prompts have equal keys, in every run.
fn key(prompt: &Value) -> String {
    blake3::hash(prompt.to_string().as_bytes()).to_hex()[..10].to_owned()
}

/// The worst rows, the worst first, in the order of the table where they are as bad.
fn shown(rows: &[Value], numbers: &[Value]) -> Value {
    let harm = |at: usize| rows[at]["harm"].as_f64().or_else(|| numbers[at].as_f64()).unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| harm(*b).total_cmp(&harm(*a)).then(a.cmp(b)));
    let each = order.into_iter().take(SHOWN).map(|at| {
        let mut row = json!({ "row": at, "prompt": rows[at]["prompt"], "harm": harm(at), "item": rows[at]["item"], "value": numbers[at] });
        let said = rows[at].as_object().into_iter().flatten().find(|(_, cell)| cell["text"].is_string());
        row["text"] = said.map_or(Value::Null, |(_, cell)| cell["text"].clone());
        row["tokens"] = said.map_or(Value::Null, |(_, cell)| cell["tokens"].clone());
        row
    });
    each.collect()
}

/// An earlier run's values and prompts, where its artifact is still there.
fn earlier(store: &Path, before: &Value, metric: &str) -> Value {
    let Some(fingerprint) = before["fingerprint"].as_str() else { return Value::Null };
    let folder = store.join("objects").join(fingerprint);
    let detail = whole(&folder.join(crate::stage::detail::FILE)).unwrap_or_default();
    let manifest = whole(&folder.join(crate::durable::MANIFEST)).unwrap_or_default();
    let values = &detail["metrics"][metric]["values"];
    let input = manifest["note"]["key"]["inputs"]["data"].as_str().unwrap_or_default();
    let rows = input.split('.').next().map(|data| store.join("objects").join(data).join("rows.jsonl"));
    let rows = rows.filter(|path| fs::metadata(path).is_ok()).and_then(|path| lines(&path).ok());
    match rows {
        Some(rows) if values.as_array().is_some_and(|v| v.len() == rows.len()) => {
            json!({ "values": values, "prompts": rows.iter().map(|row| key(&row["prompt"])).collect::<Vec<_>>(), "items": rows.iter().map(|row| row["item"].clone()).collect::<Vec<_>>() })
        }
        _ => Value::Null,
    }
}
