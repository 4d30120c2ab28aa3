//! What a stage says while it works.

use std::sync::Arc;

use serde::Serialize;

use crate::diagnostic::Diagnostic;

/// Names and numbers in the order they are to be shown: `loss`, `kl`, `lr`.
pub type Metrics = Vec<(Arc<str>, f64)>;

/// How far a stage is. Cheap: send one every step, whoever shows it decides how often.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Progress {
    /// Steps (or rows) done.
    pub step: u64,
    pub total: Option<u64>,
    /// Work per second, and what is counted: `(1520.0, "tokens")`.
    pub rate: Option<(f64, &'static str)>,
    /// The few numbers worth seeing live.
    #[serde(serialize_with = "crate::stage::report::as_map")]
    pub metrics: Metrics,
    /// The most bytes that the run held on the device so far.
    pub memory: Option<u64>,
}

/// A message from a stage at work.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    Progress(Progress),
    /// One line of `metrics.jsonl`.
    Metrics {
        step: u64,
        metrics: Metrics,
    },
    Warning(Diagnostic),
    /// A checkpoint is on disk.
    Checkpoint {
        step: u64,
    },
}

/// Writes metrics as an object; a number that is not finite becomes `null`.
///
/// # Errors
/// Those of the serializer.
pub fn as_map<S: serde::Serializer>(metrics: &Metrics, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metrics.iter().map(|(name, value)| (&**name, value)))
}
