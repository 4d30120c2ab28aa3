//! Words that take lists apart, and texts as lists of words.

use crate::value::Cell;

use super::apply::alike;
use super::text::{TextError, describe, text_of};

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
}
