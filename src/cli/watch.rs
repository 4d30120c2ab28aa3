//! `align watch`: lines for a pipe, one JSON object a line for programs, a screen on a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, by_cause, counted};
use crate::hub::Extent;
use crate::plan::{Fingerprint, Plan, State};
use crate::recipe::Options;
use crate::run::{Event, Verdict, diagnostic_json};
use crate::stage::Progress;
use crate::watch::{Difference, Fate, Job, Notice, Target, Watch};
use crate::world::Sources;

use super::Exit;
use super::args::WatchArgs;
use super::device::Chosen;
use super::fetch::How;
use super::open::{open, unreadable};
use super::render::{Style, render};
use super::screen::Screen;
use super::view::{self, Look};
use super::{interrupt, out};

/// A pipe hears of a long stage this often.
const CALM: Duration = Duration::from_secs(15);

pub(super) fn watch(args: &WatchArgs) -> Exit {
    let device = match Chosen::new(args.device.device) {
        Ok(device) => device,
        Err(wrong) => {
            out::diagnostics(&[wrong], &Sources::default());
            return Exit::Failed;
        }
    };
    fetch_first(args);
    let settings = args.recipe.settings.clone();
    let (numerics, shown) = (device.numerics(), (device.name.clone(), device.because.clone()));
    let watch = Watch::new(Target {
        file: args.recipe.file.clone(),
        options: Options { recipe: args.recipe.recipe.clone(), params: settings.params, profile: settings.profile },
        poll: args.poll,
        checkpoint_every: args.checkpoint_every,
        numerics,
        // once: later, what works has some of it
        room: args.memory.room(numerics.device),
        device: shown,
        engine: Box::new(move || device.engine()),
    });
    let watch = match watch {
        Ok(watch) => watch,
        Err(error) => {
            out::error(&unreadable(&args.recipe.file, &error));
            return Exit::Failed;
        }
    };
    let quit = interrupt::flag();
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let ended = if args.json {
        watch.run(&quit, &mut |notice| json_line(notice))
    } else if terminal && !args.plain {
        let mut screen = match Screen::open(watch.commands(), watch.root().to_owned()) {
            Ok(screen) => screen,
            Err(error) => {
                out::error(&format!("this terminal cannot be taken over: {error}; `--plain` writes lines"));
                return Exit::Failed;
            }
        };
        watch.run(&quit, &mut |notice| screen.hear(notice))
    } else {
        let mut lines = Lines::new(std::io::stdout().is_terminal());
        watch.run(&quit, &mut |notice| lines.hear(notice))
    };
    if ended.interrupted { Exit::Code(130) } else { Exit::Done }
}

/// Fetches what the recipe names of a hub as it stands; what a later save names is left to `align run`.
fn fetch_first(args: &WatchArgs) {
    let text = std::fs::read_to_string(&args.recipe.file).unwrap_or_default();
    let texts = args.recipe.settings.params.iter().map(|(_, value)| value.as_str()).chain([text.as_str()]);
    if !texts.into_iter().any(|text| text.contains("hf:")) {
        return;
    }
    if let Ok(opened) = open(&args.recipe, How { extent: Extent::All, update: false, json: args.json }) {
        // everything else is said by the first look
        let refused = |diagnostic: &&Diagnostic| diagnostic.is_error() && diagnostic.code.starts_with("align::hub::");
        let refused: Vec<Diagnostic> = opened.diagnostics.iter().filter(refused).cloned().collect();
        out::diagnostics(&refused, &opened.sources);
    }
}

/// Calm lines.
#[derive(Debug)]
struct Lines {
    look: Look,
    /// When the save that is being answered was noticed.
    saved: Option<Instant>,
    /// The stage at work: name, since when, its first step, and when it was last told of.
    at: Option<(String, Instant, u64, Instant)>,
    verdicts: Vec<Verdict>,
    failures: Vec<Diagnostic>,
}

