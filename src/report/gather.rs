//! Everything that a report shows, as one JSON value.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::attacks::attacks;
use super::folder::{Folder, lines, runs, stamp, whole};
use super::loops::loops;
use super::{ReportError, graph};

/// Earlier runs that are looked at for what they made and for how it was.
const MOST: usize = 64;

/// Gathers a run's report. `store` is `.align`.
///
/// # Errors
/// When a file of the run cannot be read.
pub fn gather(store: &Path, run: &Path) -> Result<Value, ReportError> {
    let folder = Folder::read(run)?;
    let earlier = earlier(store, &folder)?;
    let mut stages = stages(&folder);
    let curves = curves(&folder, &stages, &earlier);
    let details: Vec<Value> = stages.iter().filter_map(|stage| detail(store, stage).transpose()).collect::<Result<_, _>>()?;
    let previous = earlier.iter().rev().find(|run| run.recipe() == folder.recipe());
    if let Some(previous) = previous {
        compare(&mut stages, previous);
    }
    let red = attacks(store, &stages, &details, previous.map(|p| p.summary["stages"].as_array().cloned().unwrap_or_default()).as_deref());
    let title = folder.started()["title"].clone();
    let finished = folder.events.iter().rev().find(|e| e["event"] == "finished").cloned().unwrap_or(Value::Null);
    let said = |kind: &str| folder.events.iter().filter(|e| e["event"] == kind).cloned().collect::<Vec<Value>>();
    Ok(json!({
        "run": {
            "id": folder.name,
            "recipe": folder.recipe(),
            "title": title,
            "started": folder.summary["started"].as_str().map_or_else(|| stamp(&folder.name), str::to_owned),
            "seconds": finished["seconds"].as_f64().or_else(|| folder.events.last().and_then(|e| e["time"].as_f64())),
            "device": folder.started()["device"],
            "because": folder.started()["because"],
            "tally": finished["tally"],
            "exit": folder.summary["exit"],
            "live": folder.summary.is_null(),
            "previous": previous.map(|p| p.name.clone()),
        },
        "plan": without_stages(&folder.plan),
        "graph": graph::svg(folder.recipe(), &stages),
        "stages": stages,
        "curves": curves,
        "loops": loops(store, &stages)?,
        "details": details,
        "samples": if folder.samples.is_null() { json!([]) } else { folder.samples.clone() },
        "attacks": red,
        "expectations": expectations(&folder),
        "figures": figures(store, &stages)?,
        "warnings": said("warning"),
        "exports": said("exported").into_iter().chain(said("withheld")).collect::<Vec<_>>(),
        "failures": said("failed").into_iter().chain(said("refused")).collect::<Vec<_>>(),
        "files": if folder.plan.is_null() { folder.summary["files"].clone() } else { folder.plan["files"].clone() },
    }))
}

/// A run before this one. Its numbers are read when they are needed: most are not.
struct Earlier {
    name: String,
    path: PathBuf,
    summary: Value,
    metrics: OnceCell<Vec<Value>>,
}

impl Earlier {
    fn recipe(&self) -> &str {
        self.summary["recipe"].as_str().unwrap_or_default()
    }

    fn metrics(&self) -> &[Value] {
        // numbers that cannot be read any more are no reason against the report of another run
        self.metrics.get_or_init(|| lines(&self.path.join("metrics.jsonl")).unwrap_or_default())
    }
}

/// The runs of the store that ended before this one began, the oldest first.
fn earlier(store: &Path, folder: &Folder) -> Result<Vec<Earlier>, ReportError> {
    let names = runs(store)?;
    let own = names.iter().position(|name| *name == folder.name).unwrap_or(names.len());
    let each = names[own.saturating_sub(MOST)..own].iter().filter_map(|name| {
        let path = store.join("runs").join(name);
        let summary = whole(&path.join("summary.json")).ok().filter(Value::is_object)?;
        Some(Earlier { name: name.clone(), path, summary, metrics: OnceCell::new() })
    });
    Ok(each.collect())
}

fn without_stages(plan: &Value) -> Value {
    let mut plan = plan.clone();
    if let Some(fields) = plan.as_object_mut() {
        fields.remove("stages");
    }
    plan
}

/// The stages of the plan with what became of them.
fn stages(folder: &Folder) -> Vec<Value> {
    let summary: BTreeMap<&str, &Value> =
        folder.summary["stages"].as_array().into_iter().flatten().filter_map(|s| Some((s["name"].as_str()?, s))).collect();
    let mut events: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in &folder.events {
        if let Some(stage) = event["stage"].as_str() {
            events.entry(stage).or_default().push(event);
        }
    }
    let planned = folder.plan["stages"].as_array().or_else(|| folder.summary["stages"].as_array());
    let each = planned.into_iter().flatten().map(|planned| {
        let mut stage = planned.clone();
        let name = planned["name"].as_str().unwrap_or_default();
        let (mut state, mut seconds, mut values) = ("left", Value::Null, json!({}));
        for event in events.get(name).into_iter().flatten() {
            match event["event"].as_str().unwrap_or_default() {
                "made" => (state, seconds, values) = ("made", event["seconds"].clone(), event["values"].clone()),
                kind @ ("cached" | "running" | "skipped" | "failed" | "blocked") => {
                    state = match kind {
                        "cached" => "cached",
                        "running" => "running",
                        "skipped" => "skipped",
                        "failed" => "failed",
                        _ => "blocked",
                    }
                }
                _ => {}
            }
        }
        if let Some(known) = summary.get(name) {
            values = known["values"].clone();
        }
        stage["state"] = json!(state);
        stage["seconds"] = seconds;
        stage["values"] = values;
        stage
    });
    each.collect()
}

