//! What flows between stages: cells, rows and tables, and the types that describe them. A leaf: it knows no engine.

pub mod bootstrap;
pub mod cell;
pub mod dialogue;
pub mod estimate;
pub mod group;
pub mod json;
pub mod statistics;
pub mod summary;
pub mod table;

pub use cell::{Cell, Completion, Dialogue, Role, Sequence, Turn};
pub use estimate::Estimate;
pub use table::Table;
