//! The best values of an objective's trained numbers, and draws of them: no network, all rows in every step, f64.

use std::sync::Arc;

use crate::chance::{uniform, unit};
use crate::value::Table;

use super::column::Numbers;
use super::eval::Networks;
use super::failure::EvalError;
use super::objective::{Compiled, States, TrainedNumbers};
use super::phases::{Fixed, Metric};

/// Quasi-Newton steps at most.
const STEPS: usize = 500;
/// A gradient below this, relative to the loss, is a stationary point.
const FLAT: f64 = 1e-11;

/// An objective over whole tables, of its trained numbers alone.
#[derive(Debug)]
pub struct Problem<'c> {
    compiled: &'c Compiled,
    fixed: Vec<Fixed>,
    states: States,
    /// The numbers' names and layouts, in the order of the vector that is searched.
    start: TrainedNumbers,
}

/// A place where the loss is as small as it gets.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    pub numbers: TrainedNumbers,
    pub loss: f64,
    /// False when the search ran out of steps: the loss may have no smallest value.
    pub converged: bool,
}

/// Draws of the trained numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Draws {
    pub numbers: Vec<TrainedNumbers>,
    /// So many independent draws would say as much.
    pub effective: f64,
    /// The share of proposals that were taken.
    pub acceptance: f64,
}

/// What the numbers are before the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prior {
    /// Each number standard normal.
    Normal,
    /// Each parameter's numbers a direction, all directions alike.
    Sphere,
}

impl<'c> Problem<'c> {
    /// Asks frozen networks what the objective needs of them, once. `tables` are those of [`Compiled::sources`].
    ///
    /// # Errors
    /// When a network cannot answer or a row has no value.
    pub fn new(compiled: &'c Compiled, tables: &[Arc<Table>], key: [u32; 2], networks: &mut dyn Networks) -> Result<Self, EvalError> {
        let (states, start) = (compiled.start_states(networks)?, compiled.start_numbers(networks)?);
        let mut fixed = Vec::with_capacity(tables.len());
        for (source, table) in compiled.sources.iter().zip(tables) {
            fixed.push(source.fixed(table, key, &states, &start, networks)?);
        }
        Ok(Self { compiled, fixed, states, start })
    }

    /// The numbers before the search.
    pub fn start(&self) -> &TrainedNumbers {
        &self.start
    }

    /// How many rows the main table has.
    pub fn rows(&self) -> usize {
        self.fixed[0].rows()
    }

    /// The loss with its gradient, and the sum of all elements of its lines. `rows` are the main table's, which may repeat.
    fn at(&self, rows: &[usize], x: &[f64]) -> Result<(f64, Vec<f64>, f64), EvalError> {
        let numbers = self.unflatten(x);
        let (mut loss, mut energy, mut gradient) = (0.0, 0.0, vec![0.0; x.len()]);
        for (at, (source, fixed)) in self.compiled.sources.iter().zip(&self.fixed).enumerate() {
            let all: Vec<usize> = (0..fixed.rows()).collect();
            let rows = if at == 0 { rows } else { &all };
            let step = source.begin(fixed, rows, &self.states, &numbers, &[])?;
            let places: Vec<usize> = (0..rows.len()).collect();
            let outcome = source.part(&step, &places, &[])?;
            loss += outcome.loss;
            energy += outcome.lines.iter().zip(step.divisors()).map(|(line, divisor)| line * divisor).sum::<f64>();
            let mut begin = 0;
            for (name, own) in &self.start {
                if let Some(d) = outcome.numbers.get(name) {
                    gradient[begin..].iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
                }
                begin += own.values.len();
            }
        }
        Ok((loss, gradient, energy))
    }

    fn flatten(numbers: &TrainedNumbers) -> Vec<f64> {
        numbers.values().flat_map(|own| own.values.iter().copied()).collect()
    }

    fn unflatten(&self, x: &[f64]) -> TrainedNumbers {
        let mut rest = x;
        let filled = |(name, own): (&Arc<str>, &Numbers)| {
            let (values, after) = rest.split_at(own.values.len());
            rest = after;
            (name.clone(), Numbers { values: values.to_vec(), ..own.clone() })
        };
        self.start.iter().map(filled).collect()
    }

