//! The three phases of an objective: fixed, begin, part.
//!
//! Invariant: parts of a step add up. Losses, coefficients and clamp counts of all parts sum to those of the step taken
//! at once, because every loss is divided by what [`Source::begin`] counted over the whole step.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::value::{Cell, Table};

use super::column::{Column, Layout, Numbers, Within};
use super::derive;
use super::eval::{Alone, Eval, Inputs, Networks};
use super::failure::{Cause, EvalError};
pub use super::metric::Metric;
use super::number::Scalar;
use super::objective::{Leaf, Per, Source, States, TrainedNumbers};
use super::program::{Along, Op, Slot};
use super::scope::Scope;
use super::shape::{Changes, Shape, Under};

/// What is known once per table or rollout.
#[derive(Clone, Debug)]
pub struct Fixed {
    pub(super) root: Scope,
    rows: usize,
    /// Per leaf: the sequence of every row.
    sequences: Vec<Arc<Column>>,
    /// Per leaf that compares two networks: the sequence that the second one reads at every row.
    others: Vec<Option<Arc<Column>>>,
    /// Per leaf: how many numbers each row has.
    pub(super) lengths: Vec<Vec<usize>>,
    blocks: Vec<Vec<usize>>,
    pub(super) states: States,
    next: States,
    numbers: TrainedNumbers,
}

/// What is known once per optimiser step.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    fixed: &'a Fixed,
    scope: Scope,
    inputs: (States, TrainedNumbers),
    /// Per loss: its factor, and what it is divided by.
    lines: Vec<(f64, f64)>,
    next: States,
}

/// Numbers of the leaves for some rows, flat, rows in order; `None` where a leaf was not computed.
pub type LeafValues = [Option<Vec<f64>>];

/// A step's value and derivatives, or one part's share of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    pub loss: f64,
    /// Each loss line's share, factor included.
    pub lines: Vec<f64>,
    /// dL/d(leaf), laid out as the leaf's values; `None` where no derivative goes back.
    pub coefficients: Vec<Option<Vec<f64>>>,
    /// dL/d(trained number).
    pub numbers: BTreeMap<Arc<str>, Vec<f64>>,
    /// Log-ratios that were clamped before `exp`.
    pub clamped: usize,
}

