//! Why a recipe that is right cannot be planned.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, reason};
use crate::syntax::span::Span;

#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("`{written}` cannot be read: {}", reason(error))]
    Unreadable { path: PathBuf, written: String, error: io::Error, span: Span },
    #[error("this build has no stage `{name}`")]
    NoPrimitive { name: Arc<str>, span: Span },
}

impl Refusal {
    /// As it is shown.
    pub(super) fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Unreadable { path, error, span, .. } => {
                let looked =
                    format!("{} `{}`", if error.kind() == io::ErrorKind::NotFound { "looked for" } else { "this is" }, path.display());
                let diagnostic = Diagnostic::error("align::plan::unreadable_file", self.to_string()).at(*span, looked);
                if error.kind() == io::ErrorKind::NotFound { diagnostic.help("paths start at the recipe's folder") } else { diagnostic }
            }
            Self::NoPrimitive { span, .. } => Diagnostic::error("align::plan::no_primitive", self.to_string())
                .at(*span, "called here")
                .help("`extern stage` is for what is built into align: give it a body with `stage`"),
        }
    }
}
