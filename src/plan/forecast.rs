//! What a stage will take, told from its arguments and its inputs' sizes alone: tokens roughly, memory as the engine's
//! own bookkeeping has it (`NetworkSize`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::formula::expr::{Formula, Kind, ObjectiveDef, Output, Trained};
use crate::formula::words::{self, Kind as WordKind};
use crate::recipe::checked::{Arg, Checked, StageCall};
use crate::recipe::types::Type;
use crate::stage::{Call, Cost, FromArg, NetworkSize, Size, Sizes};

use super::graph::type_of;
use super::meaning::walk;

/// The forecast of one call.
pub(super) fn forecast(checked: &Checked, call: &StageCall, places: &BTreeMap<String, Output>, inputs: &Sizes<'_>) -> Cost {
    let networks: BTreeSet<&Output> = places.values().filter(|output| type_of(checked, output).is_some_and(Type::is_network)).collect();
    let tables = places.values().filter(|output| matches!(type_of(checked, output), Some(Type::Data(_))));
    let rows = tables.map(inputs).reduce(|a, b| if a.rows >= b.rows { a } else { b }).unwrap_or_default();
    let work = Work::of(call);
    let tokens = if networks.is_empty() { None } else { work.tokens(rows) };
    let main = main_network(call).and_then(|output| inputs(&output).network);
    let memory = if networks.is_empty() { None } else { memory(call, places, &networks, inputs, &work, rows) };
    let each = rows.tokens_per_row.map(|each| each * kept(checked, call) + work.sampled);
    let made = match &call.output {
        Type::Data(_) => Size { rows: rows.rows, tokens_per_row: each, bytes: letters(rows.rows, each), ..Size::default() },
        Type::Record(_) => Size { tokens_per_row: each, ..Size::default() },
        ty if ty.is_network() => {
            let made = main.map(NetworkSize::plain);
            Size { network: made, bytes: made.map(NetworkSize::frozen), ..Size::default() }
        }
        _ => Size::default(),
    };
    Cost { tokens, memory, disk: made.bytes, ..Cost::of(made) }
}

/// Of a row's texts, the share that `select` keeps: texts are taken to be of one length.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn kept(checked: &Checked, call: &StageCall) -> f64 {
    let texts = |ty: &Type| match ty {
        Type::Data(row) => row.iter().filter(|(_, ty)| matches!(ty, Type::Text | Type::Dialogue | Type::Completion)).count(),
        _ => 0,
    };
    let had = Call::new(call).get::<Output>("data").ok().and_then(|data| type_of(checked, &data)).map_or(0, texts);
    match &*call.primitive {
        "select" if had > 0 => (texts(&call.output) as f64 / had as f64).min(1.0),
        _ => 1.0,
    }
}

/// Bytes on the device at the worst moment: every network's weights, what learns, and the temporaries of one batch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a forecast")]
fn memory(
    call: &StageCall,
    places: &BTreeMap<String, Output>,
    networks: &BTreeSet<&Output>,
    inputs: &Sizes<'_>,
    work: &Work,
    rows: Size,
) -> Option<u64> {
    let number = |name: &str| Call::new(call).get::<Option<f64>>(name).ok().flatten();
    let rank = number("lora").map(|rank| rank as u64);
    let trained: Vec<Output> = if work.trains { main_network(call).into_iter().chain(work.learners.clone()).collect() } else { Vec::new() };
    let mut weights = 0;
    for network in networks {
        let size = inputs(network).network?;
        let learners = trained.iter().filter(|learner| learner == network).count() as u64;
        let readers = places.values().filter(|place| place == network).count() as u64 > learners;
        // adapters stand beside the weights that everybody reads
        let shared = rank.is_some() && learners > 0;
        weights += learners * size.learnt(rank) + if readers && !shared { size.frozen() } else { 0 };
    }
    let sizes: Vec<NetworkSize> = networks.iter().filter_map(|network| inputs(network).network).collect();
    let step = work.step_tokens(rows, number("max_length")) as u64;
    let training: u64 = trained.iter().filter_map(|learner| inputs(learner).network).map(|size| size.training(step)).sum();
    let reading = sizes.iter().map(|size| size.reading(step)).max().unwrap_or(0);
    let sampling = match (work.sampled > 0.0, inputs_of_sampler(call, networks).and_then(|output| inputs(&output).network)) {
        (true, Some(size)) => {
            let count = work.batch.or(rows.rows.map(|rows| rows as f64)).unwrap_or(f64::INFINITY);
            size.sampling(count as u64, (rows.tokens_per_row.unwrap_or(128.0) + work.sampled) as u64)
        }
        _ => 0,
    };
    Some(weights + training.max(reading).max(sampling))
}

