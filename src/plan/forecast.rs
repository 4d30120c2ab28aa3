//! What a stage will take, told from its arguments and its inputs' sizes alone: tokens roughly, memory as the engine's
//! own bookkeeping has it (`NetworkSize`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::formula::expr::{Formula, Kind, ObjectiveDef, Output, Trained};
use crate::formula::words::{self, Kind as WordKind};
use crate::recipe::checked::{Arg, Checked, StageCall};
use crate::recipe::types::{Row, Type};
use crate::stage::{Call, Cost, FromArg, LETTERS, NetworkSize, Size, Sizes, Smaller};

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
    let way = Way::of(call);
    let needs = |way: Way| if networks.is_empty() { None } else { memory(call, places, &networks, inputs, &work, rows, way) };
    let memory = needs(way);
    let smaller = way.smaller(work.trains).into_iter().filter_map(|(change, way)| Some(Smaller { change, bytes: needs(way)? }));
    let smaller = smaller.filter(|smaller| memory.is_some_and(|bytes| smaller.bytes < bytes)).collect();
    let each = rows.tokens_per_row.map(|each| each * kept(checked, call) + work.sampled);
    let made = match &call.output {
        Type::Data(_) => Size { tokens_per_row: each, bytes: letters(rows.rows, each), network: None, ..rows },
        Type::Record(_) => Size { tokens_per_row: each, ..Size::default() },
        ty if ty.is_network() => {
            let made = main.map(NetworkSize::plain);
            Size { network: made, bytes: made.map(NetworkSize::frozen), ..Size::default() }
        }
        _ => Size::default(),
    };
    Cost { tokens, memory, disk: made.bytes, smaller, ..Cost::of(made) }
}

/// Of a row's texts, the share that `select` keeps: texts are taken to be of one length.
#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn kept(checked: &Checked, call: &StageCall) -> f64 {
    let texts = |ty: &Type| match ty {
        Type::Data(row) => row.values().filter(|ty| is_text(ty)).count(),
        _ => 0,
    };
    let had = Call::new(call).get::<Output>("data").ok().and_then(|data| type_of(checked, &data)).map_or(0, texts);
    match &*call.primitive {
        "select" if had > 0 => (texts(&call.output) as f64 / had as f64).min(1.0),
        _ => 1.0,
    }
}

/// What of a call decides how much memory it takes, networks and rows aside.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Rank of the adapters that are trained in place of every weight.
    lora: Option<u64>,
    head_only: bool,
    /// The main network is held in 4 bits, whatever it is.
    four_bits: bool,
    /// Tokens that are computed at a time.
    at_once: Option<u64>,
}

/// What is offered where memory is short: a usual rank, and the fewest tokens that still fill a product.
const RANK: u64 = 16;
const FEWEST_AT_ONCE: u64 = 256;

impl Way {
    fn of(call: &StageCall) -> Self {
        let call = Call::new(call);
        let number = |name: &str| call.get::<Option<u64>>(name).ok().flatten();
        let head_only = call.get::<Option<bool>>("head_only").ok().flatten().unwrap_or(false);
        Self { lora: number("lora"), head_only, four_bits: false, at_once: number("tokens_at_once") }
    }

    /// Changes that may take less, from the least to all of them.
    fn smaller(self, trains: bool) -> Vec<(String, Self)> {
        let held = Self { four_bits: true, ..self };
        if !trains {
            return vec![("a network made by `quantise()`".to_owned(), held)];
        }
        let few = Self { at_once: Some(FEWEST_AT_ONCE), ..self };
        let adapters = Self { lora: Some(self.lora.unwrap_or(RANK)), ..self };
        let both = Self { four_bits: true, ..adapters };
        let mut ways = vec![(format!("`tokens_at_once: {FEWEST_AT_ONCE}`"), few)];
        let mut with = String::new();
        if self.lora.is_none() {
            ways.push((format!("`lora: {RANK}`"), adapters));
            with = format!("`lora: {RANK}` and ");
        }
        ways.push((format!("{with}a base made by `quantise()`"), both));
        ways.push((format!("{with}such a base and `tokens_at_once: {FEWEST_AT_ONCE}`"), Self { at_once: few.at_once, ..both }));
        ways
    }
}

