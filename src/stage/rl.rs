//! `rl`: minimises an objective over rows that the policy itself samples, rollout by rollout.
//!
//! Each rollout: draw prompts, sample, score the columns, re-score by the training forward (that is what `old(…)`
//! reads), then some passes of optimiser steps over it. A checkpoint stands between two rollouts: what was in flight is
//! sampled again, to the same bit, because chance is keyed by rollout, prompt and sample.

use std::sync::Arc;
use std::time::Instant;

use crate::chance::uniform;
use crate::formula::eval;
use crate::formula::expr::{Formula, ObjectiveDef, Output};
use crate::formula::phases::{Fixed, Metric};
use crate::formula::shape::Under;
use crate::model::{Extras, Network, Request, Sampling};
use crate::value::{Cell, Table};

use super::adapter;
use super::batches::{Groups, cut, shuffled};
use super::call::{Call, Columns};
use super::context::Context;
use super::detail::Detail;
use super::failure::Failure;
use super::learner::Learner;
use super::metrics::{estimate, intervals, logged};
use super::options::Options;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::report::Progress;
use super::service::{dialogue_of, form, sampling, sequence_of};
use super::train::{Term, groups_of, terms};

/// Log-probs that trained and sampled agree within this, or what trains is not what sampled. A large network samples
/// with halves of its weights, which moves a log-prob by some thousandths.
const SAME: f64 = 0.05;

/// The primitive.
#[derive(Debug)]
pub struct Rl;

/// The arguments.
struct Args {
    policy: Output,
    prompts: Output,
    objective: Arc<ObjectiveDef>,
    samples: usize,
    passes: u64,
    minibatches: usize,
    stop_when: Formula,
    columns: Columns,
    sampling: Sampling,
    form: Option<Arc<str>>,
    options: Options,
}

impl Args {
    fn new(call: &Call<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let fields = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "stop"];
        let fields = fields.iter().map(|name| Ok((Arc::from(*name), call.get::<Cell>(name)?))).collect::<Result<Vec<_>, Failure>>()?;
        let options = Cell::Record(fields.into());
        Ok(Self {
            policy: call.get("policy")?,
            prompts: call.get("prompts")?,
            objective: call.get("objective")?,
            samples: call.get("samples")?,
            passes: call.get("passes")?,
            minibatches: call.get("minibatches")?,
            stop_when: call.get("stop_when")?,
            columns: call.get("columns")?,
            sampling: sampling(&options, context.stage_key()).map_err(|e| Failure::mistake(e.to_string()))?,
            form: call.given::<Cell>("constraint")?.as_ref().and_then(form),
            options: Options::new(call)?,
        })
    }
}

impl Primitive for Rl {
    fn name(&self) -> &'static str {
        "rl"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let args = Args::new(call, context)?;
        if args.sampling.temperature == 0.0 {
            return Err(Failure::new(
                "align::run::greedy_rollouts",
                "rollouts sampled at temperature 0 teach nothing: every sample is the same",
            )
            .help("set `temperature: 1.0`"));
        }
        let prompts = context.table(&args.prompts)?;
        if prompts.is_empty() {
            return Err(Failure::new("align::run::no_rows", "there are no prompts to sample from")
                .help("look at the filter or split that makes them"));
        }
        let network = Network::open(&context.network(&args.policy)?.path)?;
        let mut rollouts = Rollouts::new(context, &args, &network, &prompts)?;
        let last = rollouts.run()?;
        rollouts.learner.conclude()?;
        let seed = u64::from(context.stage_key()[0]);
        let mut product = adapter::keep(&rollouts.learner.network()?, context)?.with("rollouts", Item::Table(Arc::new(last.table)));
        Detail::new("last rollout").with(&last.metrics).write(context.folder())?;
        for metric in &last.metrics {
            product = product.with(metric.name.clone(), Item::Value(estimate(metric, seed)));
        }
        Ok(product)
    }
}

/// The loop and what it carries.
struct Rollouts<'r, 'c> {
    context: &'c Context<'c>,
    args: &'r Args,
    prompts: &'r Table,
    learner: Learner<'c>,
    /// The objective's terms with rows of their own.
    terms: Vec<Term>,
    total: u64,
}

/// One rollout with what was seen of it.
struct Rollout {
    table: Table,
    metrics: Vec<Metric>,
}

