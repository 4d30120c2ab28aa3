//! What a checked recipe asks of the world outside: readable models, files that hold what they are said to hold,
//! and networks that share a tokenizer where tokens pass from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::{Expr, Formula, Kind, ObjectiveDef, Output, StageId};
use crate::formula::program::children;
use crate::hub::{self, State, Want};
use crate::model::{Adapter, BlockFormat, Head, ModelError, Network};
use crate::score::{FixedScorer, ScorerError};
use crate::syntax::span::{FileId, Span};
use crate::value::Cell;
use crate::world::Sources;

use super::checked::{Arg, Checked, Export, StageCall};
use super::memory::Memory;
use super::types::Type;

/// Every code of this part of the check, beside those of `data` and `model`.
pub const CODES: &[(&str, &str)] = &[
    (
        "align::recipe::other_tokenizer",
        "Two networks of one stage read text as different tokens, so what one says of a token means nothing to the other.",
    ),
    ("align::recipe::no_adapter", "Adapters are kept of stages that trained with `lora:` and of `load_adapter`; other networks have none."),
    (
        "align::recipe::idle_adapter",
        "Adapters that stand nowhere, or count for nothing, leave a network as it is however long it is trained.",
    ),
    ("align::recipe::no_network", "An export asks for a form of a network's numbers, and a scorer without a network has none."),
];

/// Checks models, data files and tokenizers; reads headers and rows, no weights.
pub fn check(checked: &Checked, sources: &Sources, file: FileId, memory: &mut Memory) -> Vec<Diagnostic> {
    let folder = sources.get(file).folder.clone().unwrap_or_default();
    let mut outside = Outside { checked, folder, memory, tokenizers: BTreeMap::new(), found: Vec::new() };
    for (at, stage) in checked.stages.iter().enumerate() {
        outside.stage(StageId(at), stage);
    }
    if outside.found.is_empty() {
        checked.exports.iter().for_each(|export| outside.export(export));
    }
    outside.found
}

/// Which tokenizer a network has, what it was at first, and the line that brought it in.
#[derive(Clone, Debug)]
struct Origin {
    hash: String,
    name: String,
    span: Span,
    network: Network,
}

struct Outside<'c> {
    checked: &'c Checked,
    folder: PathBuf,
    memory: &'c mut Memory,
    tokenizers: BTreeMap<StageId, Origin>,
    found: Vec<Diagnostic>,
}

