//! Rows that agree in a value.

use std::collections::HashMap;

use super::Cell;

impl Cell {
    /// A text that two cells share exactly when they are the same value: what grouping, splitting and chance are keyed by.
    pub fn key(&self) -> String {
        serde_json::to_string(self).expect("every cell is a JSON value")
    }
}

/// The rows of each value, values in the order of their first row, rows in their own order.
pub fn groups<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Vec<usize>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (row, cell) in cells.into_iter().enumerate() {
        let group = *places.entry(cell.key()).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(row);
    }
    groups
}

/// Every row for itself.
pub fn singles(rows: usize) -> Vec<Vec<usize>> {
    (0..rows).map(|row| vec![row]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_in_the_order_of_their_first_row() {
        let cells = ["b", "a", "b", "c", "a"].map(Cell::text);
        assert_eq!(groups(&cells), vec![vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(groups(&[Cell::Int(1), Cell::text("1"), Cell::Float(1.0)]).len(), 3);
        assert!(groups(&[]).is_empty());
    }
}