impl<'r, 'c> Rollouts<'r, 'c> {
    fn new(context: &'c Context<'c>, args: &'r Args, network: &Network, prompts: &'r Table) -> Result<Self, Failure> {
        let mut learner = Learner::new(context, network, &args.objective, Under::Rl, args.options, args.sampling.temperature)?;
        let batch = args.options.batch.min(prompts.len());
        let epochs = args.options.epochs * prompts.len().div_ceil(batch) as u64;
        let total = args.options.steps.unwrap_or(epochs);
        let updates = total * args.passes * args.minibatches as u64;
        learner.plan(updates);
        let rows = (batch * args.samples).div_ceil(args.minibatches);
        let terms = terms(context, &mut learner, updates, rows)?;
        Ok(Self { context, args, prompts, learner, terms, total })
    }

    fn run(&mut self) -> Result<Rollout, Failure> {
        let mut done = 0;
        if let Some(checkpoint) = self.context.checkpoint()? {
            self.learner.restore(&checkpoint.folder)?;
            done = checkpoint.step;
        }
        let mut last = None;
        for step in done..self.total {
            let rollout = self.rollout(step)?;
            let stop = self.stops(&rollout.metrics)?;
            last = Some(rollout);
            if stop {
                let message = format!("stopped after rollout {} of {}: `stop_when` holds", step + 1, self.total);
                self.context.warn("align::run::stopped_early", message, None);
                break;
            }
            if step + 1 < self.total && self.context.checkpoint_due() {
                self.context.save_checkpoint(step + 1, |folder| self.learner.save(folder))?;
                if self.context.interrupted() {
                    return Err(Failure::interrupted(step + 1));
                }
            }
        }
        last.ok_or_else(|| Failure::new("align::run::no_rows", "no rollout was asked for"))
    }

