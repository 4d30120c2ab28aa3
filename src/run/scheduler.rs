//! The run itself: whatever is ready is made, until nothing is left or somebody says stop.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, reason};
use crate::formula::eval::single;
use crate::formula::expr::StageId;
use crate::formula::program::Program;
use crate::formula::show::Show;
use crate::plan::meaning::artifacts;
use crate::plan::{Found, Shelf};
use crate::recipe::checked::Condition;
use crate::stage::{Failure, Primitive};
use crate::value::Cell;

use super::artifacts::{Artifacts, Unreadable, Values};
use super::event::{Event, Tally};
use super::judge::{Verdict, judge};
use super::outcome::{Outcome, Run, Status};
use super::record::Record;
use super::{export, samples, work};

/// How often to look whether another run has finished what this one waits for.
const PATIENCE: Duration = Duration::from_millis(50);

/// The code of a stored result that is not what it was.
const DAMAGED: &str = "align::run::damaged_artifact";

/// What came of looking at a stage.
enum Turn {
    Settled(Status),
    /// Another run holds it.
    Busy,
    /// An input turned out damaged and has to be made again first.
    Later,
    Stop(Option<u64>),
}

/// A run under way.
pub(super) struct Going<'a> {
    run: &'a Run<'a>,
    artifacts: Artifacts<'a>,
    record: &'a Record,
    status: Vec<Status>,
    waiting: Vec<bool>,
    /// Found damaged when it was read: to be made again whatever the store says.
    suspect: Vec<bool>,
    remade: Vec<bool>,
    failures: Vec<Diagnostic>,
    interrupted: bool,
}

impl<'a> Going<'a> {
    /// Nothing is settled yet.
    pub(super) fn new(run: &'a Run<'a>, record: &'a Record) -> Self {
        let stages = run.plan.nodes.len();
        Self {
            run,
            artifacts: Artifacts::new(run.plan, run.store, run.root),
            record,
            status: vec![Status::Pending; stages],
            waiting: vec![false; stages],
            suspect: vec![false; stages],
            remade: vec![false; stages],
            failures: Vec::new(),
            interrupted: false,
        }
    }

    fn say(&self, event: Event) {
        self.record.add(&event, self.run.sources);
        (self.run.listen)(&event);
    }

    /// Says what is about to happen.
    pub(super) fn begin(&self) {
        let plan = self.run.plan;
        self.say(Event::Started {
            recipe: plan.recipe.to_string(),
            title: plan.title.clone(),
            device: self.run.device.0.clone(),
            because: self.run.device.1.clone(),
            folder: self.record.folder.clone(),
            stages: plan.nodes.len(),
            cached: plan.totals().cached,
        });
        // what is damaged is said again when it is set aside, with the place where it lies then
        for warning in plan.warnings.iter().filter(|warning| warning.code != DAMAGED) {
            self.say(Event::Warning { stage: None, warning: warning.clone() });
        }
    }

    /// Settles every stage. Order is the recipe's, except that nobody waits while there is other work.
    pub(super) fn stages(&mut self) {
        while !self.interrupted && self.status.contains(&Status::Pending) {
            let mut moved = false;
            for at in (0..self.status.len()).map(StageId) {
                if self.status[at.0] != Status::Pending || !self.ready(at) {
                    continue;
                }
                if self.run.interrupted.load(Ordering::Relaxed) {
                    self.interrupted = true;
                    return;
                }
                match self.attempt(at) {
                    Turn::Settled(status) => {
                        self.settle(at, status);
                        moved = true;
                    }
                    Turn::Later => moved = true,
                    Turn::Busy => self.wait(at),
                    Turn::Stop(step) => {
                        self.say(Event::Interrupted { stage: self.name(at), step });
                        self.interrupted = true;
                        return;
                    }
                }
            }
            if !moved {
                std::thread::sleep(PATIENCE);
            }
        }
    }

    fn ready(&self, at: StageId) -> bool {
        self.run.plan.graph.needs(at).iter().all(|need| self.status[need.0] != Status::Pending)
    }

    fn name(&self, at: StageId) -> String {
        self.run.plan.node(at).call.name.clone()
    }

    fn settle(&mut self, at: StageId, status: Status) {
        self.status[at.0] = status;
        match status {
            Status::Made { .. } | Status::Cached => {
                if let Err(error) = work::remember(self.run, self.run.plan.node(at)) {
                    let warning = Diagnostic::warning(
                        "align::run::disk",
                        format!("what `{}` was is not remembered: {}", self.name(at), reason(&error)),
                    );
                    self.say(Event::Warning { stage: Some(self.name(at)), warning });
                }
            }
            Status::Skipped | Status::Failed | Status::Blocked => self.artifacts.give_up(at),
            Status::Pending => {}
        }
    }

