//! What a watched recipe's page shows, kept up to date by what is said.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::StageId;
use crate::plan::{Fingerprint, Plan, State};
use crate::run::{Event, Store, made, plain};
use crate::stage::{Artifact, Progress};
use crate::watch::{Fate, Notice};

use super::super::render::{Style, render};
use super::super::view;
use super::super::watch::{saved_line, work};

/// A key that turns the page, as far as work does not hear of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Up,
    Down,
    /// Back to the stage at work.
    Follow,
    Redraw,
}

/// Where a stage is, for people.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum At {
    Planned(State),
    Running,
    Made,
    Failed,
    Skipped,
    Blocked,
    Stopped,
}

/// One stage on the page.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// How many stages lie above it on the longest way.
    pub(super) depth: usize,
    pub(super) at: At,
    pub(super) values: String,
    fingerprint: Fingerprint,
}

/// Numbers of a stage over its steps.
#[derive(Clone, Default, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Page {
    root: PathBuf,
    pub(super) title: String,
    /// What the last save came to.
    pub(super) saved: String,
    /// `running`, `paused`, `waiting for a save`.
    pub(super) doing: String,
    pub(super) stages: Vec<Line>,
    pub(super) focus: Option<usize>,
    /// The stage at work.
    pub(super) running: Option<usize>,
    progress: Option<(Progress, Instant, u64)>,
    curves: BTreeMap<String, Curve>,
    pub(super) diagnostics: String,
    pub(super) log: Vec<String>,
    plan: Option<Arc<Plan>>,
    /// Rows of the stage in focus, and whose they are.
    samples: Option<(Fingerprint, Vec<String>)>,
}

