//! A run's folder and its store become one page: `report.html`, without network, and everything on it as plain data.
//!
//! Comes in: what [`crate::run`] wrote down (`plan.json`, `events.jsonl`, `metrics.jsonl`, `samples.json`,
//! `summary.json`, and `detail.json` beside artifacts). Goes out: JSON that the page's script draws, the page itself,
//! event files and requests for other programs' trackers, and a comparison of two runs. **Invariant:** nothing here
//! computes or changes an artifact; a report can be made again at any time, of any run.

mod attacks;
pub mod compare;
mod error;
mod folder;
mod gather;
mod graph;
mod loops;
pub mod mlflow;
mod page;
pub mod tensorboard;

pub use error::ReportError;
pub use folder::{Folder, find, runs};
pub use gather::gather;
pub use page::{live, page};

use std::path::{Path, PathBuf};

use crate::durable;

/// The file in a run's folder.
pub const FILE: &str = "report.html";

/// Every code of this module, and what it means.
pub const CODES: &[(&str, &str)] = error::CODES;

/// Writes a run's report into its folder. `store` is `.align`, `run` a folder of `.align/runs`.
///
/// # Errors
/// When the run's files cannot be read, or the disk refuses.
pub fn write(store: &Path, run: &Path) -> Result<PathBuf, ReportError> {
    let data = gather(store, run)?;
    let path = run.join(FILE);
    durable::write(&path, page(&data).as_bytes()).map_err(|error| ReportError::Disk { path: path.clone(), error })?;
    Ok(path)
}
