//! What networks said to the same prompts, token by token: `samples.json` of a run's folder, for the report.
//!
//! Stages that let several networks answer the same prompts are found in the plan. Of some of those prompts each
//! network's first answer is kept, with the log-prob that the network and the one it was trained from give every token.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::durable;
use crate::formula::expr::{Kind, Output, StageId};
use crate::model::{Network, TokenSequence, Want};
use crate::plan::Plan;
use crate::plan::meaning::walk;
use crate::recipe::checked::{Arg, StageCall};
use crate::stage::{Artifact, Failure};
use crate::value::{Cell, Sequence, Table, Turn};

use super::artifacts::Artifacts;
use super::outcome::{Run, Status};

/// Prompts of one group that are shown.
const PROMPTS: usize = 60;
/// Multiplications that scoring may take in all: some seconds on two cores.
const WORK: f64 = 1.5e12;

/// The columns of a call that a network wrote, and which network.
pub(super) fn tellings(call: &StageCall) -> Vec<(String, Output)> {
    let mut found = Vec::new();
    for arg in call.args.values() {
        let Arg::Columns(columns) = arg else { continue };
        for (column, formula) in columns {
            // the column itself is what was sampled
            let Kind::Word { word: "sample", args } = &formula.kind else { continue };
            let mut network = None;
            args.iter().take(1).for_each(|arg| {
                walk(arg, &mut |expr| {
                    if let Kind::Artifact(output) = &expr.kind {
                        network.get_or_insert_with(|| output.clone());
                    }
                });
            });
            found.extend(network.map(|network| (column.to_string(), network)));
        }
    }
    found
}

/// The network that a call goes on training.
pub(super) fn parent(call: &StageCall) -> Option<Output> {
    ["network", "policy"].iter().find_map(|name| match call.args.get(*name) {
        Some(Arg::Artifact(output)) => Some(output.clone()),
        _ => None,
    })
}

/// One network's answers to a table's prompts.
struct Telling {
    stage: StageId,
    column: String,
    network: Output,
    table: Arc<Table>,
    /// The first row of each prompt.
    first: BTreeMap<String, usize>,
}

/// Scores what is to be shown, or finds it as an earlier run left it. Nothing to compare is `None`.
///
/// # Errors
/// When a network cannot be read or asked.
pub(super) fn samples(run: &Run<'_>, statuses: &[Status], artifacts: &Artifacts<'_>) -> Result<Option<Value>, Failure> {
    let plan = run.plan;
    let groups = groups(plan, statuses, artifacts);
    if groups.is_empty() {
        return Ok(None);
    }
    let key = key(plan, &groups);
    let kept = run.store.root().join("samples").join(format!("{key}.json"));
    if let Some(known) = std::fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(Some(known));
    }
    let mut asking = Asking { run, artifacts, spent: 0.0, logps: HashMap::new() };
    let value = Value::Array(groups.iter().map(|group| asking.group(group)).collect::<Result<_, _>>()?);
    std::fs::create_dir_all(durable::parent(&kept))?;
    durable::write(&kept, value.to_string().as_bytes())?;
    Ok(Some(value))
}

/// Tellings of several networks about the same prompts, in the order of the plan.
fn groups(plan: &Plan, statuses: &[Status], artifacts: &Artifacts<'_>) -> Vec<Vec<Telling>> {
    let mut groups: Vec<(BTreeSet<String>, Vec<Telling>)> = Vec::new();
    for at in (0..plan.nodes.len()).map(StageId) {
        if !matches!(statuses[at.0], Status::Made { .. } | Status::Cached) {
            continue;
        }
        for (column, network) in tellings(&plan.node(at).call) {
            let Ok(Artifact::Table(table)) = artifacts.open(&Output { stage: at, path: Vec::new() }) else { continue };
            let Some(prompts) = table.column("prompt") else { continue };
            let mut first = BTreeMap::new();
            for (row, prompt) in prompts.iter().enumerate() {
                first.entry(prompt.to_json().to_string()).or_insert(row);
            }
            let said: BTreeSet<String> = first.keys().cloned().collect();
            let telling = Telling { stage: at, column, network, table, first };
            match groups.iter_mut().find(|(known, _)| *known == said) {
                Some((_, group)) if group.iter().any(|t| t.network == telling.network) => {}
                Some((_, group)) => group.push(telling),
                None => groups.push((said, vec![telling])),
            }
        }
    }
    let mut groups: Vec<Vec<Telling>> = groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect();
    // a network comes after the one it was trained from
    groups.iter_mut().for_each(|group| group.sort_by(|a, b| a.network.cmp(&b.network)));
    groups
}

fn key(plan: &Plan, groups: &[Vec<Telling>]) -> String {
    let mut hash = blake3::Hasher::new();
    for telling in groups.iter().flatten() {
        let node = plan.node(telling.stage);
        hash.update(format!("{} {} {}\n", node.call.name, node.fingerprint, telling.column).as_bytes());
    }
    hash.finalize().to_hex()[..32].to_owned()
}

struct Asking<'a> {
    run: &'a Run<'a>,
    artifacts: &'a Artifacts<'a>,
    spent: f64,
    /// By network's folder and the tokens of a sequence.
    logps: HashMap<(PathBuf, Vec<u32>), Arc<[f64]>>,
}

/// An answer that is going to be shown.
struct Shown {
    row: usize,
    text: String,
    sequence: Option<TokenSequence>,
    pieces: Vec<String>,
}

