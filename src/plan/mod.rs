//! Checked recipe → DAG of stages with fingerprints, states and costs. Needs no device and loads no weights.
//!
//! Comes in: [`Checked`], the outside files' contents, and what the store has ([`Shelf`]). Goes out: [`Plan`], which a
//! run executes as it is. **Invariant:** names, spans, comments and order take no part in a fingerprint.

pub mod draw;
pub mod estimate;
pub mod explain;
pub mod fingerprint;
mod forecast;
pub mod graph;
pub mod json;
pub mod meaning;
pub mod outside;
mod refusal;
mod room;
pub mod shelf;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;

pub use crate::lock::{Content, LOCK, Lock};
pub use fingerprint::{DeviceClass, Fingerprint, Key, Numerics};
pub use graph::Graph;
pub use room::Room;
pub use shelf::{Found, Past, Shelf};
pub use state::State;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::durable::HashCache;
use crate::formula::expr::{Output, StageId};
use crate::hub;
use crate::recipe::checked::{Checked, Expectation, Export, StageCall};
use crate::stage::{Call, Cost, FromArg, Primitive};
use crate::syntax::span::Span;

use meaning::{Meaning, canonical};
use refusal::Refusal;

/// Every code of this phase, and what it means.
pub const CODES: &[(&str, &str)] = &[
    (
        "align::plan::unreadable_file",
        "A file that the recipe names is not there or cannot be read. Paths start at the folder of the recipe.",
    ),
    (
        "align::plan::memory",
        "A stage would take more memory than there is, by the plan's estimate: weights, gradients, moments, what a batch keeps for its backward, keys and values while sampling. Nothing was run. The help says what smaller ways would take; `--memory SIZE` sets another limit.",
    ),
    ("align::plan::no_primitive", "The standard library declares an `extern stage` that this build of align does not have."),
    (
        "align::plan::changed_file",
        "A file has other content than when the recipe was last run; `align.lock` remembers. A run uses it as it is now, and everything that is made from it is made again.",
    ),
    ("align::plan::unreadable_lock", "`align.lock` is not in the form that align writes. It is replaced by the next run."),
];

/// What a run is going to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub recipe: Arc<str>,
    pub title: Option<String>,
    /// Every node comes after the ones it needs; the place of a node is its [`StageId`].
    pub nodes: Vec<Node>,
    pub graph: Graph,
    pub expectations: Vec<Expectation>,
    pub exports: Vec<Export>,
    /// See [`Checked::limited_by`].
    pub limited_by: Option<Arc<str>>,
    pub numerics: Numerics,
    /// Outside files by path as written, with the content they have now.
    pub files: BTreeMap<String, Content>,
    /// References to a hub among them that are not on this machine: their content stands in for what it will be, and
    /// nothing can run before they are fetched.
    pub absent: BTreeMap<String, Span>,
    /// What the author should know: files that differ from `align.lock`, damaged artifacts.
    pub warnings: Vec<Diagnostic>,
}

/// One stage of a plan.
#[derive(Clone, Debug)]
pub struct Node {
    /// The call, its columns in canonical order.
    pub call: StageCall,
    pub key: Key,
    pub fingerprint: Fingerprint,
    /// Names the stage's random streams: as the fingerprint, but equal on every device.
    pub stream: [u32; 2],
    /// Which output stands at each place of the key.
    pub places: BTreeMap<String, Output>,
    pub state: State,
    pub cost: Cost,
    /// How long it will take, from how long it took before.
    pub seconds: Option<f64>,
}

/// What a plan is made against.
pub struct Surroundings<'a> {
    /// The recipe's folder.
    pub root: &'a Path,
    pub numerics: Numerics,
    pub primitives: &'a [&'static dyn Primitive],
    pub shelf: &'a dyn Shelf,
    pub hashes: &'a mut HashCache,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("root", &self.root).field("numerics", &self.numerics).finish_non_exhaustive()
    }
}

