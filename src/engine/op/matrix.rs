//! What oracles see: matrices on the host. An absent optional one has no rows, and writing to it does nothing.

use super::float::Float;

/// A row-major (rows, cols) matrix of numbers, or of words.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Matrix<T> {
    pub rows: usize,
    pub cols: usize,
    pub numbers: Vec<T>,
    pub words: Vec<u32>,
}

impl<T: Float> Matrix<T> {
    /// Whether the optional input or output is there.
    pub fn present(&self) -> bool {
        self.rows > 0
    }

    /// The number at (r, c).
    pub fn at(&self, r: usize, c: usize) -> T {
        self.numbers[r * self.cols + c]
    }

    /// The word at (r, c), as an index.
    pub fn word(&self, r: usize, c: usize) -> usize {
        self.words[r * self.cols + c] as usize
    }

    /// Overwrites (r, c).
    pub fn set(&mut self, r: usize, c: usize, x: T) {
        if self.present() {
            self.numbers[r * self.cols + c] = x;
        }
    }

    /// Adds to (r, c).
    pub fn add(&mut self, r: usize, c: usize, x: T) {
        if self.present() {
            self.numbers[r * self.cols + c] += x;
        }
    }

    /// Overwrites everything.
    pub fn fill(&mut self, x: T) {
        self.numbers.fill(x);
    }
}

/// The N inputs of an op.
pub fn inputs<T, const N: usize>(inputs: &[Matrix<T>]) -> [&Matrix<T>; N] {
    assert_eq!(inputs.len(), N, "a step carries its op's inputs");
    std::array::from_fn(|place| &inputs[place])
}

/// The N outputs of an op.
pub fn outputs<T: Float, const N: usize>(outputs: &mut [Matrix<T>]) -> [&mut Matrix<T>; N] {
    let outputs: Vec<&mut Matrix<T>> = outputs.iter_mut().collect();
    outputs.try_into().expect("a step carries its op's outputs")
}
