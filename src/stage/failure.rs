//! Why a stage stopped.

use std::fmt;

use crate::diagnostic::{Diagnostic, grouped, reason};
use crate::syntax::span::Span;

/// A stage that did not finish.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Ctrl-C or SIGTERM; whatever could be kept has been checkpointed.
    Interrupted { step: Option<u64> },
    /// Everything else, in words for the recipe's author.
    Failed(Box<Reason>),
}

/// What went wrong, where in the work, and what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// `align::run::…`, `align::data::…`, `align::model::…`.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop, the user's names in backticks.
    pub message: String,
    pub step: Option<u64>,
    /// The row of the stage's table, counted from 0.
    pub row: Option<usize>,
    /// The part of a formula that has no value.
    pub at: Option<Span>,
    /// The value that was refused, such as `loss = NaN`.
    pub value: Option<String>,
    /// What was kept: `checkpoint of step 400`.
    pub kept: Option<String>,
    pub help: Option<String>,
}

impl Failure {
    /// A failure of `code` that says `message`.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Failed(Box::new(Reason { code, message, step: None, row: None, at: None, value: None, kept: None, help: None }))
    }

    /// The stage stopped because it was asked to.
    pub fn interrupted(step: impl Into<Option<u64>>) -> Self {
        Self::Interrupted { step: step.into() }
    }

    /// Names the step it happened in.
    #[must_use]
    pub fn step(self, step: u64) -> Self {
        self.with(|reason| reason.step = Some(step))
    }

    /// Names the row it happened in.
    #[must_use]
    pub fn row(self, row: usize) -> Self {
        self.with(|reason| reason.row = Some(row))
    }

    /// Translates the row, when only some rows of a table were looked at.
    #[must_use]
    pub fn among(self, rows: &[usize]) -> Self {
        self.with(|reason| reason.row = reason.row.and_then(|row| rows.get(row).copied()))
    }

    /// Names the part of a formula that has no value.
    #[must_use]
    pub fn at(self, part: Span) -> Self {
        self.with(|reason| reason.at = Some(part))
    }

    /// Shows the value that was refused.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        self.with(|reason| reason.value = Some(value.into()))
    }

    /// Says what was kept.
    #[must_use]
    pub fn kept(self, kept: impl Into<String>) -> Self {
        self.with(|reason| reason.kept = Some(kept.into()))
    }

    /// Says what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        self.with(|reason| reason.help = Some(help.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Reason)) -> Self {
        if let Self::Failed(reason) = &mut self {
            change(reason);
        }
        self
    }

    /// What only a mistake in align itself can bring about: a declaration and its implementation disagree.
    pub fn mistake(message: impl Into<String>) -> Self {
        Self::new("align::run::argument", message).help("this is a mistake in align itself: please report it with the recipe")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted { .. } => f.write_str("interrupted"),
            Self::Failed(reason) => f.write_str(&reason.message),
        }
    }
}

impl Reason {
    /// The failure at the recipe's line that called the stage, or at the part of it that has no value.
    pub fn diagnostic(&self, stage: &str, span: Span) -> Diagnostic {
        let step = self.step.map_or(String::new(), |n| format!(" at step {n}"));
        let row = self.row.map_or(String::new(), |row| format!(" in row {}", grouped(row + 1)));
        let value = self.value.as_ref().map_or(String::new(), |v| format!(": {v}"));
        let stopped = format!("`{stage}` stopped{step}{row}{value}");
        let diagnostic = Diagnostic::error(self.code, &self.message);
        let diagnostic = match self.at.filter(|part| part.start < part.end) {
            Some(part) if part.file == span.file && span.start <= part.start && part.end <= span.end => diagnostic.at(part, stopped),
            Some(part) => diagnostic.at(span, stopped).at(part, "in this formula"),
            None => diagnostic.at(span, stopped),
        };
        let kept = self.kept.as_ref().map(|kept| format!("kept: {kept}"));
        let lines: Vec<String> = kept.into_iter().chain(self.help.clone()).collect();
        if lines.is_empty() { diagnostic } else { diagnostic.help(lines.join("\n")) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("align::run::disk", format!("the disk refused: {}", reason(&error)))
            .help("free some space or check permissions, then run again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::span::FileId;

    #[test]
    fn a_failure_names_step_value_and_what_was_kept() {
        let failure = Failure::new("align::run::not_finite", "the loss is no longer a number")
            .step(41)
            .value("loss = NaN")
            .kept("checkpoint of step 40")
            .help("lower `lr`");
        let Failure::Failed(reason) = failure else { unreachable!("nobody asked it to stop") };
        let shown = reason.diagnostic("policy", Span::new(FileId(0), 3, 9));
        assert_eq!(shown.message, "the loss is no longer a number");
        assert_eq!(shown.labels[0].text, "`policy` stopped at step 41: loss = NaN");
        assert_eq!(shown.help.as_deref(), Some("kept: checkpoint of step 40\nlower `lr`"));
    }
}