impl Lines {
    fn new(terminal: bool) -> Self {
        let look = Look { colors: terminal && out::colors(), marks: terminal };
        Self { look, saved: None, at: None, verdicts: Vec::new(), failures: Vec::new() }
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Watching { files, polled } => {
                let how = polled.as_ref().map_or(String::new(), |how| format!(", looking {how}"));
                out::line(&format!("watching {}{how}; Ctrl-C ends", counted(*files, "file")));
            }
            Notice::Checked { saved, diagnostics, sources, since } => {
                self.saved = Instant::now().checked_sub(*since).filter(|_| !saved.is_empty());
                if !saved.is_empty() {
                    out::line(&saved_line(saved, diagnostics, *since));
                }
                self.show(diagnostics, sources);
            }
            Notice::Unreadable { reason } => out::line(&format!("the recipe cannot be read: {reason}; waiting for it")),
            Notice::Unplanned { diagnostics, sources } => self.show(diagnostics, sources),
            Notice::Planned { plan, difference: Some(difference), fate } => out::print(&planned(plan, difference, *fate)),
            Notice::Run { event, job, leaving } => self.run(event, job, *leaving),
            Notice::Idle { outcome: None } => out::line("paused"),
            Notice::Disk(message) => out::line(message),
            Notice::Planned { difference: None, .. } | Notice::Idle { .. } | Notice::Tick => {}
        }
    }

    fn show(&self, diagnostics: &[Diagnostic], sources: &Sources) {
        if !diagnostics.is_empty() {
            let style = if self.look.marks { Style::Terminal { color: self.look.colors, width: out::page() } } else { Style::Plain };
            out::print(&render(diagnostics, sources, style));
        }
    }

    fn run(&mut self, event: &Event, job: &Job, leaving: bool) {
        match event {
            // what a later run is about was told as the difference of its plan
            Event::Started { .. } if job.number > 1 => {}
            Event::Running { stage, .. } => {
                self.at = Some((stage.clone(), Instant::now(), 0, Instant::now()));
                self.say(event);
            }
            Event::Progress { progress, .. } => self.step(progress),
            Event::Warning { warning, .. } => self.show(std::slice::from_ref(warning), &job.sources),
            Event::Judged(verdict) => self.verdicts.push(verdict.clone()),
            Event::Refused { failure } => self.failures.push(failure.clone()),
            Event::Failed { failure, .. } => {
                self.failures.push(failure.clone());
                self.say(event);
            }
            Event::Interrupted { stage, step } => {
                let at = step.map_or(String::new(), |step| format!(" at step {step}"));
                out::line(&format!("  {stage} stopped{at}; its work is kept"));
            }
            Event::Finished { .. } => {
                let verdicts = std::mem::take(&mut self.verdicts);
                if !verdicts.is_empty() {
                    out::print(&view::verdicts(&verdicts, self.look));
                }
                let failures = by_cause(std::mem::take(&mut self.failures));
                self.show(&failures, &job.sources);
                if !leaving {
                    self.say(event);
                }
            }
            other => self.say(other),
        }
    }

    fn say(&self, event: &Event) {
        if let Some(line) = view::line(event, self.look) {
            out::line(&line);
        }
    }

    /// The first step after a save, and then one now and then.
    fn step(&mut self, progress: &Progress) {
        let Some((stage, begun, first, last)) = &mut self.at else { return };
        let since = self.saved.take().filter(|_| progress.step > 0);
        if *first == 0 {
            *first = progress.step;
        }
        if since.is_none() && last.elapsed() < CALM {
            return;
        }
        *last = Instant::now();
        let of = progress.total.map_or(String::new(), |total| format!("/{total}"));
        let after = since.map_or(String::new(), |since| format!("  {:.2} s after the save", since.elapsed().as_secs_f64()));
        out::line(&format!("  {stage}  step {}{of}{after}  {}", progress.step, view::progress(progress, begun.elapsed(), *first)));
    }
}

/// `saved a.align: 2 mistakes (7 ms)`
pub(super) fn saved_line(saved: &[String], diagnostics: &[Diagnostic], since: Duration) -> String {
    let found = super::render::summary(diagnostics).unwrap_or_else(|| "nothing is wrong".to_owned());
    format!("saved {}: {found} ({:.0} ms)", saved.join(", "), since.as_secs_f64() * 1e3)
}

