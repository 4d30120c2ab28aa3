//! The `gpu` device: every step of a [`Recording`] becomes dispatches of WGSL kernels (`shaders/`), and a recording
//! one command buffer, on Vulkan, Metal or DX12 through wgpu.
//!
//! [`lower`] says which dispatches an op is, [`encode`] binds and submits them.
//!
//! **Invariant:** no float atomics and no order left to chance: one adapter and driver, same bits.

mod adapter;
mod dispatch;
mod encode;
mod halves;
mod kept;
mod lower;
mod memory;
mod pipeline;
mod probes;
mod shader;
mod transfer;
mod tune;
mod tuning;

pub use adapter::{Choice, adapters, chosen};
pub use dispatch::{BINDINGS, Kernel};
pub use lower::every_kernel;
pub use probes::Probe;
pub use shader::{Constant, SOURCES, SUBGROUPS, expand};
pub use tune::Measured;
pub use tuning::{KNOBS, Knob, Tuning};

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::{BufferId, Device, DeviceInfo, EngineError, MemoryUse, Precision, Recording, View};

use adapter::Opened;
use encode::Encoder;
use kept::{Identity, Kept};
use memory::Memory;
use transfer::Transfer;

/// A graphics processor, or a software adapter for tests.
#[derive(Debug)]
pub struct Gpu {
    opened: Opened,
    tuning: Tuning,
    halves: lower::Halves,
    /// Matrix units that nothing has been multiplied by yet.
    unproven: Option<lower::Cooperative>,
    memory: Memory,
    encoder: Encoder,
    transfer: Transfer,
    /// Where compiled kernels go.
    kept: Option<Kept>,
}

/// Compiling that is worth a write to the disk before the device is given up.
const WORTH_KEEPING: Duration = Duration::from_millis(500);

impl Gpu {
    /// Opens an adapter with the table of its kind; nothing is read from the disk or kept there.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] when there is none of that kind.
    pub fn open(choice: Choice) -> Result<Self, EngineError> {
        let opened = adapter::open(choice)?;
        let tuning = table(&opened.info);
        Ok(Self::with(opened, tuning))
    }

