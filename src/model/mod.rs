//! Networks: files to weights, text to tokens, tokens to batches, batches to log-probs, gradients and samples.
//!
//! ```text
//! Network::open ─▶ Engine::load ─▶ readout | forward · backward · update | generate ─▶ Engine::network ─▶ Network::save
//! ```

mod adapter;
mod cache;
mod checkpoint;
mod config;
mod conversation;
mod divergence;
mod error;
mod export;
mod families;
mod family;
mod footprint;
mod form;
mod frozen;
pub mod gauge;
mod generate;
pub mod gguf;
pub mod guide;
mod inside;
mod layout;
mod optimiser;
mod pass;
mod peft;
mod quantise;
mod readout;
mod rope;
mod sampling;
mod sequence;
mod session;
mod shards;
mod spec;
mod steer;
mod stored;
mod switches;
mod tensorfile;
mod tensors;
mod tokenizer;
mod tokenizer_files;
mod tokens;
mod transformer;

pub use crate::engine::BlockFormat;
pub use adapter::{Adapter, AdapterSpec, Site, Target};
pub use checkpoint::{HeadStart, Network, Weights, gguf_at};
pub use divergence::Sides;
pub use error::{CODES, ModelError};
pub use families::FAMILIES;
pub use family::Family;
pub use footprint::NetworkSize;
pub use form::{Container, Form, Numbers};
pub use generate::{Constraint, Extras, Hear, Request, Sample};
pub use inside::{Attention, Inner, Read};
pub use layout::{Batch, Layout, Place};
pub use optimiser::{AdamStep, Update};
pub use pass::Pass;
pub use readout::{Coefficients, Readout, Want};
pub use rope::{Rope, RopeScaling};
pub use sampling::{Choice, Sampling};
pub use sequence::{Cut, TokenSequence};
pub use session::{Budget, Engine, Learns, NetId};
pub use spec::{Head, ModelSpec, Parameter};
pub use stored::Stored;
pub use tensorfile::{TensorFile, write_tensors};
pub use tensors::Tensors;
pub use tokenizer::Tokenizer;
