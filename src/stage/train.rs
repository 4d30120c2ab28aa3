//! `train`: minimises an objective over a table. What the objective is called, nobody here knows.

use std::sync::Arc;
use std::time::Instant;

use crate::formula::expr::{Axis, Expr, Formula, Kind, ObjectiveDef, Output};
use crate::formula::phases::Fixed;
use crate::formula::program::children;
use crate::formula::shape::Under;
use crate::model::Network;
use crate::value::Table;

use super::batches::{Groups, every, shuffled};
use super::call::Call;
use super::context::Context;
use super::failure::Failure;
use super::learner::{Learner, StepReport, estimate, logged};
use super::options::Options;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::report::{Metrics, Progress};

/// The primitive.
#[derive(Debug)]
pub struct Train;

/// The arguments.
struct Args {
    network: Output,
    data: Output,
    objective: Arc<ObjectiveDef>,
    eval: Option<Output>,
    options: Options,
}

impl Primitive for Train {
    fn name(&self) -> &'static str {
        "train"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let args = Args {
            network: call.get("network")?,
            data: call.get("data")?,
            objective: call.get("objective")?,
            eval: call.get("eval")?,
            options: Options::new(call)?,
        };
        let network = Network::open(&context.network(&args.network)?.path)?;
        let table = context.table(&args.data)?;
        if table.is_empty() {
            return Err(
                Failure::new("align::run::no_rows", "there are no rows to train on").help("look at the filter or split that makes them")
            );
        }
        let mut learner = Learner::new(context, &network, &args.objective, Under::Train, args.options, 1.0)?;
        let steps = run_steps(context, &mut learner, &args, &table)?;
        if learner.service.cut() > 0 {
            let message =
                format!("{} sequences were longer than `max_length` ({}) and were cut", learner.service.cut(), args.options.max_length);
            context.warn("align::run::cut", message, Some("raise `max_length`, or filter long rows".into()));
        }
        learner.network()?.save(&context.folder().join("network"))?;
        let mut product = Product::network("network");
        if let Some(eval) = &args.eval {
            let seed = u64::from(context.stage_key()[0]);
            for metric in learner.measure(&*context.table(eval)?)? {
                product = product.with(metric.name.clone(), Item::Value(estimate(&metric, seed)));
            }
        }
        context.progress(Progress { step: steps, total: Some(steps), memory: learner.memory(), ..Progress::default() });
        Ok(product)
    }
}

/// Takes every step of every epoch, from the last checkpoint on.
fn run_steps(context: &Context<'_>, learner: &mut Learner<'_>, args: &Args, table: &Table) -> Result<u64, Failure> {
    let alone = rows_are_independent(&args.objective);
    let (table, rows) = if alone { used_rows(table, args, context) } else { (table.clone(), None) };
    let mut tables = vec![table];
    for source in &learner.compiled.sources[1..] {
        let output = source.on().expect("further sources have rows of their own");
        tables.push((*context.table(output)?).clone());
    }
    let fixed = tables.iter().enumerate().map(|(at, table)| learner.fixed(at, table)).collect::<Result<Vec<Fixed>, _>>()?;
    let groups: Vec<Groups> = fixed.iter().map(groups_of).collect();
    let plan = match rows {
        Some(rows) => every(&rows, &groups[0], args.options.batch),
        None => epochs(&groups[0], args, context),
    };
    let others: Vec<Vec<Vec<usize>>> = (1..fixed.len()).map(|at| cycle(&groups[at], plan.len(), args.options.batch, context)).collect();
    let total = plan.len() as u64;
    learner.plan(total);
    let mut done = 0;
    if let Some(checkpoint) = context.checkpoint()? {
        learner.restore(&checkpoint.folder)?;
        done = checkpoint.step;
    }
    for step in done..total {
        let begun = Instant::now();
        let at = usize::try_from(step).expect("steps of a table");
        let mut parts: Vec<(usize, &Fixed, &[usize])> = vec![(0, &fixed[0], &plan[at])];
        parts.extend(others.iter().enumerate().map(|(other, steps)| (other + 1, &fixed[other + 1], &steps[at][..])));
        let report = learner.step(&parts, false)?;
        tell(context, learner, &report, step + 1, total, begun);
        if step + 1 < total && context.checkpoint_due() {
            context.save_checkpoint(step + 1, |folder| learner.save(folder))?;
            if context.interrupted() {
                return Err(Failure::interrupted(step + 1));
            }
        }
    }
    Ok(total)
}

