//! An objective made ready to run: what it asks of the networks, and what can be known before a step.
//!
//! Three phases, the same for training and for reinforcement learning. *Fixed*, once per table or rollout: columns,
//! frozen networks, `old(…)`, everything over `all`. *Begin*, once per optimiser step: what looks at the step's rows
//! without a gradient, and what each loss is divided by. *Part*, once or per micro-batch: value and derivative. See
//! [`super::phases`] for the three, which are methods of [`Source`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::column::Numbers;
use super::eval::{Networks, single};
use super::expr::{ObjectiveDef, Output, Trained};
use super::failure::EvalError;
use super::lines::{Lines, Tape};
use super::program::{Along, Network, Op, Slot, When};
use super::shape::{Changes, Shape, ShapeError, Under};
use super::show::Show;
use super::words;

/// An objective whose parameters are bound and whose lines are checked.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The rows that are trained on, then the tables of `on:` terms.
    pub sources: Vec<Source>,
    pub under: Under,
    pub trained: Vec<Trained>,
    starts: Vec<(Arc<str>, super::expr::Formula)>,
}

/// The losses over one table, and what they need.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) tape: Tape,
    pub(super) under: Under,
    leaves: Vec<Leaf>,
    /// Slots through which a derivative of a loss passes.
    pub(super) reached: Vec<bool>,
    /// Slots that [`Source::begin`] computes over the whole step.
    pub(super) early: Vec<Slot>,
    separable: bool,
    /// Columns whose groups stay together in one step and one part.
    pub(super) together: Vec<Vec<Slot>>,
}

/// What a leaf's values run over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// One number per scored token.
    Token,
    /// One number per sequence.
    Row,
}

/// Something that a trained network must say about a sequence of every row in every step.
#[derive(Clone, PartialEq, Debug)]
pub struct Leaf {
    /// `logp`, `entropy`, `value`, `kl_to` or `score`.
    pub word: &'static str,
    /// [`Network::Model`] or [`Network::Trained`]; of a word of two networks, one of them is.
    pub network: Network,
    /// The second network of a word that compares two, and the sequence that it reads.
    pub other: Option<(Network, Slot)>,
    pub per: Per,
    /// Whether a derivative goes back to it. A sequence whose leaves all have none needs no backward pass.
    pub gradient: bool,
    /// Whether a loss needs it; else only metrics do.
    pub loss: bool,
    /// Whether [`Source::begin`] needs its values for the whole step.
    pub early: bool,
    pub(super) slot: Slot,
    /// The formula of the sequence; equal slots are equal sequences.
    pub sequence: Slot,
}

impl Compiled {
    /// Checks and prepares an objective.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(def: &ObjectiveDef, under: Under) -> Result<Self, Vec<ShapeError>> {
        let sources = Lines::new(def, under)?.tapes.into_iter().map(|tape| Source::new(tape, under)).collect();
        let starts = def.states.iter().map(|s| (s.name.clone(), s.start.clone())).collect();
        Ok(Self { sources, under, trained: def.trained.clone(), starts })
    }

    /// The states before the first step.
    ///
    /// # Errors
    /// When a start value cannot be computed.
    pub fn start_states(&self, networks: &mut dyn Networks) -> Result<States, EvalError> {
        self.starts.iter().map(|(name, start)| Ok((name.clone(), single(start, networks)?.number().unwrap_or(f64::NAN)))).collect()
    }

    /// The trained numbers before the first step.
    ///
    /// # Errors
    /// When a start value cannot be computed, or holds no numbers.
    pub fn start_numbers(&self, networks: &mut dyn Networks) -> Result<TrainedNumbers, EvalError> {
        let mut numbers = TrainedNumbers::new();
        for trained in &self.trained {
            if let Trained::Number { name, start } = trained {
                numbers.insert(name.clone(), super::eval::numbers_of(start, &single(start, networks)?)?);
            }
        }
        Ok(numbers)
    }
}

/// Controllers' values by name.
pub type States = BTreeMap<Arc<str>, f64>;
/// Trained numbers by name, one or a list each.
pub type TrainedNumbers = BTreeMap<Arc<str>, Numbers>;

impl Source {
    pub(super) fn new(tape: Tape, under: Under) -> Self {
        let losses: Vec<Slot> = tape.losses.iter().map(|l| l.value).collect();
        let reached = reached(&tape, &losses);
        let early = early(&tape, &reached, under);
        let (in_loss, in_early) = (tape.program.cone(losses.iter().copied()), tape.program.cone(early.iter().copied()));
        let mut source =
            Self { together: together(&tape), separable: separable(&tape, &reached), leaves: vec![], tape, under, reached, early };
        source.leaves = source.find_leaves(&in_loss, &in_early);
        source
    }

