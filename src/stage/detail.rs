//! What a stage's numbers are made of: every metric value by value, kept beside the artifact for the report to draw.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::formula::phases::Metric;

/// The file in an artifact's folder.
pub const FILE: &str = "detail.json";

/// More values than this are thinned out evenly: distributions keep their shape, and a report its size.
const MOST: usize = 4096;

/// Values of metrics over one set of rows: an eval table, the last rollout, a measured table.
#[derive(Clone, Debug)]
pub struct Detail {
    of: &'static str,
    metrics: Map<String, Value>,
}

impl Detail {
    /// Nothing yet; `of` says what the rows are.
    pub fn new(of: &'static str) -> Self {
        Self { of, metrics: Map::new() }
    }

    /// Adds every metric.
    #[must_use]
    pub fn with(mut self, metrics: &[Metric]) -> Self {
        for metric in metrics {
            self.put(&metric.name, &metric.values, metric.share, metric.pairs.as_ref());
        }
        self
    }

    /// Adds one metric: its values in the order of their rows, whether they are yes and no, and what an aggregate of two
    /// columns compared (a probability and what came true).
    pub fn put(&mut self, name: &Arc<str>, values: &[f64], share: bool, pairs: Option<&(Vec<f64>, Vec<f64>)>) {
        if values.len() < 2 && pairs.is_none() {
            return;
        }
        let mut entry = json!({ "n": values.len(), "values": thinned(values), "share": share });
        if let Some((said, truth)) = pairs {
            entry["pairs"] = json!([thinned(said), thinned(truth)]);
        }
        self.metrics.insert(name.to_string(), entry);
    }

    /// Writes it into an artifact's folder; nothing is written when there is nothing to draw.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        if self.metrics.is_empty() {
            return Ok(());
        }
        fs::write(folder.join(FILE), json!({ "of": self.of, "metrics": self.metrics }).to_string())
    }
}

/// At most [`MOST`] of the values, evenly spaced, with the digits that a drawing can show.
fn thinned(values: &[f64]) -> Vec<f32> {
    let every = values.len().div_ceil(MOST).max(1);
    #[expect(clippy::cast_possible_truncation, reason = "for drawing")]
    values.iter().step_by(every).map(|x| *x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_thinned_evenly() {
        let values: Vec<f64> = (0..10_000).map(f64::from).collect();
        let kept = thinned(&values);
        assert!(kept.len() <= MOST && kept.windows(2).all(|w| (w[1] - w[0] - 3.0).abs() < 1e-6), "{}", kept.len());
        assert_eq!(thinned(&[1.0, f64::NAN]).len(), 2);
    }

    #[test]
    fn a_single_number_is_no_distribution() {
        let mut detail = Detail::new("rows");
        detail.put(&"loss".into(), &[0.5], false, None);
        assert!(detail.metrics.is_empty());
    }
}
