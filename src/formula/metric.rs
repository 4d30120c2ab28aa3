//! An objective's metrics over rows: the eval table, a step, or a rollout. In them `over: all` means the rows at hand.

use std::sync::Arc;

use crate::value::{Cell, Estimate};

use super::column::Column;
use super::eval::{Alone, Eval, dependents};
use super::failure::EvalError;
use super::number::Scalar;
use super::objective::{Source, States, TrainedNumbers};
use super::phases::{Fixed, LeafValues};
use super::program::{Op, Slot};
use super::scope::Scope;
use super::shape::{Shape, Under};

/// One metric over the rows at hand.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    pub name: Arc<str>,
    pub shape: Shape,
    /// One value per element of its shape.
    pub values: Vec<f64>,
    /// The row of the table that each value belongs to (a group's first); 0 for a value of the whole.
    pub rows: Vec<usize>,
    /// Whether the values are yes and no.
    pub share: bool,
    /// What an aggregate word gave, with its own interval.
    pub estimate: Option<Estimate>,
    /// The two columns that a calibration error compares: what was said, and what came true.
    pub pairs: Option<(Vec<f64>, Vec<f64>)>,
}

impl Metric {
    /// The mean of its values.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn mean(&self) -> f64 {
        if self.values.is_empty() { f64::NAN } else { self.values.iter().sum::<f64>() / self.values.len() as f64 }
    }
}

impl Source {
    /// The metrics over some rows. Those that need a leaf that is not given are left out.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn metrics(
        &self,
        fixed: &Fixed,
        rows: &[usize],
        states: &States,
        numbers: &TrainedNumbers,
        leaves: &LeafValues,
    ) -> Result<Vec<Metric>, EvalError> {
        let states = if self.under == Under::Rl { &fixed.states } else { states };
        let mut alone = Alone;
        let mut eval = self.eval(fixed, states, numbers, &mut alone);
        let scope = eval.enter(Scope::inside(0, rows, self.moving()));
        self.give(&mut eval, scope, fixed, rows, leaves, |_| true);
        let missing: Vec<Slot> = self.leaves().iter().zip(leaves).filter(|(_, v)| v.is_none()).map(|(l, _)| l.slot).collect();
        let blocked = dependents(&self.tape.program, |slot| missing.contains(&slot));
        let mut metrics = Vec::new();
        for (name, slot) in self.tape.metrics.iter().filter(|(_, slot)| !blocked[*slot]) {
            metrics.push(self.metric(&mut eval, scope, rows, name, *slot)?);
        }
        Ok(metrics)
    }

    fn metric(&self, eval: &mut Eval<'_>, scope: usize, rows: &[usize], name: &Arc<str>, slot: Slot) -> Result<Metric, EvalError> {
        let column = eval.get(slot, scope)?;
        let numbers = eval.numbers(&column, slot, scope)?;
        let shape = self.tape.forms[slot].shape.clone();
        let chosen: Vec<usize> = match &shape {
            Shape::Group(columns) => eval.groups(columns, scope)?.first.clone(),
            Shape::Step | Shape::Table => vec![0],
            Shape::Row | Shape::Token(_) | Shape::Ends => (0..rows.len()).collect(),
        };
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for row in chosen {
            let own = numbers.row(row);
            values.extend_from_slice(own);
            places.extend(std::iter::repeat_n(rows.get(row).copied().unwrap_or(0), own.len()));
        }
        let estimate = match &*column {
            Column::Cells { cells, .. } => cells.first().and_then(|c| if let Cell::Estimate(e) = c { Some(*e) } else { None }),
            Column::Numbers(_) => None,
        };
        let pairs = match &self.tape.program.nodes[slot] {
            node if matches!(&node.op, Op::Word(word) if word.name == "ece") => {
                let mut column = |at: usize| {
                    let column = eval.get(node.args[at], scope)?;
                    let numbers = eval.numbers(&column, node.args[at], scope)?;
                    Ok::<_, EvalError>((0..rows.len()).flat_map(|row| numbers.row(row).to_vec()).collect::<Vec<f64>>())
                };
                Some((column(0)?, column(1)?))
            }
            _ => None,
        };
        Ok(Metric { name: name.clone(), shape, values, rows: places, share: numbers.scalar == Scalar::Bool, estimate, pairs })
    }
}
