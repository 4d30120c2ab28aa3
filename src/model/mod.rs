//! Networks: files to weights, text to tokens, tokens to batches, batches to log-probs, gradients and samples.
//!
//! ```text
//! Network::open ─▶ Engine::load ─▶ readout | forward · backward · update | generate ─▶ Engine::network ─▶ Network::save
//! ```

mod cache;
mod checkpoint;
mod config;
mod conversation;
mod error;
mod export;
mod family;
mod footprint;
mod form;
mod generate;
pub mod gguf;
mod layout;
mod optimiser;
mod pass;
mod readout;
mod rope;
mod sampling;
mod sequence;
mod session;
mod shards;
mod spec;
mod tensorfile;
mod tensors;
mod tokenizer;
mod tokenizer_files;
mod transformer;

pub use checkpoint::{HeadStart, Network, Weights, gguf_at};
pub use error::{CODES, ModelError};
pub use family::{FAMILIES, Family};
pub use footprint::Footprint;
pub use form::{Container, Form, Numbers};
pub use generate::{Constraint, Extras, Request, Sample};
pub use layout::{Batch, Layout, Place};
pub use optimiser::{AdamStep, Update};
pub use pass::Pass;
pub use readout::{Coefficients, Readout, Want};
pub use rope::{Rope, RopeScaling};
pub use sampling::{Choice, Sampling};
pub use sequence::{Cut, TokenSequence};
pub use session::{Budget, Engine, NetId, TrainState};
pub use spec::{Head, ModelSpec, Parameter};
pub use tensorfile::{TensorFile, write_tensors};
pub use tensors::Tensors;
pub use tokenizer::Tokenizer;
