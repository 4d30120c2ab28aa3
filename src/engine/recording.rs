//! A recorded list of steps, and the [`Recorder`] that writes it.
//!
//! Each op adds its own method to [`Recorder`] in its own file: `rec.linear(x, weight, None)` appends a step and
//! returns the view of its result. Shapes are checked here, once; a wrong shape is a bug, so it panics.

use std::collections::BTreeSet;
use std::fmt;

use super::arena::Arena;
use super::device::{BufferId, Device, EngineError, View};
use super::op::Op;

/// Words of parameters that a step carries; f32 as its bits.
pub const PARAM_WORDS: usize = 8;

/// Which of an op's two kernels a step runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pass {
    Forward,
    Backward,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        })
    }
}

/// Where a step writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Output {
    pub view: View,
    /// true: `+=`; false: `=`.
    pub accumulate: bool,
}

impl Output {
    /// Overwrites `view`.
    pub fn set(view: View) -> Option<Self> {
        Some(Self { view, accumulate: false })
    }
}

/// One kernel call. Places are fixed per op (see its file); an absent optional one is `None`.
#[derive(Clone, Debug)]
pub struct Step {
    pub op: &'static dyn Op,
    pub pass: Pass,
    pub params: [u32; PARAM_WORDS],
    pub inputs: Vec<Option<View>>,
    pub outputs: Vec<Option<Output>>,
}

impl Step {
    /// The input at a place that is never absent.
    pub fn input(&self, place: usize) -> View {
        self.inputs[place].expect("an op's required input is there")
    }

    /// The output at a place that is never absent.
    pub fn output(&self, place: usize) -> View {
        self.outputs[place].expect("an op's required output is there").view
    }

    /// The parameters as the op's own struct.
    pub fn params<P: bytemuck::Pod>(&self) -> P {
        params(&self.params)
    }
}

/// An op's parameter struct as words.
pub fn words<P: bytemuck::Pod>(params: &P) -> [u32; PARAM_WORDS] {
    let mut words = [0; PARAM_WORDS];
    let from: &[u32] = bytemuck::cast_slice(std::slice::from_ref(params));
    words[..from.len()].copy_from_slice(from);
    words
}

/// The inverse of [`words`].
pub fn params<P: bytemuck::Pod>(words: &[u32; PARAM_WORDS]) -> P {
    bytemuck::pod_read_unaligned(&bytemuck::cast_slice(words)[..size_of::<P>()])
}

/// Steps to run in order.
#[derive(Clone, Default, Debug)]
pub struct Recording {
    pub steps: Vec<Step>,
}

/// Row numbers on the device, with what a race-free, ordered sum over equal numbers needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indices {
    /// u32 (N, 1).
    pub at: View,
    /// u32 (N, 1): the places 0..N sorted by `at`, equal ones in order. A kernel lets the first place of each run of
    /// equal numbers sum its whole run.
    pub order: View,
}

/// Records steps. The first failed allocation is kept and returned by [`Recorder::finish`].
#[derive(Debug)]
pub struct Recorder<'d> {
    device: &'d mut dyn Device,
    arena: &'d mut Arena,
    recording: Recording,
    failed: Option<EngineError>,
}

impl<'d> Recorder<'d> {
    /// Starts a recording. What was recorded with `arena` before must have been run.
    pub fn new(device: &'d mut dyn Device, arena: &'d mut Arena) -> Self {
        arena.begin();
        Self { device, arena, recording: Recording::default(), failed: None }
    }

    /// A temporary (rows, cols) of undefined content. It is the caller's until released or the arena is reset.
    pub fn temp(&mut self, rows: usize, cols: usize) -> View {
        self.take(rows, cols, false)
    }

    fn take(&mut self, rows: usize, cols: usize, untouched: bool) -> View {
        self.arena.take(self.device, rows, cols, untouched).unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            View::new(BufferId(u32::MAX), rows, cols)
        })
    }

    /// A temporary that holds `data` when the recording runs.
    pub fn upload_f32(&mut self, data: &[f32], rows: usize, cols: usize) -> View {
        let view = self.take(rows, cols, true);
        if self.failed.is_none() {
            self.failed = self.device.write_f32(view, data).err();
        }
        view
    }

    /// A temporary that holds `data` when the recording runs.
    pub fn upload_u32(&mut self, data: &[u32], rows: usize, cols: usize) -> View {
        let view = self.take(rows, cols, true);
        if self.failed.is_none() {
            self.failed = self.device.write_u32(view, data).err();
        }
        view
    }

    /// Row numbers and their sorted order, as temporaries.
    pub fn indices(&mut self, rows: &[u32]) -> Indices {
        let mut order: Vec<u32> = (0..u32::try_from(rows.len()).expect("fewer than 2^32 rows")).collect();
        order.sort_by_key(|place| rows[*place as usize]);
        Indices { at: self.upload_u32(rows, rows.len(), 1), order: self.upload_u32(&order, rows.len(), 1) }
    }

    /// Gives a temporary back, for later steps to reuse.
    pub fn release(&mut self, view: View) {
        self.arena.release(view);
    }

    /// Whether `view` is a temporary.
    pub fn is_temp(&self, view: View) -> bool {
        self.arena.holds(view)
    }

    /// Records `body`, then gives back every temporary it took except those that `body` returns in its list.
    /// Inference records each block this way, so that blocks share their memory.
    pub fn scope<const N: usize>(&mut self, body: impl FnOnce(&mut Self) -> [View; N]) -> [View; N] {
        let before: BTreeSet<BufferId> = self.arena.taken().into_iter().collect();
        let kept = body(self);
        for buffer in self.arena.taken() {
            if !before.contains(&buffer) && kept.iter().all(|view| view.buffer != buffer) {
                self.arena.release(View::new(buffer, 0, 0));
            }
        }
        kept
    }

    /// Appends a step as it is.
    pub fn push(&mut self, step: Step) {
        self.recording.steps.push(step);
    }

    /// Appends a forward step.
    pub(super) fn forward(
        &mut self,
        op: &'static dyn Op,
        params: [u32; PARAM_WORDS],
        inputs: Vec<Option<View>>,
        outputs: Vec<Option<Output>>,
    ) {
        self.push(Step { op, pass: Pass::Forward, params, inputs, outputs });
    }

    /// The recording.
    ///
    /// # Errors
    /// The first allocation or upload that failed.
    pub fn finish(self) -> Result<Recording, EngineError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.recording),
        }
    }
}