impl Outcome {
    /// Every number of it times a factor.
    pub fn scale(&mut self, factor: f64) {
        self.loss *= factor;
        let coefficients = self.coefficients.iter_mut().flatten();
        for numbers in [&mut self.lines].into_iter().chain(coefficients).chain(self.numbers.values_mut()) {
            numbers.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

impl Fixed {
    /// How many leaves there are.
    pub fn leaves(&self) -> usize {
        self.sequences.len()
    }

    /// Number of rows of the table.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The sequence that a leaf reads at a row.
    pub fn sequence(&self, leaf: usize, row: usize) -> Cell {
        self.sequences[leaf].cell(row)
    }

    /// The sequence that a leaf's second network reads at a row, where it has one.
    pub fn other(&self, leaf: usize, row: usize) -> Option<Cell> {
        self.others[leaf].as_ref().map(|column| column.cell(row))
    }

    /// How many numbers a leaf has at a row.
    pub fn length(&self, leaf: usize, row: usize) -> usize {
        self.lengths[leaf][row]
    }

    /// The rows in the smallest pieces that a step or a part may take: groups that a loss looks across, else single rows.
    pub fn blocks(&self) -> &[Vec<usize>] {
        &self.blocks
    }

    /// Under `rl`, the controllers after this rollout.
    pub fn next_states(&self) -> &States {
        &self.next
    }
}

impl Step<'_> {
    /// How many elements each loss line is the mean of, or the sum of their weights.
    pub fn divisors(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().map(|(_, divisor)| *divisor)
    }

    /// Under `train`, the controllers after this step.
    pub fn next_states(&self) -> &States {
        &self.next
    }
}

static EMPTY: Table = Table { columns: Vec::new(), rows: Vec::new() };

impl Source {
    /// The fixed phase: asks frozen networks (and, for `old(…)`, the trained ones as they are) about the whole table.
    ///
    /// # Errors
    /// When a network cannot answer or a row has no value.
    pub fn fixed(
        &self,
        table: &Table,
        key: [u32; 2],
        states: &States,
        numbers: &TrainedNumbers,
        networks: &mut dyn Networks,
    ) -> Result<Fixed, EvalError> {
        let inputs = Inputs { table, key, states, trained: numbers };
        let mut eval = Eval::new(&self.tape.program, &self.tape.forms, inputs, networks);
        let mut fixed = self.fix(&mut eval)?;
        for leaf in self.leaves() {
            let column = eval.get(leaf.sequence, 0)?;
            let cells: Vec<Cell> = (0..table.len()).map(|row| column.cell(row)).collect();
            fixed.lengths.push(match leaf.per {
                Per::Token => eval.lengths(leaf.slot, 0, &cells)?,
                Per::Row => vec![1; cells.len()],
            });
            fixed.sequences.push(column);
            fixed.others.push(leaf.other.as_ref().map(|(_, reads)| eval.get(*reads, 0)).transpose()?);
        }
        fixed.root = eval.into_scope();
        Ok(fixed)
    }

    /// Everything fixed but the leaves' sequences.
    pub(super) fn fix(&self, eval: &mut Eval<'_>) -> Result<Fixed, EvalError> {
        let (program, forms) = (&self.tape.program, &self.tape.forms);
        let roots = self.roots();
        eval.need(&roots);
        let wanted = program.cone(roots.iter().copied());
        let once = |slot: &Slot| forms[*slot].changes == Changes::Once;
        roots.iter().filter(|s| once(s)).try_for_each(|&slot| eval.get(slot, 0).map(drop))?;
        for slot in (0..wanted.len()).filter(|&s| wanted[s]) {
            if let Op::Over { along: Along::Columns(columns), .. } = &program.nodes[slot].op {
                eval.groups(columns, 0)?;
            }
            if !once(&slot) && !matches!(program.nodes[slot].op, Op::Call { .. }) {
                for read in program.nodes[slot].reads().filter(once) {
                    eval.get(read, 0)?;
                }
            }
        }
        let mut next = States::new();
        if self.under == Under::Rl {
            for state in &self.tape.states {
                next.insert(state.name.clone(), single_number(eval, state.next, 0)?);
            }
        }
        Ok(Fixed {
            rows: eval.rows(0),
            sequences: Vec::new(),
            others: Vec::new(),
            lengths: Vec::new(),
            blocks: self.find_blocks(eval)?,
            states: eval.inputs.states.clone(),
            next,
            numbers: eval.inputs.trained.clone(),
            root: eval.scopes[0].clone(),
        })
    }

    /// Rows that share a group of any axis that a gradient looks across, directly or through others.
    fn find_blocks(&self, eval: &mut Eval<'_>) -> Result<Vec<Vec<usize>>, EvalError> {
        let rows = eval.rows(0);
        let mut block: Vec<usize> = (0..rows).collect();
        for columns in &self.together {
            let groups = eval.groups(columns, 0)?;
            for row in 0..rows {
                let (a, b) = (root(&block, row), root(&block, groups.first[groups.of[row]]));
                block[a.max(b)] = a.min(b);
            }
        }
        let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        (0..rows).for_each(|row| blocks.entry(root(&block, row)).or_default().push(row));
        Ok(blocks.into_values().collect())
    }

    /// The begin phase: counts what the losses are divided by over the step's rows. `early` holds the values of the
    /// leaves that are [`Leaf::early`]. States and numbers are the present ones.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn begin<'f>(
        &self,
        fixed: &'f Fixed,
        rows: &[usize],
        states: &States,
        numbers: &TrainedNumbers,
        early: &LeafValues,
    ) -> Result<Step<'f>, EvalError> {
        let states = if self.under == Under::Rl { &fixed.states } else { states };
        let mut alone = Alone;
        let mut eval = self.eval(fixed, states, numbers, &mut alone);
        let scope = eval.enter(Scope::inside(0, rows, self.moving()));
        self.give(&mut eval, scope, fixed, rows, early, |leaf| leaf.early);
        self.early.iter().try_for_each(|&slot| eval.get(slot, scope).map(drop))?;
        let mut lines = Vec::with_capacity(self.tape.losses.len());
        for line in &self.tape.losses {
            let factor = single_number(&mut eval, line.scale, scope)?;
            let divisor = self.divisor(&mut eval, scope, fixed, rows, line.value, line.weight)?;
            lines.push((factor, divisor));
        }
        let mut next = States::new();
        if self.under != Under::Rl {
            for state in &self.tape.states {
                next.insert(state.name.clone(), single_number(&mut eval, state.next, scope)?);
            }
        }
        Ok(Step { fixed, scope: eval.scopes.swap_remove(1), inputs: (states.clone(), numbers.clone()), lines, next })
    }

