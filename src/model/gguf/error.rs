//! What can be wrong with a GGUF file, and with asking it for something it does not hold.

use std::path::PathBuf;

/// A mistake in a GGUF file, or in how one is used.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("`{}` is damaged at byte {at}: {reason}", path.display())]
    Damaged { path: PathBuf, at: u64, reason: String },
    #[error("`{}`: {feature} is not supported; supported: {supported}", path.display())]
    Unsupported { path: PathBuf, feature: String, supported: String },
    #[error("`{}` has no metadata key `{key}`", path.display())]
    MissingKey { path: PathBuf, key: String },
    #[error("`{}` has no valid metadata key `{key}`: {reason}", path.display())]
    Key { path: PathBuf, key: String, reason: String },
    #[error("`{}` has no tensor `{tensor}`", path.display())]
    MissingTensor { path: PathBuf, tensor: String },
    #[error("tensor `{tensor}` in `{}` has shape {found:?}, expected {expected}", path.display())]
    Shape { path: PathBuf, tensor: String, found: Vec<usize>, expected: String },
    #[error("number {index} of tensor `{tensor}` in `{}` is not finite", path.display())]
    NotFinite { path: PathBuf, tensor: String, index: usize },
    #[error("{feature} has no place in a GGUF file; supported: {supported}")]
    NoPlace { feature: String, supported: String },
    #[error("`{}` cannot be written: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
    #[error("numbers cannot be written as {format}: {reason}")]
    Unencodable { format: &'static str, reason: String },
}

impl GgufError {
    /// The same, of a tensor.
    pub(in super::super) fn of(self, tensor: &str) -> Self {
        match self {
            Self::Unencodable { format, reason } => Self::Unencodable { format, reason: format!("{reason} in tensor `{tensor}`") },
            other => other,
        }
    }
}
