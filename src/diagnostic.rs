//! What the tool says about a mistake: a code, a message, the places that matter, and what to do.
//!
//! Phases hold their own error enums, whose variants carry data; each turns into this one plain struct, which
//! `cli::render` draws. A [`Diagnostic`] never holds source text, only spans.

use std::io;
use std::path::Path;

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

/// One for each cause: what several stages failed of alike is told once, with the place of each.
pub fn by_cause(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut causes: Vec<Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        let same =
            |known: &&mut Diagnostic| (known.code, &known.message, &known.help) == (diagnostic.code, &diagnostic.message, &diagnostic.help);
        match causes.iter_mut().find(same) {
            Some(known) => known.labels.extend(diagnostic.labels),
            None => causes.push(diagnostic),
        }
    }
    causes
}

/// What is called `wrong` in the folder where it was looked for, nearly.
pub fn neighbour(wrong: &Path) -> Option<String> {
    let folder = wrong.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    did_you_mean(wrong.file_name()?.to_str()?, names.iter().map(String::as_str)).map(str::to_owned)
}

/// What to do about a path that leads nowhere.
pub fn nowhere(wrong: &Path) -> String {
    neighbour(wrong).map_or_else(|| "a path starts at the recipe's folder".to_owned(), |name| format!("did you mean `{name}`?"))
}

/// Why the system refused, as the end of a sentence: `… cannot be read: it is a folder`.
pub fn reason(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::NotFound => "it does not exist",
        io::ErrorKind::IsADirectory => "it is a folder",
        io::ErrorKind::NotADirectory => "a part of its path is a file, not a folder",
        io::ErrorKind::PermissionDenied => "the permissions do not allow it",
        io::ErrorKind::StorageFull => "the disk is full",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only",
        _ => "",
    };
    if error.get_ref().is_none() && !known.is_empty() {
        return known.to_owned();
    }
    let said = error.to_string();
    let said = said.split(" (os error").next().unwrap_or_default();
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `1 pair`, `2 pairs`, `4,010 pairs`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// The form of a verb that goes with a count.
pub fn verb<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `4,010` for 4010.
pub fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let comma = |(place, digit): (usize, char)| {
        let is_third = place > 0 && (digits.len() - place).is_multiple_of(3);
        is_third.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

/// Each 1,024 times the one before; the first is 1,024 bytes.
const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];

/// Bytes for people: `1.4 MiB`.
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit - 1]) }
}

/// Bytes as people write them: `12GiB`, `1.5 MiB`. `None` without a unit: nobody means twelve bytes.
pub fn read_size(text: &str) -> Option<u64> {
    let (amount, power) = UNITS.iter().zip(1..).find_map(|(unit, power)| Some((text.trim().strip_suffix(unit)?, power)))?;
    let amount = amount.trim_end().parse().ok().filter(|amount: &f64| amount.is_finite() && *amount > 0.0)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; the largest number ends at its bound")]
    Some((amount * 1024f64.powi(power)) as u64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2_000].map(|n| counted(n, "row")), ["0 rows", "1 row", "2,000 rows"]);
    }

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        assert_eq!(["12GiB", " 1.5 MiB ", "800 KiB"].map(read_size), [Some(12 << 30), Some(3 << 19), Some(800 << 10)]);
        assert_eq!(["12", "12B", "0GiB", "-1GiB", "infGiB", "GiB", "12GB"].map(read_size), [None; 7]);
        assert_eq!([900, 1 << 10, 3 << 29].map(size), ["900 B", "1.0 KiB", "1.5 GiB"]);
        assert_eq!(read_size(&size(3 << 29)), Some(3 << 29));
    }

    #[test]
    fn an_error_of_the_system_ends_a_sentence() {
        assert_eq!(reason(&io::Error::from(io::ErrorKind::IsADirectory)), "it is a folder");
        assert_eq!(reason(&io::Error::other("No such luck")), "no such luck");
    }
}
