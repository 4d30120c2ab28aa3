//! Half-spaces `row · w ≥ 0` and what covers what: which rows of a table need no other to say it.

use std::collections::BTreeSet;

/// Directions closer than this are one.
const SAME: f64 = 1e-9;
/// A half-space is implied when its direction is no further than this from the others' cone.
const OUTSIDE: f64 = 1e-7;

/// True for the rows that no others imply. Rows are brought to length 1; of equal ones the first
/// stays; then each that the remaining others imply goes, first to last. A row of zeros says nothing.
pub fn irreducible(rows: &[Vec<f64>]) -> Vec<bool> {
    let unit: Vec<Option<Vec<f64>>> = rows.iter().map(|row| normalised(row)).collect();
    let mut kept = directions(rows);
    for row in 0..rows.len() {
        let Some(own) = unit[row].as_deref().filter(|_| kept[row]) else { continue };
        let others: Vec<&[f64]> = (0..rows.len()).filter(|&o| o != row && kept[o]).filter_map(|o| unit[o].as_deref()).collect();
        kept[row] = outside(own, &others) > OUTSIDE;
    }
    kept
}

/// True for the first row of each direction; a row of zeros has none.
pub fn directions(rows: &[Vec<f64>]) -> Vec<bool> {
    let unit: Vec<Option<Vec<f64>>> = rows.iter().map(|row| normalised(row)).collect();
    let mut kept = vec![false; rows.len()];
    for row in 0..rows.len() {
        let alike = |other: usize| kept[other] && near(unit[other].as_deref(), unit[row].as_deref());
        kept[row] = unit[row].is_some() && !(0..row).any(alike);
    }
    kept
}

fn normalised(row: &[f64]) -> Option<Vec<f64>> {
    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    (length > SAME && length.is_finite()).then(|| row.iter().map(|x| x / length).collect())
}

fn near(a: Option<&[f64]>, b: Option<&[f64]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < SAME),
        _ => false,
    }
}

/// How far `own` is from the cone of `others`, Σ λ_i others_i with λ ≥ 0: non-negative least squares (Lawson & Hanson 1974,
/// chapter 23). By Farkas' lemma the half-space of `own` follows from the others exactly when it lies in that cone.
fn outside(own: &[f64], others: &[&[f64]]) -> f64 {
    let mut weights = vec![0.0; others.len()];
    let mut active: Vec<usize> = Vec::new();
    let rest = |weights: &[f64]| {
        let mut rest = own.to_vec();
        for (weight, other) in weights.iter().zip(others).filter(|(weight, _)| **weight != 0.0) {
            rest.iter_mut().zip(other.iter()).for_each(|(rest, x)| *rest -= weight * x);
        }
        rest
    };
    for _ in 0..4 * others.len() + 16 {
        let left = rest(&weights);
        let gain = |at: &usize| dot(others[*at], &left);
        let best = (0..others.len()).filter(|at| !active.contains(at)).max_by(|a, b| gain(a).total_cmp(&gain(b)));
        let Some(best) = best.filter(|at| gain(at) > SAME) else { break };
        active.push(best);
        loop {
            let Some(solved) = least_squares(own, others, &active) else {
                // it lies in the span of those there already
                active.retain(|at| *at != best);
                return dot(&left, &left).sqrt();
            };
            if solved.iter().all(|x| *x > 0.0) {
                weights.fill(0.0);
                active.iter().zip(&solved).for_each(|(at, x)| weights[*at] = *x);
                break;
            }
            // as far towards the solution as no weight becomes negative
            let reach = |(at, x): (&usize, &f64)| if *x <= 0.0 { weights[*at] / (weights[*at] - x) } else { f64::INFINITY };
            let step = active.iter().zip(&solved).map(reach).fold(f64::INFINITY, f64::min);
            active.iter().zip(&solved).for_each(|(at, x)| weights[*at] += step * (x - weights[*at]));
            active.retain(|at| weights[*at] > 1e-14);
            (0..others.len()).filter(|at| !active.contains(at)).for_each(|at| weights[at] = 0.0);
        }
    }
    let left = rest(&weights);
    dot(&left, &left).sqrt()
}

/// The weights of the chosen rows that come nearest to `own`, by Cholesky; `None` where the rows are not independent.
fn least_squares(own: &[f64], others: &[&[f64]], chosen: &[usize]) -> Option<Vec<f64>> {
    let n = chosen.len();
    let mut low = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let done: f64 = (0..j).map(|k| low[i * n + k] * low[j * n + k]).sum();
            let left = dot(others[chosen[i]], others[chosen[j]]) - done;
            if i == j {
                if left < 1e-12 {
                    return None;
                }
                low[i * n + i] = left.sqrt();
            } else {
                low[i * n + j] = left / low[j * n + j];
            }
        }
    }
    let mut x: Vec<f64> = chosen.iter().map(|at| dot(others[*at], own)).collect();
    for i in 0..n {
        let done: f64 = (0..i).map(|k| low[i * n + k] * x[k]).sum();
        x[i] = (x[i] - done) / low[i * n + i];
    }
    for i in (0..n).rev() {
        let done: f64 = (i + 1..n).map(|k| low[k * n + i] * x[k]).sum();
        x[i] = (x[i] - done) / low[i * n + i];
    }
    Some(x)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// True for a small set of rows whose items hold every item of all rows: greedily the row with most that is new, the
/// first of equals.
pub fn covering(rows: &[Vec<f64>]) -> Vec<bool> {
    let items: Vec<BTreeSet<u64>> = rows.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect();
    let mut missing: BTreeSet<u64> = items.iter().flatten().copied().collect();
    let mut kept = vec![false; rows.len()];
    while !missing.is_empty() {
        let new = |row: &usize| items[*row].intersection(&missing).count();
        let best = (0..rows.len()).rev().max_by_key(new).expect("what is missing is in some row");
        kept[best] = true;
        missing = missing.difference(&items[best]).copied().collect();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_imply_goes() {
        let rows = vec![vec![1.0, 0.0], vec![1.0, -0.5], vec![0.0, 1.0], vec![2.0, 0.0], vec![0.5, 0.5]];
        assert_eq!(irreducible(&rows), [false, true, true, false, false]);
        assert_eq!(irreducible(&[vec![0.0, 0.0], vec![3.0, 4.0], vec![0.6, 0.8]]), [false, true, false]);
        // opposite rows leave a line, and neither implies the other
        assert_eq!(irreducible(&[vec![1.0, 0.0], vec![-1.0, 0.0]]), [true, true]);
        assert!(irreducible(&[]).is_empty());
        // a square cone needs its four sides; what lies within is implied, what lies outside is not
        let mut square: Vec<Vec<f64>> = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)].map(|(x, y)| vec![x, y, 1.0]).to_vec();
        square.extend([vec![0.3, -0.9, 1.0], vec![1.0, 0.2, 1.0], vec![1.2, 0.0, 1.0]]);
        assert_eq!(irreducible(&square), [true, true, true, true, false, false, true]);
    }

    #[test]
    fn a_cover_is_greedy() {
        let rows = vec![vec![0.0, 1.0], vec![1.0, 2.0, 3.0], vec![3.0], vec![0.0, 4.0], vec![2.0, 4.0]];
        assert_eq!(covering(&rows), [false, true, false, true, false]);
        assert_eq!(covering(&[vec![], vec![]]), [false, false]);
    }
}
