//! `keep`: which round of a loop counts, once its numbers are known. The checker writes these calls for `repeat` and
//! `sweep … keep`; no recipe names it.

use std::collections::BTreeSet;

use crate::formula::eval::single;
use crate::formula::expr::Output;
use crate::value::Cell;

use super::call::{Call, Columns};
use super::context::Context;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::service::Service;

/// The primitive.
#[derive(Debug)]
pub struct Keep;

impl Primitive for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn takes_missing(&self) -> bool {
        true
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let candidates: Vec<Output> = call.get("candidates")?;
        let order: String = call.get("order")?;
        let dropped = closed(&call.get::<Columns>("gates")?, context)?;
        let made = |at: &usize| context.exists(&candidates[*at]) && !dropped.contains(at);
        let scores = call.get::<Columns>("scores")?;
        let mut best: Option<(usize, f64)> = None;
        for at in (0..candidates.len()).filter(made) {
            let score = match scores.iter().find(|(name, _)| **name == *at.to_string()) {
                Some((_, formula)) => number(single(formula, &mut Service::new(context))?)?,
                None => 0.0,
            };
            let better = best.is_none_or(|(_, known)| match order.as_str() {
                "max" => score > known,
                "min" => score < known,
                _ => true,
            });
            if better {
                best = Some((at, score));
            }
        }
        match best {
            Some((at, _)) => Ok(Product::new(Item::Same(candidates[at].clone()))),
            None => Err(Failure::new("align::run::no_round", "no round passed its gate")
                .help("loosen the `gate`, or look at the first round's numbers in the run's folder")),
        }
    }
}

/// Rounds whose own gate did not hold.
fn closed(gates: &Columns, context: &Context<'_>) -> Result<BTreeSet<usize>, Failure> {
    let mut dropped = BTreeSet::new();
    for (round, gate) in gates {
        let at: usize = round.parse().expect("the checker numbers rounds");
        // a gate whose round was never made has no value, and its candidates are missing anyway
        if matches!(single(gate, &mut Service::new(context)), Ok(Cell::Bool(false))) {
            dropped.insert(at);
        }
    }
    Ok(dropped)
}

fn number(cell: Cell) -> Result<f64, Failure> {
    cell.number().ok_or_else(|| Failure::mistake("`keep` compares numbers"))
}
