//! The thread that works: it keeps the engine, its compiled pipelines and the store open from one run to the next.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::diagnostic::reason;
use crate::plan::{Fingerprint, Plan};
use crate::run::{Event, Outcome, Run, Store};
use crate::stage::{LazyEngine, PRIMITIVES};
use crate::world::Sources;

/// A plan to be run, with the texts that its places point into.
#[derive(Debug)]
pub struct Job {
    pub number: u64,
    pub plan: Arc<Plan>,
    pub sources: Arc<Sources>,
    /// The device, and why this one.
    pub device: (String, String),
}

/// What becomes of the stage at work when a newer plan is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The run goes on: the plan means the same.
    Unchanged,
    /// This stage is in the new plan too and keeps running.
    Keeps(Fingerprint),
    /// This stage stops at its next step.
    Stops(Fingerprint),
    /// Nothing was at work.
    Between,
}

#[derive(Debug)]
pub(super) enum Report {
    Event(Event),
    Ended(Result<Outcome, String>),
}

/// What both threads look at.
#[derive(Default, Debug)]
struct Shared {
    /// Set: finish the step, write a checkpoint, stop.
    interrupted: AtomicBool,
    at: Mutex<At>,
}

#[derive(Default, Debug)]
struct At {
    running: Option<Fingerprint>,
    /// A newer plan is there, and these are its stages.
    newer: Option<BTreeSet<Fingerprint>>,
}

impl Shared {
    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// Looks at an event on the working thread, between steps: whether to go on to another plan is decided under the
    /// same lock as on the other side, so no stage slips through.
    fn hear(&self, plan: &Plan, event: &Event) {
        let mut at = self.at();
        match event {
            Event::Running { stage, .. } => {
                at.running = plan.named(stage).map(|stage| plan.node(stage).fingerprint.clone());
                let stays = at.running.as_ref().is_none_or(|running| at.newer.as_ref().is_none_or(|newer| newer.contains(running)));
                if !stays {
                    self.stop();
                }
            }
            Event::Made { .. }
            | Event::Cached { .. }
            | Event::Skipped { .. }
            | Event::Failed { .. }
            | Event::Blocked { .. }
            | Event::Waiting { .. }
            | Event::Interrupted { .. } => {
                at.running = None;
                if at.newer.is_some() {
                    self.stop();
                }
            }
            _ => {}
        }
    }
}

/// The working thread, seen from outside.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    jobs: Option<Sender<Arc<Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// A thread without work.
    pub(super) fn spawn(
        root: PathBuf,
        checkpoint_every: Duration,
        engine: Box<dyn FnOnce() -> LazyEngine + Send>,
        report: impl Fn(Report) + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (jobs, inbox) = channel();
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || work(&inbox, &root, checkpoint_every, engine, &theirs, &report));
        Self { shared, jobs: Some(jobs), thread: Some(thread) }
    }

    /// Gives work to a worker that has none.
    pub(super) fn start(&self, job: Arc<Job>) {
        *self.shared.at() = At::default();
        self.shared.interrupted.store(false, Ordering::Relaxed);
        if let Some(jobs) = &self.jobs {
            jobs.send(job).ok();
        }
    }

    /// Leaves the job for a newer plan with these stages: at once, unless the stage at work is one of them.
    pub(super) fn leave(&self, newer: BTreeSet<Fingerprint>) -> Fate {
        let mut at = self.shared.at();
        let fate = match &at.running {
            Some(running) if newer.contains(running) && !self.shared.interrupted.load(Ordering::Relaxed) => Fate::Keeps(running.clone()),
            Some(running) => Fate::Stops(running.clone()),
            None => Fate::Between,
        };
        at.newer = Some(newer);
        if !matches!(fate, Fate::Keeps(_)) {
            self.shared.stop();
        }
        fate
    }

    /// Stops at the next step.
    pub(super) fn stop(&self) {
        self.shared.stop();
    }

    /// Ends the thread, which has no job.
    pub(super) fn end(&mut self) {
        self.jobs = None;
        // a process that leaves while a device is being closed can crash in its driver
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn work(
    jobs: &Receiver<Arc<Job>>,
    root: &std::path::Path,
    checkpoint_every: Duration,
    engine: Box<dyn FnOnce() -> LazyEngine + Send>,
    shared: &Shared,
    report: &dyn Fn(Report),
) {
    give_way();
    let (engine, store) = (engine(), Store::new(root));
    for job in jobs {
        let run = Run {
            plan: &job.plan,
            store: &store,
            root,
            primitives: PRIMITIVES,
            engine: &engine,
            device: job.device.clone(),
            sources: &job.sources,
            interrupted: &shared.interrupted,
            checkpoint_every,
            listen: &|event| {
                shared.hear(&job.plan, event);
                report(Report::Event(event.clone()));
            },
        };
        // whoever watches must hear of the end, also of one by a mistake in align; the message was printed
        let outcome = catch_unwind(AssertUnwindSafe(|| run.execute()));
        let outcome = outcome
            .map_err(|_| "the run ended by a mistake in align".to_owned())
            .and_then(|outcome| outcome.map_err(|error| format!("`{}` cannot be written: {}", store.root().display(), reason(&error))));
        report(Report::Ended(outcome));
    }
}

/// Lets whoever edits go first: a check needs a part of a second of what training uses all the time. The threads that this one
/// starts, the engine's, take it over. Elsewhere than on Linux a thread cannot say so without asking for the whole process.
fn give_way() {
    #[cfg(target_os = "linux")]
    rustix::process::nice(10).ok();
}
