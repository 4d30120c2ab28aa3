//! The tokens of a pass on the device: ids, positions, and which of the others each attends to.

use crate::engine::op::attention::Reach;
use crate::engine::{Indices, Recorder, View};

use super::ModelSpec;

/// The tokens of a pass, T of them, before they go to the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fed<'a> {
    pub ids: &'a [u32],
    pub positions: &'a [u32],
    /// prefix_begin, prefix_end, own_begin, own_end of the keys each token attends to, (T, 4).
    pub ranges: &'a [u32],
    /// Whether a derivative may be asked for: then keys are the same tokens.
    pub differentiable: bool,
}

/// Rotary cosines and sines (P, R) of blocks without and with a window; none where positions are learned.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tables(pub [Option<View>; 2]);

/// How a block attends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub reach: Reach,
    pub table: Option<View>,
}

/// The tokens of a pass on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    pub ids: Indices,
    /// u32 (T, 1).
    pub positions: View,
    /// The same as row numbers of an embedding, where positions are learned.
    pub learned: Option<Indices>,
    /// Of blocks without a window, and with one.
    sights: [Sight; 2],
}

impl Tokens {
    /// Puts them on the device.
    pub(super) fn upload(rec: &mut Recorder<'_>, spec: &ModelSpec, fed: Fed<'_>, tables: Tables) -> Self {
        let ids = rec.indices(fed.ids);
        let learned = spec.family.names.positions.map(|_| rec.indices(fed.positions));
        let positions = learned.map_or_else(|| rec.upload_u32(fed.positions, fed.ids.len(), 1), |learned| learned.at);
        let full = reach(rec, fed.ranges, fed.differentiable);
        let narrowed = spec.window.and_then(|window| narrowed(fed.ranges, window));
        let near = narrowed.map_or(full, |ranges| reach(rec, &ranges, fed.differentiable));
        let sight = |reach, at| Sight { reach, table: tables.0[at] };
        Self { ids, positions, learned, sights: [sight(full, 0), sight(near, 1)] }
    }

    /// How block `index` attends.
    pub(super) fn sight(&self, spec: &ModelSpec, index: usize) -> Sight {
        self.sights[usize::from(spec.sliding[index])]
    }
}

fn reach(rec: &mut Recorder<'_>, ranges: &[u32], differentiable: bool) -> Reach {
    let rows = ranges.len() / 4;
    let key_until = differentiable.then(|| rec.upload_u32(&until(ranges), rows, 1));
    Reach { ranges: rec.upload_u32(ranges, rows, 4), key_until }
}

/// One past the last row that attends to each row, (T).
fn until(ranges: &[u32]) -> Vec<u32> {
    let mut until = vec![0; ranges.len() / 4];
    for (row, range) in (1..).zip(ranges.as_chunks::<4>().0) {
        let [prefix_begin, prefix_end, own_begin, own_end] = range.map(|at| at as usize);
        until[prefix_begin..prefix_end].fill(row);
        until[own_begin..own_end].fill(row);
    }
    until
}

/// The ranges of the last `window` tokens that each token attends to, itself among them; `None` where that is all of
/// them.
fn narrowed(ranges: &[u32], window: usize) -> Option<Vec<u32>> {
    let window = u32::try_from(window).unwrap_or(u32::MAX);
    let near = |&[prefix_begin, prefix_end, own_begin, own_end]: &[u32; 4]| {
        let own = (own_end - own_begin).min(window);
        let prefix = (prefix_end - prefix_begin).min(window - own);
        [prefix_end - prefix, prefix_end, own_end - own, own_end]
    };
    let narrow: Vec<u32> = ranges.as_chunks::<4>().0.iter().flat_map(near).collect();
    (narrow != ranges).then_some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt of 2 with completions of 3 and 1, then a sequence of 1.
    const RANGES: [u32; 28] = [0, 0, 0, 1, 0, 0, 0, 2, 0, 2, 2, 3, 0, 2, 2, 4, 0, 2, 2, 5, 0, 2, 5, 6, 6, 6, 6, 7];

    #[test]
    fn rows_know_until_where_they_are_seen() {
        assert_eq!(until(&RANGES), [6, 6, 5, 5, 5, 6, 7]);
    }

    #[test]
    fn a_window_ends_with_the_token() {
        assert_eq!(narrowed(&RANGES, 5), None);
        let expected = [0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 2, 3, 2, 2, 2, 4, 2, 2, 3, 5, 1, 2, 5, 6, 6, 6, 6, 7];
        let narrow = narrowed(&RANGES, 2).expect("some see more than two");
        assert_eq!(narrow, expected);
        assert_eq!(until(&narrow), [2, 6, 4, 5, 5, 6, 7]);
    }
}
