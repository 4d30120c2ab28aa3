//! What a run was asked to do, as `plan.json` of its folder: the recipe as it was written, every stage with its arguments
//! as they were resolved, where data came from and under which licence. A report needs nothing else to explain itself
//! later, when the recipe has changed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::formula::expr::{Formula, ObjectiveDef, Output};
use crate::formula::program::Program;
use crate::formula::show::Show;
use crate::plan::{Node, Plan};
use crate::recipe::checked::{Arg, Round};
use crate::syntax::span::{FileId, Span};
use crate::value::Cell;
use crate::world::Sources;

use super::judge::plain;
use super::outcome::Run;

/// Longer arguments are cut: they are in the recipe.
const LONGEST: usize = 2000;

/// The whole description.
pub(super) fn described(run: &Run<'_>) -> Value {
    let plan = run.plan;
    let used: std::collections::BTreeSet<_> = plan.nodes.iter().map(|n| n.call.span.file).collect();
    let sources = run.sources.iter().filter(|(file, source)| source.folder.is_some() && used.contains(file));
    let lines = Lines::new(run.sources);
    let expectations = plan.expectations.iter().map(|e| json!({ "text": e.text, "at": lines.at(e.span) }));
    json!({
        "align": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "recipe": *plan.recipe,
        "title": plan.title,
        "profile": plan.limited_by,
        "numerics": plan.numerics,
        "sources": sources.map(|(_, source)| json!({ "name": source.name, "text": *source.text })).collect::<Vec<_>>(),
        "stages": plan.nodes.iter().map(|node| stage(plan, node, &lines)).collect::<Vec<_>>(),
        "expectations": expectations.collect::<Vec<_>>(),
        "files": plan.files,
        "commits": plan.files.keys().filter_map(|path| Some((path.clone(), crate::hub::commit_of(run.root, path)?))).collect::<BTreeMap<_, _>>(),
        "licences": plan.files.keys().map(|path| (path.clone(), json!(licences(&crate::hub::path(run.root, path))))).collect::<BTreeMap<_, _>>(),
    })
}

/// Where lines begin, by file: a plan may have thousands of stages.
struct Lines<'a>(BTreeMap<FileId, (&'a str, Vec<usize>)>);

impl<'a> Lines<'a> {
    fn new(sources: &'a Sources) -> Self {
        let starts = |text: &str| text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Self(sources.iter().map(|(file, source)| (file, (source.name.as_str(), starts(&source.text)))).collect())
    }

    /// File, first and last line of a span, counted from 1.
    fn at(&self, span: Span) -> Value {
        let Some((name, starts)) = self.0.get(&span.file) else { return Value::Null };
        let line = |at: u32| starts.partition_point(|start| *start <= at as usize) + 1;
        json!({ "file": name, "line": line(span.start), "last": line(span.end.max(span.start + 1) - 1) })
    }
}

fn stage(plan: &Plan, node: &Node, lines: &Lines<'_>) -> Value {
    let inputs: BTreeMap<&String, String> = node.places.iter().map(|(place, output)| (place, plan.shown(output))).collect();
    let args: serde_json::Map<String, Value> =
        node.call.args.iter().filter_map(|(name, arg)| Some((name.to_string(), json!(shown(plan, arg)?)))).collect();
    let needs = |output: &Output| plan.node(output.stage).call.name.clone();
    let samples: BTreeMap<String, String> =
        super::samples::tellings(&node.call).into_iter().map(|(column, network)| (column, needs(&network))).collect();
    json!({
        "name": node.call.name,
        "primitive": *node.call.primitive,
        "fingerprint": node.fingerprint,
        "seed": node.call.seed,
        "at": lines.at(node.call.span),
        "inputs": inputs,
        "args": args,
        "network": super::samples::parent(&node.call).map(|output| needs(&output)),
        "samples": samples,
        "rounds": node.call.rounds.iter().map(round).collect::<Vec<_>>(),
        "tokens": node.cost.tokens,
    })
}

/// Which round of which loop a stage is of, for tables over its values.
fn round(round: &Round) -> Value {
    let values: Vec<Value> = round.values.iter().map(|(name, value)| json!([**name, value.to_json()])).collect();
    json!({ "loop": *round.of, "index": round.index, "values": values, "name": round.name })
}

/// An argument for people; `None` for what was left out.
fn shown(plan: &Plan, arg: &Arg) -> Option<String> {
    let text = match arg {
        Arg::Value(Cell::None) => return None,
        Arg::Value(cell) => plain(cell),
        Arg::Artifact(output) => plan.shown(output),
        Arg::Artifacts(outputs) => outputs.iter().map(|output| plan.shown(output)).collect::<Vec<_>>().join(", "),
        Arg::Formula(formula) => written(plan, formula),
        Arg::Columns(columns) => {
            columns.iter().map(|(name, formula)| format!("{name}: {}", written(plan, formula))).collect::<Vec<_>>().join("\n")
        }
        Arg::Objective(def) => objective(plan, def),
        Arg::Rows(ty) => ty.to_string(),
    };
    Some(if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text })
}

fn written(plan: &Plan, formula: &Formula) -> String {
    let Ok(program) = Program::lower(std::slice::from_ref(formula)) else { return "…".to_owned() };
    let text = Show::new(&program, &|output| plan.shown(output)).slot(program.roots[0]);
    match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(bare) if !bare.contains('(') => bare.to_owned(),
        _ => text,
    }
}

fn objective(plan: &Plan, def: &ObjectiveDef) -> String {
    let losses = def.losses.iter().map(|loss| format!("loss = {}", written(plan, &loss.value)));
    let metrics = def.metrics.iter().map(|(name, formula)| format!("{name} = {}", written(plan, formula)));
    losses.chain(metrics).collect::<Vec<_>>().join("\n")
}

/// Licence files that lie beside a file, and what a data or model card there says.
fn licences(path: &Path) -> Vec<String> {
    let folder = if path.is_dir() { path } else { crate::durable::parent(path) };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let upper = name.to_uppercase();
        if upper.starts_with("LICENSE") || upper.starts_with("LICENCE") || upper.starts_with("COPYING") {
            let first = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let first = first.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
            found.push(format!("{name}: {}", first.chars().take(80).collect::<String>()));
        } else if upper == "README.MD" {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let card = text.strip_prefix("---\n").and_then(|rest| rest.split("\n---").next()).unwrap_or_default();
            found.extend(card.lines().filter_map(|line| line.strip_prefix("license:")).map(|licence| format!("card: {}", licence.trim())));
        }
    }
    found.sort();
    found
}
