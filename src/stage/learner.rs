//! One optimiser step of any objective: ask the trained networks, evaluate the formula, send its derivatives back.
//!
//! `train` and `rl` share it; they differ in where rows come from. What a step needs of the engine is only the leaves
//! of [`Source`]: log-probs, entropies, values, scores, and their coefficients on the way back.

use std::cell::RefMut;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use petgraph::unionfind::UnionFind;

use crate::engine::optim::{Decay, Schedule};
use crate::formula::column::Numbers;
use crate::formula::expr::{ObjectiveDef, Trained};
use crate::formula::key::{cells, short};
use crate::formula::objective::{Compiled, Leaf, Per, Source, States, TrainedNumbers};
use crate::formula::phases::{Fixed, Metric, Outcome};
use crate::formula::program::Network as Asked;
use crate::formula::shape::Under;
use crate::model::{AdamStep, Adapter, Budget, Engine, Head, NetId, Network, Pass, TokenSequence, Tokenizer, Want};
use crate::value::{Cell, Table};

use super::asking::{Asking, Comparing, Known, coefficients, take_apart, want_of};
use super::context::Context;
use super::failure::Failure;
use super::options::Options;
use super::saved_state;
use super::service::Service;

/// So many steps in a row without a finite gradient end the stage.
const HOPELESS: usize = 5;

/// A network being trained.
#[derive(Debug)]
struct Member {
    asked: Asked,
    /// The name of its file in a checkpoint.
    name: String,
    net: NetId,
}

/// AdamW's moments of the objective's trained numbers.
#[derive(Clone, Default, PartialEq, Debug)]
struct Moments {
    first: BTreeMap<Arc<str>, Vec<f64>>,
    second: BTreeMap<Arc<str>, Vec<f64>>,
}

/// An objective, the networks it trains, and everything that changes while it does.
#[derive(Debug)]
pub struct Learner<'c> {
    context: &'c Context<'c>,
    pub service: Service<'c>,
    pub compiled: Compiled,
    options: Options,
    schedule: Schedule,
    members: Vec<Member>,
    pub states: States,
    numbers: TrainedNumbers,
    moments: Moments,
    /// Optimiser steps taken.
    pub taken: u64,
    hopeless: usize,
}

/// What one optimiser step found.
#[derive(Clone, Debug, Default)]
pub struct StepReport {
    pub loss: f64,
    pub grad_norm: f64,
    pub lr: f64,
    pub tokens: usize,
    pub clamped: usize,
    pub metrics: Vec<Metric>,
}

impl<'c> Learner<'c> {
    /// Loads the networks and prepares the objective. `updates` is how many optimiser steps there will be.
    ///
    /// # Errors
    /// When a network cannot be loaded or a start value cannot be computed.
    pub fn new(
        context: &'c Context<'c>,
        main: &Network,
        def: &ObjectiveDef,
        under: Under,
        options: Options,
        temperature: f64,
    ) -> Result<Self, Failure> {
        let compiled = Compiled::new(def, under).map_err(|errors| {
            let first = errors.first().map_or_else(String::new, ToString::to_string);
            Failure::mistake(format!("an objective that was checked does not hold: {first}"))
        })?;
        let mut service = Service::new(context).in_steps(options.max_length, temperature);
        let mut members = Vec::new();
        let mut add = |asked: Asked, name: &str, network: &Network| -> Result<(), Failure> {
            let adapted = match options.adapter {
                Some(spec) => {
                    // each network's adapters start from chance of their own
                    let stream = u32::try_from(members.len()).expect("few networks");
                    network.with_adapter(Adapter::new(network, spec, context.stage_key(), stream)?)
                }
                None => network.clone(),
            };
            let net = context.engine()?.load_for(&adapted, options.learns())?;
            if options.anchor.is_some() {
                context.engine()?.anchor(net)?;
            }
            service.train(asked.clone(), net, &network.tokenizer);
            members.push(Member { asked, name: name.to_owned(), net });
            Ok(())
        };
        add(Asked::Model, saved_state::MAIN, main)?;
        for trained in &compiled.trained {
            if let Trained::Network { name, start } = trained {
                add(Asked::Trained(name.clone()), &format!("trained-{name}"), &Network::open(&context.network(start)?.path)?)?;
            }
        }
        if main.head == Head::Language && main.tokenizer.end().is_empty() {
            context.warn(
                "align::run::no_end_token",
                "the tokenizer has no end token: answers are trained without an end",
                Some("name one in the model's files, as `eos_token_id` of `config.json`".into()),
            );
        }
        let states = compiled.start_states(&mut service)?;
        let numbers = compiled.start_numbers(&mut service)?;
        let schedule = Schedule { peak: 0.0, floor: 0.0, decay: Decay::Constant, warmup: 0, total: 1 };
        // from here on nothing fails, and dropping it takes this back
        context.engine()?.set_budget(Budget::of_rows(options.at_once));
        Ok(Self {
            context,
            service,
            compiled,
            options,
            schedule,
            members,
            states,
            numbers,
            moments: Moments::default(),
            taken: 0,
            hopeless: 0,
        })
    }