/// Bytes on the device at the worst moment: every network's weights, what learns, and the temporaries of one batch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
fn memory(
    call: &StageCall,
    places: &BTreeMap<String, Output>,
    networks: &BTreeSet<&Output>,
    inputs: &Sizes<'_>,
    work: &Work,
    rows: Size,
    way: Way,
) -> Option<u64> {
    let main = main_network(call);
    let sized = |output: &Output| {
        let size = inputs(output).network?;
        Some(if way.four_bits && main.as_ref() == Some(output) { size.in_four_bits() } else { size })
    };
    let trained: Vec<Output> = if work.trains { main.clone().into_iter().chain(work.learners.clone()).collect() } else { Vec::new() };
    let mut weights = 0;
    for network in networks {
        let size = sized(network)?;
        let learners = trained.iter().filter(|learner| learner == network).count() as u64;
        let readers = places.values().filter(|place| place == network).count() as u64 > learners;
        // adapters and heads stand beside the weights that everybody reads, which are there once
        let shared = (way.lora.is_some() || way.head_only) && learners > 0;
        let read = if readers || shared { size.frozen() } else { 0 };
        let own = match (way.lora, way.head_only) {
            (_, true) => 0,
            (Some(_), _) => size.learnt(way.lora) - size.frozen(),
            (None, _) => size.learnt(None),
        };
        weights += read + learners * own;
    }
    let sizes: Vec<NetworkSize> = networks.iter().filter_map(|network| sized(network)).collect();
    let number = |name: &str| Call::new(call).get::<Option<f64>>(name).ok().flatten();
    let at_once = way.at_once.unwrap_or(u64::MAX);
    let step = (work.step_tokens(rows, number("max_length")) as u64).min(at_once);
    let learning: Vec<NetworkSize> = trained.iter().filter_map(&sized).collect();
    // all go forward before the first goes backward
    let kept: u64 = learning.iter().map(|size| size.kept(step)).sum();
    let training = kept + learning.iter().map(|size| size.gradients(step)).max().unwrap_or(0);
    let mut temporaries = sizes.iter().map(|size| size.reading(step)).max().unwrap_or(0).max(training);
    // the network that samples: the policy, or the largest at hand
    let sampler = main.as_ref().and_then(&sized).or_else(|| sizes.iter().copied().max_by_key(|size| size.parameters));
    if let Some(size) = sampler.filter(|_| work.sampled > 0.0) {
        let samples = work.batch.or(rows.rows.map(|rows| rows as f64)).unwrap_or(f64::INFINITY).min(NetworkSize::slots() as f64);
        let prompt = rows.tokens_per_row.unwrap_or(128.0) / (work.answers * rows.alike.unwrap_or(1) as f64);
        let read = size.reading(((samples * prompt) as u64).min(at_once));
        temporaries = temporaries.max(read + size.cache((samples * (prompt + work.sampled)) as u64));
        weights += size.packed();
    }
    Some(weights + temporaries)
}

