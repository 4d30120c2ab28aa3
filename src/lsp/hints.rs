//! What a recipe's lines are and what they would take, beside them; and what can be done with them, above them.

use std::path::Path;

use serde_json::{Value, json};

use crate::durable;
use crate::plan::draw::{duration, size};
use crate::plan::{Numerics, Plan, State as Made, Surroundings};
use crate::stage::PRIMITIVES;
use crate::syntax::tree::{ItemKind, StatementKind};

use super::place::{Lines, uri_of};
use super::state::{Analysis, State};

/// A longer type is shown by its head.
const LONG: usize = 40;

impl State {
    /// The type of every binding, and of those that a stage makes also whether it is there and what it will take.
    pub(super) fn hints(&mut self, path: &Path, numerics: Option<Numerics>) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let lines = Lines::new(analysis.text(), self.units);
        let plan = numerics.and_then(|numerics| self.plan(&analysis, numerics));
        let mut hints = Vec::new();
        for item in &analysis.tree().items {
            let ItemKind::Recipe(recipe) = &item.kind else { continue };
            for statement in &recipe.body {
                let StatementKind::Bind { name, .. } = &statement.kind else { continue };
                let Some((_, seen)) = analysis.index.bindings.get(&(name.span.file.0, name.span.start)) else { continue };
                let ty = seen.ty.to_string();
                let short = if ty.chars().count() > LONG {
                    ty.split(['<', '{']).next().unwrap_or_default().trim().to_owned() + "…"
                } else {
                    ty.clone()
                };
                if !short.trim_matches('…').is_empty() {
                    hints.push(json!({ "position": lines.position(name.span.end as usize), "label": format!(": {short}"), "kind": 1, "tooltip": ty }));
                }
                let node = plan.as_ref().and_then(|plan| plan.named(&name.text).map(|stage| plan.node(stage)));
                if let Some(node) = node {
                    let work = !matches!(node.state, Made::Cached | Made::Skip);
                    let parts = [
                        Some(node.state.to_string()),
                        node.seconds.filter(|_| work).map(|seconds| format!("~{}", duration(seconds))),
                        node.cost.memory.filter(|_| work).map(size),
                    ];
                    let label = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
                    let end = lines.position(statement.span.end as usize);
                    hints.push(json!({ "position": end, "label": label, "paddingLeft": true }));
                }
            }
        }
        Some(json!(hints))
    }

    /// What a run of the file's only recipe would do now. Nothing is written.
    fn plan(&mut self, analysis: &Analysis, numerics: Numerics) -> Option<Plan> {
        let [checked] = analysis.checked.as_slice() else { return None };
        let root = durable::parent(&analysis.path).canonicalize().ok()?;
        let (store, hashes) = self.store(&root);
        let mut around = Surroundings { root: &root, numerics, primitives: PRIMITIVES, shelf: store, hashes };
        Plan::new(checked, &mut around).ok()
    }

    /// Running a recipe, and asking why a stage runs.
    pub(super) fn lenses(&mut self, path: &Path) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let lines = Lines::new(analysis.text(), self.units);
        let mut lenses = Vec::new();
        for item in &analysis.tree().items {
            let ItemKind::Recipe(recipe) = &item.kind else { continue };
            let mut lens = |at: std::ops::Range<usize>, title: &str, command: &str, more: &str| {
                let command = json!({ "title": title, "command": command, "arguments": [uri_of(path), &*recipe.name.text, more] });
                lenses.push(json!({ "range": lines.range(at), "command": command }));
            };
            for (title, command) in [("run", "align.run"), ("watch", "align.watch"), ("plan", "align.plan")] {
                lens(recipe.name.span.range(), title, command, "");
            }
            for statement in &recipe.body {
                let StatementKind::Bind { name, .. } = &statement.kind else { continue };
                let made = analysis.index.bindings.get(&(name.span.file.0, name.span.start)).and_then(|(_, seen)| seen.stage);
                if made.is_some() {
                    lens(name.span.range(), "why does it run?", "align.explain", &name.text);
                }
            }
        }
        Some(json!(lenses))
    }
}
