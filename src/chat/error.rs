//! What can be wrong with a chat template, and with a conversation put through one.

use std::error::Error as _;

use minijinja::{Error, ErrorKind};

/// Why a template could not be read or rendered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// The source is not a template.
    #[error("line {line}, column {column} of the chat template: {reason}")]
    Syntax { line: usize, column: usize, reason: String },
    /// The template itself refused the conversation, by `raise_exception`.
    #[error("the chat template refuses the conversation: {message}")]
    Raised { message: String },
    /// An expression has no value, where Python would raise.
    #[error("line {line} of the chat template: {reason}")]
    Failed { line: usize, reason: String },
    /// What was asked for and the conversation do not go together.
    #[error("{reason}")]
    Request { reason: String },
}

/// What `raise_exception` puts into the engine's errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// The error that `raise_exception(message)` is.
pub(super) fn raised(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message))
}

/// A request that cannot be met.
pub(super) fn request(reason: impl Into<String>) -> TemplateError {
    TemplateError::Request { reason: reason.into() }
}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        let line = error.line().unwrap_or(1);
        let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        if error.kind() == ErrorKind::SyntaxError {
            return Self::Syntax { line, column: 1, reason };
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(Raised(message)) = cause.downcast_ref() {
                return Self::Raised { message: message.clone() };
            }
            source = cause.source();
        }
        Self::Failed { line, reason }
    }
}
