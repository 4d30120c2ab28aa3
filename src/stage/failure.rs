//! Why a stage stopped.

use crate::diagnostic::Diagnostic;
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
        Self::Failed(Box::new(Reason { code, message, step: None, value: None, kept: None, help: None }))
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

    /// The failure at the recipe's line that called the stage.
    pub fn diagnostic(&self, stage: &str, span: Span) -> Diagnostic {
        match self {
            Self::Interrupted { step } => {
                let at = step.map_or(String::new(), |n| format!(" at step {n}"));
                Diagnostic::error("align::run::interrupted", format!("`{stage}` was interrupted{at}"))
                    .at(span, "continues here at the next run")
            }
            Self::Failed(reason) => reason.diagnostic(stage, span),
        }
    }
}

impl Reason {
    fn diagnostic(&self, stage: &str, span: Span) -> Diagnostic {
        let step = self.step.map_or(String::new(), |n| format!(" at step {n}"));
        let value = self.value.as_ref().map_or(String::new(), |v| format!(": {v}"));
        let diagnostic = Diagnostic::error(self.code, &self.message).at(span, format!("`{stage}` stopped{step}{value}"));
        let kept = self.kept.as_ref().map(|kept| format!("kept: {kept}"));
        let lines: Vec<String> = kept.into_iter().chain(self.help.clone()).collect();
        if lines.is_empty() { diagnostic } else { diagnostic.help(lines.join("\n")) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("align::run::disk", format!("the disk refused: {error}")).help("free some space or check permissions, then run again")
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
        let shown = failure.diagnostic("policy", Span::new(FileId(0), 3, 9));
        assert_eq!(shown.message, "the loss is no longer a number");
        assert_eq!(shown.labels[0].text, "`policy` stopped at step 41: loss = NaN");
        assert_eq!(shown.help.as_deref(), Some("kept: checkpoint of step 40\nlower `lr`"));
    }
}
