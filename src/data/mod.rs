//! Files as tables: formats, the types that a recipe states, and every mistake in a file with its line and column.
//!
//! `check` calls [`schema()`] and [`validate`], which keep no rows; a run calls [`read()`]. Nothing here panics or repairs.

mod array;
pub mod codes;
pub mod error;
pub mod fault;
pub mod fit;
pub mod format;
pub mod json;
mod jsonl;
pub mod overlap;
pub mod read;
pub mod schema;
mod separated;
pub mod synonym;

pub use error::ReadError;
pub use read::{read, validate};
pub use schema::schema;
