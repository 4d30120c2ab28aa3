//! Why there is no report.

use std::io;
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, reason};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no run in `{}`", .store.display())]
    NoRuns { store: PathBuf },
    #[error("there is no run `{name}`")]
    NoRun { name: String, near: Option<String> },
    #[error("`{}` cannot be read as what a run wrote: {what}", .path.display())]
    Unreadable { path: PathBuf, what: String },
    #[error("`{}` cannot be written: {}", .path.display(), reason(.error))]
    Disk { path: PathBuf, error: io::Error },
    #[error("the tracker at `{address}` {what}")]
    Tracker { address: String, what: String },
}

/// Codes and what they mean.
pub(super) const CODES: &[(&str, &str)] = &[
    ("align::report::no_run", "No run of that name is in the store beside the recipe, or none at all. `align report --list` shows them."),
    (
        "align::report::unreadable",
        "A file in a run's folder is not what align writes. The run itself can be repeated: what it made is kept.",
    ),
    ("align::report::disk", "The report could not be written: the disk may be full, or the permissions may not allow it."),
    ("align::report::tracker", "A tracking server did not take the numbers. They are in the run's folder, and can be sent again."),
];

impl ReportError {
    /// As a diagnostic.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::NoRuns { .. } => ("align::report::no_run", Some("`align run RECIPE` makes one".to_owned())),
            Self::NoRun { near, .. } => {
                let near = near.as_ref().map(|near| format!("did you mean `{near}`?"));
                ("align::report::no_run", near.or_else(|| Some("`align report --list` shows them".to_owned())))
            }
            Self::Unreadable { .. } => ("align::report::unreadable", Some("run the recipe again".to_owned())),
            Self::Disk { .. } => ("align::report::disk", Some("free some space, or check permissions".to_owned())),
            Self::Tracker { .. } => ("align::report::tracker", Some("check that the server runs and that its address is right".to_owned())),
        };
        let diagnostic = Diagnostic::error(code, self.to_string());
        help.into_iter().fold(diagnostic, Diagnostic::help)
    }
}
