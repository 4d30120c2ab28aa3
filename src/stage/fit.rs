//! `fit` and `posterior`: an objective's trained numbers without a network. One best value each with a bootstrap
//! interval, or draws in proportion to exp(−Σ loss).

use std::sync::Arc;

use crate::chance::{below, halves, uniform};
use crate::formula::expr::{Formula, ObjectiveDef, Output};
use crate::formula::fit::{Found, Prior, Problem};
use crate::formula::objective::{Compiled, TrainedNumbers};
use crate::formula::shape::Under;
use crate::value::group::{groups, singles};
use crate::value::statistics::quantile;
use crate::value::{Cell, Estimate, Table};

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::service::Service;

/// Refits behind an interval.
const DRAWS: u32 = 200;

/// The best values.
#[derive(Debug)]
pub struct Fit;

/// Draws.
#[derive(Debug)]
pub struct Posterior;

/// An objective and the tables it runs over.
struct Given {
    compiled: Compiled,
    tables: Vec<Arc<Table>>,
}

impl Given {
    fn new(call: &Call<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let objective: Arc<ObjectiveDef> = call.get("objective")?;
        let compiled = Compiled::new(&objective, Under::Train).map_err(|errors| {
            let first = errors.first().map_or_else(String::new, ToString::to_string);
            Failure::mistake(format!("an objective that was checked does not hold: {first}"))
        })?;
        let data: Output = call.get("data")?;
        let mut tables = Vec::new();
        for source in &compiled.sources {
            tables.push(context.table(source.on().unwrap_or(&data))?);
        }
        if tables.first().is_none_or(|table| table.is_empty()) {
            return Err(Failure::new("align::run::no_rows", "there are no rows to fit").help("look at the filter or split that makes them"));
        }
        Ok(Self { compiled, tables })
    }
}

impl Primitive for Fit {
    fn name(&self) -> &'static str {
        "fit"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let given = Given::new(call, context)?;
        let mut service = Service::new(context);
        let problem = Problem::new(&given.compiled, &given.tables, context.stage_key(), &mut service)?;
        let rows: Vec<usize> = (0..problem.rows()).collect();
        let best = problem.minimise(&rows, problem.start())?;
        if !best.loss.is_finite() {
            return Err(Failure::new("align::run::not_finite", "the loss has no finite value where the search begins")
                .help("give the trained numbers other start values"));
        }
        if !best.converged {
            let help = "look for a kink, such as `abs`, or add a term that holds the numbers, such as `0.01 * dot(w, w)`";
            context.warn("align::run::not_converged", "the search for the best values did not come to rest", Some(help.into()));
        }
        let by: Option<Formula> = call.get("resample")?;
        let groups = match by {
            Some(by) => groups(&Evaluator::new(context).column(&by, &given.tables[0])?),
            None => singles(problem.rows()),
        };
        let mut spread = Spread::new(&problem, &rows, &best)?;
        let key = context.stage_key();
        // around numbers that are no optimum there is no interval either
        for draw in 0..if best.converged { DRAWS } else { 0 } {
            if context.interrupted() {
                return Err(Failure::interrupted(None));
            }
            let pick = |place: usize| {
                let [high, low] = halves(place as u64);
                let word = uniform(key, [draw, high, low, 0x6669_7473]);
                usize::try_from(below(groups.len() as u64, word[0], word[1])).expect("a place among the groups")
            };
            let drawn: Vec<usize> = (0..groups.len()).flat_map(|place| groups[pick(place)].iter().copied()).collect();
            // what a resample cannot be fitted to says nothing about the numbers
            if let Ok(found) = problem.minimise(&drawn, &best.numbers) {
                spread.add(&problem, &drawn, &found)?;
            }
        }
        Ok(Product::record(spread.estimates(given.tables[0].len())))
    }
}

