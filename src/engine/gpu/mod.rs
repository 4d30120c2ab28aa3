//! The `gpu` device: every step of a [`Recording`] becomes dispatches of WGSL kernels (`shaders/`), and a recording
//! one command buffer, on Vulkan, Metal or DX12 through wgpu.
//!
//! [`lower`] says which dispatches an op is, [`encode`] binds and submits them.
//!
//! **Invariant:** no float atomics and no order left to chance: one adapter and driver, same bits.

mod adapter;
mod dispatch;
mod encode;
mod lower;
mod memory;
mod pipeline;
mod shader;
mod transfer;

pub use adapter::{Choice, adapters, chosen};
pub use dispatch::{BINDINGS, Kernel};
pub use lower::{Tuning, every_kernel};
pub use shader::{Constant, SOURCES, expand};

use crate::engine::{BufferId, Device, DeviceInfo, EngineError, MemoryUse, Recording, View};

use adapter::Opened;
use encode::Encoder;
use memory::Memory;
use transfer::Transfer;

/// A graphics processor, or a software adapter for tests.
#[derive(Debug)]
pub struct Gpu {
    opened: Opened,
    tuning: Tuning,
    memory: Memory,
    encoder: Encoder,
    transfer: Transfer,
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] when there is none of that kind.
    pub fn open(choice: Choice) -> Result<Self, EngineError> {
        let opened = adapter::open(choice)?;
        let tuning = if adapter::is_software(&opened.info) { Tuning::SOFTWARE } else { Tuning::GPU };
        Ok(Self::with(opened, tuning))
    }

    /// Opens an adapter with a given choice of kernels: tests run a GPU's on software adapters.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_with(choice: Choice, tuning: Tuning) -> Result<Self, EngineError> {
        Ok(Self::with(adapter::open(choice)?, tuning))
    }

    /// Gives the adapter up; every later call fails as if the driver had lost it.
    pub fn abandon(&mut self) {
        self.opened.device.destroy();
    }

    fn with(opened: Opened, tuning: Tuning) -> Self {
        let binding_words = tuning.binding_words.min(binding_words(&opened));
        Self {
            opened,
            tuning: Tuning { binding_words, ..tuning },
            memory: Memory::default(),
            encoder: Encoder::default(),
            transfer: Transfer::default(),
        }
    }
}

fn binding_words(opened: &Opened) -> usize {
    usize::try_from(opened.limits.max_storage_buffer_binding_size / 4).unwrap_or(usize::MAX)
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
        let dispatches = lower::recording(recording, &self.tuning)?;
        self.encoder.submit(&self.opened, &mut self.memory, &dispatches)
    }

    fn memory(&self) -> MemoryUse {
        self.memory.used
    }
}
