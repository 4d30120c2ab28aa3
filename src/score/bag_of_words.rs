//! Bradley–Terry on words: P(chosen ≻ rejected) = σ(w · (x_chosen − x_rejected)), x the TF-IDF of a text, and
//! w = argmin Σ −log σ(margin) + decay / 2 · |w|². Bradley & Terry 1952. The minimum is unique; Newton's method finds it.

use std::collections::BTreeMap;

use super::linear::{Features, Linear, Member};
use super::words::for_each_word;

/// Texts that a term must be in to be a feature.
const TEXTS: usize = 2;
/// The gradient's largest entry at which the fit stops, against its size at the start.
const TOLERANCE: f64 = 1e-8;
const NEWTON_STEPS: usize = 50;
const GRADIENT_STEPS: usize = 100;

/// Word weights from (chosen, rejected) texts; `None` when no term is in [`TEXTS`] texts.
pub fn fit(pairs: &[(&str, &str)], decay: f64) -> Option<Linear> {
    let (terms, idf) = vocabulary(pairs)?;
    let none = Member { weights: vec![0.0; terms.len()], bias: 0.0, calibration: None };
    let features = Linear::new(terms.clone(), idf.clone(), vec![none]);
    let differences: Vec<Features> = pairs.iter().map(|(a, b)| difference(&features.features(a), &features.features(b))).collect();
    let problem = Problem { rows: &differences, terms: terms.len(), decay: decay.max(1e-6) };
    let member = Member { weights: problem.solve(), bias: 0.0, calibration: None };
    Some(Linear::new(terms, idf, vec![member]))
}

/// Terms in alphabetical order with their smoothed inverse document frequency, ln((1 + n) / (1 + df)) + 1.
#[expect(clippy::cast_precision_loss, reason = "texts are counted far below 2^53")]
fn vocabulary(pairs: &[(&str, &str)]) -> Option<(Vec<Box<str>>, Vec<f64>)> {
    let mut texts: BTreeMap<Box<str>, (usize, usize)> = BTreeMap::new();
    for (number, text) in (1..).zip(pairs.iter().flat_map(|(a, b)| [a, b])) {
        for_each_word(text, |word| {
            let (count, last) = texts.entry(word.into()).or_default();
            *count += usize::from(*last != number);
            *last = number;
        });
    }
    texts.retain(|_, (count, _)| *count >= TEXTS);
    let n = 2.0 * pairs.len() as f64;
    let idf = |count: usize| ((1.0 + n) / (1.0 + count as f64)).ln() + 1.0;
    (!texts.is_empty()).then(|| texts.into_iter().map(|(term, (count, _))| (term, idf(count))).unzip())
}

/// a − b.
fn difference(a: &Features, b: &Features) -> Features {
    let mut all: Features = a.iter().copied().chain(b.iter().map(|(term, x)| (*term, -x))).collect();
    all.sort_by_key(|(term, _)| *term);
    let same = all.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0, same.iter().map(|(_, x)| x).sum()));
    same.filter(|(_, x)| *x != 0.0).collect()
}

struct Problem<'a> {
    /// x_chosen − x_rejected of each pair.
    rows: &'a [Features],
    terms: usize,
    decay: f64,
}