/// The network that samples: the policy, or the largest at hand.
fn inputs_of_sampler(call: &StageCall, networks: &BTreeSet<&Output>) -> Option<Output> {
    main_network(call).or_else(|| networks.iter().next().map(|output| (*output).clone()))
}

/// Bytes of so many rows as text.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
fn letters(rows: Option<u64>, each: Option<f64>) -> Option<u64> {
    Some((rows? as f64 * each? * 4.0) as u64)
}

/// The network that a stage hands on: the one it starts from.
fn main_network(call: &StageCall) -> Option<Output> {
    let named = ["network", "policy", "base"].iter().find_map(|name| call.args.get(*name).and_then(Output::from_arg));
    named.or_else(|| call.args.get("candidates").and_then(Vec::<Output>::from_arg)?.into_iter().next())
}

/// How often a row's tokens go through a network.
struct Work {
    /// Network words per row.
    readings: f64,
    /// New tokens per row.
    sampled: f64,
    trains: bool,
    epochs: f64,
    /// Most rows that are trained on.
    most: Option<f64>,
    /// Under `rl`: samples of all rollouts.
    rollouts: Option<f64>,
    /// Rows of a step.
    batch: Option<f64>,
    /// Networks that an objective trains beside the main one.
    learners: Vec<Output>,
}

impl Work {
    fn of(call: &StageCall) -> Self {
        let number = |name: &str| Call::new(call).get::<Option<f64>>(name).ok().flatten();
        let objective = call.args.values().find_map(|arg| if let Arg::Objective(def) = arg { Some(def.clone()) } else { None });
        let formulas = formulas(call, objective.as_deref());
        let (mut readings, mut sampled) = (0.0, 0.0);
        let mut count = |word: &str, args: &[Formula]| match word {
            "sample" => sampled += most(args),
            _ => readings += 1.0,
        };
        formulas.iter().for_each(|formula| each_network_word(formula, &mut count));
        let steps = number("steps").zip(number("batch")).map(|(steps, batch)| steps * batch);
        let rollouts = number("samples").and_then(|samples| Some(steps? * samples));
        if rollouts.is_some() {
            sampled += number("max_tokens").unwrap_or(0.0);
        }
        let epochs = number("epochs").unwrap_or(1.0) * number("passes").unwrap_or(1.0);
        let trained = objective.iter().flat_map(|def| &def.trained).filter_map(|trained| match trained {
            Trained::Network { start, .. } => Some(start.clone()),
            Trained::Number { .. } => None,
        });
        let batch = number("batch").map(|batch| batch * number("samples").unwrap_or(1.0));
        Self { readings, sampled, trains: objective.is_some(), epochs, most: steps, rollouts, batch, learners: trained.collect() }
    }

