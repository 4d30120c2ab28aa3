//! A word on single cells: for constants before anything runs, and for rows whose values are no plain numbers.

use std::sync::Arc;

use crate::value::{Cell, Dialogue};

use super::number::{Args, Number, Scalar};
use super::text::{TextError, dialogue_of, text_of};
use super::words::{Kind, Word};

/// The scalar of a number cell.
pub fn scalar_of(cell: &Cell) -> Scalar {
    match cell {
        Cell::Bool(_) => Scalar::Bool,
        Cell::Int(_) => Scalar::Int,
        _ => Scalar::Float,
    }
}

/// A number as a cell.
pub fn cell_of(x: f64, scalar: Scalar) -> Cell {
    match scalar {
        Scalar::Bool => Cell::Bool(super::number::holds(x)),
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53")]
        Scalar::Int if x.is_finite() => Cell::Int(x as i64),
        Scalar::Int | Scalar::Float => Cell::Float(x),
    }
}

/// A word's answer on constants; `None` where it has none before the run.
pub fn on_constants(word: &Word, args: &[Cell]) -> Option<Cell> {
    match &word.kind {
        Kind::Number(number) => on_cells(word.name, args).ok().flatten().or_else(|| arithmetic(number, args)),
        Kind::Text(_) if args.contains(&Cell::None) => Some(Cell::None),
        Kind::Text(f) => f(args).ok(),
        _ => None,
    }
}

/// The same while running: what is no number makes NaN.
///
/// # Errors
/// When `+` joins things that do not join.
pub fn number_on_cells(name: &str, number: &Number, args: &[Cell]) -> Result<Cell, TextError> {
    Ok(on_cells(name, args)?.or_else(|| arithmetic(number, args)).unwrap_or(Cell::Float(f64::NAN)))
}

/// Plain arithmetic on number cells.
fn arithmetic(number: &Number, args: &[Cell]) -> Option<Cell> {
    let mut x: Args = [0.0; 3];
    for (slot, arg) in x.iter_mut().zip(args) {
        *slot = arg.number()?;
    }
    Some(cell_of((number.value)(x), number.gives.scalar(args.iter().map(scalar_of))))
}

/// `==`, `!=` and `+` where an argument is no number; `Ok(None)` where all are, or the word is another.
///
/// # Errors
/// When `+` joins things that do not join.
pub fn on_cells(name: &str, args: &[Cell]) -> Result<Option<Cell>, TextError> {
    let [a, b] = args else { return Ok(None) };
    if a.number().is_some() && b.number().is_some() {
        return Ok(None);
    }
    Ok(match name {
        "==" => Some(Cell::Bool(alike(a, b))),
        "!=" => Some(Cell::Bool(!alike(a, b))),
        "+" => Some(join(a, b)?),
        _ => None,
    })
}

/// Equality of values: a completion equals its text, a text the dialogue it stands for, 1 equals 1.0.
pub fn alike(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Text(_) | Cell::Completion(_), Cell::Text(_) | Cell::Completion(_)) => text_of(a) == text_of(b),
        (Cell::Dialogue(_), Cell::Text(_)) | (Cell::Text(_), Cell::Dialogue(_)) => dialogue_of(a) == dialogue_of(b),
        (Cell::List(a), Cell::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| alike(a, b)),
        _ => match (a.number(), b.number()) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

/// `+` of texts, lists or dialogues.
fn join(a: &Cell, b: &Cell) -> Result<Cell, TextError> {
    Ok(match (a, b) {
        (Cell::None, _) | (_, Cell::None) => Cell::None,
        (Cell::List(a), Cell::List(b)) => Cell::List(a.iter().chain(b.iter()).cloned().collect()),
        (Cell::Text(_) | Cell::Completion(_), Cell::Text(_) | Cell::Completion(_)) => Cell::text(format!("{}{}", text_of(a)?, text_of(b)?)),
        _ => {
            let (a, b) = (dialogue_of(a)?, dialogue_of(b)?);
            Cell::Dialogue(Arc::new(a.iter().chain(b.iter()).cloned().collect::<Dialogue>()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    fn on(word: &str, args: &[Cell]) -> Option<Cell> {
        on_constants(words::get(word).expect("a word"), args)
    }

    #[test]
    fn constants_keep_their_kind() {
        assert_eq!(on("+", &[Cell::Int(1), Cell::Int(2)]), Some(Cell::Int(3)));
        assert_eq!(on("/", &[Cell::Int(1), Cell::Int(2)]), Some(Cell::Float(0.5)));
        assert_eq!(on("<", &[Cell::Int(1), Cell::Float(2.0)]), Some(Cell::Bool(true)));
        assert_eq!(on("==", &[Cell::text("token"), Cell::text("token")]), Some(Cell::Bool(true)));
        assert_eq!(on("==", &[Cell::Float(0.1), Cell::None]), Some(Cell::Bool(false)));
        assert_eq!(on("+", &[Cell::None, Cell::Int(1)]), Some(Cell::None));
        assert_eq!(on("exp", &[Cell::text("x")]), None);
    }

    #[test]
    fn dialogues_join() {
        let user = on("user", &[Cell::text("hi")]).expect("a dialogue");
        let both = on("+", &[user.clone(), Cell::text("again")]).expect("joined");
        assert_eq!(dialogue_of(&both).expect("a dialogue").len(), 2);
        assert!(alike(&user, &Cell::text("hi")));
    }
}