impl Outside<'_> {
    fn stage(&mut self, id: StageId, stage: &StageCall) {
        match &*stage.primitive {
            "load_model" => {
                self.here(stage, Want::Model).and_then(|place| self.network(id, stage, &place));
            }
            "load_data" => self.data(stage),
            "load_scorer" => self.scorer(id, stage),
            "load_adapter" => self.adapter_of(stage),
            "adapter" => self.has_adapter(stage),
            "train" | "rl" => {
                self.shared_tokenizer(stage);
                self.idle_adapter(stage);
                self.blocks_learn_nothing(stage);
            }
            _ => {}
        }
        if let Some(origin) = network_of(stage).and_then(|o| self.tokenizers.get(&o.stage)).cloned() {
            self.tokenizers.insert(id, origin);
        }
    }

    fn path(&self, stage: &StageCall) -> Option<PathBuf> {
        match stage.args.get("path") {
            // shown as it is written where the recipe is in the current folder
            Some(Arg::Value(Cell::Text(path))) if self.folder == Path::new(".") => Some(PathBuf::from(&**path)),
            Some(Arg::Value(Cell::Text(path))) => Some(self.folder.join(&**path)),
            _ => None,
        }
    }

    /// Where the files of a stage are, and how much of them; `None` once it has been said that nothing is there yet.
    fn here(&mut self, stage: &StageCall, want: Want) -> Option<(PathBuf, State)> {
        let path = self.path(stage)?;
        let Some(Arg::Value(Cell::Text(written))) = stage.args.get("path") else { return None };
        let state = match hub::state(&self.folder, written, want) {
            None => return Some((path, State::Whole)),
            Some(Ok(State::Nothing)) => Err(hub::not_here(written)),
            Some(state) => state.map_err(|error| error.diagnostic()),
        };
        match state {
            Ok(state) => Some((hub::path(&self.folder, written), state)),
            Err(diagnostic) => {
                self.found.push(diagnostic.at(stage.span, "loaded here"));
                None
            }
        }
    }

    fn network(&mut self, id: StageId, stage: &StageCall, (path, state): &(PathBuf, State)) -> Option<Network> {
        match self.memory.network(path, *state == State::Outline) {
            Ok(network) => {
                let origin = Origin {
                    hash: network.tokenizer.hash().to_owned(),
                    name: stage.name.clone(),
                    span: stage.span,
                    network: network.clone(),
                };
                self.tokenizers.insert(id, origin);
                Some(network)
            }
            Err(error) => {
                self.found.push(error.diagnostic().at(stage.span, "loaded here"));
                None
            }
        }
    }

    fn data(&mut self, stage: &StageCall) {
        let Some((path, _)) = self.here(stage, Want::File) else { return };
        let Some(Arg::Rows(Type::Record(row))) = stage.args.get("as") else { return };
        let unfit = matches!(stage.args.get("unfit"), Some(Arg::Value(Cell::Text(unfit))) if &**unfit == "drop");
        let refused = self.memory.validated(&path, row, unfit);
        self.found.extend(refused.into_iter().map(|diagnostic| diagnostic.at(stage.span, "loaded here")));
    }

    /// A lexicon, a linear scorer, or a trained one: what is none of them is refused with the reason.
    fn scorer(&mut self, id: StageId, stage: &StageCall) {
        let Some(place) = self.here(stage, Want::Model) else { return };
        let path = place.0.clone();
        let refused = if path.exists() && !FixedScorer::is_at(&path) {
            let head = self.network(id, stage, &place).map(|network| network.head);
            head.is_some_and(|head| head != Head::Score).then_some(ScorerError::NoHead { path })
        } else {
            self.memory.scorer(&path).err()
        };
        if let Some(error) = refused {
            let diagnostic = Diagnostic::error(error.code(), error.to_string()).at(stage.span, "loaded here");
            self.found.push(error.help().into_iter().fold(diagnostic, Diagnostic::help));
        }
    }

    /// The adapters' files, and whether they fit the network, where that is a file too.
    fn adapter_of(&mut self, stage: &StageCall) {
        let Some((path, State::Whole)) = self.here(stage, Want::Adapter) else { return };
        let base = network_of(stage).filter(|output| &*self.checked.stages[output.stage.0].primitive == "load_model");
        let Some(base) = base.and_then(|output| self.tokenizers.get(&output.stage)).map(|origin| origin.network.clone()) else { return };
        if let Err(error) = Adapter::open(&path, &base) {
            self.found.push(error.diagnostic().at(stage.span, "loaded here"));
        }
    }

    fn has_adapter(&mut self, stage: &StageCall) {
        let Some(Arg::Artifact(output)) = stage.args.get("network") else { return };
        if let Some(origin) = self.without_adapter(output) {
            let name = &self.checked.stages[output.stage.0].name;
            let diagnostic = Diagnostic::error("align::recipe::no_adapter", format!("`{name}` has no adapters"))
                .at(stage.span, "asked for here")
                .at(origin.span, "made without")
                .help("train it with `lora: 16`");
            self.found.push(diagnostic);
        }
    }

    /// The stage that made a network without adapters, if it has none.
    fn without_adapter(&self, output: &Output) -> Option<&StageCall> {
        let origin = &self.checked.stages[output.stage.0];
        match (&*origin.primitive, origin.args.get("candidates")) {
            ("keep", Some(Arg::Artifacts(candidates))) => candidates.iter().find_map(|candidate| self.without_adapter(candidate)),
            ("load_adapter", _) => None,
            ("train" | "rl", _) if origin.args.contains_key("lora") => None,
            _ => Some(origin),
        }
    }

    /// Weights in blocks are read, so what learns beside them is an adapter or a head.
    fn blocks_learn_nothing(&mut self, stage: &StageCall) {
        let Some((origin, format)) = network_of(stage).and_then(|output| self.held_in_blocks(output)) else { return };
        let is_set = |name: &str| matches!(stage.args.get(name), Some(Arg::Value(Cell::Bool(true))));
        let magnitude = is_set("lora_magnitude");
        if magnitude || !(stage.args.contains_key("lora") || is_set("head_only")) {
            let error = ModelError::Blocks { format: format.word(), magnitude };
            self.found.push(error.diagnostic().at(stage.span, "trained here").at(origin.span, "put into blocks here"));
        }
    }

    /// The stage that put a network's weights into blocks, where that is known before the run.
    fn held_in_blocks(&self, output: &Output) -> Option<(&StageCall, BlockFormat)> {
        let origin = &self.checked.stages[output.stage.0];
        let format = match (&*origin.primitive, origin.args.get("format"), origin.args.get("base")) {
            ("quantise", Some(Arg::Value(Cell::Text(word))), _) => BlockFormat::of(word),
            ("load_model", ..) => self.tokenizers.get(&output.stage).and_then(|origin| origin.network.blocks),
            ("scorer" | "critic", _, Some(Arg::Artifact(base))) => return self.held_in_blocks(base),
            _ => None,
        };
        format.map(|format| (origin, format))
    }

    fn idle_adapter(&mut self, stage: &StageCall) {
        let constant = |name: &str| if let Some(Arg::Value(cell)) = stage.args.get(name) { Some(cell) } else { None };
        let nowhere = matches!(constant("lora_targets"), Some(Cell::List(targets)) if targets.is_empty());
        let nothing = constant("lora_alpha").and_then(Cell::number) == Some(0.0);
        if let Some(why) = [(nowhere, "`lora_targets` is empty"), (nothing, "`lora_alpha` is 0")].iter().find(|(so, _)| *so) {
            let diagnostic = Diagnostic::error("align::recipe::idle_adapter", "the adapters would change nothing")
                .at(stage.span, why.1)
                .help("leave it out for the usual");
            self.found.push(diagnostic);
        }
    }

    /// Training changes the numbers of a network and nothing that decides whether it has a place in a file.
    fn export(&mut self, export: &Export) {
        let Some(form) = export.form else { return };
        let name = &self.checked.stages[export.what.stage.0].name;
        let Some(origin) = self.tokenizers.get(&export.what.stage) else {
            let diagnostic = Diagnostic::error("align::recipe::no_network", format!("`{name}` is no network"));
            self.found.push(diagnostic.at(export.span, format!("asked for as {}", form.numbers.word())).help("leave `as …` out"));
            return;
        };
        if let Err(error) = origin.network.check_form(form) {
            self.found.push(error.diagnostic().at(export.span, "exported here").at(origin.span, "loaded here"));
        }
    }

    /// Tokens pass from the trained network to every other network of its objective and columns.
    fn shared_tokenizer(&mut self, stage: &StageCall) {
        let Some(main) = network_of(stage).and_then(|o| self.tokenizers.get(&o.stage)).cloned() else { return };
        let mut networks = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for formula in formulas(stage) {
            artifacts(&formula, &mut seen, &mut networks);
        }
        let others: BTreeSet<(String, String)> = networks
            .iter()
            .filter_map(|output| self.tokenizers.get(&output.stage).map(|origin| (output, origin)))
            .filter(|(_, origin)| origin.hash != main.hash)
            .map(|(output, origin)| (self.checked.stages[output.stage.0].name.clone(), origin.name.clone()))
            .collect();
        for (name, from) in others {
            let origin = self.tokenizers.values().find(|o| o.name == from).expect("collected from there");
            let diagnostic =
                Diagnostic::error("align::recipe::other_tokenizer", format!("`{name}` has another tokenizer than `{}`", main.name))
                    .at(stage.span, "its tokens pass between the two here")
                    .at(origin.span, format!("the tokenizer of `{name}`"))
                    .at(main.span, format!("the tokenizer of `{}`", main.name))
                    .help("start both from the same model, or train a new scorer on this one");
            self.found.push(diagnostic);
        }
    }
}

