//! Events in words: the lines of a run, for terminals and pipes alike.

use std::path::Path;
use std::time::Duration;

use crate::diagnostic::counted;
use crate::plan::draw::{duration, size};
use crate::run::{Event, Tally, Verdict, number, plain};
use crate::stage::Progress;
use crate::value::Cell;

use super::plan::count;

/// Marks and colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    /// A terminal that shows them.
    pub(super) colors: bool,
    /// `✓` rather than `ok`.
    pub(super) marks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Paint {
    Good,
    Bad,
    Faint,
}

impl Look {
    fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Good => 32,
            Paint::Bad => 31,
            Paint::Faint => 2,
        };
        if self.colors { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn mark(self, good: bool) -> String {
        let text = match (self.marks, good) {
            (true, true) => "✓",
            (true, false) => "✗",
            (false, true) => "ok",
            (false, false) => "failed",
        };
        self.paint(if good { Paint::Good } else { Paint::Bad }, text)
    }
}

/// The line of an event; `None` for those that only a progress bar or a file shows.
pub(super) fn line(event: &Event, look: Look) -> Option<String> {
    Some(match event {
        Event::Started { recipe, title, device, because, stages, cached, .. } => {
            let title = title.as_ref().map_or(String::new(), |title| format!(" \"{title}\""));
            format!("{recipe}{title} on {device} ({because}): {}, {cached} cached", counted(*stages, "stage"))
        }
        Event::Made { stage, seconds, values } => format!("  {} {stage}  {}{}", look.mark(true), duration(*seconds), values_line(values)),
        Event::Waiting { stage } => format!("  {stage}: another run is making it; waiting"),
        Event::Skipped { stage, because } => look.paint(Paint::Faint, &format!("  - {stage} skipped: {because}")),
        Event::Failed { stage, failure } => format!("  {} {stage}: {}", look.mark(false), failure.message),
        Event::Blocked { stage, by } => look.paint(Paint::Faint, &format!("  - {stage} not made: it needs `{by}`")),
        Event::Interrupted { stage, step } => {
            let at = step.map_or(String::new(), |step| format!(" at step {step}"));
            format!("  {stage} interrupted{at}; the next run goes on here")
        }
        Event::Running { stage, primitive, resume: Some(step) } => format!("  {stage}  {primitive}, resumed at step {step}"),
        Event::Running { stage, primitive, resume: None } => format!("  {stage}  {primitive}"),
        Event::Exported { what, path, unchanged } => {
            let how = if *unchanged { " (unchanged)" } else { "" };
            format!("  {} exported {what} to {}{how}", look.mark(true), path.display())
        }
        Event::Withheld { what, path, because } => format!("  - {what} was not exported to {}: {because}", path.display()),
        Event::Finished { tally, seconds, folder } => format!("{} in {}; {}", tally_line(tally), duration(*seconds), from_here(folder)),
        Event::Cached { .. }
        | Event::Progress { .. }
        | Event::Metrics { .. }
        | Event::Checkpoint { .. }
        | Event::Warning { .. }
        | Event::Judged(_)
        | Event::Refused { .. } => return None,
    })
}

/// A path as one would write it from the current folder.
fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned()).display().to_string()
}

fn values_line(values: &[(String, Cell)]) -> String {
    const SHOWN: usize = 5;
    let numbers = values.iter().filter(|(_, cell)| cell.number().is_some());
    let shown: Vec<String> =
        numbers.take(SHOWN).map(|(name, cell)| if name.is_empty() { plain(cell) } else { format!("{name} {}", plain(cell)) }).collect();
    if shown.is_empty() { String::new() } else { format!("  {}", shown.join("  ")) }
}

