//! Words that take lists apart, texts as lists of words, and one row's lists and estimates.

use crate::value::statistics::normal_quantile;
use crate::value::{Cell, Estimate};

use super::apply::alike;
use super::text::{TextError, expected, text_of};

type Answer = Result<Cell, TextError>;

fn list(cell: &Cell) -> Result<&[Cell], TextError> {
    match cell {
        Cell::List(items) => Ok(items),
        other => Err(expected("a list", other)),
    }
}

/// A table's rows: they come as a list already.
pub(super) fn rows(args: &[Cell]) -> Answer {
    list(&args[0]).map(|_| args[0].clone())
}

fn count(n: usize) -> Cell {
    Cell::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// How many items there are.
pub(super) fn items(args: &[Cell]) -> Answer {
    Ok(count(list(&args[0])?.len()))
}

/// The words of a text, which white space parts.
pub(super) fn words(args: &[Cell]) -> Answer {
    Ok(Cell::List(text_of(&args[0])?.split_whitespace().map(Cell::text).collect()))
}

/// A list without the item at a place.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a place")]
pub(super) fn without(args: &[Cell]) -> Answer {
    let items = list(&args[0])?;
    let place = args[1].number().filter(|p| *p >= 0.0 && p.fract() == 0.0 && (*p as usize) < items.len());
    let place = place.ok_or_else(|| expected("a place in the list", &args[1]))? as usize;
    Ok(Cell::List(items.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, item)| item.clone()).collect()))
}

/// Where an item first stands in a list, or in characters where a text first holds another; `none` where it does not.
pub(super) fn place(args: &[Cell]) -> Answer {
    if let (Ok(part), Ok(whole)) = (text_of(&args[0]), text_of(&args[1])) {
        return Ok(whole.find(&**part).map_or(Cell::None, |at| count(whole[..at].chars().count())));
    }
    Ok(list(&args[1])?.iter().position(|item| alike(item, &args[0])).map_or(Cell::None, count))
}

/// The most words in a row that two texts both hold, letters' case aside.
pub(super) fn shared_words(args: &[Cell]) -> Answer {
    let words = |cell: &Cell| Ok(text_of(cell)?.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>());
    let (a, b) = (words(&args[0])?, words(&args[1])?);
    // the run that ends at each place of `b`, one word of `a` after the other
    let (mut longest, mut runs) = (0, vec![0_usize; b.len() + 1]);
    for x in &a {
        for j in (0..b.len()).rev() {
            runs[j + 1] = if *x == b[j] { runs[j] + 1 } else { 0 };
            longest = longest.max(runs[j + 1]);
        }
    }
    Ok(count(longest))
}

/// The numbers of a list.
fn numbers(cell: &Cell) -> Result<Vec<f64>, TextError> {
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

    fn text(t: &str) -> Cell {
        Cell::text(t)
    }

    #[test]
    fn words_come_and_go() {
        let all = words(&[text(" to be\nor  not ")]).expect("words");
        assert_eq!(items(std::slice::from_ref(&all)), Ok(Cell::Int(4)));
        let shorter = without(&[all.clone(), Cell::Int(1)]).expect("a place");
        assert_eq!(shorter, Cell::List([text("to"), text("or"), text("not")].into()));
        assert!(without(&[all.clone(), Cell::Int(4)]).is_err() && without(&[all.clone(), Cell::Int(-1)]).is_err());
        assert_eq!(place(&[text("not"), all.clone()]), Ok(Cell::Int(3)));
        assert_eq!(place(&[text("NOT"), all]), Ok(Cell::None));
        assert_eq!(place(&[text("t"), text("über t")]), Ok(Cell::Int(5)));
    }

    #[test]
    fn the_longest_run_counts() {
        let run = |a: &str, b: &str| shared_words(&[text(a), text(b)]).expect("texts");
        assert_eq!(run("the cat sat on the mat", "A dog: The cat SAT down, on the mat"), Cell::Int(3));
        assert_eq!(run("a a a", "a a"), Cell::Int(2));
        assert_eq!(run("one", ""), Cell::Int(0));
    }

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