    /// Minimises the loss over some rows, from `start` on: BFGS with a line search (Nocedal & Wright 2006, algorithm 6.1).
    ///
    /// # Errors
    /// When a row has no value.
    pub fn minimise(&self, rows: &[usize], start: &TrainedNumbers) -> Result<Found, EvalError> {
        let mut x = Self::flatten(start);
        let size = x.len();
        let (mut loss, mut gradient, _) = self.at(rows, &x)?;
        let mut inverse = identity(size);
        let mut fresh = true;
        let (mut converged, mut stalled) = (false, 0);
        for _ in 0..STEPS {
            let steepest = gradient.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
            if !loss.is_finite() || steepest <= FLAT * (1.0 + loss.abs()) {
                converged = loss.is_finite();
                break;
            }
            let mut direction: Vec<f64> = (0..size).map(|i| -dot(&inverse[i * size..(i + 1) * size], &gradient)).collect();
            if dot(&direction, &gradient) >= 0.0 {
                (inverse, fresh) = (identity(size), true);
                direction = gradient.iter().map(|d| -d).collect();
            }
            let first = if fresh { (1.0 / steepest).min(1.0) } else { 1.0 };
            let Some((length, next)) = self.line(rows, &x, (loss, &gradient), &direction, first)? else {
                // no step goes down any more: at the limit of f64 where the slope is small, else stuck
                converged = steepest <= 1e-6 * (1.0 + loss.abs());
                break;
            };
            let moved: Vec<f64> = direction.iter().map(|d| length * d).collect();
            let turned: Vec<f64> = next.1.iter().zip(&gradient).map(|(new, old)| new - old).collect();
            x.iter_mut().zip(&moved).for_each(|(x, d)| *x += d);
            // a plateau, or the last digits of f64: more steps change nothing
            stalled = if loss - next.0 <= 1e-15 * (1.0 + loss.abs()) { stalled + 1 } else { 0 };
            (loss, gradient) = next;
            if stalled >= 4 {
                converged = gradient.iter().all(|d| d.abs() <= 1e-6 * (1.0 + loss.abs()));
                break;
            }
            let curve = dot(&moved, &turned);
            if curve > 1e-14 * dot(&moved, &moved).sqrt() * dot(&turned, &turned).sqrt() {
                if fresh {
                    let scale = curve / dot(&turned, &turned);
                    inverse.iter_mut().for_each(|h| *h *= scale);
                    fresh = false;
                }
                update(&mut inverse, &moved, &turned, curve);
            }
        }
        Ok(Found { numbers: self.unflatten(&x), loss, converged })
    }

    /// A step down that meets both of Wolfe's conditions as far as halving and doubling find one.
    fn line(
        &self,
        rows: &[usize],
        x: &[f64],
        (loss, gradient): (f64, &[f64]),
        direction: &[f64],
        first: f64,
    ) -> Result<Option<(f64, (f64, Vec<f64>))>, EvalError> {
        let slope = dot(gradient, direction);
        let (mut low, mut high, mut length) = (0.0, f64::INFINITY, first);
        let mut best = None;
        for _ in 0..60 {
            let there: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + length * d).collect();
            let (new, turned, _) = self.at(rows, &there)?;
            if !new.is_finite() || new > loss + 1e-4 * length * slope {
                high = length;
            } else {
                let flat = dot(&turned, direction) >= 0.9 * slope;
                best = Some((length, (new, turned)));
                if flat {
                    return Ok(best);
                }
                low = length;
            }
            length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * length };
        }
        Ok(best)
    }

    /// The objective's metrics at given numbers over some rows.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn metrics(&self, rows: &[usize], numbers: &TrainedNumbers) -> Result<Vec<Metric>, EvalError> {
        self.compiled.sources[0].metrics(&self.fixed[0], rows, &self.states, numbers, &[])
    }

    /// Draws from prior × exp(−Σ loss), by Metropolis steps whose length adapts before the first draw is kept. The sum is
    /// over all elements of every loss line: a loss that is a negative log-likelihood gives the posterior.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn draw(&self, prior: Prior, draws: usize, key: [u32; 2]) -> Result<Draws, EvalError> {
        const THIN: usize = 10;
        const BURN: usize = 2000;
        let rows: Vec<usize> = (0..self.rows()).collect();
        let mut chance = Chance { key, taken: 0 };
        let mut x = Self::flatten(&self.start);
        self.onto(prior, &mut x, &mut chance);
        let weigh = |x: &[f64]| -> Result<f64, EvalError> {
            let (_, _, energy) = self.at(&rows, x)?;
            let before = if prior == Prior::Normal { 0.5 * dot(x, x) } else { 0.0 };
            Ok(if energy.is_finite() { -energy - before } else { f64::NEG_INFINITY })
        };
        let (mut weight, mut length, mut taken, mut kept) = (weigh(&x)?, 0.5, 0_usize, Vec::with_capacity(draws));
        let mut recent = 0_usize;
        for step in 0..BURN + draws * THIN {
            let mut there: Vec<f64> = x.iter().map(|x| x + length * chance.normal()).collect();
            if prior == Prior::Sphere {
                self.normalise(&mut there);
            }
            let new = weigh(&there)?;
            if chance.unit().ln() < new - weight {
                (x, weight) = (there, new);
                recent += 1;
                taken += usize::from(step >= BURN);
            }
            if step < BURN && step % 50 == 49 {
                // a quarter to a half of the proposals should be taken
                length *= if recent < 12 {
                    0.7
                } else if recent > 25 {
                    1.4
                } else {
                    1.0
                };
                recent = 0;
            }
            if step >= BURN && (step - BURN) % THIN == THIN - 1 {
                kept.push(x.clone());
            }
        }
        let effective = (0..x.len()).map(|i| effective(&kept.iter().map(|x| x[i]).collect::<Vec<f64>>())).fold(count(draws), f64::min);
        let acceptance = count(taken) / count(draws * THIN);
        Ok(Draws { numbers: kept.iter().map(|x| self.unflatten(x)).collect(), effective, acceptance })
    }

    /// A start that the prior allows.
    fn onto(&self, prior: Prior, x: &mut [f64], chance: &mut Chance) {
        if prior == Prior::Sphere {
            x.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 0.1 * chance.normal());
            self.normalise(x);
        }
    }

    /// Brings each parameter's numbers to length 1.
    fn normalise(&self, x: &mut [f64]) {
        let mut rest = x;
        for own in self.start.values() {
            let (values, after) = rest.split_at_mut(own.values.len());
            let length = dot(values, values).sqrt();
            if length > 0.0 {
                values.iter_mut().for_each(|x| *x /= length);
            }
            rest = after;
        }
    }
}

