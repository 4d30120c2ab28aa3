//! Everything a run says, as data: a terminal draws it, a pipe prints it, `events.jsonl` keeps it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::stage::{Metrics, Progress};
use crate::value::Cell;
use crate::world::Sources;

use super::judge::Verdict;

/// One thing that happened. `stage` is its name in the recipe.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The first event: what is about to happen, on which device, and why on that one.
    Started {
        recipe: String,
        title: Option<String>,
        device: String,
        because: String,
        folder: PathBuf,
        stages: usize,
        cached: usize,
    },
    /// The stage's artifact is in the store already.
    Cached {
        stage: String,
    },
    /// Another run is making the same artifact.
    Waiting {
        stage: String,
    },
    Running {
        stage: String,
        primitive: String,
        resume: Option<u64>,
    },
    Progress {
        stage: String,
        progress: Progress,
    },
    Metrics {
        stage: String,
        step: u64,
        metrics: Metrics,
    },
    Checkpoint {
        stage: String,
        step: u64,
    },
    Warning {
        stage: Option<String>,
        warning: Diagnostic,
    },
    /// The stage finished; its numbers, if it gave any.
    Made {
        stage: String,
        seconds: f64,
        values: Vec<(String, Cell)>,
    },
    /// A gate is closed, an `until` reached, or an input was skipped.
    Skipped {
        stage: String,
        because: String,
    },
    Failed {
        stage: String,
        failure: Diagnostic,
    },
    /// It needs a stage that failed.
    Blocked {
        stage: String,
        by: String,
    },
    Interrupted {
        stage: String,
        step: Option<u64>,
    },
    Judged(Verdict),
    Exported {
        what: String,
        path: PathBuf,
        unchanged: bool,
    },
    /// An export that was not made.
    Withheld {
        what: String,
        path: PathBuf,
        because: String,
    },
    Refused {
        failure: Diagnostic,
    },
    /// The last event.
    Finished {
        tally: Tally,
        seconds: f64,
        folder: PathBuf,
    },
}

/// A run in numbers.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Tally {
    pub made: usize,
    pub cached: usize,
    pub skipped: usize,
    pub failed: usize,
    /// Not reached: blocked by a failure, or the run was interrupted.
    pub left: usize,
    pub kept: usize,
    pub broken: usize,
    /// The profile whose limits keep expectations from deciding anything.
    pub limited_by: Option<Arc<str>>,
    pub interrupted: bool,
}

impl Event {
    /// The event as one JSON object; `event` names its kind. `sources` turns places into file, line and column.
    pub fn to_json(&self, sources: &Sources) -> Value {
        match self {
            Self::Started { recipe, title, device, because, folder, stages, cached } => {
                json!({ "event": "started", "recipe": recipe, "title": title, "device": device, "because": because, "folder": folder, "stages": stages, "cached": cached })
            }
            Self::Cached { stage } => json!({ "event": "cached", "stage": stage }),
            Self::Waiting { stage } => json!({ "event": "waiting", "stage": stage }),
            Self::Running { stage, primitive, resume } => {
                json!({ "event": "running", "stage": stage, "primitive": primitive, "resume": resume })
            }
            Self::Progress { stage, progress } => json!({ "event": "progress", "stage": stage, "progress": progress }),
            Self::Metrics { stage, step, metrics } => {
                let mut line = json!({ "event": "metrics", "stage": stage, "step": step });
                line["metrics"] = metrics_json(metrics);
                line
            }
            Self::Checkpoint { stage, step } => json!({ "event": "checkpoint", "stage": stage, "step": step }),
            Self::Warning { stage, warning } => json!({ "event": "warning", "stage": stage, "warning": diagnostic_json(warning, sources) }),
            Self::Made { stage, seconds, values } => {
                json!({ "event": "made", "stage": stage, "seconds": seconds, "values": values_json(values) })
            }
            Self::Skipped { stage, because } => json!({ "event": "skipped", "stage": stage, "because": because }),
            Self::Failed { stage, failure } => json!({ "event": "failed", "stage": stage, "failure": diagnostic_json(failure, sources) }),
            Self::Blocked { stage, by } => json!({ "event": "blocked", "stage": stage, "by": by }),
            Self::Interrupted { stage, step } => json!({ "event": "interrupted", "stage": stage, "step": step }),
            Self::Judged(verdict) => json!({ "event": "judged", "expectation": verdict.to_json() }),
            Self::Exported { what, path, unchanged } => json!({ "event": "exported", "what": what, "path": path, "unchanged": unchanged }),
            Self::Withheld { what, path, because } => json!({ "event": "withheld", "what": what, "path": path, "because": because }),
            Self::Refused { failure } => json!({ "event": "refused", "failure": diagnostic_json(failure, sources) }),
            Self::Finished { tally, seconds, folder } => {
                json!({ "event": "finished", "tally": tally, "seconds": seconds, "folder": folder })
            }
        }
    }
}

/// Metrics as an object; what is not finite becomes `null`.
pub(super) fn metrics_json(metrics: &Metrics) -> Value {
    Value::Object(metrics.iter().map(|(name, value)| (name.to_string(), json!(value))).collect())
}

/// Named values as an object.
pub(super) fn values_json(values: &[(String, Cell)]) -> Value {
    Value::Object(values.iter().map(|(name, cell)| (name.clone(), cell.to_json())).collect())
}

/// A diagnostic as an object, with every place as file, line and column.
pub fn diagnostic_json(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let labels = diagnostic.labels.iter().map(|label| {
        let (file, line, column) = place(label.span, sources);
        json!({ "file": file, "line": line, "column": column, "text": label.text })
    });
    let labels: Vec<Value> = labels.collect();
    let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    json!({ "code": diagnostic.code, "severity": severity, "message": diagnostic.message, "labels": labels, "help": diagnostic.help })
}

/// Where a span begins: file, line and column, counted from 1.
fn place(span: crate::syntax::span::Span, sources: &Sources) -> (Option<String>, usize, usize) {
    let Some((_, source)) = sources.iter().find(|(file, _)| *file == span.file) else { return (None, 0, 0) };
    let before = source.text.get(..span.start as usize).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (Some(source.name.clone()), line, column)
}
