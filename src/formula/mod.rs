//! The formula language: one arithmetic for objectives, rewards, columns, filters, metrics and expectations.
//!
//! [`expr`] is what the checker hands over; [`program`] makes it a tape; [`shape`] says what each part runs over and
//! refuses what makes no sense; [`eval`] computes it in f64 over a table; [`mod@derive`] runs it backwards; [`objective`]
//! splits a loss into what is known once and what a step computes; [`at`] evaluates an objective on given numbers.
//! Networks are behind one trait, so nothing here knows an engine.

mod across;
pub mod aggregate;
pub mod apply;
mod ask;
pub mod at;
pub mod column;
mod derive;
mod elementwise;
pub mod eval;
pub mod expr;
pub mod failure;
mod given;
mod infer;
pub mod key;
mod lines;
mod lower;
pub mod meaning;
mod metric;
pub mod number;
pub mod objective;
mod parts;
pub mod phases;
mod prepared;
pub mod program;
pub mod reduce;
pub mod refusal;
mod scope;
pub mod shape;
pub mod show;
pub mod text;
pub mod words;