    fn find_leaves(&self, in_loss: &[bool], in_early: &[bool]) -> Vec<Leaf> {
        let wanted = self.tape.program.cone(self.roots());
        let trained = |network: &Network| !matches!(network, Network::Artifact(_));
        let leaf = |slot: Slot| match &self.tape.program.nodes[slot].op {
            Op::Call { word, network, other, when: When::Now }
                if wanted[slot] && (trained(network) || other.as_ref().is_some_and(trained)) =>
            {
                Some(Leaf {
                    word: word.name,
                    network: network.clone(),
                    other: other.clone().map(|other| {
                        (other, *self.tape.program.nodes[slot].args.last().expect("a word of two networks reads two sequences"))
                    }),
                    per: match word.kind {
                        words::Kind::Network(gives) if gives.per_token() => Per::Token,
                        _ => Per::Row,
                    },
                    gradient: self.reached[slot],
                    loss: in_loss[slot] || in_early[slot],
                    early: in_early[slot],
                    slot,
                    sequence: self.tape.program.nodes[slot].args[0],
                })
            }
            _ => None,
        };
        (0..wanted.len()).filter_map(leaf).collect()
    }

    /// Every line's slot.
    pub(super) fn roots(&self) -> Vec<Slot> {
        let losses = self.tape.losses.iter().flat_map(|l| [Some(l.value), l.weight, Some(l.scale)]).flatten();
        let states = self.tape.states.iter().map(|s| s.next);
        losses.chain(self.tape.metrics.iter().map(|(_, slot)| *slot)).chain(states).collect()
    }

    /// The table of an `on:` term; `None` for the rows that are trained on.
    pub fn on(&self) -> Option<&Output> {
        self.tape.on.as_ref()
    }

    /// What the trained networks must say, in the order in which values are given and coefficients returned.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Whether a step may be computed in parts (micro-batches) that add up. Parts keep [`super::phases::Fixed::blocks`] whole.
    pub fn separable(&self) -> bool {
        self.separable
    }

    /// Every frozen network and other artifact that the fixed part reads.
    pub fn artifacts(&self) -> Vec<Output> {
        self.tape.program.artifacts()
    }

    /// A leaf as a person would write it: `model.logp(.chosen)`.
    pub fn name(&self, leaf: &Leaf) -> String {
        Show::new(&self.tape.program, &|_| "…".to_owned()).slot(leaf.slot)
    }

    /// The same with only the metrics for which `keep` holds.
    pub(super) fn with_metrics(mut self, keep: impl Fn(Slot) -> bool) -> Self {
        self.tape.metrics.retain(|(_, slot)| keep(*slot));
        self
    }

    /// Names of the metrics in their order.
    pub fn metric_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tape.metrics.iter().map(|(name, _)| name)
    }
}

/// Slots through which a derivative of a loss passes.
fn reached(tape: &Tape, losses: &[Slot]) -> Vec<bool> {
    let mut reached = vec![false; tape.forms.len()];
    losses.iter().for_each(|&slot| reached[slot] = tape.forms[slot].gradient);
    for slot in (0..reached.len()).rev() {
        if reached[slot] {
            tape.program.nodes[slot].args.iter().for_each(|&arg| reached[arg] |= tape.forms[arg].gradient);
        }
    }
    reached
}

/// What looks at the step's rows without a gradient, what losses are weighed with, and, under `train`, the controllers.
fn early(tape: &Tape, reached: &[bool], under: Under) -> Vec<Slot> {
    let lines = tape.losses.iter().flat_map(|l| [Some(l.value), l.weight, Some(l.scale)]).flatten();
    let inside = tape.program.cone(lines);
    let moving = |slot: &Slot| tape.forms[*slot].changes != Changes::Once;
    let mut early: Vec<Slot> = (0..inside.len()).filter(|&s| inside[s] && !reached[s] && tape.program.nodes[s].crosses_rows()).collect();
    early.extend(tape.losses.iter().flat_map(|l| [l.weight, Some(l.scale)]).flatten());
    if under == Under::Train {
        early.extend(tape.states.iter().map(|s| s.next));
    }
    early.retain(moving);
    early
}

fn separable(tape: &Tape, reached: &[bool]) -> bool {
    let whole = |slot: Slot| matches!(&tape.program.nodes[slot].op, Op::Over { along: Along::Batch | Along::All, .. });
    let once = |shape: &Shape| matches!(shape, Shape::Step | Shape::Table);
    !(0..reached.len()).any(|s| reached[s] && whole(s)) && !tape.losses.iter().any(|l| once(&tape.forms[l.value].shape))
}

fn together(tape: &Tape) -> Vec<Vec<Slot>> {
    let inside = tape.program.cone(tape.losses.iter().map(|l| l.value));
    let moving = |s: Slot| tape.forms[s].changes != Changes::Once;
    let over = (0..inside.len()).filter(|&s| inside[s]).filter_map(|s| match &tape.program.nodes[s].op {
        Op::Over { along: Along::Columns(columns), .. } if moving(s) => Some(columns.clone()),
        _ => None,
    });
    let losses = tape.losses.iter().filter_map(|l| match &tape.forms[l.value].shape {
        Shape::Group(columns) => Some(columns.clone()),
        _ => None,
    });
    let mut together: Vec<Vec<Slot>> = over.chain(losses).collect();
    together.sort();
    together.dedup();
    together
}