    /// Samples, scores, and takes the optimiser steps of one rollout.
    fn rollout(&mut self, step: u64) -> Result<Rollout, Failure> {
        let begun = Instant::now();
        let (table, said) = self.sample(step)?;
        self.learner.service.forget();
        if self.args.minibatches == 1 {
            self.learner.look_ahead();
        }
        let fixed = self.learner.fixed(0, &table)?;
        let gap = self.sampler_gap(&fixed, &table, &said)?;
        let groups = groups_of(&fixed);
        let mut metrics: Vec<Metric> = Vec::new();
        let (mut tokens, mut losses, mut clamped, mut norm) = (0, Vec::new(), 0, 0.0_f64);
        for pass in 0..self.args.passes {
            // one minibatch is the rollout as it stands, so that a pass made ahead is a pass over it
            let order = match self.args.minibatches {
                1 => (0..groups.len()).collect(),
                _ => shuffled(&groups, self.context.stage_key(), 2 << 32 | step << 8 | pass),
            };
            for rows in cut(&order, &groups, self.args.minibatches) {
                let at = usize::try_from(self.learner.taken).expect("few steps");
                let mut parts: Vec<(usize, &Fixed, &[usize])> = vec![(0, &fixed, &rows)];
                parts.extend(self.terms.iter().map(|term| term.part(at)));
                let report = self.learner.step(&parts, pass == 0)?;
                if pass == 0 {
                    gather(&mut metrics, report.metrics);
                }
                losses.push(report.loss);
                tokens += report.tokens;
                clamped += report.clamped;
                norm = norm.max(report.grad_norm);
            }
        }
        self.learner.states.clone_from(fixed.next_states());
        #[expect(clippy::cast_precision_loss, reason = "counts of one rollout")]
        let (rate, loss) =
            (tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9), losses.iter().sum::<f64>() / losses.len().max(1) as f64);
        let seen = logged(&metrics);
        let mut shown: Vec<(Arc<str>, f64)> = vec![("loss".into(), loss)];
        shown.extend(seen.iter().filter(|(name, _)| matches!(&**name, "reward" | "kl")).cloned());
        self.context.progress(Progress {
            step: step + 1,
            total: Some(self.total),
            rate: Some((rate, "tokens")),
            metrics: shown,
            memory: self.learner.memory(),
        });
        let mut line: Vec<(Arc<str>, f64)> = vec![("loss".into(), loss), ("grad_norm".into(), norm), ("sampler_gap".into(), gap)];
        #[expect(clippy::cast_precision_loss, reason = "a count of one rollout")]
        line.push(("clamped".into(), clamped as f64));
        line.push(("tokens_per_second".into(), rate));
        line.extend(seen);
        line.extend(intervals(&metrics));
        self.context.log(step + 1, line);
        Ok(Rollout { table, metrics })
    }

    /// The rollout's table, and the log-probs that the sampler saw.
    fn sample(&mut self, step: u64) -> Result<(Table, Vec<Vec<f64>>), Failure> {
        let batch = self.args.options.batch.min(self.prompts.len());
        let rows = self.drawn(step, batch);
        let mut table = self.prompts.pick(rows.iter().flat_map(|row| std::iter::repeat_n(*row, self.args.samples)));
        let at = table.position("prompt").ok_or_else(|| Failure::mistake("the prompts have no column `.prompt`"))?;
        let (net, tokenizer) = self.learner.policy()?;
        let mut requests = Vec::with_capacity(table.len());
        for (place, row) in table.rows.iter().enumerate() {
            let dialogue = dialogue_of(&row[at]).ok_or_else(|| Failure::mistake("`.prompt` is no dialogue"))?;
            requests.push(Request { prompt: tokenizer.encode_prompt(&dialogue)?.into(), key: self.key(step, place) });
        }
        let forms = vec![self.args.form.clone(); requests.len()];
        let sampled =
            self.context.engine()?.generate(net, &requests, &self.args.sampling, Extras { forms: &forms, ..Extras::default() })?;
        let completions = sampled.iter().map(|s| Cell::Completion(Arc::new(s.completion()))).collect();
        table.put(&"completion".into(), completions);
        for (name, formula) in &self.args.columns {
            let cells = eval::column(formula, &table, self.context.stage_key(), &mut self.learner.service)?;
            table.put(name, cells);
        }
        Ok((table, sampled.into_iter().map(|s| s.logps).collect()))
    }

    /// The prompts of a rollout: every prompt once before any twice, in chance order.
    fn drawn(&self, step: u64, batch: usize) -> Vec<usize> {
        let groups: Groups = (0..self.prompts.len()).collect();
        let first = usize::try_from(step).expect("few rollouts") * batch;
        let pass = |at: usize| shuffled(&groups, self.context.stage_key(), 3 << 32 | (at / groups.len()) as u64);
        let mut orders: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
        (first..first + batch).map(|at| orders.entry(at / groups.len()).or_insert_with(|| pass(at))[at % groups.len()]).collect()
    }

    /// Names one sample of one rollout.
    #[expect(clippy::cast_possible_truncation, reason = "a rollout has fewer than 2^32 rows")]
    fn key(&self, step: u64, place: usize) -> u64 {
        let [high, low] = crate::chance::halves(step);
        let words = uniform(self.context.stage_key(), [place as u32, 0x524f_4c4c, high, low]);
        u64::from(words[0]) << 32 | u64::from(words[1])
    }

    /// How far the sampler's log-probs are from those that train; too far is an error, not a number to log.
    fn sampler_gap(&mut self, fixed: &Fixed, table: &Table, said: &[Vec<f64>]) -> Result<f64, Failure> {
        let Some(leaf) = self.learner.compiled.sources[0].leaves().iter().position(|l| l.word == "logp") else { return Ok(0.0) };
        let filtered = self.args.sampling.top_k.is_some() || self.args.sampling.top_p.is_some() || self.args.sampling.min_p.is_some();
        let trained = self.learner.service.sampled();
        let mut gap = 0.0_f64;
        for (row, said) in (0..table.len()).zip(said) {
            let Some(cell) = sequence_of(&fixed.sequence(leaf, row)) else { continue };
            let Some(known) = trained.get(&*cell) else { continue };
            gap = known.iter().zip(said).fold(gap, |gap, (a, b)| gap.max((a - b).abs()));
        }
        if gap > SAME && !filtered {
            return Err(Failure::new("align::run::log_prob_mismatch", "the log-probs that would train are not those that sampled")
                .value(format!("largest difference = {gap:.2e}"))
                .help("this is a mistake in align itself: please report it with the recipe"));
        }
        Ok(gap)
    }

    /// `stop_when`, over the rollout's metrics.
    fn stops(&mut self, metrics: &[Metric]) -> Result<bool, Failure> {
        let columns: Vec<Arc<str>> = metrics.iter().map(|m| m.name.clone()).collect();
        let row = logged(metrics).into_iter().map(|(_, x)| Cell::Float(x)).collect();
        let table = Table { columns, rows: vec![row] };
        let said = eval::column(&self.args.stop_when, &table, self.context.stage_key(), &mut self.learner.service)?;
        Ok(said.first() == Some(&Cell::Bool(true)))
    }
}

/// Puts the metrics of two minibatches together.
fn gather(all: &mut Vec<Metric>, more: Vec<Metric>) {
    for metric in more {
        match all.iter_mut().find(|m| m.name == metric.name) {
            Some(known) if known.estimate.is_none() => {
                known.values.extend(metric.values);
                known.rows.extend(metric.rows);
            }
            Some(_) => {}
            None => all.push(metric),
        }
    }
}
