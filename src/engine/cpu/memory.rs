//! Buffers on the host, and the slices of them that a step reads and writes.

use std::io;

use faer::{MatMut, MatRef};
use memmap2::MmapMut;

use super::packed::{Packed, PackedWeights};
use crate::engine::device::{BufferId, EngineError, MemoryUse, Precision, View};
use crate::engine::recording::{Output, Step};

/// Every live buffer; an id is a place in the list. Buffers are pages of their own: zero without being touched, first
/// touched by the thread that fills them, and huge where the system has such pages.
#[derive(Default, Debug)]
pub(super) struct Memory {
    buffers: Vec<Option<MmapMut>>,
    frozen: PackedWeights,
    pub(super) used: MemoryUse,
}

impl Memory {
    pub(super) fn alloc(&mut self, words: usize) -> Result<BufferId, EngineError> {
        let requested = 4 * words as u64;
        let out_of_memory = |_| EngineError::OutOfMemory { requested, in_use: self.used.in_use };
        let buffer = usize::try_from(requested).map_err(io::Error::other).and_then(pages).map_err(out_of_memory)?;
        self.used.grow(requested.max(4));
        let free = self.buffers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.buffers.push(None);
            self.buffers.len() - 1
        });
        self.buffers[free] = Some(buffer);
        Ok(BufferId(u32::try_from(free).expect("fewer than 2^32 buffers")))
    }

    pub(super) fn free(&mut self, buffer: BufferId) {
        if let Some(pages) = self.buffers[buffer.0 as usize].take() {
            self.used.shrink(pages.len() as u64);
        }
        if self.frozen.knows(buffer) {
            self.used.shrink(std::mem::take(&mut self.frozen).bytes());
        }
    }

    /// Keeps packed copies of weights until [`Memory::thaw`], and their pages until a weight is freed.
    pub(super) fn freeze(&mut self, weights: &[View], precision: Precision) -> Result<(), EngineError> {
        let mut frozen = std::mem::take(&mut self.frozen);
        self.used.shrink(frozen.bytes());
        let filled = frozen.fill(weights, precision, |view| Source { data: self.read(view), rows: view.rows, cols: view.cols });
        let requested = weights.iter().map(|view| (view.words() * precision.bytes()) as u64).sum();
        filled.map_err(|_| EngineError::OutOfMemory { requested, in_use: self.used.in_use })?;
        self.used.grow(frozen.bytes());
        self.frozen = frozen;
        Ok(())
    }

    pub(super) fn thaw(&mut self) {
        self.frozen.forget();
    }

    pub(super) fn read(&self, view: View) -> &[f32] {
        let pages = self.buffers[view.buffer.0 as usize].as_ref().expect("a view names a live buffer");
        &bytemuck::cast_slice(pages)[view.range()]
    }

    pub(super) fn write(&mut self, view: View) -> &mut [f32] {
        let pages = self.buffers[view.buffer.0 as usize].as_mut().expect("a view names a live buffer");
        &mut bytemuck::cast_slice_mut(pages)[view.range()]
    }

    /// Whether there is a packed copy of a weight.
    pub(super) fn packed(&self, weight: View) -> bool {
        self.frozen.get(weight).is_some()
    }

    /// What `step` reads and writes.
    ///
    /// # Panics
    /// When it writes what it reads, or writes a word twice.
    pub(super) fn operands<'a>(&'a mut self, step: &'a Step, scratch: &'a mut Vec<f32>) -> Frame<'a> {
        let mut frames = self.operands_of(std::slice::from_ref(step), std::slice::from_mut(scratch));
        frames.pop().expect("one a step")
    }

    /// The same of steps that run at once, each with its scratch memory.
    ///
    /// # Panics
    /// When one writes what any reads, or a word is written twice.
    #[expect(unsafe_code, reason = "reads and writes may share a buffer, which slices of it cannot express")]
    pub(super) fn operands_of<'a>(&'a mut self, steps: &'a [Step], scratch: &'a mut [Vec<f32>]) -> Vec<Frame<'a>> {
        let outputs = || steps.iter().flat_map(|step| step.outputs.iter().flatten().map(move |output| (step, output.view)));
        for (place, (step, view)) in outputs().enumerate() {
            let others = outputs().skip(place + 1).map(|(_, view)| view);
            let mut used = steps.iter().flat_map(|step| step.inputs.iter().flatten().copied()).chain(others);
            let clash = used.find(|other| view.overlaps(*other));
            assert!(clash.is_none(), "`{}` writes {view:?} and uses {clash:?}", step.op.name());
            assert!(!self.packed(view), "`{}` writes frozen {view:?}", step.op.name());
        }
        let Self { buffers, frozen, .. } = self;
        let frames = steps.iter().zip(scratch).map(|(step, scratch)| {
            let outputs = step.outputs.iter().map(|output| {
                output.map(|Output { view, accumulate }| {
                    let (data, words) = raw(buffers, view);
                    // SAFETY: the words are initialised and inside a buffer that stays borrowed; as was just checked, no
                    // other operand covers them.
                    let data = unsafe { std::slice::from_raw_parts_mut(data, words) };
                    Target { data, rows: view.rows, cols: view.cols, accumulate }
                })
            });
            let outputs = outputs.collect();
            let inputs = step.inputs.iter().map(|view| {
                view.map(|view| {
                    let (data, words) = raw(buffers, view);
                    // SAFETY: as above, and only other inputs may cover them.
                    let data = unsafe { std::slice::from_raw_parts(data, words) };
                    Source { data, rows: view.rows, cols: view.cols }
                })
            });
            Frame { step, inputs: inputs.collect(), outputs, frozen, scratch }
        });
        frames.collect()
    }
}