impl Page {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            title: String::new(),
            saved: String::new(),
            doing: "looking".to_owned(),
            stages: Vec::new(),
            focus: None,
            running: None,
            progress: None,
            curves: BTreeMap::new(),
            diagnostics: String::new(),
            log: Vec::new(),
            plan: None,
            samples: None,
        }
    }

    /// The stage that is looked at: the one in focus, else the one at work.
    pub(super) fn shown(&self) -> Option<&Line> {
        self.stages.get(self.focus.or(self.running)?)
    }

    pub(super) fn curve(&self) -> Option<&Curve> {
        self.curves.get(&self.shown()?.name).filter(|curve| curve.points.len() > 1)
    }

    /// `step 12/40  1.5k tokens/s  loss 2.5`, of the stage at work.
    pub(super) fn pace(&self) -> Option<String> {
        let (progress, begun, first) = self.progress.as_ref()?;
        let of = progress.total.map_or(String::new(), |total| format!("/{total}"));
        Some(format!("step {}{of}  {}", progress.step, view::progress(progress, begun.elapsed(), *first)))
    }

    /// The first rows of the stage that is looked at.
    pub(super) fn samples(&self) -> &[String] {
        let shown = self.shown().map(|line| &line.fingerprint);
        self.samples.as_ref().filter(|(of, _)| Some(of) == shown).map_or(&[][..], |(_, rows)| rows.as_slice())
    }

    pub(super) fn turn(&mut self, key: Move) {
        let last = self.stages.len().saturating_sub(1);
        let from = self.focus.or(self.running).unwrap_or(0);
        match key {
            Move::Up => self.focus = Some(from.saturating_sub(1)),
            Move::Down => self.focus = Some((from + usize::from(self.focus.is_some() || self.running.is_some())).min(last)),
            Move::Follow => self.focus = None,
            Move::Redraw => {}
        }
        self.read_samples();
    }

    /// Whether this is worth a look at once.
    pub(super) fn hear(&mut self, notice: &Notice<'_>) -> bool {
        match notice {
            Notice::Watching { files, polled } => {
                let how = polled.as_ref().map_or(String::new(), |how| format!(", looking {how}"));
                self.say(format!("watching {files} files{how}"));
            }
            Notice::Checked { saved, diagnostics, sources, since } => {
                self.diagnostics = render(diagnostics, sources, Style::Terminal { color: false, width: 100 });
                if !saved.is_empty() {
                    self.saved = saved_line(saved, diagnostics, *since);
                }
                if diagnostics.iter().any(Diagnostic::is_error) && self.running.is_none() {
                    "waiting for a save".clone_into(&mut self.doing);
                }
            }
            Notice::Unreadable { reason } => self.saved = format!("the recipe cannot be read: {reason}"),
            Notice::Unplanned { diagnostics, sources } => {
                self.diagnostics = render(diagnostics, sources, Style::Terminal { color: false, width: 100 });
            }
            Notice::Planned { plan, fate, .. } => self.planned(plan, *fate),
            Notice::Run { event, leaving, .. } => return self.run(event, *leaving),
            Notice::Idle { outcome } => {
                let idle = outcome.map_or("paused; p goes on", |_| "waiting for a save");
                idle.clone_into(&mut self.doing);
                (self.running, self.progress) = (None, None);
            }
            Notice::Disk(message) => self.say((*message).to_owned()),
            Notice::Tick => return false,
        }
        true
    }

    fn say(&mut self, line: String) {
        self.log.push(line);
        if self.log.len() > 200 {
            self.log.remove(0);
        }
    }

    fn planned(&mut self, plan: &Arc<Plan>, fate: Option<&Fate>) {
        let depths = plan.graph.depths();
        let running = self.running.and_then(|at| self.stages.get(at)).map(|line| line.fingerprint.clone());
        let known: BTreeMap<Fingerprint, Line> = self.stages.drain(..).map(|line| (line.fingerprint.clone(), line)).collect();
        self.stages = plan
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let before = known.get(&node.fingerprint);
                // what has been made or failed here says more than the plan
                let kept = before.filter(|line| !matches!(line.at, At::Planned(_) | At::Stopped));
                Line {
                    name: node.call.name.clone(),
                    depth: depths.get(&StageId(at)).copied().unwrap_or_default(),
                    at: kept.map_or(At::Planned(node.state), |line| line.at.clone()),
                    values: before.map_or(String::new(), |line| line.values.clone()),
                    fingerprint: node.fingerprint.clone(),
                }
            })
            .collect();
        self.running = self.stages.iter().position(|line| Some(&line.fingerprint) == running.as_ref());
        if let Some(Fate::Stops(_)) = fate {
            self.say("the stage at work stops at its next step; its work is kept".to_owned());
        }
        let title = plan.title.as_ref().map_or(String::new(), |title| format!("  {title}"));
        self.title = format!("{}{title}", plan.recipe);
        self.say(work(plan));
        self.plan = Some(plan.clone());
        self.focus = self.focus.filter(|at| *at < self.stages.len());
        self.read_samples();
    }

    fn find(&self, stage: &str) -> Option<usize> {
        self.stages.iter().position(|line| line.name == stage)
    }

    fn run(&mut self, event: &Event, leaving: bool) -> bool {
        let set = |this: &mut Self, stage: &str, at: At| {
            if let Some(found) = this.find(stage) {
                this.stages[found].at = at;
                if this.running == Some(found) {
                    (this.running, this.progress) = (None, None);
                }
            }
        };
        match event {
            Event::Running { stage, .. } => {
                self.running = self.find(stage);
                self.progress = None;
                if let Some(at) = self.running {
                    self.stages[at].at = At::Running;
                }
                self.curves.remove(stage);
                self.doing = format!("running {stage}");
            }
            Event::Progress { progress, .. } => {
                match &mut self.progress {
                    Some((known, ..)) => *known = progress.clone(),
                    none => *none = Some((progress.clone(), Instant::now(), progress.step)),
                }
                return false;
            }
            Event::Metrics { stage, step, metrics } => {
                let curve = self.curves.entry(stage.clone()).or_default();
                let wanted = metrics.iter().find(|(name, _)| &**name == "loss").or_else(|| metrics.first());
                if let Some((name, value)) = wanted.filter(|(_, value)| value.is_finite()) {
                    curve.name = name.to_string();
                    #[expect(clippy::cast_precision_loss, reason = "steps stay far below 2^53")]
                    curve.points.push((*step as f64, *value));
                }
                return false;
            }
            Event::Made { stage, values, .. } => {
                set(self, stage, At::Made);
                let shown: Vec<String> = values
                    .iter()
                    .filter(|(_, cell)| cell.number().is_some())
                    .take(2)
                    .map(|(name, cell)| format!("{name} {}", plain(cell)))
                    .collect();
                if let Some(found) = self.find(stage) {
                    self.stages[found].values = shown.join("  ");
                }
                self.read_samples();
            }
            Event::Cached { stage } => set(self, stage, At::Planned(State::Cached)),
            Event::Skipped { stage, .. } => set(self, stage, At::Skipped),
            Event::Failed { stage, failure } => {
                set(self, stage, At::Failed);
                self.say(format!("{stage}: {}", failure.message));
            }
            Event::Blocked { stage, .. } => set(self, stage, At::Blocked),
            Event::Interrupted { stage, .. } => set(self, stage, At::Stopped),
            Event::Warning { warning, .. } => self.say(warning.message.clone()),
            Event::Judged(verdict) => {
                let mark = if verdict.holds == Some(true) { "✓" } else { "✗" };
                self.say(format!("{mark} {}  {}", verdict.text, verdict.because.clone().unwrap_or_else(|| verdict.numbers())));
            }
            Event::Finished { .. } if leaving => {}
            Event::Finished { .. } | Event::Exported { .. } | Event::Withheld { .. } => {
                let look = view::Look { colors: false, marks: true };
                self.log.extend(view::line(event, look));
            }
            Event::Started { device, because, .. } => {
                self.title = format!("{}  on {device} ({because})", self.title.split("  on ").next().unwrap_or_default());
            }
            Event::Refused { failure } => self.say(failure.message.clone()),
            Event::Checkpoint { .. } | Event::Waiting { .. } => return false,
        }
        true
    }

    /// Reads the first rows of the stage that is looked at, where it is a finished table.
    fn read_samples(&mut self) {
        const ROWS: usize = 6;
        let (Some(plan), Some(line)) = (&self.plan, self.shown()) else { return };
        let finished = matches!(line.at, At::Made | At::Planned(State::Cached));
        if !finished || self.samples.as_ref().is_some_and(|(of, _)| *of == line.fingerprint) {
            return;
        }
        let fingerprint = line.fingerprint.clone();
        let stage = plan.nodes.iter().position(|node| node.fingerprint == fingerprint).map(StageId);
        let found = stage.and_then(|stage| made(plan, &Store::new(&self.root), &self.root, stage).ok());
        let rows = match found {
            Some(Artifact::Table(table)) => {
                let row = |row: &Vec<crate::value::Cell>| {
                    let cells = table.columns.iter().zip(row).map(|(name, cell)| format!("{name}: {}", one_line(&cell.to_json())));
                    cells.collect::<Vec<_>>().join("  ")
                };
                table.rows.iter().take(ROWS).map(row).collect()
            }
            _ => Vec::new(),
        };
        self.samples = Some((fingerprint, rows));
    }
}

/// A cell's text, on one line.
fn one_line(cell: &serde_json::Value) -> String {
    let text = cell.as_str().map_or_else(
        || cell.pointer("/text").and_then(|text| text.as_str()).map_or_else(|| cell.to_string(), str::to_owned),
        str::to_owned,
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
