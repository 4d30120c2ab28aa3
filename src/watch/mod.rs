//! A recipe that is worked on while it runs: on every save diagnostics, then what the change means, then work.
//!
//! Comes in: a recipe's file, a device, saves. Goes out: [`Notice`]s, for whoever shows them. Two threads: this one
//! looks at files, checks and plans; [`worker`] owns the engine and the store's artifacts, which stay open from run to
//! run. **Invariants:** a stage whose fingerprint is also in the new plan is never stopped; one that is not stops at
//! its next step and leaves a checkpoint under its own fingerprint, so that an undo goes on there; a recipe with
//! mistakes stops nothing.

mod difference;
mod files;
mod look;
mod worker;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use crate::diagnostic::Diagnostic;
use crate::durable::{self, HashCache};
use crate::hub::is_reference;
use crate::plan::{Fingerprint, Numerics, Plan, Room, Surroundings};
use crate::recipe::{Memory, Options};
use crate::run::{Event, Outcome, Store};
use crate::stage::{LazyEngine, PRIMITIVES};
use crate::world::Sources;

pub use difference::{Changed, Difference};
pub use worker::{Fate, Job};

use files::Files;
use look::Look;
use worker::{Report, Worker};

/// Saves of several files, and a save in several steps, are one when they are this close.
const QUIET: Duration = Duration::from_millis(4);
/// Somebody who saves without pause is answered after this time all the same.
const LATEST: Duration = Duration::from_millis(20);
/// A file that is gone or empty may be in the middle of being saved: it is looked at again for this long.
const HALF_SAVED: Duration = Duration::from_millis(60);
/// How often a listener hears [`Notice::Tick`], and the quit flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// What is watched, and how it is run.
pub struct Target {
    pub file: PathBuf,
    pub options: Options,
    /// Seconds between two looks at the files where the system does not tell of changes; `None` to be told.
    pub poll: Option<Duration>,
    pub checkpoint_every: Duration,
    pub numerics: Numerics,
    /// What every stage must fit into, as far as that is known.
    pub room: Option<Room>,
    /// The device, and why this one.
    pub device: (String, String),
    /// Called once, on the thread that works.
    pub engine: Box<dyn FnOnce() -> LazyEngine + Send>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("file", &self.file).field("device", &self.device).finish_non_exhaustive()
    }
}

/// What a person may ask for while watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Stops at the next step, or goes on.
    Pause,
    /// Runs the plan again: what failed is tried anew.
    Again,
    Quit,
}

/// One thing that a watcher says.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The first: how many files are watched, and why they are polled where the system refused to tell.
    Watching {
        files: usize,
        polled: Option<String>,
    },
    /// A look at the recipe, `since` the save was noticed. No error among the diagnostics: it is sound.
    Checked {
        saved: &'a [String],
        diagnostics: &'a [Diagnostic],
        sources: &'a Arc<Sources>,
        since: Duration,
    },
    /// The recipe's own file is gone; it is looked at again when it is there.
    Unreadable {
        reason: &'a str,
    },
    /// What the sound recipe means, against the plan before.
    Planned {
        plan: &'a Arc<Plan>,
        difference: Option<&'a Difference>,
        fate: Option<&'a Fate>,
    },
    /// The recipe is sound and cannot be run: a file is missing, or memory is short.
    Unplanned {
        diagnostics: &'a [Diagnostic],
        sources: &'a Arc<Sources>,
    },
    /// Something that a run said. `leaving`: the run is being left for a newer plan.
    Run {
        event: &'a Event,
        job: &'a Arc<Job>,
        leaving: bool,
    },
    /// Nothing is left to do until the next save. `None`: paused.
    Idle {
        outcome: Option<&'a Outcome>,
    },
    /// The store cannot be written to.
    Disk(&'a str),
    Tick,
}

/// How watching ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// A stage was stopped on the way out; the next run goes on there.
    pub interrupted: bool,
}

enum Message {
    /// Something may have changed on the disk.
    Touched(Instant),
    Worker(Report),
    Command(Command),
}