/// Zeros in pages of their own, huge where the system has such: small ones do as well, only slower.
pub(super) fn pages(bytes: usize) -> io::Result<MmapMut> {
    let pages = MmapMut::map_anon(bytes.max(4))?;
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Ok(pages)
}

/// Where a view's words are, and how many. Unlike a slice this claims nothing about the rest of the buffer.
fn raw(buffers: &mut [Option<MmapMut>], view: View) -> (*mut f32, usize) {
    let pages = buffers[view.buffer.0 as usize].as_mut().expect("a view names a live buffer");
    let words: &mut [f32] = bytemuck::cast_slice_mut(pages);
    assert!(view.range().end <= words.len(), "a view lies within its buffer");
    (words.as_mut_ptr().wrapping_add(view.offset), view.words())
}

/// A matrix that a kernel reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<'a> Source<'a> {
    /// The words as u32.
    pub(super) fn words(self) -> &'a [u32] {
        bytemuck::cast_slice(self.data)
    }

    /// As faer sees it.
    pub(super) fn matrix(self) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice(self.data, self.rows, self.cols)
    }

    /// One row.
    pub(super) fn row(self, at: usize) -> &'a [f32] {
        &self.data[at * self.cols..(at + 1) * self.cols]
    }
}

/// A matrix that a kernel overwrites or adds to.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) accumulate: bool,
}

impl<'a> Target<'a> {
    /// As faer sees it.
    pub(super) fn matrix(&mut self) -> MatMut<'_, f32> {
        MatMut::from_row_major_slice_mut(self.data, self.rows, self.cols)
    }

    /// As faer sees it, for good.
    pub(super) fn into_matrix(self) -> MatMut<'a, f32> {
        MatMut::from_row_major_slice_mut(self.data, self.rows, self.cols)
    }

    /// Makes it something to add to: zero, unless it is added to already.
    pub(super) fn clear(&mut self) {
        if !std::mem::replace(&mut self.accumulate, true) {
            super::parallel::pieces(self.data, 1 << 16, |_, data| data.fill(0.0));
        }
    }

    /// Columns of a target of one row.
    pub(super) fn part(&mut self, columns: std::ops::Range<usize>) -> Target<'_> {
        let (cols, accumulate) = (columns.len(), self.accumulate);
        Target { data: &mut self.data[columns], rows: 1, cols, accumulate }
    }
}

/// A step's operands.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) step: &'a Step,
    inputs: Vec<Option<Source<'a>>>,
    outputs: Vec<Option<Target<'a>>>,
    frozen: &'a PackedWeights,
    /// Memory that the device keeps between steps: see [`lend`].
    pub(super) scratch: &'a mut Vec<f32>,
}

/// Two pieces of scratch memory of undefined content.
pub(super) fn lend(scratch: &mut Vec<f32>, first: usize, second: usize) -> (&mut [f32], &mut [f32]) {
    if scratch.len() < first + second {
        scratch.resize(first + second, 0.0);
    }
    scratch[..first + second].split_at_mut(first)
}

impl<'a> Frame<'a> {
    /// The input at `place`.
    pub(super) fn input(&self, place: usize) -> Source<'a> {
        self.inputs[place].expect("an op's required input is there")
    }

    /// The optional input at `place`.
    pub(super) fn option(&self, place: usize) -> Option<Source<'a>> {
        self.inputs[place]
    }

    /// The packed copy of the weight at `place`, where it is frozen.
    pub(super) fn packed(&self, place: usize) -> Option<Packed<'a>> {
        self.frozen.get(self.step.input(place))
    }

    /// The output at `place`, once.
    pub(super) fn output(&mut self, place: usize) -> Target<'a> {
        self.target(place).expect("an op's required output is there")
    }

    /// The optional output at `place`, once.
    pub(super) fn target(&mut self, place: usize) -> Option<Target<'a>> {
        self.outputs[place].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::op::add::Add;
    use crate::engine::recording::Pass;

    fn step(input: View, output: View) -> Step {
        let (inputs, outputs) = (vec![Some(input), None], vec![Output::set(output)]);
        Step { op: &Add, pass: Pass::Forward, params: [0; 8], inputs, outputs }
    }

    #[test]
    fn one_buffer_may_hold_what_is_read_and_what_is_written() {
        let mut memory = Memory::default();
        let buffer = memory.alloc(8).unwrap();
        let (low, high) = (View::new(buffer, 1, 4), View { offset: 4, ..View::new(buffer, 1, 4) });
        memory.write(low).fill(3.0);
        let step = step(low, high);
        let mut scratch = Vec::new();
        let mut frame = memory.operands(&step, &mut scratch);
        frame.output(0).data.copy_from_slice(frame.input(0).data);
        assert_eq!(memory.read(high), [3.0; 4]);
    }

    #[test]
    #[should_panic(expected = "`add` writes")]
    fn a_step_must_not_write_what_it_reads() {
        let mut memory = Memory::default();
        let buffer = memory.alloc(8).unwrap();
        let view = View::new(buffer, 1, 8);
        memory.operands(&step(view.row_range(0, 1), view), &mut Vec::new());
    }
}