    fn wait(&mut self, at: StageId) {
        if !std::mem::replace(&mut self.waiting[at.0], true) {
            self.say(Event::Waiting { stage: self.name(at) });
        }
    }

    fn attempt(&mut self, at: StageId) -> Turn {
        let plan = self.run.plan;
        let node = plan.node(at);
        let primitive = self.run.primitives.iter().find(|p| p.name() == node.key.primitive).expect("the plan found it");
        let status = |need: &StageId| self.status[need.0];
        if let Some(by) = plan.graph.needs(at).iter().find(|need| matches!(status(need), Status::Failed | Status::Blocked)) {
            self.say(Event::Blocked { stage: self.name(at), by: self.name(*by) });
            return Turn::Settled(Status::Blocked);
        }
        let missing = node.places.values().find(|output| status(&output.stage) == Status::Skipped);
        let because = match (missing, primitive.takes_missing()) {
            (Some(output), false) => Ok(Some(format!("`{}` was skipped", plan.shown(output)))),
            _ => self.closed(&node.call.when),
        };
        match because {
            Ok(None) => {}
            Ok(Some(because)) => {
                self.say(Event::Skipped { stage: self.name(at), because });
                return Turn::Settled(Status::Skipped);
            }
            Err(failure) => return self.fail(at, &failure),
        }
        match self.find_or_make(at, *primitive) {
            Ok(turn) => turn,
            Err(failure) => self.fail(at, &failure),
        }
    }

    fn find_or_make(&mut self, at: StageId, primitive: &dyn Primitive) -> Result<Turn, Failure> {
        let (store, node) = (self.run.store, self.run.plan.node(at));
        if !self.suspect[at.0] && store.find(&node.fingerprint) == Found::Whole {
            store.tidy(&node.fingerprint)?;
            return Ok(self.cached(at));
        }
        let Some(_lock) = store.lock(&node.fingerprint)? else { return Ok(Turn::Busy) };
        // another run may have finished it between the two looks
        match store.find(&node.fingerprint) {
            Found::Whole if !self.suspect[at.0] => return Ok(self.cached(at)),
            Found::Whole => self.set_aside(at, "it changed on the disk")?,
            Found::Damaged(how) => self.set_aside(at, &how)?,
            Found::Partial(_) | Found::Nothing => {}
        }
        let inputs = match work::inputs(node, &self.artifacts) {
            Ok(inputs) => inputs,
            Err(unreadable) => return self.again(unreadable),
        };
        let seconds = work::make(self.run, node, primitive, &inputs, &self.artifacts, &|event| self.say(event))?;
        self.suspect[at.0] = false;
        self.say(Event::Made { stage: self.name(at), seconds, values: self.artifacts.values(at) });
        Ok(Turn::Settled(Status::Made { seconds }))
    }

    fn cached(&self, at: StageId) -> Turn {
        self.say(Event::Cached { stage: self.name(at) });
        let node = self.run.plan.node(at);
        if let Ok(object) = self.run.store.object(&node.fingerprint) {
            for warning in &object.note.warnings {
                // codes are static in diagnostics; a stored one lives as long as the process, and there are few
                let code: &'static str = warning.code.clone().leak();
                let again = Diagnostic::warning(code, &warning.message).at(node.call.span, "in this stage");
                let again = warning.help.iter().fold(again, |d, help| d.help(help));
                self.say(Event::Warning { stage: Some(self.name(at)), warning: again });
            }
        }
        Turn::Settled(Status::Cached)
    }

    fn set_aside(&self, at: StageId, how: &str) -> io::Result<()> {
        if let Some(aside) = self.run.store.set_aside(&self.run.plan.node(at).fingerprint)? {
            let warning = Diagnostic::warning(DAMAGED, format!("the stored result of `{}` is damaged: {how}", self.name(at)))
                .at(self.run.plan.node(at).call.span, "made again")
                .help(format!("it was set aside in `{}`; check the disk", aside.display()));
            self.say(Event::Warning { stage: Some(self.name(at)), warning });
        }
        Ok(())
    }

    /// An input is not what it was: it is made again, once, before the stage that reads it.
    fn again(&mut self, unreadable: Unreadable) -> Result<Turn, Failure> {
        match unreadable {
            Unreadable::Damaged { stage, .. } if !self.remade[stage.0] => {
                self.remade[stage.0] = true;
                self.suspect[stage.0] = true;
                self.status[stage.0] = Status::Pending;
                self.artifacts.forget();
                Ok(Turn::Later)
            }
            other => Err(other.into()),
        }
    }