    /// How many elements a loss has over the step, or the sum of their weights.
    fn divisor(
        &self,
        eval: &mut Eval<'_>,
        scope: usize,
        fixed: &Fixed,
        rows: &[usize],
        value: Slot,
        weight: Option<Slot>,
    ) -> Result<f64, EvalError> {
        let layout = match &self.tape.forms[value].shape {
            Shape::Token(axis) => Layout::many(self.token_counts(fixed, *axis, rows), true),
            Shape::Row | Shape::Group(_) => Layout::ROWS,
            Shape::Step | Shape::Table | Shape::Ends => Layout::ONCE,
        };
        Ok(self.elements(eval, scope, value, &layout, weight)?.iter().map(|(_, weight)| weight).sum())
    }

    /// The number of tokens of each row, from any value that runs over them.
    fn token_counts(&self, fixed: &Fixed, axis: Slot, rows: &[usize]) -> Vec<usize> {
        let over = |slot: Slot| self.tape.forms[slot].shape == Shape::Token(axis);
        if let Some(leaf) = self.leaves().iter().position(|l| over(l.slot)) {
            return rows.iter().map(|&row| fixed.lengths[leaf][row]).collect();
        }
        let known = (0..fixed.root.values.len()).filter(|&s| over(s)).find_map(|s| match fixed.root.values[s].as_deref() {
            Some(Column::Numbers(n)) if n.layout.per_row && matches!(n.layout.within, Within::Many { .. }) => Some(n.layout.clone()),
            _ => None,
        });
        rows.iter().map(|&row| known.as_ref().map_or(0, |layout| layout.range(row).len())).collect()
    }

    /// The places of a loss's elements and their weights.
    fn elements(
        &self,
        eval: &mut Eval<'_>,
        scope: usize,
        value: Slot,
        layout: &Layout,
        weight: Option<Slot>,
    ) -> Result<Vec<(usize, f64)>, EvalError> {
        let rows = eval.rows(scope);
        let chosen: Vec<usize> = match &self.tape.forms[value].shape {
            Shape::Group(columns) => eval.groups(columns, scope)?.first.clone(),
            Shape::Step | Shape::Table => vec![0],
            Shape::Row | Shape::Token(_) | Shape::Ends => (0..rows).collect(),
        };
        let Some(weight) = weight else {
            return Ok(chosen.into_iter().flat_map(|row| layout.range(row)).map(|place| (place, 1.0)).collect());
        };
        let column = eval.get(weight, scope)?;
        let weights = eval.numbers(&column, weight, scope)?;
        let each = |row: usize| {
            let (range, own) = (layout.range(row), weights.row(row));
            let alike = own.len() == range.len();
            range.enumerate().map(move |(k, place)| (place, own[if alike { k } else { 0 }]))
        };
        if own_lengths_differ(&weights, layout, &chosen) {
            return Err(eval.error(weight, scope, None, Cause::NotANumber { found: "a list".to_owned() }));
        }
        Ok(chosen.into_iter().flat_map(each).collect())
    }

