//! Chat templates: conversations to text, and that text to token ids with a mask of what the assistant said.
//!
//! `source → dialect → minijinja → origin → Rendering`, `Rendering → dialogue → Encoded`. minijinja renders; `dialect`
//! and `python` are what `transformers` puts around Jinja; `origin` finds out which characters of a rendering came from
//! the conversation, and those never become control tokens. Knows no engine, reads no file, asks no clock.

mod dialect;
mod dialogue;
mod encoder;
mod error;
mod json;
mod origin;
mod python;
mod template;

pub use dialogue::{DialogueError, Encoded, Part, assistant_spans, encode};
pub use encoder::{Encoder, Token};
pub use error::TemplateError;
pub use template::{ChatTemplate, Options, Rendering};