/// Progress and a line of `metrics.jsonl`.
pub fn tell(context: &Context<'_>, learner: &Learner<'_>, report: &StepReport, step: u64, total: u64, begun: Instant) {
    #[expect(clippy::cast_precision_loss, reason = "counts of one step")]
    let rate = report.tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9);
    let shown: Metrics = vec![("loss".into(), report.loss)];
    context.progress(Progress { step, total: Some(total), rate: Some((rate, "tokens")), metrics: shown.clone(), memory: learner.memory() });
    let mut line = shown;
    #[expect(clippy::cast_precision_loss, reason = "a count of one step")]
    line.extend([("grad_norm".into(), report.grad_norm), ("lr".into(), report.lr), ("clamped".into(), report.clamped as f64)]);
    line.push(("tokens_per_second".into(), rate));
    line.extend(logged(&report.metrics));
    context.log(step, line);
}

/// Each row's block, as a number.
pub fn groups_of(fixed: &Fixed) -> Groups {
    let mut groups = vec![0; fixed.rows()];
    for (block, rows) in fixed.blocks().iter().enumerate() {
        rows.iter().for_each(|row| groups[*row] = block);
    }
    groups
}

/// The steps of all epochs, as far as `steps` allows.
fn epochs(groups: &Groups, args: &Args, context: &Context<'_>) -> Vec<Vec<usize>> {
    let most = args.options.steps.unwrap_or(u64::MAX);
    let mut plan = Vec::new();
    for epoch in 0..args.options.epochs {
        if plan.len() as u64 >= most {
            break;
        }
        plan.extend(every(&shuffled(groups, context.stage_key(), epoch), groups, args.options.batch));
    }
    plan.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    plan
}

/// As many steps of a term's own rows, going round as often as needed.
fn cycle(groups: &Groups, steps: usize, batch: usize, context: &Context<'_>) -> Vec<Vec<usize>> {
    (0..).flat_map(|pass| every(&shuffled(groups, context.stage_key(), 1 << 32 | pass), groups, batch)).take(steps).collect()
}

/// When few steps of many rows are taken, only their rows are asked about: the rows that are used, and their order.
fn used_rows(table: &Table, args: &Args, context: &Context<'_>) -> (Table, Option<Vec<usize>>) {
    let single: Groups = (0..table.len()).collect();
    let plan = epochs(&single, args, context).concat();
    if plan.len() >= table.len() {
        return (table.clone(), None);
    }
    (table.pick(plan.iter().copied()), Some((0..plan.len()).collect()))
}

/// Whether no part of an objective looks across rows of the table.
fn rows_are_independent(def: &ObjectiveDef) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    let lines = def.losses.iter().flat_map(|l| [Some(&l.value), l.weight.as_ref(), Some(&l.scale)].into_iter().flatten());
    lines.chain(def.metrics.iter().map(|(_, f)| f)).chain(def.states.iter().map(|s| &s.next)).all(|f| independent(f, &mut seen))
}

fn independent(formula: &Formula, seen: &mut std::collections::BTreeSet<*const Expr>) -> bool {
    if !seen.insert(Arc::as_ptr(formula)) {
        return true;
    }
    let here = !matches!(&formula.kind, Kind::Over { axis: Axis::All | Axis::Columns(_), .. });
    here && children(formula).iter().all(|child| independent(child, seen))
}
