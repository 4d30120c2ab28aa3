//! Text to a spanned tree; knows no names and no types.
//!
//! In goes the text of one file, out come a [`tree::File`] and every mistake that can be seen without knowing what a
//! name means. Invariant: [`parse()`] neither fails nor panics, whatever the text is, and what is absent from the tree
//! was reported.

mod diagnose;
mod faults;
mod fixed;
mod format;
mod grammar;
mod habit;
mod layout;
mod mistake;
mod parse;
mod scan;
pub mod span;
pub mod tree;
pub mod walk;

pub use format::format;
pub use grammar::Expected;
pub use habit::Habit;
pub use mistake::{CODES, Found, Home, Mistake};
pub use parse::parse;