    fn fail(&mut self, at: StageId, failure: &Failure) -> Turn {
        let reason = match failure {
            Failure::Interrupted { step } => return Turn::Stop(*step),
            Failure::Failed(reason) => reason,
        };
        let diagnostic = reason.diagnostic(&self.name(at), self.run.plan.node(at).call.span);
        self.say(Event::Failed { stage: self.name(at), failure: diagnostic.clone() });
        self.failures.push(diagnostic);
        Turn::Settled(Status::Failed)
    }

    /// Why conditions do not hold; `None` when all do.
    fn closed(&self, conditions: &[Condition]) -> Result<Option<String>, Failure> {
        for condition in conditions {
            let answer = single(&condition.formula, &mut Values(&self.artifacts));
            match answer {
                Ok(Cell::Bool(holds)) if holds == condition.holds => {}
                Ok(_) => return Ok(Some(self.because(condition))),
                // a round that was not reached decides nothing any more
                Err(_) if artifacts(&condition.formula).iter().any(|o| self.artifacts.is_missing(o.stage)) => {
                    return Ok(Some("an earlier round ended the loop".to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn because(&self, condition: &Condition) -> String {
        let shown = Program::lower(std::slice::from_ref(&condition.formula)).map_or_else(
            |_| String::new(),
            |program| {
                let text = Show::new(&program, &|output| self.run.plan.shown(output)).slot(program.roots[0]);
                let bare = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(&text);
                format!(" `{bare}`")
            },
        );
        let said = condition.message.as_ref().map_or(String::new(), |message| format!(": {message}"));
        if condition.holds { format!("the gate{shown} is closed{said}") } else { format!("the loop ended: `until`{shown} was reached") }
    }

    /// Judges every expectation, unless the run was stopped.
    pub(super) fn judge(&self) -> Vec<Verdict> {
        if self.interrupted {
            return Vec::new();
        }
        let verdicts: Vec<Verdict> = self.run.plan.expectations.iter().map(|e| judge(e, self.run.plan, &self.artifacts)).collect();
        for verdict in &verdicts {
            self.say(Event::Judged(verdict.clone()));
        }
        verdicts
    }

    /// Nothing leaves the store before everything that was expected of it holds.
    pub(super) fn export(&mut self, verdicts: &[Verdict]) {
        if self.interrupted {
            return;
        }
        let unmet = verdicts.iter().any(|v| v.holds != Some(true)).then(|| "an expectation does not hold".to_owned());
        let limited = self.run.plan.limited_by.as_ref().map(|profile| format!("`profile {profile}` limits the work"));
        let withheld = limited.or(unmet);
        for wanted in &self.run.plan.exports {
            let what = self.run.plan.shown(&wanted.what);
            let path = wanted.path.clone();
            let because = match self.status[wanted.what.stage.0] {
                Status::Made { .. } | Status::Cached => withheld.clone(),
                _ => Some(format!("`{what}` was not made")),
            };
            if let Some(because) = because {
                self.say(Event::Withheld { what, path, because });
                continue;
            }
            match export::export(self.run, wanted, &self.artifacts) {
                Ok(unchanged) => self.say(Event::Exported { what, path, unchanged }),
                Err(failure) => {
                    self.say(Event::Refused { failure: failure.clone() });
                    self.failures.push(failure);
                }
            }
        }
    }

    /// Keeps what networks said to the same prompts, for the report. What cannot be shown costs the report, not the run.
    pub(super) fn show(&self) {
        if self.interrupted {
            return;
        }
        match samples::samples(self.run, &self.status, &self.artifacts) {
            Ok(Some(samples)) => self.record.keep("samples.json", &samples),
            Ok(None) => {}
            Err(failure) => {
                let warning = Diagnostic::warning("align::run::no_samples", format!("the report has no samples: {failure}"));
                self.say(Event::Warning { stage: None, warning });
            }
        }
    }

    /// Counts, and says the last word.
    pub(super) fn finish(self, verdicts: Vec<Verdict>) -> Outcome {
        let count = |is: fn(&Status) -> bool| self.status.iter().filter(|s| is(s)).count();
        let tally = Tally {
            made: count(|s| matches!(s, Status::Made { .. })),
            cached: count(|s| *s == Status::Cached),
            skipped: count(|s| *s == Status::Skipped),
            failed: count(|s| *s == Status::Failed),
            left: count(|s| matches!(s, Status::Blocked | Status::Pending)),
            kept: verdicts.iter().filter(|v| v.holds == Some(true)).count(),
            limited_by: self.run.plan.limited_by.clone(),
            broken: verdicts.iter().filter(|v| v.holds != Some(true)).count(),
            interrupted: self.interrupted,
        };
        self.say(Event::Finished { tally: tally.clone(), seconds: self.record.seconds(), folder: self.record.folder.clone() });
        Outcome { tally, statuses: self.status, verdicts, failures: self.failures, folder: self.record.folder.clone() }
    }
}
