//! Everything a primitive may touch: its inputs, its folder, its checkpoint, its chance, the engine, and who listens.

use std::cell::RefMut;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::diagnostic::Diagnostic;
use crate::formula::expr::Output;
use crate::model::Engine;
use crate::score::FixedScorer;
use crate::syntax::span::Span;
use crate::value::{Cell, Table};

use super::checkpoint::{Checkpoint, Checkpoints};
use super::engine::LazyEngine;
use super::failure::Failure;
use super::report::{Metrics, Progress, Report};

/// A finished artifact, ready to be read.
#[derive(Clone, Debug)]
pub enum Artifact {
    Network(NetworkAt),
    Table(Arc<Table>),
    Value(Cell),
    /// Named parts, as `split` gives them.
    Record(Vec<(Arc<str>, Artifact)>),
    /// It was never made: a gate closed before it.
    Missing,
}

/// Where a network is on disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NetworkAt {
    /// Equal keys are equal networks: what a cache of loaded networks goes by.
    pub key: Arc<str>,
    /// A folder, or a single file.
    pub path: PathBuf,
}

impl NetworkAt {
    /// Whether it is a scorer without a network: one file that says everything.
    pub fn is_fixed_scorer(&self) -> bool {
        FixedScorer::is_at(&self.path)
    }
}

/// What a [`Context`] is made of.
pub struct Setting<'a> {
    pub inputs: &'a BTreeMap<Output, Artifact>,
    /// Where the artifact is being made: an empty folder that becomes part of the store when the stage succeeds.
    pub folder: &'a Path,
    pub checkpoints: &'a Checkpoints,
    /// The recipe's folder: where relative paths start.
    pub root: &'a Path,
    pub seed: i64,
    /// Names the stage's random streams. Equal work has equal streams, on every device and under every name.
    pub stage_key: [u32; 2],
    pub span: Span,
    pub interrupted: &'a AtomicBool,
    pub report: &'a dyn Fn(Report),
    pub engine: &'a LazyEngine,
}

impl fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("folder", &self.folder).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// A stage's view of the run. All methods take `&self`, so an engine guard and a progress report go together.
pub struct Context<'a>(Setting<'a>);

impl<'a> Context<'a> {
    /// The view of `setting`.
    pub fn new(setting: Setting<'a>) -> Self {
        Self(setting)
    }

    /// An input as it is.
    ///
    /// # Errors
    /// When it is not an input of this call.
    pub fn artifact(&self, output: &Output) -> Result<&'a Artifact, Failure> {
        self.0.inputs.get(output).ok_or_else(|| mismatch(output, "an input of this stage"))
    }

    /// Whether an input was made; see [`super::Primitive::takes_missing`].
    pub fn exists(&self, output: &Output) -> bool {
        self.0.inputs.get(output).is_some_and(|found| !matches!(found, Artifact::Missing))
    }

    /// Where a network is.
    ///
    /// # Errors
    /// When the input is no network.
    pub fn network(&self, output: &Output) -> Result<&'a NetworkAt, Failure> {
        match self.artifact(output)? {
            Artifact::Network(network) => Ok(network),
            _ => Err(mismatch(output, "a network")),
        }
    }

    /// A table.
    ///
    /// # Errors
    /// When the input is no table.
    pub fn table(&self, output: &Output) -> Result<Arc<Table>, Failure> {
        match self.artifact(output)? {
            Artifact::Table(table) => Ok(table.clone()),
            _ => Err(mismatch(output, "a table")),
        }
    }

    /// A number, estimate or text; a table's rows as a list of records.
    ///
    /// # Errors
    /// When the input is no value.
    pub fn cell(&self, output: &Output) -> Result<Cell, Failure> {
        match self.artifact(output)? {
            Artifact::Value(cell) => Ok(cell.clone()),
            Artifact::Table(table) => Ok(table.records()),
            _ => Err(mismatch(output, "a value")),
        }
    }

    /// The empty folder that becomes the artifact.
    pub fn folder(&self) -> &'a Path {
        self.0.folder
    }

    /// Where a path of the recipe leads: from the recipe's folder, or into the cache of a hub.
    pub fn path(&self, written: &Path) -> PathBuf {
        crate::hub::path(self.0.root, &written.to_string_lossy())
    }

    /// The stage's `seed` argument.
    pub fn seed(&self) -> i64 {
        self.0.seed
    }

    /// The key of the stage's random streams (already depends on the seed).
    pub fn stage_key(&self) -> [u32; 2] {
        self.0.stage_key
    }

    /// Where an earlier run stopped, if it left a checkpoint.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure> {
        Ok(self.0.checkpoints.latest()?)
    }

    /// Whether to write a checkpoint now: some time has passed since the last one, or the run is to stop.
    pub fn checkpoint_due(&self) -> bool {
        self.interrupted() || self.0.checkpoints.due()
    }

    /// Writes a checkpoint: `write` fills an empty folder. Complete or absent; the one before it goes when it stands.
    ///
    /// # Errors
    /// When `write` fails or the disk refuses.
    pub fn save_checkpoint(&self, step: u64, write: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
        self.0.checkpoints.save(step, write)?;
        (self.0.report)(Report::Checkpoint { step });
        Ok(())
    }

    /// Says how far the work is.
    pub fn progress(&self, progress: Progress) {
        (self.0.report)(Report::Progress(progress));
    }

    /// Adds a line to the run's `metrics.jsonl`.
    pub fn log(&self, step: u64, metrics: Metrics) {
        (self.0.report)(Report::Metrics { step, metrics });
    }

    /// Says something the author should know; it is kept with the artifact and said again when it is reused.
    pub fn warn(&self, code: &'static str, message: impl Into<String>, help: Option<String>) {
        let mut warning = Diagnostic::warning(code, message).at(self.0.span, "in this stage");
        warning.help = help;
        (self.0.report)(Report::Warning(warning));
    }

    /// Whether to stop: finish the step, save a checkpoint, return [`Failure::interrupted`].
    pub fn interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Relaxed)
    }

    /// The run's engine, opened on first use.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub fn engine(&self) -> Result<RefMut<'a, Engine>, Failure> {
        self.0.engine.get()
    }
}

fn mismatch(output: &Output, wanted: &str) -> Failure {
    let path = output.path.iter().map(|p| &**p).collect::<Vec<_>>().join(".");
    Failure::mistake(format!("output `{path}` of stage {} is not {wanted}", output.stage.0))
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.0).finish()
    }
}
