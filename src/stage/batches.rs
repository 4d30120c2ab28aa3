//! Which rows make up each optimiser step: shuffled anew every epoch, groups kept whole, by seed and row only.

use crate::chance::{below, uniform};

/// Streams of [`crate::chance`] under one stage key; the second word of the counter.
const SHUFFLE: u32 = 0x5348_5546;

/// A row's group: rows with equal numbers belong in one step.
pub type Groups = Vec<usize>;

/// The rows of one pass in chance order (Fisher and Yates 1938), groups adjacent. `pass` names the epoch.
pub fn shuffled(groups: &Groups, key: [u32; 2], pass: u64) -> Vec<usize> {
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut place = std::collections::BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        let at = *place.entry(*group).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[at].push(row);
    }
    let [high, low] = crate::chance::halves(pass);
    for last in (1..members.len()).rev() {
        #[expect(clippy::cast_possible_truncation, reason = "tables have fewer than 2^32 rows")]
        let words = uniform(key, [last as u32, SHUFFLE, high, low]);
        #[expect(clippy::cast_possible_truncation, reason = "below `last`, which is a usize")]
        members.swap(last, below(last as u64 + 1, words[0], words[1]) as usize);
    }
    members.into_iter().flatten().collect()
}

/// Cuts rows in order into `count` steps as even as groups allow; no step is empty.
pub fn cut(rows: &[usize], groups: &Groups, count: usize) -> Vec<Vec<usize>> {
    let count = count.clamp(1, rows.len().max(1));
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let starts = at == 0 || groups[*row] != groups[rows[at - 1]];
        // a new step begins where its share of the rows is reached and no group is torn
        let reached = at * count >= steps.len() * rows.len();
        match steps.last_mut() {
            Some(step) if !(starts && reached) => step.push(*row),
            _ => steps.push(vec![*row]),
        }
    }
    steps
}

/// Cuts rows in order into steps of `size` rows, or a little more where a group would be torn; the last may be short.
pub fn every(rows: &[usize], groups: &Groups, size: usize) -> Vec<Vec<usize>> {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let starts = at == 0 || groups[*row] != groups[rows[at - 1]];
        match steps.last_mut() {
            Some(step) if !starts || step.len() < size => step.push(*row),
            _ => steps.push(vec![*row]),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_once_and_no_group_torn() {
        let groups: Groups = (0..97).map(|row| row / 3).collect();
        let order = shuffled(&groups, [1, 2], 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..97).collect::<Vec<_>>());
        let steps = every(&order, &groups, 10);
        assert_eq!(steps.concat(), order);
        for step in &steps {
            assert!(!step.is_empty() && step.len() <= 13, "{steps:?}");
            for row in step {
                assert!(groups.iter().enumerate().filter(|(_, g)| **g == groups[*row]).all(|(other, _)| step.contains(&other)));
            }
        }
    }

    #[test]
    fn passes_differ_and_repeat() {
        let groups: Groups = (0..50).collect();
        assert_eq!(shuffled(&groups, [1, 2], 3), shuffled(&groups, [1, 2], 3));
        assert_ne!(shuffled(&groups, [1, 2], 3), shuffled(&groups, [1, 2], 4));
        assert_ne!(shuffled(&groups, [1, 2], 3), shuffled(&groups, [1, 3], 3));
    }

    #[test]
    fn steps_are_even_without_groups() {
        let groups: Groups = (0..10).collect();
        let rows: Vec<usize> = (0..10).collect();
        let sizes = |count| cut(&rows, &groups, count).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(1), [10]);
        assert_eq!(sizes(5), [2; 5]);
        assert_eq!(sizes(3).iter().sum::<usize>(), 10);
        assert_eq!(sizes(20), [1; 10]);
        assert_eq!(every(&rows, &groups, 4).iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    }
}