/// A person's side of the channel.
#[derive(Clone, Debug)]
pub struct Commands(Sender<Message>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Commands {
    /// Asks for something; nothing happens once watching has ended.
    pub fn send(&self, command: Command) {
        self.0.send(Message::Command(command)).ok();
    }
}

/// A recipe being watched.
#[derive(Debug)]
pub struct Watch {
    file: PathBuf,
    options: Options,
    root: PathBuf,
    numerics: Numerics,
    room: Option<Room>,
    device: (String, String),
    inbox: Receiver<Message>,
    commands: Commands,
    files: Files,
    memory: Memory,
    store: Store,
    hashes: HashCache,
    look: Option<Look>,
    /// The newest plan, and the texts it came from.
    plan: Option<(Arc<Plan>, Arc<Sources>)>,
    worker: Worker,
    jobs: u64,
    /// The job at work.
    job: Option<Arc<Job>>,
    /// It is being left for the newest plan.
    leaving: bool,
    paused: bool,
    quitting: bool,
    interrupted: bool,
}

impl Watch {
    /// Begins to watch; nothing is checked yet.
    ///
    /// # Errors
    /// When the recipe's file is not there.
    pub fn new(target: Target) -> std::io::Result<Self> {
        let root = durable::parent(&target.file).canonicalize()?;
        std::fs::metadata(&target.file)?;
        let (send, inbox) = channel();
        let touched = send.clone();
        let files = Files::new(target.poll, move || touched.send(Message::Touched(Instant::now())).is_ok());
        let reports = send.clone();
        let worker = Worker::spawn(root.clone(), target.checkpoint_every, target.engine, move |report| {
            reports.send(Message::Worker(report)).ok();
        });
        let store = Store::new(&root);
        let hashes = HashCache::open(&store.root().join("outside.json"));
        Ok(Self {
            file: target.file,
            options: target.options,
            root,
            numerics: target.numerics,
            room: target.room,
            device: target.device,
            inbox,
            commands: Commands(send),
            files,
            memory: Memory::default(),
            store,
            hashes,
            look: None,
            plan: None,
            worker,
            jobs: 0,
            job: None,
            leaving: false,
            paused: false,
            quitting: false,
            interrupted: false,
        })
    }

    /// The recipe's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where keys go.
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Watches until somebody quits, or sets `quit`.
    pub fn run(mut self, quit: &AtomicBool, say: &mut dyn FnMut(&Notice<'_>)) -> Ended {
        self.look_again(Instant::now(), true, say);
        say(&Notice::Watching { files: self.files.len(), polled: self.files.polled() });
        loop {
            match self.inbox.recv_timeout(TICK) {
                Ok(Message::Touched(at)) => self.touched(at, say),
                Ok(Message::Worker(report)) => self.heard(report, say),
                Ok(Message::Command(command)) => self.asked(command, say),
                Err(RecvTimeoutError::Timeout) => say(&Notice::Tick),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this side holds a sender"),
            }
            if quit.load(Ordering::Relaxed) && !self.quitting {
                self.asked(Command::Quit, say);
            }
            if self.quitting && self.job.is_none() {
                self.worker.end();
                return Ended { interrupted: self.interrupted };
            }
        }
    }

    // ── Saves ───────────────────────────────────────────────────────────────

    /// Waits until the save is over, then looks.
    fn touched(&mut self, at: Instant, say: &mut dyn FnMut(&Notice<'_>)) {
        let mut later = Vec::new();
        // only another touch prolongs the wait: a run at work has something to say all the time
        let mut over = Instant::now() + QUIET;
        while let Ok(message) = self.inbox.recv_timeout(over.min(at + LATEST).saturating_duration_since(Instant::now())) {
            match message {
                Message::Touched(_) => over = Instant::now() + QUIET,
                other => later.push(other),
            }
        }
        self.look_again(at, false, say);
        for message in later {
            match message {
                Message::Worker(report) => self.heard(report, say),
                Message::Command(command) => self.asked(command, say),
                Message::Touched(_) => {}
            }
        }
    }

    fn look_again(&mut self, at: Instant, first: bool, say: &mut dyn FnMut(&Notice<'_>)) {
        let mut saved = self.files.changed();
        if saved.is_empty() && !first {
            return;
        }
        let mut since = SystemTime::now();
        let mut look = Look::new(&self.file, &self.root, &self.options, &mut self.memory);
        while look.is_half_saved() && at.elapsed() < HALF_SAVED {
            std::thread::sleep(QUIET);
            saved.extend(self.files.changed());
            since = SystemTime::now();
            look = Look::new(&self.file, &self.root, &self.options, &mut self.memory);
        }
        let outside = saved.iter().any(|path| !look.texts.contains_key(path));
        // a save that changed no text, and a touch by ourselves, are none
        if !first && !outside && self.look.as_ref().is_some_and(|before| before.texts == look.texts) {
            return;
        }
        let saved: BTreeSet<String> = saved.iter().map(|path| self.shown(path)).collect();
        let saved: Vec<String> = saved.into_iter().collect();
        if let Some(reason) = &look.unreadable {
            say(&Notice::Unreadable { reason });
        } else {
            say(&Notice::Checked { saved: &saved, diagnostics: &look.diagnostics, sources: &look.sources, since: at.elapsed() });
        }
        self.plan_again(&look, say);
        let outside = self
            .plan
            .iter()
            .flat_map(|(plan, _)| plan.files.keys())
            .map(|path| self.root.join(path))
            .chain(look.outside(&self.root))
            .filter(|path| !path.strip_prefix(&self.root).is_ok_and(|written| is_reference(&written.to_string_lossy())));
        self.files.watch(look.texts.keys().cloned().chain(outside).collect(), look.misses_a_file().then_some(since));
        self.look = Some(look);
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn plan_again(&mut self, look: &Look, say: &mut dyn FnMut(&Notice<'_>)) {
        let Some(checked) = look.checked() else { return };
        let mut around = Surroundings {
            root: &self.root,
            numerics: self.numerics,
            primitives: PRIMITIVES,
            shelf: &self.store,
            hashes: &mut self.hashes,
        };
        let plan = match Plan::new(checked, &mut around).and_then(|plan| plan.ready().and_then(|()| plan.fits(self.room)).map(|()| plan)) {
            Ok(plan) => Arc::new(plan),
            Err(diagnostics) => return say(&Notice::Unplanned { diagnostics: &diagnostics, sources: &look.sources }),
        };
        let before = self.plan.replace((plan.clone(), look.sources.clone()));
        let difference = before.as_ref().map(|(before, _)| Difference::between(before, &plan));
        let same = difference.as_ref().is_some_and(Difference::is_nothing);
        let fate = match &self.job {
            Some(_) if same && !self.leaving => Some(Fate::Unchanged),
            Some(_) => {
                self.leaving = true;
                Some(self.worker.leave(plan.nodes.iter().map(|node| node.fingerprint.clone()).collect()))
            }
            None => None,
        };
        say(&Notice::Planned { plan: &plan, difference: difference.as_ref(), fate: fate.as_ref() });
        if self.job.is_none() && !self.paused && !same {
            self.start();
        }
    }

    // ── Work ────────────────────────────────────────────────────────────────

    fn start(&mut self) {
        let Some((plan, sources)) = self.plan.clone() else { return };
        self.jobs += 1;
        let job = Arc::new(Job { number: self.jobs, plan, sources, device: self.device.clone() });
        self.leaving = false;
        self.worker.start(job.clone());
        self.job = Some(job);
    }

    fn heard(&mut self, report: Report, say: &mut dyn FnMut(&Notice<'_>)) {
        let Some(job) = self.job.clone() else { return };
        match report {
            Report::Event(event) => say(&Notice::Run { event: &event, job: &job, leaving: self.leaving }),
            Report::Ended(outcome) => {
                self.job = None;
                self.interrupted |= self.quitting && outcome.as_ref().is_ok_and(|outcome| outcome.tally.interrupted);
                if self.quitting {
                    return;
                }
                match outcome {
                    Err(refused) => say(&Notice::Disk(&refused)),
                    Ok(_) if self.paused => say(&Notice::Idle { outcome: None }),
                    Ok(_) if self.leaving => self.start(),
                    Ok(outcome) => say(&Notice::Idle { outcome: Some(&outcome) }),
                }
            }
        }
    }

    fn asked(&mut self, command: Command, say: &mut dyn FnMut(&Notice<'_>)) {
        match command {
            Command::Quit => {
                self.quitting = true;
                self.worker.stop();
            }
            Command::Pause if self.paused => {
                self.paused = false;
                if self.job.is_none() {
                    self.start();
                } else {
                    // still on its way to the step where it stops
                    self.leaving = true;
                }
            }
            Command::Pause => {
                self.paused = true;
                self.worker.stop();
                if self.job.is_none() {
                    say(&Notice::Idle { outcome: None });
                }
            }
            Command::Again => {
                self.paused = false;
                if self.job.is_none() {
                    self.start();
                }
            }
        }
    }
}

/// Everything a plan would make, by what it is.
fn fingerprints(plan: &Plan) -> BTreeSet<&Fingerprint> {
    plan.nodes.iter().map(|node| &node.fingerprint).collect()
}