/// What a save means, a line for each stage that is something else now.
pub(super) fn planned(plan: &Plan, difference: &Difference, fate: Option<&Fate>) -> String {
    let mut text = String::new();
    let mut line = |line: String| text += &format!("  {line}\n");
    for changed in &difference.changed {
        line(format!("~ {}: {}", changed.stage, changed.because.join("; ")));
    }
    if !difference.follow.is_empty() {
        let verb = if difference.follow.len() == 1 { "follows" } else { "follow" };
        line(format!("~ {} {verb}: {}", counted(difference.follow.len(), "stage"), shortened(&difference.follow)));
    }
    for (sign, names) in [("+", &difference.new), ("-", &difference.gone)] {
        if !names.is_empty() {
            line(format!("{sign} {}", shortened(names)));
        }
    }
    for (was, is) in &difference.renamed {
        line(format!("= `{was}` is now called `{is}`"));
    }
    if difference.is_nothing() {
        line("no stage is another than before".to_owned());
    } else if difference.promises {
        line("what is expected or exported is other than before".to_owned());
    }
    line(work(plan));
    let name =
        |fingerprint: &Fingerprint| plan.nodes.iter().find(|node| node.fingerprint == *fingerprint).map(|node| node.call.name.clone());
    match fate {
        Some(Fate::Keeps(fingerprint)) => line(format!("{} keeps running", name(fingerprint).unwrap_or_default())),
        Some(Fate::Stops(_)) => line("the stage at work stops at its next step".to_owned()),
        Some(Fate::Unchanged | Fate::Between) | None => {}
    }
    text
}

/// `3 to run, 1 to go on at a checkpoint, 80 cached`
pub(super) fn work(plan: &Plan) -> String {
    let count = |is: fn(&State) -> bool| plan.nodes.iter().filter(|node| is(&node.state)).count();
    let parts = [
        (count(|state| matches!(state, State::Run)), "to run"),
        (count(|state| matches!(state, State::Resume(_))), "to go on at a checkpoint"),
        (count(|state| matches!(state, State::Maybe)), "that a later number decides"),
        (count(|state| matches!(state, State::Cached)), "cached"),
        (count(|state| matches!(state, State::Skip)), "to skip"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    parts.join(", ")
}

/// The first few names, and how many more there are.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn json_line(notice: &Notice<'_>) {
    if let Some(value) = as_json(notice) {
        out::line(&value.to_string());
    }
}

fn as_json(notice: &Notice<'_>) -> Option<Value> {
    let diagnostics = |found: &[Diagnostic], sources: &Arc<Sources>| -> Vec<Value> {
        found.iter().map(|diagnostic| diagnostic_json(diagnostic, sources)).collect()
    };
    Some(match notice {
        Notice::Watching { files, polled } => json!({ "event": "watching", "files": files, "polled": polled }),
        Notice::Checked { saved, diagnostics: found, sources, since } => json!({
            "event": "checked",
            "saved": saved,
            "ok": !found.iter().any(Diagnostic::is_error),
            "milliseconds": since.as_secs_f64() * 1e3,
            "diagnostics": diagnostics(found, sources),
        }),
        Notice::Unreadable { reason } => json!({ "event": "unreadable", "reason": reason }),
        Notice::Unplanned { diagnostics: found, sources } => json!({ "event": "unplanned", "diagnostics": diagnostics(found, sources) }),
        Notice::Planned { plan, difference, fate } => planned_json(plan, *difference, *fate),
        Notice::Run { event, job, leaving } => {
            let mut value = event.to_json(&job.sources);
            value["run"] = json!(job.number);
            if *leaving {
                value["leaving"] = json!(true);
            }
            value
        }
        Notice::Idle { outcome } => json!({ "event": "idle", "exit": outcome.map(crate::run::Outcome::exit_code) }),
        Notice::Disk(message) => json!({ "event": "disk", "message": message }),
        Notice::Tick => return None,
    })
}

fn planned_json(plan: &Plan, difference: Option<&Difference>, fate: Option<&Fate>) -> Value {
    let difference = difference.map(|d| {
        let changed: Vec<Value> = d.changed.iter().map(|c| json!({ "stage": c.stage, "because": c.because })).collect();
        json!({ "changed": changed, "follow": d.follow, "new": d.new, "gone": d.gone, "renamed": d.renamed, "promises": d.promises })
    });
    let (fate, at) = match fate {
        None => ("idle", None),
        Some(Fate::Unchanged) => ("unchanged", None),
        Some(Fate::Between) => ("between", None),
        Some(Fate::Keeps(fingerprint)) => ("keeps", Some(fingerprint)),
        Some(Fate::Stops(fingerprint)) => ("stops", Some(fingerprint)),
    };
    let states: Value = plan.nodes.iter().map(|node| (node.call.name.clone(), json!(node.state.to_string()))).collect();
    json!({ "event": "planned", "difference": difference, "running": fate, "fingerprint": at, "stages": states })
}
