//! Choices between kernels that compute the same, and the list of those that are measured.

use serde_json::{Map, Value};

use super::probes::{DECODING, HALVES, HEADS, HEADS_BACK, PRODUCTS, Probe, REDUCTIONS, THIN};

/// Choices between kernels that compute the same: they change speed and the last bits, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Products of at least so many 128 x 128 tiles use them; others use 64 x 64, which keep more of a GPU busy.
    pub enough_tiles: usize,
    /// Workgroups that a small product is split into, along its depth.
    pub split_groups: usize,
    /// Depth that a split keeps at least: below, summing the layers costs more than it gains.
    pub least_slice: usize,
    /// Up to so many queries of attention have a workgroup each: while decoding, neighbours read different keys.
    pub few_queries: usize,
    /// Workgroups that the head's forward pass is split into, along the vocabulary.
    pub head_groups: usize,
    /// Words of one chunk of the head's derivative at most; it is never less than one tile wide.
    pub head_chunk: usize,
    /// Whether products read matrices by vectors of four, where these lie so.
    pub vectors: bool,
    /// Whether rows, results and queries are reduced by subgroups; never where the adapter has none.
    pub subgroups: bool,
    /// Whether products of halves use matrix units; never where the adapter has none.
    pub cooperative: bool,
    /// Words that are bound at once at most: larger weights, their gradients and moments, and factors and results of products
    /// are taken in runs. The adapter's limit, and never measured.
    pub binding_words: usize,
}

impl Tuning {
    /// What suits GPUs, until one is measured.
    pub const GPU: Self = Self {
        enough_tiles: 96,
        split_groups: 256,
        least_slice: 256,
        few_queries: 256,
        head_groups: 512,
        head_chunk: 1 << 24,
        vectors: true,
        subgroups: true,
        cooperative: true,
        binding_words: usize::MAX,
    };

    /// What suits drivers that run kernels on the processor.
    pub const SOFTWARE: Self = Self { enough_tiles: 1, split_groups: 1, head_groups: 8, vectors: false, subgroups: false, ..Self::GPU };

    /// The measured choices by name: what is kept.
    pub fn to_json(&self) -> Map<String, Value> {
        KNOBS.iter().map(|knob| (knob.name.to_owned(), Value::from((knob.get)(self)))).collect()
    }

    /// The inverse of [`Tuning::to_json`], on top of `self`; `None` for anything that [`KNOBS`] could not have chosen.
    pub fn with_json(mut self, kept: &Map<String, Value>) -> Option<Self> {
        if kept.len() != KNOBS.len() {
            return None;
        }
        for knob in KNOBS {
            let value = usize::try_from(kept.get(knob.name)?.as_u64()?).ok()?;
            let known = knob.candidates.contains(&value) || value == (knob.get)(&self);
            known.then(|| (knob.set)(&mut self, value))?;
        }
        Some(self)
    }
}

/// A choice that is measured.
#[derive(Debug)]
pub struct Knob {
    /// Of the field.
    pub name: &'static str,
    /// For people.
    pub says: &'static str,
    pub get: fn(&Tuning) -> usize,
    pub set: fn(&mut Tuning, usize),
    /// In rising order.
    pub candidates: &'static [usize],
    /// What is timed under each of them.
    pub probes: &'static [Probe],
}

/// Every measured choice, in the order in which they are made: each is measured under those before it.
pub const KNOBS: &[Knob] = &[
    Knob {
        name: "vectors",
        says: "whether products read matrices by vectors of four",
        get: |tuning| usize::from(tuning.vectors),
        set: |tuning, value| tuning.vectors = value == 1,
        candidates: &[0, 1],
        probes: PRODUCTS,
    },
    Knob {
        name: "enough_tiles",
        says: "tiles of 128 x 128 from which on a product uses them",
        get: |tuning| tuning.enough_tiles,
        set: |tuning, value| tuning.enough_tiles = value,
        candidates: &[12, 24, 48, 96, 192, 384],
        probes: PRODUCTS,
    },
    Knob {
        name: "split_groups",
        says: "workgroups that a small product is split into, along its depth",
        get: |tuning| tuning.split_groups,
        set: |tuning, value| tuning.split_groups = value,
        candidates: &[1, 64, 128, 256, 512, 1024],
        probes: THIN,
    },
    Knob {
        name: "least_slice",
        says: "depth that such a split keeps at least",
        get: |tuning| tuning.least_slice,
        set: |tuning, value| tuning.least_slice = value,
        candidates: &[64, 128, 256, 512],
        probes: THIN,
    },
    Knob {
        name: "few_queries",
        says: "queries of attention up to which each has a workgroup of its own",
        get: |tuning| tuning.few_queries,
        set: |tuning, value| tuning.few_queries = value,
        candidates: &[0, 32, 64, 128, 256, 512],
        probes: DECODING,
    },
    Knob {
        name: "head_groups",
        says: "workgroups that the head is split into, along the vocabulary",
        get: |tuning| tuning.head_groups,
        set: |tuning, value| tuning.head_groups = value,
        candidates: &[8, 128, 256, 512, 1024, 2048],
        probes: HEADS,
    },
    Knob {
        name: "head_chunk",
        says: "words of one chunk of the head's derivative",
        get: |tuning| tuning.head_chunk,
        set: |tuning, value| tuning.head_chunk = value,
        candidates: &[1 << 21, 1 << 22, 1 << 23, 1 << 24, 1 << 25],
        probes: HEADS_BACK,
    },
    Knob {
        name: "subgroups",
        says: "whether sums over lanes are by subgroups",
        get: |tuning| usize::from(tuning.subgroups),
        set: |tuning, value| tuning.subgroups = value == 1,
        candidates: &[0, 1],
        probes: REDUCTIONS,
    },
    Knob {
        name: "cooperative",
        says: "whether products of halves, which sampling reads, use matrix units",
        get: |tuning| usize::from(tuning.cooperative),
        set: |tuning, value| tuning.cooperative = value == 1,
        candidates: &[0, 1],
        probes: HALVES,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_nothing_else_does() {
        let mut tuned = Tuning::GPU;
        for knob in KNOBS {
            (knob.set)(&mut tuned, knob.candidates[0]);
            assert_eq!((knob.get)(&tuned), knob.candidates[0], "{}", knob.name);
        }
        let kept = tuned.to_json();
        assert_eq!(Tuning::GPU.with_json(&kept), Some(tuned));
        let changed = |name: &str, value: Value| {
            let mut other = kept.clone();
            other.insert(name.to_owned(), value);
            Tuning::GPU.with_json(&other)
        };
        assert_eq!(changed("least_slice", Value::from(7)), None, "7 is no candidate");
        assert_eq!(changed("least_slice", Value::from("64")), None);
        assert_eq!(changed("warp", Value::from(32)), None, "a choice that nobody makes here");
        let mut fewer = kept.clone();
        fewer.remove("head_chunk");
        assert_eq!(Tuning::GPU.with_json(&fewer), None);
    }

    #[test]
    fn both_tables_are_among_what_is_measured() {
        for knob in KNOBS {
            assert!(knob.candidates.is_sorted() && !knob.probes.is_empty(), "{}", knob.name);
            assert!(knob.candidates.contains(&(knob.get)(&Tuning::GPU)), "{}", knob.name);
        }
    }
}