/// Numbers by chance, in the order in which they are asked for.
struct Chance {
    key: [u32; 2],
    taken: u64,
}

impl Chance {
    fn words(&mut self) -> [u32; 4] {
        let [high, low] = crate::chance::halves(self.taken);
        self.taken += 1;
        uniform(self.key, [high, low, 0x6472_6177, 0])
    }

    fn unit(&mut self) -> f64 {
        let words = self.words();
        1.0 - unit(words[0], words[1])
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        let words = self.words();
        let (radius, angle) = (1.0 - unit(words[0], words[1]), unit(words[2], words[3]));
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn identity(size: usize) -> Vec<f64> {
    (0..size * size).map(|i| f64::from(u8::from(i % (size + 1) == 0))).collect()
}

/// BFGS's update of the inverse curvature by a step and how it turned the gradient.
fn update(inverse: &mut [f64], moved: &[f64], turned: &[f64], curve: f64) {
    let size = moved.len();
    let bent: Vec<f64> = (0..size).map(|i| dot(&inverse[i * size..(i + 1) * size], turned)).collect();
    let stretch = (1.0 + dot(turned, &bent) / curve) / curve;
    for i in 0..size {
        for j in 0..size {
            inverse[i * size + j] += stretch * moved[i] * moved[j] - (bent[i] * moved[j] + moved[i] * bent[j]) / curve;
        }
    }
}

/// So many independent draws would know the mean as well: n over 1 + 2 Σ autocorrelation, summed while pairs of
/// neighbours are positive (Geyer 1992).
fn effective(x: &[f64]) -> f64 {
    let n = x.len();
    let mean = x.iter().sum::<f64>() / count(n);
    let lag = |k: usize| (0..n - k).map(|i| (x[i] - mean) * (x[i + k] - mean)).sum::<f64>() / count(n);
    let variance = lag(0);
    if n < 4 || variance <= 0.0 {
        return count(n);
    }
    let mut time = 1.0;
    for k in (1..n / 2).step_by(2) {
        let pair = (lag(k) + lag(k + 1)) / variance;
        if pair <= 0.0 {
            break;
        }
        time += 2.0 * pair;
    }
    (count(n) / time).min(count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_counts_for_less() {
        let mut chance = Chance { key: [1, 2], taken: 0 };
        let free: Vec<f64> = (0..4000).map(|_| chance.normal()).collect();
        let alone = effective(&free);
        assert!(alone > 2500.0, "{alone}");
        let sticky: Vec<f64> = (0..4000).map(|i| free[i / 10]).collect();
        let stuck = effective(&sticky);
        assert!(stuck > 200.0 && stuck < 600.0, "{stuck}");
    }
}
