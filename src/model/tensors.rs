//! Named tensors in files of any format: all that a network asks of where its numbers are.

use std::path::Path;

use super::ModelError;
use super::gguf::Gguf;

/// Tensors under the names and in the layout of `transformers`, read one at a time.
pub trait Tensors: std::fmt::Debug + Send + Sync {
    /// The names of all tensors, sorted.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;

    /// The file that holds a tensor, or the first file.
    fn path_of(&self, name: &str) -> &Path;

    /// Checks that a tensor is there, has this shape and a format that can be read.
    ///
    /// # Errors
    /// When one of these does not hold.
    fn check(&self, name: &str, expected: &[usize]) -> Result<(), ModelError>;

    /// Reads a tensor as f32, row-major.
    ///
    /// # Errors
    /// When it is missing, cannot be read, or is not finite.
    fn read(&self, name: &str) -> Result<Vec<f32>, ModelError>;
}

impl Tensors for Gguf {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.names())
    }

    fn path_of(&self, _: &str) -> &Path {
        self.path()
    }

    fn check(&self, name: &str, expected: &[usize]) -> Result<(), ModelError> {
        let path = || self.path().to_owned();
        let (Some(found), Some(format)) = (self.shape(name), self.block_format(name)) else {
            return Err(ModelError::MissingTensor { path: path(), tensor: name.into() });
        };
        if found != expected {
            let (found, expected) = (found.to_vec(), expected.to_vec());
            return Err(ModelError::Shape { path: path(), tensor: name.into(), found, expected });
        }
        if !format.is_readable() {
            return Err(ModelError::Format { path: path(), tensor: name.into(), found: format.name.into() });
        }
        Ok(())
    }

    /// Numbers of quantised blocks are rounded to f16, as converters to Hugging Face's layout store them, so that a
    /// network computes the same from its GGUF as from a converted folder. That is a hundredth of a block's own error.
    fn read(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let mut numbers = self.read(name)?;
        if self.block_format(name).is_some_and(|format| format.block_len > 1) {
            numbers.iter_mut().for_each(|x| *x = half::f16::from_f32(*x).to_f32());
        }
        Ok(numbers)
    }
}
