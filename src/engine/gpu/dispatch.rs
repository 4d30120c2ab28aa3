//! What a step becomes: kernel dispatches over bound memory, in order. Plain data; [`super::encode`] turns it into
//! commands.

use crate::engine::{BufferId, View};

use super::shader::{Constant, SUBGROUPS, VECTORS};

/// Words of a dispatch's own parameters.
pub const PARAMS: usize = 16;

/// Bindings of one dispatch at most: the strictest adapter has ten storage buffers.
pub const BINDINGS: usize = 10;

/// One entry point of one file, compiled with some constants.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    pub file: &'static str,
    pub entry: &'static str,
    pub constants: Vec<Constant>,
}

impl Kernel {
    /// A kernel without constants.
    pub fn new(file: &'static str, entry: &'static str) -> Self {
        Self { file, entry, constants: Vec::new() }
    }

    /// Adds a constant.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// Lets it reduce by subgroups, or not.
    #[must_use]
    pub fn by_subgroups(self, yes: bool) -> Self {
        if yes { self.with(SUBGROUPS, 1) } else { self }
    }

    /// Lets it read by vectors of four, or not.
    #[must_use]
    pub fn by_vectors(self, yes: bool) -> Self {
        if yes { self.with(VECTORS, 1) } else { self }
    }

    /// Both ways of reducing.
    pub fn either_way(self) -> [Self; 2] {
        [self.clone(), self.by_subgroups(true)]
    }
}

/// Memory of the device's own, which a step may use until it ends. Each is a buffer; those that one dispatch uses
/// together, or that stay in use while others are, must differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scratch {
    /// Layers of a product that is split along its depth.
    Layers,
    /// The passes of a column sum, in turn.
    EvenSums,
    OddSums,
    /// Parts of a norm, or of the head's softmax; delta of attention.
    Parts,
    /// The head's derivative by a chunk of logits.
    DLogits,
    /// The states that the head reads, and their gradient.
    States,
    DStates,
}

impl Scratch {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Layers, Self::EvenSums, Self::OddSums, Self::Parts, Self::DLogits, Self::States, Self::DStates];
}

/// Memory that a dispatch touches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    Buffer(BufferId),
    Scratch(Scratch),
    /// An optional place without a view: bound to something, never touched. Kernels see 0 rows.
    Absent,
}

/// A matrix as a kernel sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    pub memory: Memory,
    /// In words.
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    pub write: bool,
    pub accumulate: bool,
}

impl Bound {
    /// What a kernel reads.
    pub fn read(view: View) -> Self {
        let View { buffer, offset, rows, cols } = view;
        Self { memory: Memory::Buffer(buffer), offset, rows, cols, write: false, accumulate: false }
    }

    /// What a kernel writes.
    pub fn write(view: View, accumulate: bool) -> Self {
        Self { write: true, accumulate, ..Self::read(view) }
    }

    /// A scratch matrix; say `.written()` where a kernel writes it.
    pub fn scratch(slot: Scratch, rows: usize, cols: usize) -> Self {
        Self { memory: Memory::Scratch(slot), offset: 0, rows, cols, write: false, accumulate: false }
    }

    /// A place that is read only if present, and is not.
    pub fn absent() -> Self {
        Self { memory: Memory::Absent, offset: 0, rows: 0, cols: 0, write: false, accumulate: false }
    }

    /// The same memory, written.
    #[must_use]
    pub fn written(self) -> Self {
        Self { write: true, ..self }
    }

    /// The same memory, written by adding if `accumulate`.
    #[must_use]
    pub fn added(self, accumulate: bool) -> Self {
        Self { write: true, accumulate, ..self }
    }

    /// Rows `begin..begin + rows`.
    #[must_use]
    pub fn rows_from(self, begin: usize, rows: usize) -> Self {
        Self { offset: self.offset + begin * self.cols, rows, ..self }
    }

    /// The same rows, seen from a later column: what kernels that know the width they work on are given.
    #[must_use]
    pub fn shifted(self, columns: usize) -> Self {
        Self { offset: self.offset + columns, ..self }
    }

    /// `count` words from the `begin`-th on, as one row.
    #[must_use]
    pub fn words_from(self, begin: usize, count: usize) -> Self {
        Self { offset: self.offset + begin, rows: 1, cols: count, ..self }
    }

    /// Columns `begin..begin + cols` of a matrix of one row.
    #[must_use]
    pub fn cols_from(self, begin: usize, cols: usize) -> Self {
        Self { offset: self.offset + begin, cols, ..self }
    }

    /// Whether every row begins and ends with a whole vector of four.
    pub fn in_vectors(self) -> bool {
        self.offset.is_multiple_of(4) && self.cols.is_multiple_of(4)
    }

    /// Words from the start of its memory to its end.
    pub fn end(self) -> usize {
        self.offset + self.rows * self.cols
    }
}

/// One kernel call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispatch {
    /// Whose step this is part of, for messages.
    pub op: &'static str,
    pub kernel: Kernel,
    pub params: [u32; PARAMS],
    pub bindings: Vec<Bound>,
    pub groups: [u32; 3],
}

impl Dispatch {
    /// Whether some memory is both read and written, or written at two places.
    pub fn aliased(&self) -> bool {
        self.bindings
            .iter()
            .enumerate()
            .any(|(at, bound)| bound.write && self.bindings.iter().enumerate().any(|(other, b)| other != at && b.memory == bound.memory))
    }

    /// The uniform of the dispatch: its parameters, then offset, rows, cols and accumulate of each binding.
    /// Offsets are what remains after the bound offset, a multiple of `align` words.
    pub fn uniform(&self, align: usize) -> Vec<u32> {
        let mut words = self.params.to_vec();
        for bound in &self.bindings {
            let shape = [bound.offset % align, bound.rows, bound.cols, usize::from(bound.accumulate)];
            words.extend(shape.map(word));
        }
        words.resize(PARAMS + 4 * BINDINGS, 0);
        words
    }
}

/// A count as a kernel's word.
///
/// # Panics
/// When it does not fit: such a tensor has no place on any device.
pub fn word(count: usize) -> u32 {
    u32::try_from(count).expect("a tensor has fewer than 2^32 words")
}

/// Parameters in order, the rest zero.
pub fn params<const N: usize>(words: [u32; N]) -> [u32; PARAMS] {
    let mut all = [0; PARAMS];
    all[..N].copy_from_slice(&words);
    all
}

/// Workgroups of 256 that cover `count` elements one each, in rows where a row would be too long.
pub fn flat(count: usize) -> [u32; 3] {
    rows(count.div_ceil(256))
}

/// `count` workgroups, in rows where one row would be too long; kernels ignore those beyond.
pub fn rows(count: usize) -> [u32; 3] {
    const WIDEST: usize = 65_535;
    if count <= WIDEST {
        return [word(count), 1, 1];
    }
    let height = count.div_ceil(WIDEST);
    [word(count.div_ceil(height)), word(height), 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_cover_every_count() {
        for count in [0, 1, 256, 257, 16_776_960, 16_776_961, 100_000_000] {
            let [x, y, z] = flat(count);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            let reached = u64::from(x) * u64::from(y) * 256;
            assert!(reached >= count as u64 && reached < count as u64 + 256 * (u64::from(y) + 1), "{count}");
        }
    }
}
