//! Rows by chance, by their content: the same rows are chosen in whatever order they come.

use crate::chance;
use crate::value::Cell;

/// A 64-bit name of a text.
pub(super) fn name(text: &str) -> u64 {
    u64::from_le_bytes(blake3::hash(text.as_bytes()).as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

/// The order of some named things by chance: one random word each, ties by name.
pub(super) fn shuffled(names: &[u64], key: [u32; 2]) -> Vec<usize> {
    let word = |name: u64| {
        let [high, low] = chance::halves(name);
        chance::uniform(key, [high, low, 0, 0])
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_cached_key(|place| (word(names[*place]), names[*place]));
    order
}

/// A name for each row: its content, and which of equal rows it is.
pub(super) fn rows(rows: &[Vec<Cell>]) -> Vec<u64> {
    let mut seen = std::collections::HashMap::new();
    let row = |row: &Vec<Cell>| {
        let text = row.iter().map(Cell::key).collect::<Vec<_>>().join("\n");
        let copy = seen.entry(text.clone()).and_modify(|n| *n += 1).or_insert(0_u64);
        name(&format!("{copy}\n{text}"))
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_rows_does_not_matter() {
        let cells: Vec<Vec<Cell>> = (0..40).map(|n| vec![Cell::Int(n % 30)]).collect();
        let picked = |cells: &[Vec<Cell>]| {
            let order = shuffled(&rows(cells), [3, 4]);
            order[..10].iter().map(|place| cells[*place][0].key()).collect::<Vec<_>>()
        };
        let mut reversed = cells.clone();
        reversed.reverse();
        assert_eq!(picked(&cells), picked(&reversed));
        assert_ne!(shuffled(&rows(&cells), [3, 4]), shuffled(&rows(&cells), [3, 5]));
    }
}
