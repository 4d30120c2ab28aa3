//! What can be wrong with the rows of a file. Every line is looked at; equal mistakes are kept once, with their lines.

use std::sync::Arc;

use crate::diagnostic::grouped;

/// One mistake in one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// 1 for the first line of the (unpacked) file, or for the first row where there are no lines.
    pub line: usize,
    /// In characters, 1 for the first; unknown in formats whose fields have no fixed place.
    pub column: Option<usize>,
    pub problem: Problem,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Not the format that the file's name promises.
    #[error("{0}")]
    Broken(String),
    #[error("expected an object with columns, found {found}")]
    NoRow { found: String },
    #[error("`.{column}` is missing, there is {}", listed(has))]
    Missing { column: Arc<str>, has: Vec<Arc<str>> },
    /// `field` is a column and the way into it: `chosen[2].role`.
    #[error("expected {expected}, found {found}")]
    WrongType { field: String, expected: String, found: String },
    /// The first byte of the (unpacked) file that is not UTF-8.
    #[error("look at byte {} of the file", grouped(*byte))]
    NotUtf8 { byte: u64 },
    #[error("its packed data is cut short")]
    Cut,
    #[error("its packed data is damaged ({0})")]
    Damaged(String),
}

impl Problem {
    /// Whether the row is sound and only not of the type asked for.
    pub fn is_of_type(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::WrongType { .. })
    }
}

/// Equal mistakes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    pub first: Fault,
    /// The first few lines.
    pub lines: Vec<usize>,
    pub count: usize,
}

/// How many lines of equal mistakes are named.
const LINES: usize = 5;
/// How many different mistakes are told; a file with more is of another kind altogether.
const GROUPS: usize = 20;

/// Every mistake in a file, equal ones together, in the order they were met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Rows that were looked at, broken ones included.
    pub rows: usize,
    pub groups: Vec<Group>,
    /// Mistakes beyond the first [`GROUPS`] different ones.
    pub untold: usize,
}

impl Faults {
    /// Adds a mistake.
    pub fn add(&mut self, fault: Fault) {
        match self.groups.iter().position(|group| group.first.problem.is_like(&fault.problem)) {
            Some(place) => self.groups[place].add(fault.line),
            None if self.groups.len() < GROUPS => self.groups.push(Group { lines: vec![fault.line], count: 1, first: fault }),
            None => self.untold += 1,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The columns that no row has, with the columns that the first row has instead.
    pub fn missing_everywhere(&self) -> Vec<(&Arc<str>, &[Arc<str>])> {
        let everywhere = |group: &&Group| group.count == self.rows;
        let missing = |group| match group {
            &Group { first: Fault { problem: Problem::Missing { ref column, ref has }, .. }, .. } => Some((column, &has[..])),
            _ => None,
        };
        self.groups.iter().filter(everywhere).filter_map(missing).collect()
    }
}

impl Group {
    fn add(&mut self, line: usize) {
        self.count += 1;
        if self.lines.len() < LINES {
            self.lines.push(line);
        }
    }

    /// `lines 7, 9 and 4,010 more`, without the first; `unit` is what is counted.
    pub fn further_lines(&self, unit: &str) -> Option<String> {
        let named: Vec<String> = self.lines.iter().skip(1).map(|line| grouped(*line)).collect();
        let more = self.count - self.lines.len();
        let (last, before) = named.split_last()?;
        let word = if self.count == 2 { unit.to_owned() } else { format!("{unit}s") };
        Some(match (before, more) {
            ([], 0) => format!("{word} {last}"),
            (before, 0) => format!("{word} {} and {last}", before.join(", ")),
            (_, more) => format!("{word} {} and {} more", named.join(", "), grouped(more)),
        })
    }
}

impl Problem {
    /// Whether both are the same mistake on different lines.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing { column: a, .. }, Self::Missing { column: b, .. }) => a == b,
            (Self::WrongType { field: a, expected: x, .. }, Self::WrongType { field: b, expected: y, .. }) => {
                x == y && without_places(a) == without_places(b)
            }
            (Self::NoRow { .. }, Self::NoRow { .. }) | (Self::NotUtf8 { .. }, Self::NotUtf8 { .. }) => true,
            _ => self == other,
        }
    }
}

/// `chosen[].role` for `chosen[2].role`.
fn without_places(field: &str) -> String {
    field.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// `` `a`, `b` `` or `nothing`.
pub fn listed(names: &[Arc<str>]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: usize, field: &str) -> Fault {
        let problem = Problem::WrongType { field: field.into(), expected: "Int".into(), found: line.to_string() };
        Fault { line, column: Some(1), problem }
    }

    #[test]
    fn equal_mistakes_are_told_once() {
        let mut faults = Faults { rows: 9000, ..Faults::default() };
        faults.add(wrong(3, "a[0].b"));
        assert_eq!(faults.groups[0].further_lines("line"), None);
        faults.add(wrong(7, "a[12].b"));
        assert_eq!(faults.groups[0].further_lines("line").as_deref(), Some("line 7"));
        faults.add(wrong(1009, "a[1].b"));
        assert_eq!(faults.groups[0].further_lines("line").as_deref(), Some("lines 7 and 1,009"));
        (1010..5000).for_each(|line| faults.add(wrong(line, "a[1].b")));
        assert_eq!(faults.groups[0].further_lines("line").as_deref(), Some("lines 7, 1,009, 1,010, 1,011 and 3,988 more"));
        faults.add(wrong(4, "c"));
        assert_eq!(faults.groups.len(), 2);
    }
}