/// Adds what each stage's numbers were in an earlier run.
fn compare(stages: &mut [Value], previous: &Earlier) {
    let known: BTreeMap<&str, &Value> =
        previous.summary["stages"].as_array().into_iter().flatten().filter_map(|s| Some((s["name"].as_str()?, s))).collect();
    for stage in stages {
        let before = stage["name"]
            .as_str()
            .and_then(|name| known.get(name))
            .map(|before| (before["values"].clone(), before["fingerprint"] == stage["fingerprint"]));
        if let Some((values, same)) = before {
            stage["before"] = values;
            stage["unchanged"] = json!(same);
        }
    }
}

/// The numbers of every stage, step by step: of this run, or of the earlier one that made it.
fn curves(folder: &Folder, stages: &[Value], earlier: &[Earlier]) -> Vec<Value> {
    let mut found = Vec::new();
    for stage in stages {
        let name = stage["name"].as_str().unwrap_or_default();
        let own = series(&folder.metrics, name);
        let made = || {
            earlier.iter().rev().find_map(|run| {
                let made =
                    run.summary["stages"].as_array()?.iter().find(|s| s["fingerprint"] == stage["fingerprint"] && s["state"] == "made")?;
                series(run.metrics(), made["name"].as_str()?).map(|series| (series, run.name.clone()))
            })
        };
        let (series, run) = match own {
            Some(series) => (series, None),
            None if stage["state"] == "cached" => match made() {
                Some((series, run)) => (series, Some(run)),
                None => continue,
            },
            None => continue,
        };
        found.push(json!({ "stage": name, "run": run, "steps": series.0, "series": series.1 }));
    }
    found
}

/// Columns of one stage's lines: steps, and numbers by name. A number that a line lacks is `null`.
fn series(metrics: &[Value], stage: &str) -> Option<(Vec<Value>, Map<String, Value>)> {
    let lines: Vec<&Map<String, Value>> = metrics.iter().filter(|l| l["stage"] == stage).filter_map(Value::as_object).collect();
    if lines.is_empty() {
        return None;
    }
    let mut columns: Map<String, Value> = Map::new();
    let steps = lines.iter().map(|line| line["step"].clone()).collect();
    for (at, line) in lines.iter().enumerate() {
        for (name, value) in line.iter().filter(|(name, _)| !matches!(name.as_str(), "stage" | "step" | "time")) {
            let column = columns.entry(name.clone()).or_insert_with(|| json!([]));
            let column = column.as_array_mut().expect("made above");
            column.resize(at, Value::Null);
            column.push(short(value));
        }
    }
    columns.values_mut().for_each(|column| column.as_array_mut().expect("made above").resize(lines.len(), Value::Null));
    Some((steps, columns))
}

/// A number with the digits that a drawing can show.
fn short(value: &Value) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "for drawing")]
    value.as_f64().map_or(Value::Null, |x| json!(x as f32))
}

/// What an artifact's metrics were made of.
fn detail(store: &Path, stage: &Value) -> Result<Option<Value>, ReportError> {
    if !matches!(stage["state"].as_str(), Some("made" | "cached")) {
        return Ok(None);
    }
    let Some(fingerprint) = stage["fingerprint"].as_str() else { return Ok(None) };
    let mut detail = whole(&store.join("objects").join(fingerprint).join(crate::stage::detail::FILE))?;
    if detail.is_null() {
        return Ok(None);
    }
    detail["stage"] = stage["name"].clone();
    Ok(Some(detail))
}

/// Expectations as they were judged, each with its line; before that, as they are written.
fn expectations(folder: &Folder) -> Vec<Value> {
    let judged: Vec<&Value> = folder.events.iter().filter(|e| e["event"] == "judged").map(|e| &e["expectation"]).collect();
    let written = folder.plan["expectations"].as_array().cloned().unwrap_or_default();
    if judged.is_empty() {
        return written;
    }
    let each = judged.into_iter().enumerate().map(|(at, verdict)| {
        let mut verdict = verdict.clone();
        verdict["at"] = written.get(at).map_or(Value::Null, |w| w["at"].clone());
        verdict
    });
    each.collect()
}

/// Drawings that stages made as data: rows and axes in a `.json` of theirs.
fn figures(store: &Path, stages: &[Value]) -> Result<Vec<Value>, ReportError> {
    let mut found = Vec::new();
    for stage in stages {
        let Some(fingerprint) = stage["fingerprint"].as_str().filter(|_| matches!(stage["state"].as_str(), Some("made" | "cached"))) else {
            continue;
        };
        let folder = store.join("objects").join(fingerprint);
        let manifest = whole(&folder.join(crate::durable::MANIFEST))?;
        let path = manifest["note"]["main"]["figure"]["path"].as_str().unwrap_or_default();
        if path.ends_with(".json") {
            let mut figure = whole(&folder.join(path))?;
            if figure.is_object() {
                figure["stage"] = stage["name"].clone();
                found.push(figure);
            }
        }
    }
    Ok(found)
}