/// Bytes of so many rows as text.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a forecast")]
fn letters(rows: Option<u64>, each: Option<f64>) -> Option<u64> {
    Some((rows? as f64 * each? * LETTERS) as u64)
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
    /// Of these, answers to one prompt, which is computed once.
    answers: f64,
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
        let answers = number("samples").unwrap_or(1.0);
        let batch = number("batch").map(|batch| batch * answers);
        let (trains, learners) = (objective.is_some(), trained.collect());
        Self { readings, sampled, trains, epochs, most: steps, rollouts, batch, answers, learners }
    }

    /// Tokens of a step's rows: what is usual, and somewhat more, because memory is what the largest step needs. Lengths
    /// of texts vary by about their mean, so sums of many vary less.
    fn step_tokens(&self, rows: Size, max_length: Option<f64>) -> f64 {
        let batch = self.batch.unwrap_or(f64::INFINITY);
        let longest = max_length.unwrap_or(f64::INFINITY);
        let read = rows.tokens_per_row.map_or(longest, |each| each / self.answers) * (1.0 + 0.6 * batch.sqrt().recip());
        batch * (read + self.sampled).min(longest)
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

/// What an outside file tells without being loaded: of tables the rows, and how long their texts are.
pub(super) fn outside(call: &StageCall, bytes: u64, table: Option<TableFile>) -> Size {
    let Type::Data(row) = &call.output else { return Size { bytes: Some(bytes), ..Size::default() } };
    let limit = Call::new(call).get::<Option<u64>>("rows").ok().flatten();
    let rows = table.as_ref().map(|table| limit.map_or(table.lines, |limit| table.lines.min(limit)));
    Size { rows, tokens_per_row: table.and_then(|table| table.tokens(row)), bytes: Some(bytes), ..Size::default() }
}

/// Lines of a table's file that are looked at.
const LOOKED_AT: usize = 512;

/// What a glance at a file of one row a line shows.
#[derive(Clone, Debug)]
pub(super) struct TableFile {
    lines: u64,
    bytes: u64,
    /// Some of its lines, from all over the file.
    some: Vec<String>,
}

impl TableFile {
    /// Looks at a text.
    pub(super) fn of(text: &[u8]) -> Self {
        let lines = || text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let count = lines().count();
        let some = lines().step_by(count.div_ceil(LOOKED_AT).max(1)).map(|line| String::from_utf8_lossy(line).into_owned());
        Self { lines: count as u64, bytes: text.len() as u64, some: some.collect() }
    }

    /// Tokens of a row's texts, by the columns that are texts where a line is a JSON object, else by all that a line holds.
    #[expect(clippy::cast_precision_loss, reason = "a forecast")]
    fn tokens(&self, row: &Row) -> Option<f64> {
        if self.lines == 0 {
            return None;
        }
        let columns = || row.iter().filter(|(_, ty)| is_text(ty)).map(|(name, _)| &**name);
        let of = |line: &String| {
            let object: Value = serde_json::from_str(line).ok().filter(Value::is_object)?;
            Some(columns().map(|name| letters_in(&object[name])).sum::<usize>())
        };
        let found: Option<Vec<usize>> = self.some.iter().map(of).collect();
        let letters = match found {
            Some(found) => found.iter().sum::<usize>() as f64 / found.len() as f64,
            None => self.bytes as f64 / self.lines as f64,
        };
        Some(letters / LETTERS)
    }
}

/// Letters of all texts in a value; of a dialogue those of its turns.
fn letters_in(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(letters_in).sum(),
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "role" && *name != "from").map(|(_, value)| letters_in(value)).sum()
        }
        _ => 0,
    }
}

fn is_text(ty: &Type) -> bool {
    matches!(ty, Type::Text | Type::Dialogue | Type::Completion)
}

/// `given`, completed by what the forecast knows.
pub(super) fn complete(given: Cost, forecast: Cost) -> Cost {
    let mut outputs = forecast.outputs;
    for (path, size) in given.outputs {
        let known: &mut Size = outputs.entry(path).or_default();
        *known = Size {
            rows: size.rows.or(known.rows),
            tokens_per_row: size.tokens_per_row.or(known.tokens_per_row),
            alike: size.alike.or(known.alike),
            network: size.network.or(known.network),
            bytes: size.bytes.or(known.bytes),
        };
    }
    let main: Size = outputs.get(&Vec::<Arc<str>>::new()).copied().unwrap_or_default();
    for size in outputs.values_mut() {
        // parts of a table are as its rows are
        size.tokens_per_row = size.tokens_per_row.or(main.tokens_per_row);
    }
    // changes are told of what was told itself
    let smaller = if given.memory.is_none() { forecast.smaller } else { given.smaller };
    Cost {
        tokens: given.tokens.or(forecast.tokens),
        memory: given.memory.or(forecast.memory),
        disk: given.disk.or(forecast.disk),
        outputs,
        smaller,
    }
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
