//! Who listens to a run: bars on a terminal, calm lines in a pipe, one JSON object a line for programs.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::diagnostic::{Diagnostic, by_cause};
use crate::run::{Event, Verdict};
use crate::stage::Progress;
use crate::world::Sources;

use super::out;
use super::view::{self, Look};

/// A pipe hears of a long stage this often.
const CALM: Duration = Duration::from_secs(15);

/// Shows a run as it goes.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    sources: &'a Sources,
    look: Look,
    json: bool,
    /// Standard error is a terminal: draw bars there.
    bars: bool,
    at: RefCell<Option<Current>>,
    verdicts: RefCell<Vec<Verdict>>,
    failures: RefCell<Vec<Diagnostic>>,
}

/// The stage at work.
#[derive(Debug)]
struct Current {
    stage: String,
    bar: ProgressBar,
    begun: Instant,
    /// The first step heard of, for the pace of a resumed stage.
    first: Option<u64>,
    last_line: Instant,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(sources: &'a Sources, json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let look = Look { colors: terminal && out::colors(), marks: terminal };
        let bars = !json && std::io::stderr().is_terminal();
        Self { sources, look, json, bars, at: RefCell::default(), verdicts: RefCell::default(), failures: RefCell::default() }
    }

    /// Hears an event.
    pub(super) fn hear(&self, event: &Event) {
        if self.json {
            return out::line(&event.to_json(self.sources).to_string());
        }
        match event {
            Event::Running { stage, .. } => self.begin(stage, event),
            Event::Progress { progress, .. } => self.step(progress),
            Event::Warning { warning, .. } => self.beside_bar(|| out::diagnostic(warning, self.sources)),
            Event::Judged(verdict) => self.verdicts.borrow_mut().push(verdict.clone()),
            Event::Refused { failure } => self.failures.borrow_mut().push(failure.clone()),
            Event::Finished { .. } => self.finish(event),
            Event::Exported { .. } | Event::Withheld { .. } => {
                self.judged();
                self.say(event);
            }
            other => {
                if let Event::Failed { failure, .. } = other {
                    self.failures.borrow_mut().push(failure.clone());
                }
                if matches!(other, Event::Made { .. } | Event::Failed { .. } | Event::Interrupted { .. }) {
                    self.end();
                }
                self.say(other);
            }
        }
    }

    fn say(&self, event: &Event) {
        if let Some(line) = view::line(event, self.look) {
            self.beside_bar(|| out::line(&line));
        }
    }

    /// Prints without tearing the bar apart.
    fn beside_bar(&self, print: impl FnOnce()) {
        match &*self.at.borrow() {
            Some(current) => current.bar.suspend(print),
            None => print(),
        }
    }

    fn begin(&self, stage: &str, event: &Event) {
        let target = if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(spinner()).with_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        let now = Instant::now();
        *self.at.borrow_mut() = Some(Current { stage: stage.to_owned(), bar, begun: now, first: None, last_line: now });
        if matches!(event, Event::Running { resume: Some(_), .. }) {
            self.say(event);
        }
    }

    fn step(&self, progress: &Progress) {
        let mut at = self.at.borrow_mut();
        let Some(current) = &mut *at else { return };
        let first = *current.first.get_or_insert(progress.step);
        let calm = !self.bars && current.last_line.elapsed() >= CALM;
        if self.bars {
            if let Some(total) = progress.total.filter(|total| current.bar.length() != Some(*total)) {
                current.bar.set_length(total);
                current.bar.set_style(bar());
            }
            current.bar.set_position(progress.step);
            // the bar itself draws a few times a second, whatever it is told
            current.bar.set_message(view::progress(progress, current.begun.elapsed(), first));
        } else if calm {
            current.last_line = Instant::now();
            let of = progress.total.map_or(String::new(), |total| format!("/{total}"));
            out::line(&format!(
                "  {}  step {}{of}  {}",
                current.stage,
                progress.step,
                view::progress(progress, current.begun.elapsed(), first)
            ));
        }
    }

    fn end(&self) {
        if let Some(current) = self.at.borrow_mut().take() {
            current.bar.finish_and_clear();
        }
    }

    fn finish(&self, event: &Event) {
        self.end();
        self.judged();
        out::diagnostics(&by_cause(self.failures.take()), self.sources);
        self.say(event);
    }

    /// Shows the expectations, once they have all been judged.
    fn judged(&self) {
        let verdicts = self.verdicts.take();
        if !verdicts.is_empty() {
            out::print(&view::verdicts(&verdicts, self.look));
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix}  {msg}  {elapsed}").expect("a valid template")
}

fn bar() -> ProgressStyle {
    let template = "  {prefix}  {bar:20}  {pos}/{len}  {wide_msg}";
    ProgressStyle::with_template(template).expect("a valid template").progress_chars("━╸ ")
}
