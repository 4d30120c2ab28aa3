//! Words that take one row's lists and estimates.

use crate::value::statistics::normal_quantile;
use crate::value::{Cell, Estimate};

use super::text::{TextError, describe};

type Answer = Result<Cell, TextError>;

fn expected(expected: &'static str, cell: &Cell) -> TextError {
    TextError::Expected { expected, found: describe(cell) }
}

fn list(cell: &Cell) -> Result<&[Cell], TextError> {
    match cell {
        Cell::List(items) => Ok(items),
        other => Err(expected("a list", other)),
    }
}

/// The numbers of a list.
pub fn numbers(cell: &Cell) -> Result<Vec<f64>, TextError> {
    list(cell)?.iter().map(|item| item.number().ok_or_else(|| expected("a number", item))).collect()
}

/// The dot product of each of several lists with one list.
pub(super) fn times(args: &[Cell]) -> Answer {
    let x = numbers(&args[1])?;
    let dot = |item: &Cell| -> Answer {
        let row = numbers(item)?;
        if row.len() != x.len() {
            return Err(expected("a list as long as the other", item));
        }
        Ok(Cell::Float(row.iter().zip(&x).map(|(a, b)| a * b).sum()))
    };
    Ok(Cell::List(list(&args[0])?.iter().map(dot).collect::<Result<_, _>>()?))
}

/// The mean of the lowest share of some numbers: of at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of few items")]
pub(super) fn lowest(args: &[Cell]) -> Answer {
    let mut x = numbers(&args[0])?;
    let share = args[1].number().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| expected("a share", &args[1]))?;
    if x.is_empty() {
        return Err(expected("a list with items", &args[0]));
    }
    x.sort_by(f64::total_cmp);
    let count = ((x.len() as f64 * share).ceil() as usize).clamp(1, x.len());
    Ok(Cell::Float(x[..count].iter().sum::<f64>() / count as f64))
}

/// The lower end of an interval that holds for `looks` looks together (Bonferroni): the 95 % interval's half-width grows
/// as the normal quantile does.
pub(super) fn lower(args: &[Cell]) -> Answer {
    let Cell::Estimate(Estimate { mean, lower95, .. }) = args[0] else { return Err(expected("an estimate", &args[0])) };
    let looks = args[1].number().filter(|looks| *looks >= 1.0).ok_or_else(|| expected("at least one look", &args[1]))?;
    let wider = normal_quantile(1.0 - 0.025 / looks) / normal_quantile(0.975);
    Ok(Cell::Float(mean - (mean - lower95) * wider))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(x: &[f64]) -> Cell {
        Cell::List(x.iter().map(|x| Cell::Float(*x)).collect())
    }

    #[test]
    fn each_list_is_multiplied() {
        let weights = Cell::List([floats(&[1.0, 2.0]), floats(&[0.0, -1.0])].into());
        assert_eq!(times(&[weights.clone(), floats(&[3.0, 4.0])]), Ok(floats(&[11.0, -4.0])));
        assert!(times(&[weights, floats(&[3.0])]).is_err());
    }

    #[test]
    fn the_lowest_share_holds_at_least_one() {
        let x = floats(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(lowest(&[x.clone(), Cell::Float(0.0)]), Ok(Cell::Float(1.0)));
        assert_eq!(lowest(&[x.clone(), Cell::Float(0.5)]), Ok(Cell::Float(1.5)));
        assert_eq!(lowest(&[x, Cell::Float(1.0)]), Ok(Cell::Float(2.5)));
        assert!(lowest(&[floats(&[]), Cell::Float(0.5)]).is_err());
    }

    #[test]
    fn more_looks_ask_for_more() {
        let estimate = Cell::Estimate(Estimate { mean: 0.6, n: 100, lower95: 0.5, upper95: 0.7 });
        let at = |looks: i64| lower(&[estimate.clone(), Cell::Int(looks)]).ok().and_then(|c| c.number()).expect("a number");
        assert!((at(1) - 0.5).abs() < 1e-9);
        // 97.5 % of two looks: 1 − 0.05 / 4, at 2.2414 standard errors
        assert!((at(2) - (0.6 - 0.1 * 2.241_402_728 / 1.959_963_985)).abs() < 1e-6);
    }
}