/// Fitted numbers and metrics, and what resamples made of them.
struct Spread {
    /// Name, values, whether it is a list.
    best: Vec<(Arc<str>, Vec<f64>, bool)>,
    drawn: Vec<Vec<Vec<f64>>>,
}

impl Spread {
    fn new(problem: &Problem<'_>, rows: &[usize], found: &Found) -> Result<Self, Failure> {
        Ok(Self { best: Self::row(problem, rows, found)?, drawn: Vec::new() })
    }

    fn row(problem: &Problem<'_>, rows: &[usize], found: &Found) -> Result<Vec<(Arc<str>, Vec<f64>, bool)>, Failure> {
        let mut row: Vec<(Arc<str>, Vec<f64>, bool)> =
            found.numbers.iter().map(|(name, own)| (name.clone(), own.values.clone(), is_list(own))).collect();
        for metric in problem.metrics(rows, &found.numbers)? {
            let mean = metric.estimate.map_or_else(|| metric.mean(), |estimate| estimate.mean);
            row.push((metric.name, vec![mean], false));
        }
        Ok(row)
    }

    fn add(&mut self, problem: &Problem<'_>, rows: &[usize], found: &Found) -> Result<(), Failure> {
        self.drawn.push(Self::row(problem, rows, found)?.into_iter().map(|(_, values, _)| values).collect());
        Ok(())
    }

    fn estimates(self, n: usize) -> Vec<(Arc<str>, Item)> {
        let one = |part: usize, place: usize, mean: f64| {
            let mut spread: Vec<f64> = self.drawn.iter().map(|row| row[part][place]).filter(|x| x.is_finite()).collect();
            spread.sort_by(f64::total_cmp);
            let known = spread.len() * 2 > DRAWS as usize;
            let end = |share: f64, none: f64| if known { quantile(&spread, share) } else { none };
            let (lower95, upper95) = (end(0.025, f64::NEG_INFINITY), end(0.975, f64::INFINITY));
            Cell::Estimate(Estimate { mean, n: n as u64, lower95, upper95 })
        };
        let parts = self.best.iter().enumerate().map(|(part, (name, values, list))| {
            let cells: Vec<Cell> = values.iter().enumerate().map(|(place, mean)| one(part, place, *mean)).collect();
            let value = if *list { Cell::List(cells.into()) } else { cells[0].clone() };
            (name.clone(), Item::Value(value))
        });
        parts.collect()
    }
}

fn is_list(numbers: &crate::formula::column::Numbers) -> bool {
    matches!(numbers.layout.within, crate::formula::column::Within::Many { .. })
}

impl Primitive for Posterior {
    fn name(&self) -> &'static str {
        "posterior"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let given = Given::new(call, context)?;
        let prior = match call.get::<String>("prior")?.as_str() {
            "sphere" => Prior::Sphere,
            _ => Prior::Normal,
        };
        let mut service = Service::new(context);
        let problem = Problem::new(&given.compiled, &given.tables, context.stage_key(), &mut service)?;
        let drawn = problem.draw(prior, call.get("draws")?, context.stage_key())?;
        let of = |name: &Arc<str>| drawn.numbers.iter().map(|numbers| cell(numbers, name)).collect::<Vec<Cell>>();
        let names = problem.start().keys();
        let mut fields: Vec<(Arc<str>, Item)> = names.map(|name| (name.clone(), Item::Value(Cell::List(of(name).into())))).collect();
        fields.push(("effective".into(), Item::Value(Cell::Float(drawn.effective))));
        fields.push(("acceptance".into(), Item::Value(Cell::Float(drawn.acceptance))));
        Ok(Product::record(fields))
    }
}

/// One draw of a number or list.
fn cell(numbers: &TrainedNumbers, name: &Arc<str>) -> Cell {
    let own = &numbers[name];
    let mut cells = own.values.iter().map(|x| Cell::Float(*x));
    if is_list(own) { Cell::List(cells.collect()) } else { cells.next().unwrap_or(Cell::Float(f64::NAN)) }
}