    /// The part phase: value and derivatives over some rows of the step (places among its rows), each part once.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn part(&self, step: &Step<'_>, places: &[usize], leaves: &LeafValues) -> Result<Outcome, EvalError> {
        let mut alone = Alone;
        let mut eval = self.eval(step.fixed, &step.inputs.0, &step.inputs.1, &mut alone);
        eval.enter(step.scope.clone());
        let here: Vec<bool> = self.moving().iter().zip(&step.scope.values).map(|(moving, known)| *moving && known.is_none()).collect();
        let scope = eval.enter(Scope::inside(1, places, here));
        let rows: Vec<usize> = places.iter().map(|&p| step.scope.rows[p]).collect();
        self.give(&mut eval, scope, step.fixed, &rows, leaves, |leaf| leaf.loss);
        let mut outcome = Outcome::default();
        let mut seeds = Vec::new();
        for (line, &(factor, divisor)) in self.tape.losses.iter().zip(&step.lines) {
            let (share, seed) = self.line(&mut eval, scope, line.value, line.weight, (factor, divisor))?;
            outcome.loss += share;
            outcome.lines.push(share);
            seeds.push((line.value, seed));
        }
        let adjoints = derive::backward(&mut eval, scope, seeds)?;
        outcome.coefficients = self
            .leaves()
            .iter()
            .zip(leaves)
            .map(|(leaf, given)| {
                let size = given.as_ref().map_or(0, Vec::len);
                leaf.gradient.then(|| adjoints[leaf.slot].clone().unwrap_or_else(|| vec![0.0; size]))
            })
            .collect();
        self.collect_numbers(&adjoints, &mut outcome.numbers);
        outcome.clamped = self.clamped(&mut eval, scope)?;
        Ok(outcome)
    }

    fn line(
        &self,
        eval: &mut Eval<'_>,
        scope: usize,
        value: Slot,
        weight: Option<Slot>,
        (factor, divisor): (f64, f64),
    ) -> Result<(f64, Vec<f64>), EvalError> {
        let column = eval.get(value, scope)?;
        let numbers = eval.numbers(&column, value, scope)?;
        let many = matches!(numbers.layout.within, Within::Many { .. });
        if many && !matches!(self.tape.forms[value].shape, Shape::Token(_)) {
            return Err(eval.error(value, scope, None, Cause::NotANumber { found: "a list".to_owned() }));
        }
        let mut seed = vec![0.0; numbers.values.len()];
        if divisor == 0.0 {
            return Ok((0.0, seed));
        }
        let mut sum = 0.0;
        for (place, weight) in self.elements(eval, scope, value, &numbers.layout, weight)? {
            sum += weight * numbers.values[place];
            seed[place] += factor * weight / divisor;
        }
        Ok((factor * sum / divisor, seed))
    }

    fn collect_numbers(&self, adjoints: &derive::Adjoints, into: &mut BTreeMap<Arc<str>, Vec<f64>>) {
        for (node, adjoint) in self.tape.program.nodes.iter().zip(adjoints) {
            if let (Op::Trained { name, .. }, Some(adjoint)) = (&node.op, adjoint) {
                into.insert(name.clone(), adjoint.clone());
            }
        }
    }

    /// How many numbers a `clamp` right under `exp` changed.
    fn clamped(&self, eval: &mut Eval<'_>, scope: usize) -> Result<usize, EvalError> {
        let nodes = &self.tape.program.nodes;
        let is = |slot: Slot, name: &str| matches!(nodes[slot].op, Op::Word(word) if word.name == name);
        let clamps = (0..nodes.len()).filter(|&s| is(s, "exp") && self.reached[s]).map(|s| nodes[s].args[0]).filter(|&s| is(s, "clamp"));
        let mut count = 0;
        for slot in clamps {
            let (after, before) = (eval.get(slot, scope)?, eval.get(nodes[slot].args[0], scope)?);
            if let (Column::Numbers(after), Column::Numbers(before)) = (&*after, &*before) {
                count += after.values.iter().zip(&before.values).filter(|(a, b)| a != b).count();
            }
        }
        Ok(count)
    }

    pub(super) fn eval<'e>(&'e self, fixed: &'e Fixed, states: &'e States, numbers: &'e TrainedNumbers, alone: &'e mut Alone) -> Eval<'e> {
        let trained = if numbers.is_empty() { &fixed.numbers } else { numbers };
        let inputs = Inputs { table: &EMPTY, key: [0; 2], states, trained };
        let mut eval = Eval::new(&self.tape.program, &self.tape.forms, inputs, alone);
        eval.scopes[0] = fixed.root.clone();
        eval
    }

    /// The slots that are computed within a step.
    pub(super) fn moving(&self) -> Arc<[bool]> {
        self.tape.forms.iter().map(|form| form.changes != Changes::Once).collect()
    }

    /// Puts the leaves' values where the tape reads them.
    pub(super) fn give(
        &self,
        eval: &mut Eval<'_>,
        scope: usize,
        fixed: &Fixed,
        rows: &[usize],
        values: &LeafValues,
        wanted: impl Fn(&Leaf) -> bool,
    ) {
        for (i, leaf) in self.leaves().iter().enumerate().filter(|(_, leaf)| wanted(leaf)) {
            let Some(Some(values)) = values.get(i) else { continue };
            let layout = match leaf.per {
                Per::Token => Layout::many(rows.iter().map(|&row| fixed.lengths[i][row]), true),
                Per::Row => Layout::ROWS,
            };
            assert_eq!(layout.size(rows.len()), values.len(), "`{}` has as many values as the layout says", self.name(leaf));
            let numbers = Numbers { values: values.clone(), layout, scalar: Scalar::Float };
            eval.scopes[scope].values[leaf.slot] = Some(Arc::new(Column::Numbers(numbers)));
        }
    }
}

fn own_lengths_differ(weights: &Numbers, layout: &Layout, rows: &[usize]) -> bool {
    rows.iter().any(|&row| {
        let own = weights.layout.range(row).len();
        own != 1 && own != layout.range(row).len()
    })
}

fn root(block: &[usize], mut row: usize) -> usize {
    while block[row] != row {
        row = block[row];
    }
    row
}

/// The one number of a slot that has the same value everywhere.
fn single_number(eval: &mut Eval<'_>, slot: Slot, scope: usize) -> Result<f64, EvalError> {
    let column = eval.get(slot, scope)?;
    let numbers = eval.numbers(&column, slot, scope)?;
    Ok(numbers.values.first().copied().unwrap_or(f64::NAN))
}
