//! What a stage will roughly take, told from its arguments and its inputs' sizes alone. Right to within a factor of two
//! is enough: it is for deciding whether to start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::formula::expr::{Formula, Kind, ObjectiveDef, Output};
use crate::formula::words::{self, Kind as WordKind};
use crate::recipe::checked::{Arg, Checked, StageCall};
use crate::recipe::types::Type;
use crate::stage::{Call, Cost, FromArg, Size, Sizes};

use super::graph::type_of;
use super::meaning::walk;

/// Bytes for each number of a network: weights, and for a trained one gradients and two moments.
const FROZEN: u64 = 4;
const TRAINED: u64 = 16;
/// Tokens that are computed at a time, and the most that is kept of them between forward and backward.
const AT_ONCE: u64 = 2048;
const KEPT: u64 = 1 << 30;

/// The forecast of one call.
pub(super) fn forecast(checked: &Checked, call: &StageCall, places: &BTreeMap<String, Output>, inputs: &Sizes<'_>) -> Cost {
    let networks: BTreeSet<&Output> = places.values().filter(|output| type_of(checked, output).is_some_and(Type::is_network)).collect();
    let parameters = |output: &Output| inputs(output).parameters;
    let tables = places.values().filter(|output| matches!(type_of(checked, output), Some(Type::Data(_))));
    let rows = tables.map(inputs).reduce(|a, b| if a.rows >= b.rows { a } else { b }).unwrap_or_default();
    let work = Work::of(call);
    let tokens = if networks.is_empty() { None } else { work.tokens(rows) };
    let main = main_network(call).and_then(|output| parameters(&output));
    let weights: Option<u64> = networks.iter().map(|output| parameters(output)).sum();
    let learnt = |p: u64| adapters(call, p).unwrap_or(p * (TRAINED - FROZEN));
    let training = if work.trains { main.map(|p| learnt(p) + activations(p)) } else { Some(0) };
    let memory = weights.zip(training).map(|(weights, training)| weights * FROZEN + training).filter(|_| !networks.is_empty());
    let each = rows.tokens_per_row.map(|each| each + work.sampled);
    let made = match &call.output {
        Type::Data(_) => Size { rows: rows.rows, tokens_per_row: each, bytes: letters(rows.rows, each), parameters: None },
        Type::Record(_) => Size { tokens_per_row: each, ..Size::default() },
        ty if ty.is_network() => Size { parameters: main, bytes: main.map(|p| p * FROZEN), ..Size::default() },
        _ => Size::default(),
    };
    Cost { tokens, memory, disk: made.bytes, ..Cost::of(made) }
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
        Self { readings, sampled, trains: objective.is_some(), epochs, most: steps, rollouts }
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

/// Bytes of the adapters beside so many weights, with gradients and moments; `None` where the weights are trained themselves.
/// In width C and C / 64 blocks of 12 C², the seven projections have about 19 C rows and columns together.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
fn adapters(call: &StageCall, parameters: u64) -> Option<u64> {
    let rank = Call::new(call).get::<Option<f64>>("lora").ok().flatten()?;
    let width = width(parameters);
    Some((TRAINED as f64 * rank * 19.0 * width * width / 64.0) as u64)
}

/// C of a decoder of so many numbers, as [`activations`] has it.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn width(parameters: u64) -> f64 {
    (parameters as f64 * 64.0 / 12.0).cbrt()
}

/// What a decoder of so many numbers keeps of the tokens it computes at a time: of width C and C / 64 blocks of 12 C².
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
fn activations(parameters: u64) -> u64 {
    let width = width(parameters);
    ((AT_ONCE as f64 * 16.0 * width * (width / 64.0) * 4.0) as u64).min(KEPT)
}

/// What an outside file tells without being loaded: of tables the rows, of networks the numbers.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
pub(super) fn outside(call: &StageCall, bytes: u64, lines: Option<u64>) -> Size {
    match &call.output {
        Type::Data(_) => {
            let limit = Call::new(call).get::<Option<u64>>("rows").ok().flatten();
            let rows = lines.map(|lines| limit.map_or(lines, |limit| lines.min(limit)));
            // a token is about four letters
            let each = lines.filter(|lines| *lines > 0).map(|lines| bytes as f64 / lines as f64 / 4.0);
            Size { rows, tokens_per_row: each, bytes: Some(bytes), parameters: None }
        }
        ty if ty.is_network() => Size { parameters: Some(bytes / 4), bytes: Some(bytes), ..Size::default() },
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
            parameters: size.parameters.or(known.parameters),
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
            _ => Size { parameters: Some(1_000_000), ..Size::default() },
        };
        let call = &sketch.checked.stages[2];
        let cost = forecast(&sketch.checked, call, &Meaning::of(call).places, &size);
        (sketch, cost)
    }

    #[test]
    fn training_reads_its_rows_once_an_epoch() {
        let (_, cost) = training(Cell::None);
        assert_eq!((cost.tokens, cost.disk), (Some(2 * 100 * 50), Some(4_000_000)));
        assert!(cost.memory.is_some_and(|bytes| bytes > 16_000_000 && bytes < 200_000_000), "{cost:?}");
    }

    #[test]
    fn steps_end_it_earlier() {
        assert_eq!(training(Cell::Int(3)).1.tokens, Some(3 * 10 * 50));
    }
}