    /// Fixes the learning rate's course over `updates` optimiser steps.
    pub fn plan(&mut self, updates: u64) {
        self.schedule = self.options.schedule(updates);
    }

    fn engine(&self) -> Result<RefMut<'c, Engine>, Failure> {
        self.context.engine()
    }

    /// What is known of a table before its steps.
    ///
    /// # Errors
    /// When a network cannot answer or a row has no value.
    pub fn fixed(&mut self, source: usize, table: &Table) -> Result<Fixed, Failure> {
        let key = self.context.stage_key();
        Ok(self.compiled.sources[source].fixed(table, key, &self.states, &self.numbers, &mut self.service)?)
    }

    /// Lets what `old(…)` asks about the next rollout be the forward of its first step, which must read the whole of it.
    pub fn look_ahead(&mut self) {
        let leaves = self.compiled.sources[0].leaves();
        let expected = |member: &Member| {
            let own = leaves.iter().filter(|leaf| leaf.network == member.asked && leaf.other.is_none());
            (member.net, own.fold(Want::default(), |want, leaf| want.and(want_of(leaf.word))))
        };
        self.service.ahead.expect(self.members.iter().map(expected).collect());
    }

    /// One optimiser step on rows of each source. `all` also asks for what only metrics need.
    ///
    /// # Errors
    /// When the device fails, a row has no value, or too many steps in a row have no finite gradient.
    pub fn step(&mut self, parts: &[(usize, &Fixed, &[usize])], all: bool) -> Result<StepReport, Failure> {
        let mut report = StepReport { lr: self.schedule.at(self.taken), ..StepReport::default() };
        let mut whole = Outcome::default();
        for (source, fixed, rows) in parts {
            let outcome = self.pass(*source, fixed, rows, all, &mut report)?;
            add(&mut whole, outcome);
        }
        self.service.ahead.forget();
        (report.loss, report.clamped) = (whole.loss, whole.clamped);
        let step = self.options.adam(report.lr);
        let mut applied = true;
        let mut squares = 0.0;
        for member in &self.members {
            let update = self.engine()?.update(member.net, &step)?;
            applied &= update.applied;
            squares += update.grad_norm.powi(2);
        }
        report.grad_norm = squares.sqrt();
        self.taken += 1;
        self.update_numbers(&whole.numbers, &step);
        self.hopeless = if applied { 0 } else { self.hopeless + 1 };
        if self.hopeless >= HOPELESS {
            return Err(hopeless(format!("{HOPELESS} steps in a row had no finite gradient"))
                .step(self.taken)
                .value(format!("loss = {}", report.loss)));
        }
        Ok(report)
    }

    /// Refuses to call it training when not one step could be applied.
    ///
    /// # Errors
    /// When no step had a finite gradient.
    pub fn conclude(&self) -> Result<(), Failure> {
        let none = self.taken > 0 && self.hopeless as u64 == self.taken;
        if none { Err(hopeless("no step had a finite gradient, so nothing was learnt".to_owned()).step(self.taken)) } else { Ok(()) }
    }

    /// Forward, formula and backward over some rows of one source; gradients stay with the networks.
    ///
    /// Rows whose derivatives do not wait for others go forward and backward batch by batch, so that a step of any size
    /// keeps one batch's activations and computes nothing twice.
    fn pass(&mut self, source: usize, fixed: &Fixed, rows: &[usize], all: bool, report: &mut StepReport) -> Result<Outcome, Failure> {
        let leaves = self.compiled.sources[source].leaves().to_vec();
        let wanted: Vec<bool> = leaves.iter().map(|leaf| all || leaf.loss || leaf.early).collect();
        let askings = self.askings(fixed, rows, &leaves, &wanted)?;
        for asking in &askings {
            let most = self.engine()?.spec(asking.net).max_positions;
            self.service.within(most, asking.sequences.iter().map(TokenSequence::len));
        }
        report.tokens += askings.iter().flat_map(|asking| &asking.sequences).map(TokenSequence::len).sum::<usize>();
        let (live, plain): (Vec<Asking>, Vec<Asking>) = askings.into_iter().partition(|asking| asking.gradient);
        let every: Vec<usize> = (0..rows.len()).collect();
        let comparings = self.comparings(fixed, rows, &leaves, &wanted)?;
        let parts = self.parts(&live, &leaves, fixed, rows)?;
        let mut known = Known::new(leaves.len(), rows.len());
        self.compare(&comparings, &mut known)?;
        for asking in &plain {
            let read = self.engine()?.readout(asking.net, &asking.sequences, asking.want, self.service.temperature())?;
            known.note(asking, &every, &leaves, &read);
        }
        let mut passes = Vec::new();
        if let [whole] = &parts[..] {
            passes = self.forward(&live, whole, &leaves, &mut known)?;
        }
        let early = known.of(&every, &wanted, None);
        let step = self.compiled.sources[source].begin(fixed, rows, &self.states, &self.numbers, &early)?;
        let mut outcome = Outcome::default();
        let mut pulls: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
        for part in &parts {
            if parts.len() > 1 {
                passes = self.forward(&live, part, &leaves, &mut known)?;
            }
            let source = &self.compiled.sources[source];
            let own = match known.members() {
                1 => vec![source.part(&step, part, &known.of(part, &wanted, None))?],
                // the rows of an ensemble are one part
                members => self.by_member(source, fixed, rows, (&leaves, &wanted), &known, members)?,
            };
            let here: Vec<usize> = part.iter().map(|&place| rows[place]).collect();
            for (asking, pass) in passes.drain(..) {
                let coefficients = coefficients(&asking, &leaves, fixed, &here, &own);
                self.engine()?.backward(pass, &coefficients)?;
            }
            for own in own {
                for comparing in &comparings {
                    take_apart(&own, comparing.leaf, fixed, (part, &here), &mut pulls);
                }
                add(&mut outcome, own);
            }
        }
        for comparing in comparings.iter().filter(|comparing| leaves[comparing.leaf].gradient) {
            let own: Vec<Vec<f64>> = (0..rows.len()).map(|place| pulls.remove(&(comparing.leaf, place)).unwrap_or_default()).collect();
            let own: Vec<Vec<f64>> = own
                .into_iter()
                .zip(rows)
                .map(|(own, row)| if own.is_empty() { vec![0.0; fixed.length(comparing.leaf, *row)] } else { own })
                .collect();
            self.engine()?.divergence_backward(comparing.sides(), self.service.temperature(), &own)?;
        }
        let source = &self.compiled.sources[source];
        if source.on().is_none() {
            report.metrics = source.metrics(fixed, rows, &self.states, &self.numbers, &known.of(&every, &wanted, None))?;
            if self.compiled.under == Under::Train {
                self.states = step.next_states().clone();
            }
        }
        Ok(outcome)
    }

    /// The objective once for each member of an ensemble, each counting its share: on the member's own scores and, with
    /// `bootstrap`, on its own resample of the step's rows.
    fn by_member(
        &self,
        source: &Source,
        fixed: &Fixed,
        rows: &[usize],
        (leaves, wanted): (&[Leaf], &[bool]),
        known: &Known,
        members: usize,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::with_capacity(members);
        for member in 0..members {
            let draws = if self.options.bootstrap { self.draws(fixed, rows, member) } else { (0..rows.len()).collect() };
            let picked: Vec<usize> = draws.iter().map(|place| rows[*place]).collect();
            let values = known.of(&draws, wanted, Some(member));
            let step = source.begin(fixed, &picked, &self.states, &self.numbers, &values)?;
            let places: Vec<usize> = (0..picked.len()).collect();
            let mut outcome = source.part(&step, &places, &values)?;
            outcome.scale(1.0 / count(members));
            for (leaf, coefficients) in outcome.coefficients.iter_mut().enumerate() {
                let Some(drawn) = coefficients else { continue };
                // what a row that was drawn twice is owed, it gets twice
                let lengths: Vec<usize> =
                    rows.iter().map(|row| if leaves[leaf].per == Per::Row { 1 } else { fixed.length(leaf, *row) }).collect();
                let start = |place: usize| lengths[..place].iter().sum::<usize>();
                let mut whole = vec![0.0; lengths.iter().sum()];
                let mut from = 0;
                for &place in &draws {
                    let own = &mut whole[start(place)..][..lengths[place]];
                    own.iter_mut().zip(&drawn[from..]).for_each(|(sum, d)| *sum += d);
                    from += lengths[place];
                }
                *drawn = whole;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Places of rows as one member's bootstrap has them: each so often as a Poisson draw by the member and what the row
    /// holds says, the same in every epoch.
    fn draws(&self, fixed: &Fixed, rows: &[usize], member: usize) -> Vec<usize> {
        let key = self.context.stage_key();
        let member = u32::try_from(member).expect("few members");
        let times = |place: usize| {
            let name = short(&cells(&(0..fixed.leaves()).map(|leaf| fixed.sequence(leaf, rows[place])).collect::<Vec<Cell>>()));
            let [high, low] = crate::chance::halves(name);
            let word = crate::chance::uniform(key, [high, low, 0x626f_6f74, member]);
            poisson(crate::chance::unit(word[0], word[1]))
        };
        (0..rows.len()).flat_map(|place| std::iter::repeat_n(place, times(place))).collect()
    }

    /// What the leaves that compare two networks read of some rows.
    fn comparings(&mut self, fixed: &Fixed, rows: &[usize], leaves: &[Leaf], wanted: &[bool]) -> Result<Vec<Comparing>, Failure> {
        let mut comparings = Vec::new();
        for (at, leaf) in leaves.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            let Some((other, _)) = &leaf.other else { continue };
            let nets = [self.service.net_of(&leaf.network)?, self.service.net_of(other)?];
            let mut sequences = [Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len())];
            for row in rows {
                sequences[0].push(self.service.sequence(&fixed.sequence(at, *row))?);
                let reads = fixed.other(at, *row).expect("a leaf of two networks reads two sequences");
                sequences[1].push(self.service.sequence(&reads)?);
            }
            comparings.push(Comparing { leaf: at, nets, sequences });
        }
        Ok(comparings)
    }

    /// Notes how far networks are apart on every row. Nothing is kept for the backward, which computes it again.
    fn compare(&self, comparings: &[Comparing], known: &mut Known) -> Result<(), Failure> {
        for comparing in comparings {
            let kl = self.engine()?.divergence(comparing.sides(), self.service.temperature())?;
            for (row, tokens) in kl.iter().enumerate() {
                known.said[comparing.leaf][row] = tokens.to_vec();
            }
        }
        Ok(())
    }

    /// Forward over some of a step's rows, noting what the networks say.
    fn forward(&mut self, live: &[Asking], part: &[usize], leaves: &[Leaf], known: &mut Known) -> Result<Vec<(Asking, Pass)>, Failure> {
        let mut passes = Vec::with_capacity(live.len());
        for asking in live {
            let asking = asking.about(part);
            let made = self.service.ahead.take(asking.net, &asking.sequences, asking.want);
            let (pass, read) = match made {
                Some(made) => made,
                None => self.engine()?.forward(asking.net, &asking.sequences, asking.want, self.service.temperature())?,
            };
            known.note(&asking, part, leaves, &read);
            passes.push((asking, pass));
        }
        Ok(passes)
    }

    /// The step's rows in as many parts as they can be computed in, one after the other: rows in one batch of a network
    /// stay together, as do those that a gradient looks across. All in one where the losses wait for a live number.
    fn parts(&self, live: &[Asking], leaves: &[Leaf], fixed: &Fixed, rows: &[usize]) -> Result<Vec<Vec<usize>>, Failure> {
        let early = |asking: &Asking| asking.places.iter().any(|(leaf, _)| leaves[*leaf].early);
        if live.is_empty()
            || live.iter().any(early)
            || live.iter().any(|asking| asking.heads > 1)
            || leaves.iter().any(|l| l.early && l.other.is_some())
        {
            return Ok(vec![(0..rows.len()).collect()]);
        }
        let mut together = UnionFind::new(rows.len());
        for asking in live {
            let batches = self.engine()?.batches(asking.net, &asking.sequences, asking.want);
            let mut first: BTreeMap<usize, usize> = BTreeMap::new();
            for (request, batch) in batches.into_iter().enumerate() {
                let row = request % asking.rows;
                together.union(*first.entry(batch).or_insert(row), row);
            }
        }
        let places: BTreeMap<usize, usize> = rows.iter().enumerate().map(|(place, row)| (*row, place)).collect();
        for block in fixed.blocks().iter().filter(|block| block.len() > 1) {
            let here: Vec<usize> = block.iter().filter_map(|row| places.get(row).copied()).collect();
            for pair in here.windows(2) {
                together.union(pair[0], pair[1]);
            }
        }
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        (0..rows.len()).for_each(|place| parts.entry(together.find(place)).or_default().push(place));
        let mut parts: Vec<Vec<usize>> = parts.into_values().collect();
        parts.sort();
        Ok(parts)
    }

    /// Sorts leaves by network, and within one by whether a gradient goes back; equal sequences are asked once.
    fn askings(&mut self, fixed: &Fixed, rows: &[usize], leaves: &[Leaf], wanted: &[bool]) -> Result<Vec<Asking>, Failure> {
        let mut askings: Vec<Asking> = Vec::new();
        for (at, leaf) in leaves.iter().enumerate().filter(|(at, leaf)| wanted[*at] && leaf.other.is_none()) {
            let net = self.members.iter().find(|m| m.asked == leaf.network).expect("leaves belong to trained networks").net;
            // entropy of a sequence that is trained on comes out of the same pass
            let gradient = leaves.iter().zip(wanted).any(|(other, on)| {
                *on && other.gradient && other.other.is_none() && other.network == leaf.network && other.sequence == leaf.sequence
            });
            let heads = self.engine()?.spec(net).scores;
            let place = askings.iter().position(|a| a.net == net && a.gradient == gradient).unwrap_or_else(|| {
                askings.push(Asking {
                    net,
                    sequences: Vec::new(),
                    rows: rows.len(),
                    want: Want::default(),
                    places: Vec::new(),
                    gradient,
                    heads,
                });
                askings.len() - 1
            });
            let known = askings[place].places.iter().find(|(other, _)| leaves[*other].sequence == leaf.sequence).map(|(_, kind)| *kind);
            let kind = match known {
                Some(kind) => kind,
                None => {
                    let kind = askings[place].sequences.len() / rows.len();
                    for row in rows {
                        let tokens = self.service.sequence(&fixed.sequence(at, *row))?;
                        askings[place].sequences.push(tokens);
                    }
                    kind
                }
            };
            askings[place].want = askings[place].want.and(want_of(leaf.word));
            askings[place].places.push((at, kind));
        }
        Ok(askings)
    }

    /// AdamW on the objective's trained numbers, on the host.
    #[expect(clippy::cast_possible_truncation, reason = "runs have fewer than 2^31 steps")]
    fn update_numbers(&mut self, gradients: &BTreeMap<Arc<str>, Vec<f64>>, step: &AdamStep) {
        let power = self.taken as i32;
        for (name, gradient) in gradients.iter().filter(|(_, g)| g.iter().all(|x| x.is_finite())) {
            let Some(numbers) = self.numbers.get_mut(name) else { continue };
            let first = self.moments.first.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
            let second = self.moments.second.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
            for (at, g) in gradient.iter().enumerate() {
                first[at] = step.beta1 * first[at] + (1.0 - step.beta1) * g;
                second[at] = step.beta2 * second[at] + (1.0 - step.beta2) * g * g;
                let (m, v) = (first[at] / (1.0 - step.beta1.powi(power)), second[at] / (1.0 - step.beta2.powi(power)));
                numbers.values[at] -= step.lr * m / (v.sqrt() + step.eps);
            }
        }
    }

    /// Every metric over a whole table, the networks as they are now.
    ///
    /// # Errors
    /// When a network cannot answer or a row has no value.
    pub fn measure(&mut self, table: &Table) -> Result<Vec<Metric>, Failure> {
        let fixed = self.fixed(0, table)?;
        let rows: Vec<usize> = (0..table.len()).collect();
        let leaves = self.compiled.sources[0].leaves().to_vec();
        let wanted = vec![true; leaves.len()];
        let askings = self.askings(&fixed, &rows, &leaves, &wanted)?;
        let comparings = self.comparings(&fixed, &rows, &leaves, &wanted)?;
        let mut known = Known::new(leaves.len(), rows.len());
        self.compare(&comparings, &mut known)?;
        for asking in &askings {
            let read = self.engine()?.readout(asking.net, &asking.sequences, asking.want, self.service.temperature())?;
            known.note(asking, &rows, &leaves, &read);
        }
        Ok(self.compiled.sources[0].metrics(&fixed, &rows, &self.states, &self.numbers, &known.of(&rows, &wanted, None))?)
    }

    /// The main network on the device, and its tokenizer.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub fn policy(&self) -> Result<(NetId, Arc<Tokenizer>), Failure> {
        let net = self.members[0].net;
        Ok((net, self.engine()?.tokenizer(net).clone()))
    }

    /// The main network as it is now.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn network(&mut self) -> Result<Network, Failure> {
        let mut engine = self.engine()?;
        // room for the copy: the last step's temporaries are done with
        engine.trim();
        Ok(engine.network(self.members[0].net)?)
    }

    /// The most bytes that were held on the device.
    pub fn memory(&self) -> Option<u64> {
        self.engine().ok().map(|engine| engine.memory().peak)
    }

    /// Writes everything that a bit-exact continuation needs.
    ///
    /// # Errors
    /// When the disk or the device fails.
    pub fn save(&self, folder: &Path) -> Result<(), Failure> {
        let mut steps = BTreeMap::new();
        for member in &self.members {
            let taken = self.engine()?.write_state(member.net, &saved_state::path(folder, &member.name))?;
            steps.insert(member.name.clone(), taken);
        }
        let numbers: BTreeMap<&str, &Vec<f64>> = self.numbers.iter().map(|(n, v)| (&**n, &v.values)).collect();
        let json = serde_json::json!({
            "taken": self.taken, "hopeless": self.hopeless, "steps": steps, "states": self.states, "numbers": numbers,
            "first": self.moments.first, "second": self.moments.second,
        });
        std::fs::write(folder.join("learner.json"), json.to_string())?;
        Ok(())
    }

    /// Puts back what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the checkpoint does not fit.
    pub fn restore(&mut self, folder: &Path) -> Result<(), Failure> {
        let damaged =
            || Failure::new("align::run::checkpoint", "the checkpoint cannot be read").help("remove `.align/partial` and run again");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("learner.json"))?).map_err(|_| damaged())?;
        self.taken = json["taken"].as_u64().ok_or_else(damaged)?;
        self.hopeless = serde_json::from_value(json["hopeless"].clone()).map_err(|_| damaged())?;
        self.states = serde_json::from_value(json["states"].clone()).map_err(|_| damaged())?;
        self.moments.first = serde_json::from_value(json["first"].clone()).map_err(|_| damaged())?;
        self.moments.second = serde_json::from_value(json["second"].clone()).map_err(|_| damaged())?;
        let numbers: BTreeMap<Arc<str>, Vec<f64>> = serde_json::from_value(json["numbers"].clone()).map_err(|_| damaged())?;
        for (name, values) in numbers {
            let known: &mut Numbers = self.numbers.get_mut(&name).ok_or_else(damaged)?;
            known.values = values;
        }
        for member in &self.members {
            let steps = json["steps"][&member.name].as_u64().ok_or_else(damaged)?;
            self.engine()?.read_state(member.net, &saved_state::path(folder, &member.name), steps)?;
        }
        Ok(())
    }
}

