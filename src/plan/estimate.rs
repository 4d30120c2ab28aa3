//! What each stage and the whole run will take: from arguments, headers and stored sizes, and for time from the past.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::data::format::Format;
use crate::formula::expr::{Output, StageId};
use crate::recipe::checked::Checked;
use crate::recipe::types::Type;
use crate::stage::{Call, Cost, Size, Smaller, network_at};

use super::forecast::{TableFile, complete, forecast, outside};
use super::shelf::Shelf;
use super::{DeviceClass, Plan, State, Surroundings};

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
pub(super) fn estimate(plan: &mut Plan, checked: &Checked, around: &Surroundings<'_>) {
    let mut sizes: BTreeMap<(StageId, Vec<Arc<str>>), Size> = BTreeMap::new();
    for at in (0..plan.nodes.len()).map(StageId) {
        let cost = {
            let known = |output: &Output| {
                let forecast = sizes.get(&(output.stage, output.path.clone())).copied();
                let stored = stored(plan, output, around.shelf);
                merged(stored, forecast.unwrap_or_default())
            };
            let node = plan.node(at);
            let forecast = forecast(checked, &node.call, &node.places, &known);
            let primitive = around.primitives.iter().find(|p| p.name() == &*node.call.primitive).expect("the plan found it");
            let loaded = primitive.file_arguments().iter().find_map(|argument| loaded(plan, at, argument, around.root));
            let given = primitive.estimate(&Call::new(&node.call), &known);
            let engine = complete(complete(given, loaded.map_or_else(Cost::default, Cost::of)), forecast);
            if around.numerics.device == DeviceClass::Cpu { beside_program(engine) } else { engine }
        };
        for (path, size) in &cost.outputs {
            sizes.insert((at, path.clone()), *size);
        }
        plan.nodes[at.0].seconds = seconds(plan, at, &cost, around.shelf);
        plan.nodes[at.0].cost = cost;
    }
}

/// What a process holds beside the engine: the program, its data, one tensor of a file.
const PROGRAM: u64 = 56 << 20;

/// On the processor, the engine's memory is the machine's, as the program's is.
fn beside_program(cost: Cost) -> Cost {
    let smaller = cost.smaller.into_iter().map(|smaller| Smaller { bytes: smaller.bytes + PROGRAM, ..smaller });
    Cost { memory: cost.memory.map(|bytes| bytes + PROGRAM), smaller: smaller.collect(), ..cost }
}

/// What an outside file tells before it is read.
fn loaded(plan: &Plan, at: StageId, argument: &str, root: &Path) -> Option<Size> {
    let (call, state) = (&plan.node(at).call, plan.node(at).state);
    let written: String = Call::new(call).get(argument).ok()?;
    let content = plan.files.get(&written)?;
    let table =
        if matches!(call.output, Type::Data(_)) && state != State::Cached { table_file(&crate::hub::path(root, &written)) } else { None };
    let network = call.output.is_network().then(|| network_at(&crate::hub::path(root, &written))).flatten();
    Some(Size { network, ..outside(call, content.bytes, table) })
}

/// A file of reasonable size whose lines are rows.
fn table_file(path: &Path) -> Option<TableFile> {
    const MOST: u64 = 1 << 28;
    let lines = matches!(Format::of(path), Some((Format::JsonLines | Format::Lines | Format::Separated(_), None)));
    let small = || std::fs::metadata(path).is_ok_and(|meta| meta.len() <= MOST);
    if lines && small() { Some(TableFile::of(&std::fs::read(path).ok()?)) } else { None }
}

fn merged(stored: Size, forecast: Size) -> Size {
    Size {
        rows: stored.rows.or(forecast.rows),
        tokens_per_row: stored.tokens_per_row.or(forecast.tokens_per_row),
        alike: stored.alike.or(forecast.alike),
        network: stored.network.or(forecast.network),
        bytes: stored.bytes.or(forecast.bytes),
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
            if node.state.works() {
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
