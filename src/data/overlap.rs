//! The same text twice: rows of a table that repeat, and prompts that stand on both sides of a split.

use std::collections::HashSet;

use crate::value::{Cell, Role, Table};

/// Texts of one table that are also in another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// Different texts of the second table that are in the first too.
    pub shared: usize,
    /// Different texts of the second table.
    pub of: usize,
}

/// How many rows repeat an earlier row in every column.
pub fn repeated_rows(table: &Table) -> usize {
    let mut seen = HashSet::new();
    table.rows.iter().filter(|row| !seen.insert(row.iter().map(Cell::key).collect::<Vec<_>>())).count()
}

/// How many texts of `test` are in `train` too, once case, punctuation and spacing are set aside; `None` when none is.
pub fn leak<'a>(train: impl IntoIterator<Item = &'a Cell>, test: impl IntoIterator<Item = &'a Cell>) -> Option<Leak> {
    let known: HashSet<String> = train.into_iter().map(plain).collect();
    let asked: HashSet<String> = test.into_iter().map(plain).collect();
    let shared = asked.iter().filter(|text| known.contains(*text)).count();
    (shared > 0).then_some(Leak { shared, of: asked.len() })
}

/// A cell's text in lower case, words only: two prompts that differ in nothing else are one prompt.
pub fn plain(cell: &Cell) -> String {
    let mut plain = String::new();
    let mut add = |text: &str| {
        for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            plain.push_str(word);
            plain.push(' ');
        }
    };
    match cell {
        Cell::Text(text) => add(text),
        Cell::Completion(completion) => add(&completion.text),
        Cell::Dialogue(turns) => turns.iter().for_each(|turn| {
            if turn.role != Role::User {
                add(turn.role.name());
            }
            add(&turn.text);
        }),
        other => plain = other.key(),
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_punctuation_do_not_hide_a_leak() {
        let train = ["Once upon a time!", "The end."].map(Cell::text);
        let test = ["once  upon a time", "once upon a TIME.", "A new day"].map(Cell::text);
        assert_eq!(leak(&train, &test), Some(Leak { shared: 1, of: 2 }));
        assert_eq!(leak(&train, &test[2..]), None);
    }

    #[test]
    fn repeats_are_counted_once_each() {
        let row = |x: &str| vec![Cell::text(x), Cell::Int(1)];
        let table = Table { columns: vec!["a".into(), "b".into()], rows: vec![row("x"), row("y"), row("x"), row("x")] };
        assert_eq!(repeated_rows(&table), 2);
    }
}
