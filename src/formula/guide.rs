//! Words that say what a sampled text may be. A constraint is a text in the syntax of `llguidance`'s terminals, in which one
//! part behind another is one after the other; [`crate::model::guide`] reads it.

use crate::value::Cell;

use super::text::{TextError, compile, expected, text_of};

type Answer = Result<Cell, TextError>;

fn texts(cell: &Cell) -> Result<Vec<&str>, TextError> {
    match cell {
        Cell::List(items) if !items.is_empty() => items.iter().map(|item| Ok(&**text_of(item)?)).collect(),
        other => Err(expected("a list with at least one text", other)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Any of some expressions. Parts begin with a space, so that `+` may put them side by side.
fn any(each: impl Iterator<Item = String>) -> Cell {
    Cell::text(format!(" ({})", each.collect::<Vec<_>>().join(" | ")))
}

/// This text and no other.
pub(super) fn literal(args: &[Cell]) -> Answer {
    Ok(any([quoted(text_of(&args[0])?)].into_iter()))
}

/// One of several texts.
pub(super) fn one_of(args: &[Cell]) -> Answer {
    Ok(any(texts(&args[0])?.into_iter().map(quoted)))
}

/// Whatever matches a regular expression as a whole.
pub(super) fn pattern(args: &[Cell]) -> Answer {
    let pattern = text_of(&args[0])?;
    compile(pattern)?;
    let written: String = pattern.chars().map(|c| if c == '\n' { "\\n".to_owned() } else { c.to_string() }).collect();
    // a slash that the pattern escapes itself stays as it is
    let parts = written.split("\\/").map(|part| part.replace('/', "\\/"));
    Ok(Cell::text(format!(" (/{}/)", parts.collect::<Vec<_>>().join("\\/"))))
}

/// A passage of one of several texts, word for word: at least one character.
pub(super) fn passage_of(args: &[Cell]) -> Answer {
    let passage = |text: &str| format!("%regex {{\"substring_chars\": {}}} & /(?s:.+)/", quoted(text));
    Ok(any(texts(&args[0])?.into_iter().map(passage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer) -> &str {
        let Ok(Cell::Text(text)) = answer else { panic!("{answer:?}") };
        text
    }

    #[test]
    fn parts_are_terminals_of_a_grammar() {
        assert_eq!(written(&literal(&[Cell::text("a \"b\"\n")])), r#" ("a \"b\"\n")"#);
        assert_eq!(written(&one_of(&[Cell::List([Cell::text("x"), Cell::text("y")].into())])), r#" ("x" | "y")"#);
        assert_eq!(written(&pattern(&[Cell::text(r"a/b\/c")])), r" (/a\/b\/c/)");
        assert!(written(&passage_of(&[Cell::List([Cell::text("x")].into())])).contains(r#""substring_chars": "x""#));
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        assert!(matches!(pattern(&[Cell::text("(")]), Err(TextError::Pattern { .. })));
        assert!(one_of(&[Cell::List([].into())]).is_err());
    }
}
