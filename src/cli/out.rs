//! Printing. Output goes to standard output, diagnostics to standard error; a reader that has gone away is no mistake.

use std::io::{self, IsTerminal, Write};

use crate::diagnostic::Diagnostic;
use crate::world::Sources;

use super::render::{Style, render, summary};

/// Writes text to standard output.
pub(super) fn print(text: &str) {
    // `align … | head` closes the pipe; there is nobody left to tell
    io::stdout().write_all(text.as_bytes()).ok();
    io::stdout().flush().ok();
}

/// Writes a line to standard output.
pub(super) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// Writes a line to standard error.
pub(super) fn error(text: &str) {
    io::stderr().write_all(format!("{text}\n").as_bytes()).ok();
}

/// Draws diagnostics on standard error.
pub(super) fn diagnostics(diagnostics: &[Diagnostic], sources: &Sources) {
    if !diagnostics.is_empty() {
        io::stderr().write_all(render(diagnostics, sources, style()).as_bytes()).ok();
    }
}

/// Draws one diagnostic on standard error, without counting it.
pub(super) fn diagnostic(diagnostic: &Diagnostic, sources: &Sources) {
    let one = std::slice::from_ref(diagnostic);
    let drawn = render(one, sources, style());
    let counted = summary(one).unwrap_or_default();
    error(&format!("{}\n", drawn.trim_end().trim_end_matches(&counted).trim_end()));
}

/// How diagnostics are drawn: for this terminal, or plainly.
pub(super) fn style() -> Style {
    if !io::stderr().is_terminal() {
        return Style::Plain;
    }
    Style::Terminal { color: colors(), width: width() }
}

/// Whether to use colours on a terminal: not if the user has said so, see <https://no-color.org>.
pub(super) fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output is to be painted.
pub(super) fn coloured() -> bool {
    io::stdout().is_terminal() && colors()
}

/// Columns of the terminal that standard output goes to, or those of a page that is pleasant to read.
pub(super) fn page() -> usize {
    let wide = if io::stdout().is_terminal() { usize::from(console::Term::stdout().size().1) } else { 100 };
    wide.clamp(40, 120)
}

/// Columns of the terminal that standard error goes to.
fn width() -> usize {
    usize::from(console::Term::stderr().size().1)
}
