//! What each stage and the whole run will take: from arguments, headers and stored sizes, and for time from the past.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::formula::expr::{Output, StageId};
use crate::stage::{Call, Cost, Primitive, Size};

use super::shelf::Shelf;
use super::{Plan, State};

/// A run in numbers; what is not known of one stage is not in the sum, and is counted as unknown.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Totals {
    /// Stages by what will happen to them.
    pub cached: usize,
    pub resume: usize,
    pub run: usize,
    pub maybe: usize,
    pub skip: usize,
    /// Seconds, and how many stages that will run have no past to tell.
    pub seconds: f64,
    pub unknown: usize,
    pub tokens: u64,
    /// The largest of all stages, in bytes.
    pub memory: u64,
    /// Bytes that the store will grow by.
    pub disk: u64,
}

/// Gives every node its cost and time.
pub(super) fn estimate(plan: &mut Plan, shelf: &dyn Shelf, primitives: &[&'static dyn Primitive]) {
    let mut sizes: BTreeMap<(StageId, Vec<Arc<str>>), Size> = BTreeMap::new();
    for at in (0..plan.nodes.len()).map(StageId) {
        let cost = {
            let known = |output: &Output| sizes.get(&(output.stage, output.path.clone())).copied().unwrap_or_else(|| stored(plan, output, shelf));
            let node = plan.node(at);
            let primitive = primitives.iter().find(|p| p.name() == &*node.call.primitive);
            primitive.map_or_else(Cost::default, |p| p.estimate(&Call::new(&node.call), &known))
        };
        for (path, size) in &cost.outputs {
            sizes.insert((at, path.clone()), *size);
        }
        plan.nodes[at.0].seconds = seconds(plan, at, &cost, shelf);
        plan.nodes[at.0].cost = cost;
    }
}

fn stored(plan: &Plan, output: &Output, shelf: &dyn Shelf) -> Size {
    let node = plan.node(output.stage);
    if node.state == State::Cached { shelf.size(&node.fingerprint, &output.path) } else { Size::default() }
}

/// The last time of the stage of this name, in proportion to its tokens.
fn seconds(plan: &Plan, at: StageId, cost: &Cost, shelf: &dyn Shelf) -> Option<f64> {
    let node = plan.node(at);
    let past = shelf.past(&plan.recipe, &node.call.name)?;
    if past.fingerprint == node.fingerprint {
        return Some(past.seconds);
    }
    if past.key.primitive != node.key.primitive || past.key.numerics != node.key.numerics {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let ratio = match (cost.tokens, past.tokens) {
        (Some(now), Some(then)) if then > 0 => now as f64 / then as f64,
        (None, None) => 1.0,
        _ => return None,
    };
    Some(past.seconds * ratio)
}

impl Plan {
    /// The whole run.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for node in &self.nodes {
            let counter = match node.state {
                State::Cached => &mut totals.cached,
                State::Resume(_) => &mut totals.resume,
                State::Run => &mut totals.run,
                State::Maybe => &mut totals.maybe,
                State::Skip => &mut totals.skip,
            };
            *counter += 1;
            if matches!(node.state, State::Resume(_) | State::Run | State::Maybe) {
                match node.seconds {
                    Some(seconds) => totals.seconds += seconds,
                    None => totals.unknown += 1,
                }
                totals.tokens += node.cost.tokens.unwrap_or(0);
                totals.disk += node.cost.disk.unwrap_or(0);
                totals.memory = totals.memory.max(node.cost.memory.unwrap_or(0));
            }
        }
        totals
    }
}