impl Problem<'_> {
    fn solve(&self) -> Vec<f64> {
        let mut w = vec![0.0; self.terms];
        let (mut loss, mut gradient) = self.value(&w);
        let small = TOLERANCE * largest(&gradient);
        for _ in 0..NEWTON_STEPS {
            if largest(&gradient) <= small {
                break;
            }
            let step = self.newton_step(&w, &gradient);
            match self.downhill(&w, &step, loss, dot(&step, &gradient)) {
                Some(lower) => (w, loss, gradient) = lower,
                None => break,
            }
        }
        w
    }

    /// The point along `step`, its loss and its gradient, where the loss has gone down enough; `None` when what there is
    /// to gain is lost in rounding. The loss is convex and the step points down, so a short enough one helps.
    fn downhill(&self, w: &[f64], step: &[f64], loss: f64, slope: f64) -> Option<(Vec<f64>, f64, Vec<f64>)> {
        let mut length = 1.0;
        while -slope * length > 1e-14 * loss {
            let next: Vec<f64> = w.iter().zip(step).map(|(w, s)| w + length * s).collect();
            let (lower, gradient) = self.value(&next);
            if lower <= loss + 1e-4 * length * slope {
                return Some((next, lower, gradient));
            }
            length /= 2.0;
        }
        None
    }

    /// Loss and gradient at `w`.
    fn value(&self, w: &[f64]) -> (f64, Vec<f64>) {
        let mut loss = self.decay / 2.0 * dot(w, w);
        let mut gradient: Vec<f64> = w.iter().map(|w| self.decay * w).collect();
        for row in self.rows {
            let margin = at(row, w);
            loss += (-margin.abs()).exp().ln_1p() - margin.min(0.0);
            let slope = -sigmoid(-margin);
            row.iter().for_each(|(term, x)| gradient[*term] += slope * x);
        }
        (loss, gradient)
    }

    /// −H⁻¹ g by conjugate gradients; H is positive definite because of the decay.
    fn newton_step(&self, w: &[f64], gradient: &[f64]) -> Vec<f64> {
        let curvature: Vec<f64> = self.rows.iter().map(|row| sigmoid(at(row, w))).map(|p| p * (1.0 - p)).collect();
        let mut step = vec![0.0; self.terms];
        let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut direction = rest.clone();
        let mut size = dot(&rest, &rest);
        let small = size * 1e-12;
        for _ in 0..GRADIENT_STEPS {
            if size <= small {
                break;
            }
            let bent = self.times_hessian(&curvature, &direction);
            let length = size / dot(&direction, &bent);
            add(&mut step, length, &direction);
            add(&mut rest, -length, &bent);
            let next = dot(&rest, &rest);
            direction = rest.iter().zip(&direction).map(|(r, d)| r + next / size * d).collect();
            size = next;
        }
        step
    }

    fn times_hessian(&self, curvature: &[f64], v: &[f64]) -> Vec<f64> {
        let mut product: Vec<f64> = v.iter().map(|v| self.decay * v).collect();
        for (row, curvature) in self.rows.iter().zip(curvature) {
            let along = curvature * at(row, v);
            row.iter().for_each(|(term, x)| product[*term] += along * x);
        }
        product
    }
}

fn at(row: &Features, w: &[f64]) -> f64 {
    row.iter().map(|(term, x)| x * w[*term]).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], scale: f64, x: &[f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += scale * x);
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| x.abs().max(most))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_chosen_texts_get_weight() {
        let pairs = [("a happy dog", "a sad dog"), ("happy cat", "sad cat"), ("the happy end", "the sad end")];
        let scorer = fit(&pairs, 0.1).unwrap();
        assert!(scorer.score("happy") > 0.5 && scorer.score("sad") < -0.5);
        assert_eq!(scorer.score("unknown"), 0.0);
        let swapped: Vec<_> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        assert!((fit(&swapped, 0.1).unwrap().score("happy") + scorer.score("happy")).abs() < 1e-9);
    }

    /// One feature: the minimum of n·log(1 + exp(−w)) + decay·w²/2 has n·σ(−w) = decay·w.
    #[test]
    fn the_minimum_is_found() {
        let rows = vec![vec![(0, 1.0)]; 5];
        let w = Problem { rows: &rows, terms: 1, decay: 2.0 }.solve()[0];
        assert!((5.0 * sigmoid(-w) - 2.0 * w).abs() < 1e-9, "{w}");
    }

    #[test]
    fn nothing_to_learn_from_is_none() {
        assert!(fit(&[], 1.0).is_none());
        assert!(fit(&[("one", "two")], 1.0).is_none());
        assert_eq!(fit(&[("same words", "same words")], 1.0).unwrap().score("same"), 0.0);
    }
}
