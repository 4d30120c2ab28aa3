//! What a run needs, what becomes of it, and what it leaves written down.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::StageId;
use crate::hub;
use crate::plan::{Lock, Plan};
use crate::stage::{LazyEngine, Primitive};
use crate::world::Sources;

use super::artifacts::Artifacts;
use super::described::described;
use super::event::{Event, Tally, values_json};
use super::judge::Verdict;
use super::record::Record;
use super::scheduler::Going;
use super::store::Store;

/// What a run needs.
pub struct Run<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    /// The recipe's folder.
    pub root: &'a Path,
    pub primitives: &'a [&'static dyn Primitive],
    pub engine: &'a LazyEngine,
    /// The device, and why this one.
    pub device: (String, String),
    pub sources: &'a Sources,
    /// Set from outside to stop: the current step is finished and checkpointed.
    pub interrupted: &'a AtomicBool,
    /// Checkpoints are at least this far apart.
    pub checkpoint_every: Duration,
    pub listen: &'a dyn Fn(&Event),
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("recipe", &self.plan.recipe).field("device", &self.device).finish_non_exhaustive()
    }
}

/// Where a stage stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Status {
    Pending,
    Made {
        seconds: f64,
    },
    Cached,
    Skipped,
    Failed,
    /// It needs a stage that failed.
    Blocked,
}

/// What became of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    pub tally: Tally,
    pub statuses: Vec<Status>,
    pub verdicts: Vec<Verdict>,
    /// Failures of stages and refused exports.
    pub failures: Vec<Diagnostic>,
    /// `.align/runs/…`
    pub folder: PathBuf,
}

impl Outcome {
    /// 0 done, 1 a stage or an expectation failed, 130 interrupted. Under a profile with limits expectations decide nothing.
    pub fn exit_code(&self) -> u8 {
        let unmet = self.tally.limited_by.is_none() && self.tally.broken > 0;
        if self.tally.interrupted { 130 } else { u8::from(unmet || !self.failures.is_empty()) }
    }
}

impl Run<'_> {
    /// Executes the plan as it is.
    ///
    /// # Errors
    /// When the store's folder cannot be written to. Everything later is an event and part of the outcome.
    pub fn execute(&self) -> io::Result<Outcome> {
        self.store.prepare()?;
        self.pin()?;
        let record = Record::new(&self.store.root().join("runs"), &self.plan.recipe)?;
        record.keep("plan.json", &described(self));
        let mut going = Going::new(self, &record);
        going.begin();
        going.stages();
        let verdicts = going.judge();
        going.export(&verdicts);
        going.show();
        let outcome = going.finish(verdicts);
        self.store.save_hashes()?;
        let summary = self.summary(&outcome, &record);
        record.finish(&summary)?;
        Ok(outcome)
    }

    fn pin(&self) -> io::Result<()> {
        // a lock that cannot be read was reported by the plan, and is replaced
        let mut lock = Lock::read(self.root).unwrap_or_default();
        for (path, content) in &self.plan.files {
            lock.pin(path, content.clone());
            // of what somebody else fetched: the commit that the plan read
            if let Some(commit) = hub::commit_of(self.root, path).filter(|commit| lock.commit(path).is_none() && !path.contains(commit)) {
                lock.pin_commit(path, &commit);
            }
        }
        if self.plan.files.is_empty() { Ok(()) } else { lock.write(self.root) }
    }

    fn summary(&self, outcome: &Outcome, record: &Record) -> serde_json::Value {
        let artifacts = Artifacts::new(self.plan, self.store, self.root);
        let stages = self.plan.nodes.iter().zip(&outcome.statuses).enumerate().map(|(at, (node, status))| {
            let (state, seconds) = match status {
                Status::Made { seconds } => ("made", Some(*seconds)),
                Status::Cached => ("cached", None),
                Status::Skipped => ("skipped", None),
                Status::Failed => ("failed", None),
                Status::Blocked => ("blocked", None),
                Status::Pending => ("left", None),
            };
            let values = if matches!(status, Status::Made { .. } | Status::Cached) { artifacts.values(StageId(at)) } else { Vec::new() };
            json!({ "name": node.call.name, "primitive": *node.call.primitive, "state": state, "seconds": seconds, "fingerprint": node.fingerprint, "values": values_json(&values) })
        });
        json!({
            "recipe": *self.plan.recipe,
            "started": record.started,
            "seconds": record.seconds(),
            "device": self.device.0,
            "because": self.device.1,
            "exit": outcome.exit_code(),
            "tally": outcome.tally,
            "expectations": outcome.verdicts.iter().map(Verdict::to_json).collect::<Vec<_>>(),
            "files": self.plan.files,
            "stages": stages.collect::<Vec<_>>(),
        })
    }
}
