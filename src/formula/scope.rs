//! Which rows a formula is being evaluated over, and what is already known about them.
//!
//! The outermost scope is a table. Inside it lie the rows of a step, a micro-batch of those, the rows on which an `if`
//! takes one branch, or a bootstrap's resample; each takes from the scope around it what does not depend on the choice.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::column::Column;
use super::key::Key;
use super::program::Slot;

/// Rows that agree in some columns.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Groups {
    /// The group of each row; groups are numbered by first appearance.
    pub of: Vec<usize>,
    /// The first row of each group.
    pub first: Vec<usize>,
    /// A name of each group that does not depend on the order of rows.
    pub names: Vec<Key>,
}

impl Groups {
    /// Groups by key, one key per row.
    pub fn new<K: Ord>(keys: impl IntoIterator<Item = (K, Key)>) -> Self {
        let mut numbers: BTreeMap<K, usize> = BTreeMap::new();
        let mut groups = Self { of: Vec::new(), first: Vec::new(), names: Vec::new() };
        for (row, (key, name)) in keys.into_iter().enumerate() {
            let next = groups.first.len();
            let number = *numbers.entry(key).or_insert(next);
            if number == next {
                groups.first.push(row);
                groups.names.push(name);
            }
            groups.of.push(number);
        }
        groups
    }

    /// The groups of some rows; `copies` keeps resampled doubles of a row apart.
    pub fn of_rows(&self, rows: &[usize], copies: Option<&[usize]>) -> Self {
        let copy = |i: usize| copies.map_or(0, |c| c[i]);
        Self::new(rows.iter().enumerate().map(|(i, &row)| ((self.of[row], copy(i)), self.names[self.of[row]])))
    }
}

/// Rows and the values that are known for them.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// The scope around it; `None` for the table.
    pub parent: Option<usize>,
    /// Its rows as places in the parent.
    pub rows: Arc<[usize]>,
    /// The slots that are computed here; others come from the parent.
    pub here: Arc<[bool]>,
    /// Which double of its row each row is, in a resample.
    pub copies: Option<Arc<[usize]>>,
    pub values: Vec<Option<Arc<Column>>>,
    pub groups: BTreeMap<Vec<Slot>, Arc<Groups>>,
}

impl Scope {
    /// The whole table.
    pub fn table(rows: usize, slots: usize) -> Self {
        Self {
            parent: None,
            rows: (0..rows).collect(),
            here: vec![true; slots].into(),
            copies: None,
            values: vec![None; slots],
            groups: BTreeMap::new(),
        }
    }

    /// Rows of another scope.
    pub fn inside(parent: usize, rows: impl Into<Arc<[usize]>>, here: impl Into<Arc<[bool]>>) -> Self {
        let here: Arc<[bool]> = here.into();
        let slots = here.len();
        Self { parent: Some(parent), rows: rows.into(), here, copies: None, values: vec![None; slots], groups: BTreeMap::new() }
    }
}
