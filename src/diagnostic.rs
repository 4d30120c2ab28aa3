//! What the tool says about a mistake: a code, a message, the places that matter, and what to do.
//!
//! Phases hold their own error enums, whose variants carry data; each turns into this one plain struct, which
//! `cli::render` draws. A [`Diagnostic`] never holds source text, only spans.

use crate::syntax::span::Span;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// A place and what it contributes to the mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One mistake, ready to be drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// A stable path such as `align::recipe::unknown_name`.
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, the user's names in backticks.
    pub message: String,
    /// The first label is the place of the mistake.
    pub labels: Vec<Label>,
    /// The next action, when there is one.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error of `code` that says `message`.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning of `code` that says `message`.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether a run must not start.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The candidate nearest to `wrong`, when it is near enough to be what was meant.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(wrong, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.78)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
