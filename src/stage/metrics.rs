//! An objective's metrics as numbers people read: means for the log, their intervals, and estimates over a whole table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::formula::phases::Metric;
use crate::value::estimate::Z95;
use crate::value::{Cell, Estimate, bootstrap};

/// A step's metrics as the log has them: their means.
pub fn logged(metrics: &[Metric]) -> Vec<(Arc<str>, f64)> {
    metrics.iter().map(|m| (m.name.clone(), m.estimate.map_or_else(|| m.mean(), |e| e.mean))).collect()
}

/// 95 % intervals of metrics over the rows of one step, as `name.lower95` and `name.upper95`: the error of a mean of whole
/// rows (tokens of one row are not independent). A curve without them does not say how much of it is chance.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn intervals(metrics: &[Metric]) -> Vec<(Arc<str>, f64)> {
    let mut found = Vec::new();
    for metric in metrics {
        let bounds = match metric.estimate {
            Some(known) => Some((known.lower95, known.upper95)),
            None => {
                let (mean, mut off) = (metric.mean(), BTreeMap::<usize, f64>::new());
                for (row, x) in metric.rows.iter().zip(&metric.values) {
                    *off.entry(*row).or_default() += x - mean;
                }
                let (rows, n) = (off.len() as f64, metric.values.len() as f64);
                (rows > 1.0).then(|| {
                    let half = Z95 * (off.values().map(|d| d * d).sum::<f64>() * rows / (rows - 1.0)).sqrt() / n;
                    (mean - half, mean + half)
                })
            }
        };
        if let Some((lower, upper)) = bounds.filter(|(lower, upper)| lower.is_finite() && upper.is_finite()) {
            found.extend([(format!("{}.lower95", metric.name).into(), lower), (format!("{}.upper95", metric.name).into(), upper)]);
        }
    }
    found
}

/// A metric with its interval: Wilson's for shares, resampled by row otherwise.
pub fn estimate(metric: &Metric, seed: u64) -> Cell {
    if let Some(known) = metric.estimate {
        return Cell::Estimate(known);
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, row) in metric.rows.iter().enumerate() {
        groups.entry(*row).or_default().push(at);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let values = &metric.values;
    Cell::Estimate(if metric.share {
        Estimate::grouped_share(values, &groups)
    } else if groups.len() == values.len() {
        Estimate::of_mean(values)
    } else {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let mean = |places: &[usize]| places.iter().map(|p| values[*p]).sum::<f64>() / places.len() as f64;
        bootstrap::interval(metric.mean(), &groups, seed, bootstrap::DRAWS, mean)
    })
}
