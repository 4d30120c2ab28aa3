//! Where boxes stand in a drawing: one row for each depth, each box near the ones it comes from.

use crate::formula::expr::StageId;

use super::super::Plan;

/// Sweeps over the rows; more change little.
const SWEEPS: usize = 4;

/// The stages of each depth, from left to right.
pub(super) fn layers(plan: &Plan) -> Vec<Vec<StageId>> {
    let depths = plan.graph.depths();
    let mut rows: Vec<Vec<StageId>> = vec![Vec::new(); depths.values().max().map_or(0, |d| d + 1)];
    for (stage, depth) in &depths {
        rows[*depth].push(*stage);
    }
    let mut place = vec![0.0; plan.nodes.len()];
    number(&rows, &mut place);
    for sweep in 0..SWEEPS {
        for row in &mut rows {
            let weight = |stage: StageId| {
                let beside = if sweep % 2 == 0 { plan.graph.needs(stage) } else { plan.graph.feeds(stage) };
                if beside.is_empty() { place[stage.0] } else { mean(beside.iter().map(|s| place[s.0])) }
            };
            row.sort_by(|a, b| weight(*a).total_cmp(&weight(*b)).then(a.cmp(b)));
        }
        number(&rows, &mut place);
    }
    rows
}

/// Places from 0 to 1 within each row.
#[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
fn number(rows: &[Vec<StageId>], place: &mut [f64]) {
    for row in rows {
        for (i, stage) in row.iter().enumerate() {
            place[stage.0] = (i as f64 + 0.5) / row.len() as f64;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}
