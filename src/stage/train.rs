//! `train`: minimises an objective over a table. What the objective is called, nobody here knows.

use std::sync::Arc;
use std::time::Instant;

use crate::diagnostic::{counted, verb};
use crate::formula::expr::{Axis, Expr, Formula, Kind, ObjectiveDef, Output};
use crate::formula::phases::Fixed;
use crate::formula::program::children;
use crate::formula::shape::Under;
use crate::model::Network;
use crate::value::Table;

use super::adapter;
use super::batches::{Groups, every, shuffled};
use super::call::Call;
use super::context::Context;
use super::detail::Detail;
use super::failure::Failure;
use super::learner::{Learner, StepReport};
use super::metrics::{estimate, intervals, logged};
use super::options::Options;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::report::{Metrics, Progress};
use super::split::warn_of_leaks;

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
        if let Some(eval) = &args.eval {
            warn_of_leaks(context, &table, &*context.table(eval)?, ["data", "eval"]);
        }
        let mut learner = Learner::new(context, &network, &args.objective, Under::Train, args.options, 1.0)?;
        let steps = run_steps(context, &mut learner, &args, &table)?;
        learner.conclude()?;
        if learner.service.cut() > 0 {
            let (cut, longest) = (learner.service.cut(), args.options.max_length);
            let verb = verb(cut, "was", "were");
            let message = format!("{} {verb} longer than `max_length` ({longest}) and {verb} cut", counted(cut, "sequence"));
            context.warn("align::run::cut", message, Some("raise `max_length`, or filter long rows".into()));
        }
        let mut product = adapter::keep(&learner.network()?, context)?;
        if let Some(eval) = &args.eval {
            let seed = u64::from(context.stage_key()[0]);
            let metrics = learner.measure(&*context.table(eval)?)?;
            Detail::new("eval").with(&metrics).write(context.folder())?;
            for metric in &metrics {
                product = product.with(metric.name.clone(), Item::Value(estimate(metric, seed)));
            }
        }
        context.progress(Progress { step: steps, total: Some(steps), memory: learner.memory(), ..Progress::default() });
        Ok(product)
    }
}

/// The rows of the main table.
enum Rows<'a> {
    /// No line looks across rows: what a step needs to know is asked when its rows come up, so that the first step does
    /// not wait for the table.
    EachStep(&'a Table),
    /// Asked about before the first step.
    Known(Fixed),
}

impl Rows<'_> {
    /// Which rows must stay in one step.
    fn groups(&self) -> Groups {
        match self {
            Self::EachStep(table) => (0..table.len()).collect(),
            Self::Known(fixed) => groups_of(fixed),
        }
    }
}

/// Takes every step of every epoch, from the last checkpoint on.
fn run_steps(context: &Context<'_>, learner: &mut Learner<'_>, args: &Args, table: &Table) -> Result<u64, Failure> {
    let rows = if rows_are_independent(&args.objective) { Rows::EachStep(table) } else { Rows::Known(learner.fixed(0, table)?) };
    let plan = epochs(&rows.groups(), args, context);
    let others = terms(context, learner, plan.len() as u64, args.options.batch)?;
    let total = plan.len() as u64;
    learner.plan(total);
    let mut done = 0;
    if let Some(checkpoint) = context.checkpoint()? {
        learner.restore(&checkpoint.folder)?;
        done = checkpoint.step;
        if let Rows::EachStep(table) = &rows {
            recall(learner, &plan, done, table)?;
        }
    }
    for step in done..total {
        let begun = Instant::now();
        let at = usize::try_from(step).expect("steps of a table");
        let (picked, places);
        let mut parts: Vec<(usize, &Fixed, &[usize])> = match &rows {
            Rows::Known(fixed) => vec![(0, fixed, &plan[at])],
            Rows::EachStep(table) => {
                picked =
                    learner.fixed(0, &table.pick(plan[at].iter().copied())).map_err(|failure| failure.among(&plan[at]).step(step + 1))?;
                places = (0..plan[at].len()).collect::<Vec<_>>();
                vec![(0, &picked, &places)]
            }
        };
        parts.extend(others.iter().map(|term| term.part(at)));
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

/// A term of the objective over rows of its own, and which of them each optimiser step takes.
pub struct Term {
    source: usize,
    fixed: Fixed,
    steps: Vec<Vec<usize>>,
}

impl Term {
    /// The source, what is known of it, and its rows in a step.
    pub fn part(&self, step: usize) -> (usize, &Fixed, &[usize]) {
        (self.source, &self.fixed, &self.steps[step])
    }
}

/// The terms with rows of their own (`on:`), for so many optimiser steps of about `batch` rows each.
///
/// # Errors
/// When a network cannot answer or a row has no value.
pub fn terms(context: &Context<'_>, learner: &mut Learner<'_>, steps: u64, batch: usize) -> Result<Vec<Term>, Failure> {
    let mut terms = Vec::new();
    for source in 1..learner.compiled.sources.len() {
        let output = learner.compiled.sources[source].on().expect("further sources have rows of their own");
        let table = context.table(output)?;
        if table.is_empty() {
            return Err(Failure::new("align::run::no_rows", "a term of the objective has no rows of its own to train on")
                .help("look at what is given as `on:`"));
        }
        let fixed = learner.fixed(source, &table)?;
        let steps = cycle(&groups_of(&fixed), usize::try_from(steps).expect("few steps"), batch, context);
        terms.push(Term { source, fixed, steps });
    }
    Ok(terms)
}

/// Asks frozen networks again what the steps before a checkpoint asked them. Their answers are remembered from the step
/// that first needed them, and the last bits depend on what was asked beside it.
fn recall(learner: &mut Learner<'_>, plan: &[Vec<usize>], done: u64, table: &Table) -> Result<(), Failure> {
    let done = usize::try_from(done).expect("steps of a table");
    let mut seen = vec![false; table.len()];
    for rows in &plan[..done] {
        if rows.iter().filter(|row| !std::mem::replace(&mut seen[**row], true)).count() > 0 {
            learner.fixed(0, &table.pick(rows.iter().copied()))?;
        }
    }
    Ok(())
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
    line.extend(intervals(&report.metrics));
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
