//! The native device: threads and vector instructions over host memory.
//!
//! Every kernel reads and writes slices that [`memory`] hands out; results are the same for any number of threads.

mod adapter;
mod ahead;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod amx;
mod attention;
mod attention_one;
mod awake;
mod elementwise;
mod few_rows;
mod gelu;
mod head;
mod kl;
mod linear;
mod linear_blocks;
mod matmul;
mod memory;
mod nf4;
mod norms;
mod packed;
mod parallel;
mod rows;
mod simd;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tiles;
mod vector;

use memory::{Frame, Memory};
use simd::Level;

use super::device::{BufferId, Device, DeviceInfo, DeviceKind, EngineError, MemoryUse, Precision, View};
use super::recording::{Pass, Recording, Step};

/// A native kernel.
type Kernel = fn(&mut Frame<'_>);

/// The kernel of each op, forward and backward.
const KERNELS: &[(&str, Kernel, Option<Kernel>)] = &[
    ("adamw", elementwise::adamw, None),
    ("add", elementwise::add, None),
    ("attention", attention::forward, Some(attention::backward)),
    ("embed", rows::pick, Some(rows::pick_backward)),
    ("fill", elementwise::fill, None),
    ("gather", rows::pick, Some(rows::pick_backward)),
    ("gelu", gelu::forward, Some(gelu::backward)),
    ("kl", kl::forward, Some(kl::backward)),
    ("layer_norm", norms::layer_norm, Some(norms::layer_norm_backward)),
    ("linear", linear::forward, Some(linear::backward)),
    ("linear_blocks", linear_blocks::forward, Some(linear_blocks::backward)),
    ("linear_logp", head::forward, Some(head::backward)),
    ("magnitude", adapter::magnitude, Some(adapter::magnitude_backward)),
    ("merged_norm", adapter::merged_norm, None),
    ("norm_sq", elementwise::norm_sq, None),
    ("rms_norm", norms::rms_norm, Some(norms::rms_norm_backward)),
    ("rope", rows::rope, Some(rows::rope_backward)),
    ("scale", adapter::scale, Some(adapter::scale)),
    ("scatter", rows::scatter, None),
    ("swiglu", elementwise::swiglu, Some(elementwise::swiglu_backward)),
];

/// The processor as a device.
#[derive(Debug)]
pub struct CpuDevice {
    memory: Memory,
    scratch: Vec<f32>,
    threads: rayon::ThreadPool,
}

impl CpuDevice {
    /// The processor with so many threads; `None` takes one per core that this process may use.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: Option<usize>) -> Result<Self, EngineError> {
        // before other threads are there: see `amx`
        matmul::unit();
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .thread_name(|at| format!("align-cpu-{at}"))
            .build()
            .map_err(|error| EngineError::NoDevice { wanted: "cpu", reason: error.to_string() })?;
        Ok(Self { memory: Memory::default(), scratch: Vec::new(), threads })
    }
}

fn kernel(step: &Step) -> Result<Kernel, EngineError> {
    let missing = EngineError::MissingKernel { op: step.op.name(), pass: step.pass, device: "cpu" };
    let (_, forward, backward) = KERNELS.iter().find(|(name, ..)| *name == step.op.name()).ok_or(missing.clone())?;
    match step.pass {
        Pass::Forward => Ok(*forward),
        Pass::Backward => backward.ok_or(missing),
    }
}

impl Device for CpuDevice {
    fn describe(&self) -> DeviceInfo {
        let matrix_unit = if matmul::unit().is_some() { ", amx" } else { "" };
        DeviceInfo {
            kind: DeviceKind::Cpu,
            name: "processor".to_owned(),
            backend: "native".to_owned(),
            features: format!("{} threads, {}{}", self.threads.current_num_threads(), Level::best().name(), matrix_unit),
            memory: None,
        }
    }

    fn alloc(&mut self, words: usize) -> Result<BufferId, EngineError> {
        self.memory.alloc(words)
    }

    fn free(&mut self, buffer: BufferId) {
        self.memory.free(buffer);
    }

    fn write_f32(&mut self, view: View, data: &[f32]) -> Result<(), EngineError> {
        self.memory.write(view).copy_from_slice(data);
        Ok(())
    }

    fn write_u32(&mut self, view: View, data: &[u32]) -> Result<(), EngineError> {
        self.memory.write(view).copy_from_slice(bytemuck::cast_slice(data));
        Ok(())
    }

    fn read_f32(&mut self, view: View) -> Result<Vec<f32>, EngineError> {
        Ok(self.memory.read(view).to_vec())
    }

    fn read_u32(&mut self, view: View) -> Result<Vec<u32>, EngineError> {
        Ok(bytemuck::cast_slice(self.memory.read(view)).to_vec())
    }

    fn run(&mut self, recording: &Recording) -> Result<(), EngineError> {
        let Self { memory, scratch, threads } = self;
        let run = || {
            let mut steps = &recording.steps[..];
            while let Some(step) = steps.first() {
                let alike = linear::alike(steps, memory);
                if alike > 0 {
                    linear::forward_alike(memory.operands_of(&steps[..alike], &mut vec![Vec::new(); alike]));
                } else {
                    kernel(step)?(&mut memory.operands(step, scratch));
                }
                steps = &steps[alike.max(1)..];
            }
            Ok(())
        };
        threads.install(|| awake::during(run))
    }

    fn freeze(&mut self, weights: &[View], precision: Precision) -> Result<(), EngineError> {
        let Self { memory, threads, .. } = self;
        threads.install(|| memory.freeze(weights, precision))
    }

    fn thaw(&mut self) {
        self.memory.thaw();
    }

    fn memory(&self) -> MemoryUse {
        self.memory.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::op::OPS;

    #[test]
    fn every_op_has_its_kernel() {
        let names: Vec<_> = OPS.iter().map(|op| op.name()).collect();
        assert_eq!(names, KERNELS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        for (op, (_, _, backward)) in OPS.iter().zip(KERNELS) {
            assert_eq!(op.differentiable() && op.name() != "add", backward.is_some(), "{}", op.name());
        }
    }
}
