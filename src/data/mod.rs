//! Files as tables: formats, the types that a recipe states, and every mistake in a file with its line and column.
//!
//! `check` calls [`schema()`] and [`validate`], which keep no rows; a run calls [`read()`], `align data` [`preview()`].
//! Nothing here panics or repairs.

mod array;
pub mod codes;
pub mod error;
pub mod fault;
pub mod fit;
pub mod format;
pub mod json;
mod jsonl;
pub mod layout;
pub mod overlap;
pub mod pack;
mod parquet;
pub mod preview;
pub mod read;
pub mod schema;
mod separated;
pub mod synonym;
pub mod unpack;

pub use error::ReadError;
pub use preview::preview;
pub use read::{read, read_fitting, validate};
pub use schema::schema;