    /// Opens an adapter with a given choice of kernels: tests run a GPU's on software adapters.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_with(choice: Choice, tuning: Tuning) -> Result<Self, EngineError> {
        Ok(Self::with(adapter::open(choice)?, tuning))
    }

    /// Opens an adapter with what `folder` knows of it. A graphics processor of which nothing is known is measured first,
    /// once, for some seconds. A software driver never is: it is a test bed, and measuring it takes longer than using it.
    ///
    /// # Errors
    /// As [`Gpu::open`], and when the device is lost while it is measured.
    pub fn open_kept(choice: Choice, folder: &Path) -> Result<Self, EngineError> {
        let mut gpu = Self::open(choice)?;
        let kept = gpu.kept_in(folder);
        gpu.encoder.pipelines.remember(&gpu.opened.device, kept.pipelines().as_deref());
        gpu.kept = Some(kept.clone());
        if let Some(tuning) = kept.tuning(gpu.tuning) {
            gpu.tuning = Self::limited(tuning, &gpu.opened);
        } else if !adapter::is_software(&gpu.opened.info) {
            gpu.tune_first(&kept)?;
        }
        Ok(gpu)
    }

    /// Measures the choices between kernels and takes the fastest, starting from the table of the adapter's kind, so that
    /// what was kept before has no part in it. Sizes are quartered `quarters` times; `None` lets the adapter's speed decide.
    ///
    /// # Errors
    /// When the device is out of memory or lost; its choices are then as they were.
    pub fn tune(&mut self, quarters: Option<u32>) -> Result<Vec<Measured>, EngineError> {
        let before = std::mem::replace(&mut self.tuning, Self::limited(table(&self.opened.info), &self.opened));
        let measured = tune::tune(self, quarters);
        if measured.is_err() {
            self.tuning = before;
        }
        measured
    }

    /// Keeps the choices at hand in `folder`, for [`Gpu::open_kept`], and says in which file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_tuning(&self, folder: &Path) -> io::Result<PathBuf> {
        let kept = self.kept_in(folder);
        kept.keep(&self.tuning)?;
        Ok(kept.table())
    }

    /// Whether products of halves can use matrix units: the adapter says so, and one has come out right.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    pub fn has_matrix_units(&mut self) -> Result<bool, EngineError> {
        self.prove()?;
        Ok(self.halves.cooperative.is_some())
    }

    /// Whether kernels can reduce by subgroups here.
    pub fn has_subgroups(&self) -> bool {
        self.opened.has_subgroups()
    }

    /// The choices at hand.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// Gives the adapter up; every later call fails as if the driver had lost it.
    pub fn abandon(&mut self) {
        self.opened.device.destroy();
    }

    fn with(opened: Opened, tuning: Tuning) -> Self {
        Self {
            tuning: Self::limited(tuning, &opened),
            halves: lower::Halves::default(),
            unproven: opened.claims,
            opened,
            memory: Memory::default(),
            encoder: Encoder::default(),
            transfer: Transfer::default(),
            kept: None,
        }
    }

    /// Writes down what the driver has compiled, for later runs to start with. A disk that refuses costs them the time.
    fn keep_pipelines(&mut self) {
        if let Some(kept) = &self.kept
            && let Some(data) = self.encoder.pipelines.take_data()
        {
            kept.keep_pipelines(&data).ok();
        }
    }

    /// The same within what the adapter can do.
    fn limited(tuning: Tuning, opened: &Opened) -> Tuning {
        let subgroups = tuning.subgroups && opened.has_subgroups();
        Tuning { subgroups, binding_words: tuning.binding_words.min(binding_words(opened)), ..tuning }
    }

    fn kept_in(&self, folder: &Path) -> Kept {
        Kept::new(folder, Identity::of(&self.opened.info))
    }

    fn tune_first(&mut self, kept: &Kept) -> Result<(), EngineError> {
        let before = self.tuning;
        match self.tune(None) {
            // another process may have been faster: two that run side by side give the same bits
            Ok(_) => match kept.tuning(before) {
                Some(theirs) => self.tuning = Self::limited(theirs, &self.opened),
                // what cannot be kept would be another table, and other last bits, at every run
                None if kept.keep(&self.tuning).is_err() => self.tuning = before,
                None => {}
            },
            // too little memory for the probes may be enough for a small model, and a kernel of theirs may not be among its own
            Err(EngineError::OutOfMemory { .. } | EngineError::Kernel { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The table of an adapter's kind.
fn table(info: &wgpu::AdapterInfo) -> Tuning {
    if adapter::is_software(info) { Tuning::SOFTWARE } else { Tuning::GPU }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if !self.encoder.pipelines.unkept().is_zero() {
            self.keep_pipelines();
        }
    }
}

/// Words that can be bound at once wherever they begin: a binding's offset is rounded down, and its end up.
fn binding_words(opened: &Opened) -> usize {
    let words = usize::try_from(opened.limits.max_storage_buffer_binding_size / 4).unwrap_or(usize::MAX);
    words.saturating_sub(2 * View::ALIGN)
}

impl Device for Gpu {
    fn describe(&self) -> DeviceInfo {
        adapter::describe(&self.opened.info, &self.opened.limits)
    }

    fn alloc(&mut self, words: usize) -> Result<BufferId, EngineError> {
        self.opened.faults.check()?;
        self.memory.alloc(&self.opened, words)
    }

    fn free(&mut self, buffer: BufferId) {
        self.memory.free(buffer);
        self.encoder.forget_bindings();
    }

    fn write_f32(&mut self, view: View, data: &[f32]) -> Result<(), EngineError> {
        self.transfer.write(&self.opened, self.memory.owned(view.buffer), view, bytemuck::cast_slice(data))
    }

    fn write_u32(&mut self, view: View, data: &[u32]) -> Result<(), EngineError> {
        self.transfer.write(&self.opened, self.memory.owned(view.buffer), view, bytemuck::cast_slice(data))
    }

    fn read_f32(&mut self, view: View) -> Result<Vec<f32>, EngineError> {
        self.transfer.read(&self.opened, self.memory.owned(view.buffer), view)
    }

    fn read_u32(&mut self, view: View) -> Result<Vec<u32>, EngineError> {
        self.transfer.read(&self.opened, self.memory.owned(view.buffer), view)
    }

    fn run(&mut self, recording: &Recording) -> Result<(), EngineError> {
        self.opened.faults.check()?;
        let dispatches = lower::recording(recording, &self.tuning, &self.halves)?;
        self.encoder.submit(&self.opened, &mut self.memory, &dispatches)?;
        if self.encoder.pipelines.unkept() >= WORTH_KEEPING {
            self.keep_pipelines();
        }
        Ok(())
    }

    fn freeze(&mut self, weights: &[View], precision: Precision) -> Result<(), EngineError> {
        halves::freeze(self, weights, precision)
    }

    fn thaw(&mut self) {
        self.unhalve();
    }

    fn memory(&self) -> MemoryUse {
        self.memory.used
    }
}
