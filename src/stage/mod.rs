//! Stages: what `extern stage` stands for. One file per primitive; [`PRIMITIVES`] lists them all.
//!
//! Comes in: a [`Call`] (plain data) and a [`Context`] (inputs, folder, checkpoint, engine, listeners). Goes out: a
//! [`Product`] or a [`Failure`]. **Invariant:** equal calls with equal inputs and seed give equal bytes.

mod adapter;
mod ahead;
pub mod ask;
mod asking;
mod bag_of_words;
mod batches;
mod blank;
pub mod call;
pub mod checkpoint;
mod chosen;
pub mod context;
pub mod cost;
pub mod detail;
pub mod engine;
mod evaluate;
mod explode;
pub mod failure;
mod figure;
mod filter;
mod fit;
mod inside;
mod keep;
mod learner;
mod load_data;
mod load_model;
mod load_scorer;
mod measure;
mod metrics;
mod mix;
mod options;
mod pairs;
pub mod primitive;
pub mod product;
mod quantise;
pub mod report;
mod rl;
pub mod saved_state;
mod scorer;
mod select;
pub mod service;
mod sizes;
mod split;
mod steer;
mod train;
mod with;

pub use call::{Call, Columns, FromArg, FromCell};
pub use checkpoint::{Checkpoint, Checkpoints};
pub use context::{Artifact, Context, NetworkAt, Setting};
pub use cost::{Cost, LETTERS, NetworkSize, Size, Sizes, Smaller, network_at};
pub use engine::LazyEngine;
pub use failure::Failure;
pub use primitive::Primitive;
pub use product::{Item, Product};
pub use report::{Metrics, Progress, Report};

/// Every primitive. `stdlib/prelude.align` declares the same ones as `extern stage`; a test compares the two.
pub static PRIMITIVES: &[&dyn Primitive] = &[
    &load_model::LoadModel,
    &load_data::LoadData,
    &load_scorer::LoadScorer,
    &adapter::LoadAdapter,
    &adapter::TakeAdapter,
    &ask::Ask,
    &blank::Blank,
    &with::With,
    &select::Select,
    &filter::Filter,
    &explode::Explode,
    &pairs::Pairs,
    &mix::Mix,
    &split::Split,
    &scorer::Scorer,
    &scorer::Critic,
    &bag_of_words::BagOfWords,
    &train::Train,
    &rl::Rl,
    &fit::Fit,
    &fit::Posterior,
    &measure::Measure,
    &figure::Figure,
    &figure::Heat,
    &steer::Steer,
    &quantise::Quantise,
    &keep::Keep,
];

/// The primitive of a name.
pub fn primitive(name: &str) -> Option<&'static dyn Primitive> {
    PRIMITIVES.iter().copied().find(|primitive| primitive.name() == name)
}