impl Drop for Learner<'_> {
    fn drop(&mut self) {
        if let Ok(mut engine) = self.context.engine() {
            for member in &self.members {
                engine.unload(member.net);
            }
            engine.set_budget(Budget::default());
            engine.trim();
        }
    }
}

fn hopeless(message: String) -> Failure {
    Failure::new("align::run::not_finite", message).help("lower `lr`, or look for a logarithm or division of 0 in the objective")
}

#[expect(clippy::cast_precision_loss, reason = "few members")]
fn count(members: usize) -> f64 {
    members as f64
}

/// A Poisson draw of mean 1 from a uniform number.
fn poisson(uniform: f64) -> usize {
    let (mut below, mut term, mut times) = (0.0, (-1.0_f64).exp(), 0_usize);
    loop {
        below += term;
        if uniform < below || times >= 12 {
            return times;
        }
        times += 1;
        term /= count(times);
    }
}

/// Adds a part's share to the step's.
fn add(outcome: &mut Outcome, part: Outcome) {
    outcome.loss += part.loss;
    outcome.clamped += part.clamped;
    for (name, d) in part.numbers {
        let sum = outcome.numbers.entry(name).or_insert_with(|| vec![0.0; d.len()]);
        sum.iter_mut().zip(&d).for_each(|(sum, d)| *sum += d);
    }
}