impl Plan {
    /// Plans a recipe.
    ///
    /// # Errors
    /// When an outside file cannot be read, or a stage has no primitive.
    pub fn new(checked: &Checked, around: &mut Surroundings<'_>) -> Result<Self, Vec<Diagnostic>> {
        let stages: Vec<(StageCall, Meaning)> =
            checked.stages.iter().map(canonical).map(|call| (call.clone(), Meaning::of(&call))).collect();
        let graph = Graph::new(&stages);
        let (mut files, mut absent) = (BTreeMap::new(), BTreeMap::new());
        let (mut nodes, mut streams, mut refused) = (Vec::<Node>::new(), Vec::<Fingerprint>::new(), Vec::new());
        for (call, meaning) in stages {
            match identify(checked, call, meaning, (&nodes, &streams), around, (&mut files, &mut absent)) {
                Ok((node, stream)) => {
                    nodes.push(node);
                    streams.push(stream);
                }
                Err(refusal) => {
                    refused.push(refusal.diagnostic());
                    // the rest is checked too, against a stage that will never run
                    let at = nodes.len();
                    nodes.push(placeholder(&checked.stages[at]));
                    streams.push(nodes[at].fingerprint.clone());
                }
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let mut plan = Self {
            recipe: checked.name.clone(),
            title: checked.title.clone(),
            nodes,
            graph,
            expectations: checked.expectations.clone(),
            exports: checked.exports.clone(),
            limited_by: checked.limited_by.clone(),
            numerics: around.numerics,
            files,
            absent,
            warnings: Vec::new(),
        };
        plan.name_apart();
        plan.compare_lock(around.root);
        state::settle(&mut plan, around.shelf, around.primitives);
        estimate::estimate(&mut plan, checked, around);
        Ok(plan)
    }

    /// A stage of the plan.
    pub fn node(&self, stage: StageId) -> &Node {
        &self.nodes[stage.0]
    }

    /// A stage by its name.
    pub fn named(&self, name: &str) -> Option<StageId> {
        self.nodes.iter().position(|node| node.call.name == name).map(StageId)
    }

    /// The last stage of a binding that several stages make: `part.split` for `part`.
    pub fn last_of(&self, binding: &str) -> Option<StageId> {
        let inside = |name: &str| name.strip_prefix(binding).is_some_and(|rest| rest.starts_with('.'));
        self.nodes.iter().rposition(|node| inside(&node.call.name)).map(StageId)
    }

    /// How an output is written in the recipe: `rm.accuracy`.
    pub fn shown(&self, output: &Output) -> String {
        let parts = std::iter::once(self.node(output.stage).call.name.as_str()).chain(output.path.iter().map(|p| &**p));
        parts.collect::<Vec<_>>().join(".")
    }

    /// What an output is, whatever it is called: a fingerprint and a part.
    pub fn reference(&self, output: &Output) -> String {
        reference(output, &|stage| self.node(stage).fingerprint.clone())
    }

    /// Every stage's name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.call.name.as_str())
    }

    /// Gives stages that share a name a number, so that each can be asked about: `cases.with`, `cases.with.2`.
    fn name_apart(&mut self) {
        let mut taken: BTreeSet<String> = self.nodes.iter().map(|node| node.call.name.clone()).collect();
        let mut seen = BTreeSet::new();
        // where the search for a free number goes on: thousands of stages may share a name
        let mut next: BTreeMap<String, usize> = BTreeMap::new();
        for node in &mut self.nodes {
            if !seen.insert(node.call.name.clone()) {
                let from = next.entry(node.call.name.clone()).or_insert(2);
                let number =
                    (*from..).find(|n| !taken.contains(&format!("{}.{n}", node.call.name))).expect("there is always a next number");
                *from = number + 1;
                node.call.name = format!("{}.{number}", node.call.name);
                taken.insert(node.call.name.clone());
                seen.insert(node.call.name.clone());
            }
        }
    }

    /// Whether everything that a run reads is on this machine.
    ///
    /// # Errors
    /// What is not.
    pub fn ready(&self) -> Result<(), Vec<Diagnostic>> {
        let missing = |(written, span): (&String, &Span)| hub::not_here(written).at(*span, "read here");
        let missing: Vec<Diagnostic> = self.absent.iter().map(missing).map(|d| Diagnostic { severity: Severity::Error, ..d }).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    fn compare_lock(&mut self, root: &Path) {
        match Lock::read(root) {
            Ok(lock) => {
                let differs = |(path, content): &(&String, &Content)| lock.differs(path, content) && !self.absent.contains_key(*path);
                let changed: Vec<&String> = self.files.iter().filter(differs).map(|(path, _)| path).collect();
                let warnings: Vec<Diagnostic> = changed.into_iter().map(|path| self.changed_file(path)).collect();
                self.warnings.extend(warnings);
            }
            Err(error) => self.warnings.push(
                Diagnostic::warning("align::plan::unreadable_lock", format!("`{LOCK}` cannot be read: {error}"))
                    .help("it is written anew by the next run"),
            ),
        }
    }

    fn changed_file(&self, path: &str) -> Diagnostic {
        let warning = Diagnostic::warning("align::plan::changed_file", format!("`{path}` is not the file this recipe was last run with"));
        let used = self.nodes.iter().find(|node| node.call.args.values().any(|arg| String::from_arg(arg).as_deref() == Some(path)));
        let warning = match used {
            Some(node) => warning.at(node.call.span, "read here"),
            None => warning,
        };
        warning.help(format!("a run uses the file as it is now and pins it in `{LOCK}`"))
    }
}

/// The content of outside files, and which of them are not here.
type Files<'a> = (&'a mut BTreeMap<String, Content>, &'a mut BTreeMap<String, Span>);

/// A stage's key and fingerprint, and the fingerprint of its random streams.
fn identify(
    checked: &Checked,
    call: StageCall,
    mut meaning: Meaning,
    (nodes, streams): (&[Node], &[Fingerprint]),
    around: &mut Surroundings<'_>,
    files: Files<'_>,
) -> Result<(Node, Fingerprint), Refusal> {
    let primitive = around.primitives.iter().find(|p| p.name() == &*call.primitive);
    let primitive = *primitive.ok_or_else(|| Refusal::NoPrimitive { name: call.primitive.clone(), span: call.span })?;
    let contents = contents(primitive, &call, &mut meaning, around, files)?;
    let presence = if primitive.takes_missing() { presence(checked, &mut meaning) } else { BTreeMap::new() };
    let networks =
        meaning.places.values().any(|output| graph::type_of(checked, output).is_some_and(crate::recipe::types::Type::is_network));
    let inputs =
        |of: &dyn Fn(StageId) -> Fingerprint| meaning.places.iter().map(|(place, output)| (place.clone(), reference(output, of))).collect();
    let key = Key {
        primitive: primitive.name().to_owned(),
        version: primitive.version(),
        arguments: meaning.arguments.clone(),
        inputs: inputs(&|stage| nodes[stage.0].fingerprint.clone()),
        files: contents,
        seed: call.seed,
        numerics: networks.then_some(around.numerics),
        presence,
    };
    let stream = Key { inputs: inputs(&|stage| streams[stage.0].clone()), numerics: None, ..key.clone() }.fingerprint();
    let fingerprint = key.fingerprint();
    let words = stream.words();
    let node =
        Node { call, key, fingerprint, stream: words, places: meaning.places, state: State::Run, cost: Cost::default(), seconds: None };
    Ok((node, stream))
}

/// `ab12…` or `ab12….train`: a stage and a part of its result.
fn reference(output: &Output, fingerprint: &dyn Fn(StageId) -> Fingerprint) -> String {
    let path = output.path.iter().map(|part| format!(".{part}"));
    std::iter::once(fingerprint(output.stage).to_string()).chain(path).collect()
}

/// The content of every outside file; what remains of its path in the arguments is what says how to read it.
fn contents(
    primitive: &dyn Primitive,
    call: &StageCall,
    meaning: &mut Meaning,
    around: &mut Surroundings<'_>,
    (files, absent): Files<'_>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut found = BTreeMap::new();
    for argument in primitive.file_arguments() {
        let Ok(Some(written)) = Call::new(call).get::<Option<String>>(argument) else { continue };
        let path = hub::path(around.root, &written);
        let unreadable = |at: &Path, error: std::io::Error| Refusal::Unreadable {
            path: at.to_owned(),
            written: written.clone(),
            error,
            span: call.span,
        };
        let content = if is_absent(&written, primitive.want(), around.root) {
            absent.insert(written.clone(), call.span);
            outside::expected(&written, around.root)
        } else {
            outside::named(primitive, &written, around.root, around.hashes).map_err(|(at, e)| unreadable(&at, e))?
        };
        found.insert((*argument).to_owned(), content.blake3.clone());
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let extension = if path.is_dir() { "" } else { name.split_once('.').map_or("", |(_, rest)| rest) };
        meaning.arguments.insert((*argument).to_owned(), serde_json::json!({ "file": extension }));
        files.insert(written, content);
    }
    Ok(found)
}

/// Whether a path names what a hub has and this machine has not.
fn is_absent(written: &str, want: hub::Want, root: &Path) -> bool {
    matches!(hub::state(root, written, want), Some(Ok(state)) if state != hub::State::Whole)
}

/// When each input of a `keep` exists.
fn presence(checked: &Checked, meaning: &mut Meaning) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    for (place, output) in meaning.places.clone() {
        let conditions = &checked.stages[output.stage.0].when;
        if !conditions.is_empty() {
            found.insert(place.clone(), meaning.conditions(&format!("when.{place}"), conditions));
        }
    }
    found
}

fn placeholder(call: &StageCall) -> Node {
    let key = Key {
        primitive: call.primitive.to_string(),
        version: 0,
        arguments: BTreeMap::new(),
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        seed: call.seed,
        numerics: None,
        presence: BTreeMap::new(),
    };
    let fingerprint = key.fingerprint();
    let stream = fingerprint.words();
    Node { call: call.clone(), key, fingerprint, stream, places: BTreeMap::new(), state: State::Run, cost: Cost::default(), seconds: None }
}