/// The network that a stage starts from and hands on.
fn network_of(stage: &StageCall) -> Option<&Output> {
    ["network", "policy", "base"]
        .iter()
        .find_map(|name| match stage.args.get(*name) {
            Some(Arg::Artifact(output)) => Some(output),
            _ => None,
        })
        .or_else(|| match stage.args.get("candidates") {
            Some(Arg::Artifacts(outputs)) => outputs.first(),
            _ => None,
        })
}

/// Every formula of a stage's arguments, with its objective's further networks as references.
fn formulas(stage: &StageCall) -> Vec<Formula> {
    let mut found = Vec::new();
    for arg in stage.args.values() {
        match arg {
            Arg::Formula(formula) => found.push(formula.clone()),
            Arg::Columns(columns) => found.extend(columns.iter().map(|(_, f)| f.clone())),
            Arg::Objective(def) => found.extend(objective_formulas(def, stage.span)),
            Arg::Value(_) | Arg::Artifact(_) | Arg::Artifacts(_) | Arg::Rows(_) => {}
        }
    }
    found
}

fn objective_formulas(def: &ObjectiveDef, span: Span) -> Vec<Formula> {
    let networks = def.trained.iter().filter_map(|t| match t {
        crate::formula::expr::Trained::Network { start, .. } => Some(Arc::new(Expr { span, kind: Kind::Artifact(start.clone()) })),
        crate::formula::expr::Trained::Number { .. } => None,
    });
    def.losses.iter().map(|l| l.value.clone()).chain(def.metrics.iter().map(|(_, f)| f.clone())).chain(networks).collect()
}

fn artifacts(formula: &Formula, seen: &mut BTreeSet<*const Expr>, found: &mut BTreeSet<Output>) {
    if !seen.insert(Arc::as_ptr(formula)) {
        return;
    }
    if let Kind::Artifact(output) = &formula.kind {
        found.insert(output.clone());
    }
    for child in children(formula) {
        artifacts(&child, seen, found);
    }
}
