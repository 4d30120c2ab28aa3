//! A device that runs every op's oracle, in f32 or f64: slow, simple, and what the others are compared with.

use std::collections::BTreeMap;

use super::device::{BufferId, Device, DeviceInfo, DeviceKind, EngineError, MemoryUse, View};
use super::op::float::Float;
use super::op::matrix::Matrix;
use super::recording::{Recording, Step};

#[derive(Clone, Default, Debug)]
struct Buffer<T> {
    numbers: Vec<T>,
    words: Vec<u32>,
}

/// Memory of T and the naive loops.
#[derive(Default, Debug)]
pub struct OracleDevice<T> {
    buffers: BTreeMap<BufferId, Buffer<T>>,
    next: u32,
    memory: MemoryUse,
}

/// The two numbers that ops know their oracle in.
pub trait OracleNumber: Float {
    /// Calls the step's oracle.
    fn run(step: &Step, inputs: &[Matrix<Self>], outputs: &mut [Matrix<Self>]);
}

impl OracleNumber for f32 {
    fn run(step: &Step, inputs: &[Matrix<Self>], outputs: &mut [Matrix<Self>]) {
        step.op.oracle_f32(step.pass, &step.params, inputs, outputs);
    }
}

impl OracleNumber for f64 {
    fn run(step: &Step, inputs: &[Matrix<Self>], outputs: &mut [Matrix<Self>]) {
        step.op.oracle_f64(step.pass, &step.params, inputs, outputs);
    }
}

impl<T: OracleNumber> OracleDevice<T> {
    /// An empty device.
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers of a view as they are held.
    pub fn read(&self, view: View) -> &[T] {
        &self.buffers[&view.buffer].numbers[view.range()]
    }

    /// Overwrites a view with numbers as they are held.
    pub fn write(&mut self, view: View, data: &[T]) {
        self.buffer(view).numbers[view.range()].copy_from_slice(data);
    }

    fn buffer(&mut self, view: View) -> &mut Buffer<T> {
        self.buffers.get_mut(&view.buffer).expect("a view names a live buffer")
    }

    fn matrix(&self, view: Option<View>) -> Matrix<T> {
        let Some(view) = view else { return Matrix::default() };
        let buffer = &self.buffers[&view.buffer];
        let (numbers, words) = (buffer.numbers[view.range()].to_vec(), buffer.words[view.range()].to_vec());
        Matrix { rows: view.rows, cols: view.cols, numbers, words }
    }

    fn step(&mut self, step: &Step) {
        let inputs: Vec<_> = step.inputs.iter().map(|view| self.matrix(*view)).collect();
        let mut outputs: Vec<_> = step.outputs.iter().map(|o| self.matrix(o.map(|o| o.view))).collect();
        T::run(step, &inputs, &mut outputs);
        for (output, matrix) in step.outputs.iter().zip(outputs) {
            let Some(output) = output else { continue };
            let to = &mut self.buffer(output.view).numbers[output.view.range()];
            for (to, new) in to.iter_mut().zip(matrix.numbers) {
                *to = if output.accumulate { *to + new } else { new };
            }
        }
    }
}

impl<T: OracleNumber> Device for OracleDevice<T> {
    fn describe(&self) -> DeviceInfo {
        let features = format!("f{}", 8 * size_of::<T>());
        let (name, backend) = ("oracle".to_owned(), "naive loops".to_owned());
        DeviceInfo { kind: DeviceKind::Cpu, name, backend, features, memory: None }
    }

    fn alloc(&mut self, words: usize) -> Result<BufferId, EngineError> {
        let id = BufferId(self.next);
        self.next += 1;
        self.memory.grow(4 * words as u64);
        self.buffers.insert(id, Buffer { numbers: vec![T::default(); words], words: vec![0; words] });
        Ok(id)
    }

    fn free(&mut self, buffer: BufferId) {
        if let Some(buffer) = self.buffers.remove(&buffer) {
            self.memory.shrink(4 * buffer.words.len() as u64);
        }
    }

    fn write_f32(&mut self, view: View, data: &[f32]) -> Result<(), EngineError> {
        let data: Vec<T> = data.iter().map(|x| T::of(f64::from(*x))).collect();
        self.write(view, &data);
        Ok(())
    }

    fn write_u32(&mut self, view: View, data: &[u32]) -> Result<(), EngineError> {
        self.buffer(view).words[view.range()].copy_from_slice(data);
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the caller asks for f32")]
    fn read_f32(&mut self, view: View) -> Result<Vec<f32>, EngineError> {
        Ok(self.read(view).iter().map(|x| x.wide() as f32).collect())
    }

    fn read_u32(&mut self, view: View) -> Result<Vec<u32>, EngineError> {
        Ok(self.buffers[&view.buffer].words[view.range()].to_vec())
    }

    fn run(&mut self, recording: &Recording) -> Result<(), EngineError> {
        for step in &recording.steps {
            self.step(step);
        }
        Ok(())
    }

    fn memory(&self) -> MemoryUse {
        self.memory
    }
}