impl Asking<'_> {
    fn group(&mut self, group: &[Telling]) -> Result<Value, Failure> {
        let plan = self.run.plan;
        let all: Vec<&String> = group[0].first.keys().collect();
        let every = all.len().div_ceil(PROMPTS).max(1);
        let prompts: Vec<String> = all.into_iter().step_by(every).cloned().collect();
        let mut columns = Vec::new();
        for telling in group {
            let own = self.path(&telling.network);
            let above = parent(&plan.node(telling.network.stage).call);
            let before = above.as_ref().and_then(|output| self.path(output));
            let shown = self.shown(telling, &prompts, own.as_ref());
            let now = self.score(own.as_ref(), &shown)?;
            let then = self.score(before.as_ref().filter(|_| now.is_some()), &shown)?;
            let cells = shown.iter().enumerate().map(|(at, answer)| {
                let round =
                    |numbers: &Option<Vec<Arc<[f64]>>>| numbers.as_ref().map(|n| n[at].iter().map(|x| rounded(*x)).collect::<Vec<_>>());
                json!({
                    "row": answer.row, "text": answer.text, "pieces": answer.pieces,
                    "logp": round(&now), "before": round(&then),
                })
            });
            columns.push(json!({
                "stage": plan.node(telling.stage).call.name,
                "column": telling.column,
                "network": plan.shown(&telling.network),
                "from": above.map(|output| plan.shown(&output)),
                "seed": plan.node(telling.stage).call.seed,
                "cells": cells.collect::<Vec<_>>(),
            }));
        }
        let texts = prompts.iter().map(|prompt| serde_json::from_str(prompt).unwrap_or(Value::Null));
        Ok(json!({ "of": group[0].first.len(), "prompts": texts.collect::<Vec<_>>(), "columns": columns }))
    }

    fn path(&self, network: &Output) -> Option<PathBuf> {
        match self.artifacts.open(network) {
            Ok(Artifact::Network(found)) if !found.is_fixed_scorer() => Some(found.path),
            _ => None,
        }
    }

    fn shown(&self, telling: &Telling, prompts: &[String], network: Option<&PathBuf>) -> Vec<Shown> {
        let tokenizer = network.and_then(|path| Network::open(path).ok()).map(|network| network.tokenizer.clone());
        let (at, column) = (telling.table.position("prompt"), telling.table.position(&telling.column));
        let (Some(at), Some(column)) = (at, column) else { return Vec::new() };
        let each = prompts.iter().map(|prompt| {
            let row = telling.first[prompt];
            let cells = &telling.table.rows[row];
            let completion = match &cells[column] {
                Cell::Completion(completion) => Some(completion.clone()),
                _ => None,
            };
            let text = completion.as_ref().map_or_else(String::new, |c| c.text.to_string());
            let dialogue: Option<Vec<Turn>> = match &cells[at] {
                Cell::Dialogue(turns) => Some(turns.to_vec()),
                Cell::Text(text) => Some(vec![Turn { role: crate::value::Role::User, text: text.clone() }]),
                _ => None,
            };
            let sequence = tokenizer
                .as_ref()
                .zip(dialogue)
                .and_then(|(tokenizer, prompt)| tokenizer.encode_sequence(&Sequence { prompt: prompt.into(), completion }).ok());
            let pieces = match (&sequence, &tokenizer) {
                (Some(sequence), Some(tokenizer)) => {
                    let (prompt, ids) = (sequence.prompt(), sequence.completion());
                    let (mut pieces, mut before) = (Vec::new(), String::new());
                    for end in 1..=ids.len() {
                        let whole = tokenizer.decode_completion(prompt, &ids[..end]);
                        let piece =
                            whole.strip_prefix(&before).map_or_else(|| tokenizer.piece(ids[end - 1]).unwrap_or_default(), str::to_owned);
                        pieces.push(if piece.contains('\u{fffd}') { String::new() } else { piece.clone() });
                        if !piece.contains('\u{fffd}') {
                            before = whole;
                        }
                    }
                    pieces
                }
                _ => Vec::new(),
            };
            Shown { row, text, sequence, pieces }
        });
        each.collect()
    }

    /// The log-prob of every token of every answer; `None` when that would take too long.
    fn score(&mut self, network: Option<&PathBuf>, shown: &[Shown]) -> Result<Option<Vec<Arc<[f64]>>>, Failure> {
        let Some(path) = network else { return Ok(None) };
        let Some(sequences) = shown.iter().map(|s| s.sequence.clone()).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let ids = |s: &TokenSequence| s.prompt().iter().chain(&s.completion()[..]).copied().collect::<Vec<u32>>();
        let open: Vec<TokenSequence> = sequences.iter().filter(|s| !self.logps.contains_key(&(path.clone(), ids(s)))).cloned().collect();
        if !open.is_empty() {
            let network = Network::open(path)?;
            let bytes = durable::files_under(path)
                .map_or(0, |files| files.iter().filter_map(|file| path.join(file).metadata().ok()).map(|meta| meta.len()).sum::<u64>());
            #[expect(clippy::cast_precision_loss, reason = "an estimate of work")]
            let work = open.iter().map(|s| ids(s).len()).sum::<usize>() as f64 * bytes.max(1 << 20) as f64 / 2.0;
            if self.spent + work > WORK {
                return Ok(None);
            }
            self.spent += work;
            let mut engine = self.run.engine.get()?;
            let net = engine.load(&network, false)?;
            let read = engine.readout(net, &open, Want { logp: true, ..Want::default() }, 1.0);
            engine.unload(net);
            engine.trim();
            for (sequence, logp) in open.iter().zip(read?.logp) {
                self.logps.insert((path.clone(), ids(sequence)), logp.to_vec().into());
            }
        }
        Ok(Some(sequences.iter().map(|s| self.logps[&(path.clone(), ids(s))].clone()).collect()))
    }
}

/// Three digits are what a colour shows.
fn rounded(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}