    /// Tokens of a step's rows: what is usual, and somewhat more, because memory is what the largest step needs. Lengths
    /// of texts vary by about their mean, so sums of many vary less.
    fn step_tokens(&self, rows: Size, max_length: Option<f64>) -> f64 {
        let batch = self.batch.unwrap_or(f64::INFINITY);
        let longest = max_length.unwrap_or(f64::INFINITY);
        let each = rows.tokens_per_row.map_or(longest, |each| (each + self.sampled).min(longest));
        (batch * each * (1.0 + 0.6 * batch.sqrt().recip())).min(batch * longest)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
    fn tokens(&self, size: Size) -> Option<u64> {
        let (rows, each) = (size.rows? as f64, size.tokens_per_row? + self.sampled);
        let rows = match (self.rollouts, self.trains) {
            (Some(samples), _) => samples * self.epochs,
            (None, true) => (rows * self.epochs).min(self.most.unwrap_or(f64::INFINITY)),
            (None, false) => rows,
        };
        let passes = self.readings + if self.sampled > 0.0 { 1.0 } else { 0.0 };
        Some((rows * each * passes).round() as u64)
    }
}

fn formulas(call: &StageCall, objective: Option<&ObjectiveDef>) -> Vec<Formula> {
    let own = call.args.values().flat_map(|arg| match arg {
        Arg::Formula(formula) => vec![formula.clone()],
        Arg::Columns(columns) => columns.iter().map(|(_, formula)| formula.clone()).collect(),
        _ => Vec::new(),
    });
    own.chain(objective.into_iter().flat_map(|def| def.losses.iter().map(|loss| loss.value.clone()))).collect()
}

fn each_network_word(formula: &Formula, found: &mut dyn FnMut(&str, &[Formula])) {
    walk(formula, &mut |expr| {
        if let Kind::Word { word, args } = &expr.kind
            && words::get(word).is_some_and(|w| matches!(w.kind, WordKind::Network(_)))
        {
            found(word, args);
        }
    });
}

/// `max_tokens` among a `sample`'s options.
fn most(args: &[Formula]) -> f64 {
    let constant = |formula: &Formula| if let Kind::Const(cell) = &formula.kind { Some(cell.clone()) } else { None };
    let given = args.iter().find_map(|arg| match &arg.kind {
        Kind::Const(options) => options.field("max_tokens"),
        Kind::Record(fields) => fields.iter().find(|(name, _)| &**name == "max_tokens").and_then(|(_, value)| constant(value)),
        _ => None,
    });
    given.and_then(|cell| cell.number()).unwrap_or(0.0)
}

/// What an outside file tells without being loaded: of tables the rows.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
pub(super) fn outside(call: &StageCall, bytes: u64, lines: Option<u64>) -> Size {
    match &call.output {
        Type::Data(_) => {
            let limit = Call::new(call).get::<Option<u64>>("rows").ok().flatten();
            let rows = lines.map(|lines| limit.map_or(lines, |limit| lines.min(limit)));
            // a token is about four letters
            let each = lines.filter(|lines| *lines > 0).map(|lines| bytes as f64 / lines as f64 / 4.0);
            Size { rows, tokens_per_row: each, bytes: Some(bytes), ..Size::default() }
        }
        _ => Size { bytes: Some(bytes), ..Size::default() },
    }
}

/// `given`, completed by what the forecast knows.
pub(super) fn complete(given: Cost, forecast: Cost) -> Cost {
    let mut outputs = forecast.outputs;
    for (path, size) in given.outputs {
        let known: &mut Size = outputs.entry(path).or_default();
        *known = Size {
            rows: size.rows.or(known.rows),
            tokens_per_row: size.tokens_per_row.or(known.tokens_per_row),
            network: size.network.or(known.network),
            bytes: size.bytes.or(known.bytes),
        };
    }
    let main: Size = outputs.get(&Vec::<Arc<str>>::new()).copied().unwrap_or_default();
    for size in outputs.values_mut() {
        // parts of a table are as its rows are
        size.tokens_per_row = size.tokens_per_row.or(main.tokens_per_row);
    }
    Cost { tokens: given.tokens.or(forecast.tokens), memory: given.memory.or(forecast.memory), disk: given.disk.or(forecast.disk), outputs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::expr::{Loss, StageId};
    use crate::plan::meaning::Meaning;
    use crate::plan::testing::{Sketch, column, constant, expr, word};
    use crate::value::Cell;

    const NETWORK: NetworkSize = NetworkSize {
        parameters: 1_000_000,
        kept: 10_000,
        block: 1_000,
        rank_one: 5_000,
        projected: 900_000,
        in_blocks: [1_012_500, 506_250],
        blocks: None,
        cached: 100,
        rows: 2048,
    };

    fn training(steps: Cell) -> (Sketch, Cost) {
        let mut sketch = Sketch::default();
        let rows = sketch.stage("rows", "load_data", vec![]);
        let base = sketch.typed("base", "load_model", vec![], Type::Model);
        let logp = expr(Kind::Word { word: "logp", args: vec![expr(Kind::Model), column("completion")] });
        let loss = Loss { value: word("negate", vec![logp]), weight: None, scale: constant(1.0), on: None };
        let objective = ObjectiveDef { losses: vec![loss], ..ObjectiveDef::default() };
        let args = vec![
            ("network", Arg::Artifact(base)),
            ("data", Arg::Artifact(rows)),
            ("objective", Arg::Objective(Arc::new(objective))),
            ("epochs", Arg::Value(Cell::Int(2))),
            ("steps", Arg::Value(steps)),
            ("batch", Arg::Value(Cell::Int(10))),
        ];
        sketch.typed("tuned", "train", args, Type::Model);
        let size = |output: &Output| match output.stage {
            StageId(0) => Size { rows: Some(100), tokens_per_row: Some(50.0), ..Size::default() },
            _ => Size { network: Some(NETWORK), ..Size::default() },
        };
        let call = &sketch.checked.stages[2];
        let cost = forecast(&sketch.checked, call, &Meaning::of(call).places, &size);
        (sketch, cost)
    }

    #[test]
    fn training_reads_its_rows_once_an_epoch() {
        let (_, cost) = training(Cell::None);
        assert_eq!((cost.tokens, cost.disk), (Some(2 * 100 * 50), Some(4_000_000)));
        assert!(cost.memory.is_some_and(|bytes| bytes > 16_000_000 && bytes < 30_000_000), "{cost:?}");
    }

    #[test]
    fn steps_end_it_earlier() {
        assert_eq!(training(Cell::Int(3)).1.tokens, Some(3 * 10 * 50));
    }
}
