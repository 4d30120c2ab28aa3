//! A small language for alignment recipes, and the engine that runs them on any GPU, or on the CPU.
//!
//! A recipe travels down this list, and each phase gives it a type of its own:
//!
//! ```text
//! text ─syntax→ tree ─recipe→ checked recipe ─plan→ DAG ─run→ stage ─model→ engine ─→ shaders
//! ```
//!
//! [`syntax`] reads text and knows no names. [`recipe`] resolves and types it; what is left are calls of `extern
//! stage`, whose formulas ([`formula`]) are closed. [`plan`] makes them a graph with fingerprints, and needs no device.
//! [`run`] fills the store, one [`stage`] at a time. Stages read rows ([`data`], [`value`]), ask fixed rules
//! ([`score`]) and networks ([`model`]), and those record ops that the [`engine`] runs.
//!
//! No module names a training method: methods are written in the language, in `stdlib/`.

pub mod chance;
pub mod chat;
pub mod cli;
pub mod data;
pub mod diagnostic;
pub mod durable;
pub mod engine;
pub mod formula;
pub mod hub;
pub mod lock;
pub mod lsp;
pub mod model;
pub mod plan;
pub mod recipe;
pub mod report;
pub mod run;
pub mod score;
pub mod stage;
pub mod syntax;
pub mod talk;
pub mod ui;
pub mod value;
pub mod watch;
pub mod web;
pub mod world;