fn tally_line(tally: &Tally) -> String {
    let parts =
        [(tally.made, "made"), (tally.cached, "cached"), (tally.skipped, "skipped"), (tally.failed, "failed"), (tally.left, "not reached")];
    let counts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>().join(", ");
    let expected = match (tally.kept, tally.broken) {
        (0, 0) => String::new(),
        (1, 0) => "; the expectation holds".to_owned(),
        (kept, 0) => format!("; all {kept} expectations hold"),
        (0, 1) => "; the expectation does not hold".to_owned(),
        (kept, broken) => format!("; {broken} of {} expectations do not hold", kept + broken),
    };
    let expected = match &tally.limited_by {
        Some(profile) if !expected.is_empty() => format!("{expected}, which decides nothing: `profile {profile}` limits the work"),
        _ => expected,
    };
    let verb = if tally.interrupted { "interrupted" } else { "done" };
    format!("{verb}: {counts}{expected}")
}

/// The table of expectations.
pub(super) fn verdicts(verdicts: &[Verdict], look: Look) -> String {
    let width = verdicts.iter().map(|v| v.text.chars().count()).max().unwrap_or(0);
    let mut text = String::from("expectations\n");
    for verdict in verdicts {
        let decided = verdict.because.clone().unwrap_or_else(|| verdict.numbers());
        let pad = if look.marks || verdict.holds != Some(true) { "" } else { "    " };
        text += &format!("  {}{pad} {:width$}  {decided}\n", look.mark(verdict.holds == Some(true)), verdict.text);
        if let Some(message) = verdict.message.as_ref().filter(|_| verdict.holds != Some(true)) {
            text += &format!("      {message}\n");
        }
    }
    text
}

/// `step 120/400  1.2k tokens/s  loss 2.31  412 MiB  3 min left`
pub(super) fn progress(progress: &Progress, elapsed: Duration, begun_at: u64) -> String {
    let mut parts = Vec::new();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let pace = progress.step.saturating_sub(begun_at) as f64 / elapsed.as_secs_f64().max(1e-9);
    match progress.rate {
        Some((rate, what)) => parts.push(format!("{} {what}/s", amount(rate))),
        None if pace > 0.0 => parts.push(format!("{} steps/s", number(pace))),
        None => {}
    }
    parts.extend(progress.metrics.iter().take(3).map(|(name, value)| format!("{name} {}", number(*value))));
    parts.extend(progress.memory.or_else(resident).map(size));
    if let Some(total) = progress.total.filter(|total| pace > 0.0 && *total >= progress.step) {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        parts.push(format!("{} left", duration((total - progress.step) as f64 / pace)));
    }
    parts.join("  ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive and far below 2^63")]
fn amount(rate: f64) -> String {
    if rate < 10.0 { number(rate) } else { count(rate as u64) }
}

/// Memory of this process, where the system tells without being asked twice.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Estimate;

    const PLAIN: Look = Look { colors: false, marks: false };

    #[test]
    fn a_finished_stage_shows_its_numbers() {
        let estimate = Cell::Estimate(Estimate { mean: 0.75, n: 100, lower95: 0.5, upper95: 1.0 });
        let event = Event::Made { stage: "rm".into(), seconds: 12.0, values: vec![("accuracy".into(), estimate)] };
        assert_eq!(line(&event, PLAIN).as_deref(), Some("  ok rm  12 s  accuracy 0.7500 [0.5000, 1.000]"));
    }

    #[test]
    fn progress_says_how_fast_how_well_and_how_long() {
        let at = Progress {
            step: 60,
            total: Some(100),
            rate: Some((1520.0, "tokens")),
            metrics: vec![("loss".into(), 2.5)],
            memory: Some(3 << 20),
        };
        assert_eq!(progress(&at, Duration::from_secs(10), 40), "1.5k tokens/s  loss 2.500  3.0 MiB  20 s left");
    }

    #[test]
    fn a_tally_counts_what_matters() {
        let tally = Tally { made: 2, cached: 3, kept: 4, ..Tally::default() };
        assert_eq!(tally_line(&tally), "done: 2 made, 3 cached; all 4 expectations hold");
        let broken = Tally { made: 1, kept: 1, broken: 1, ..Tally::default() };
        assert_eq!(tally_line(&broken), "done: 1 made; 1 of 2 expectations do not hold");
    }
}
