//! Keys and values of tokens already read, and who owns which rows of them.

use std::ops::Range;

use crate::engine::{Arena, Device, DeviceKind, EngineError, Recorder, View};

use super::transformer::Memory;
use super::{ModelError, ModelSpec};

/// Keys and values of every block, (R, Hkv D) each.
#[derive(Debug)]
pub(super) struct Cache {
    blocks: Vec<(View, View)>,
}

impl Cache {
    /// Its memory is of the engine's temporaries, to be held while it is used: rollouts take it again and again, and
    /// training in between may have it.
    pub(super) fn new(device: &mut dyn Device, arena: &mut Arena, spec: &ModelSpec, rows: usize) -> Result<Self, ModelError> {
        let cols = spec.kv_heads * spec.head_dim;
        let mut take = || arena.take(device, rows, cols, false);
        let blocks: Vec<(View, View)> = (0..spec.layers).map(|_| Ok((take()?, take()?))).collect::<Result<_, EngineError>>()?;
        if device.describe().kind != DeviceKind::Cpu {
            // graphics kernels read tiles whole, and weigh by 0 what nobody wrote yet: it must be numbers
            let mut rec = Recorder::new(device, arena);
            blocks.iter().flat_map(|(keys, values)| [keys, values]).for_each(|view| rec.fill(*view, 0.0));
            let recording = rec.finish()?;
            device.run(&recording)?;
        }
        Ok(Self { blocks })
    }
}

/// A cache, and the rows of it that the tokens of this pass go to: u32 (T, 1).
pub(super) struct Remember<'a> {
    pub cache: &'a Cache,
    pub rows: View,
}

impl Memory for Remember<'_> {
    fn remember(&mut self, rec: &mut Recorder<'_>, block: usize, keys: View, values: View) -> (View, View) {
        let (all_keys, all_values) = self.cache.blocks[block];
        rec.scatter(keys, self.rows, all_keys);
        rec.scatter(values, self.rows, all_values);
        (all_keys, all_values)
    }
}

/// Which rows of a cache are free: ranges in ascending order that do not touch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FreeRows(Vec<Range<usize>>);

impl FreeRows {
    pub(super) fn new(rows: usize) -> Self {
        Self(std::iter::once(0..rows).collect())
    }

    /// Takes the first `count` free rows that stand together.
    pub(super) fn take(&mut self, count: usize) -> Option<Range<usize>> {
        let at = self.0.iter().position(|free| free.len() >= count)?;
        let begin = self.0[at].start;
        self.0[at].start += count;
        if self.0[at].is_empty() {
            self.0.remove(at);
        }
        Some(begin..begin + count)
    }

    /// Gives rows back.
    pub(super) fn give(&mut self, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        let at = self.0.partition_point(|free| free.start < rows.start);
        self.0.insert(at, rows);
        if at + 1 < self.0.len() && self.0[at].end == self.0[at + 1].start {
            self.0[at].end = self.0.remove(at + 1).end;
        }
        if at > 0 && self.0[at - 1].end == self.0[at].start {
            self.0[at - 1].end = self.0.remove(at).end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_whole() {
        let mut free = FreeRows::new(100);
        let taken: Vec<_> = [10, 20, 30, 40].into_iter().map(|n| free.take(n).expect("room")).collect();
        assert_eq!(free.take(1), None);
        for i in [2, 0, 3, 1] {
            free.give(taken[i].clone());
        }
        assert_eq!(free, FreeRows::new(100));
    }

    #[test]
    fn a_gap_is_used_where_it_is_large_enough() {
        let mut free = FreeRows::new(10);
        let (a, b, _) = (free.take(3), free.take(3), free.take(3));
        free.give(a.expect("room"));
        assert_eq!(free.take(4), None);
        free.give(b.expect("room"));
        assert_eq!(free.take(4), Some(0..4));
    }
}
