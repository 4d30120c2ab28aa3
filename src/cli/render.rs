//! Draws diagnostics: with frames and colours on a terminal, in ASCII in a pipe.
//!
//! Invariant: nothing is printed here, and the same diagnostics give the same text.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteSpanContents, SourceCode, SourceSpan, SpanContents, ThemeCharacters,
    ThemeStyles,
};

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::syntax::span::FileId;
use crate::world::{Source, Sources};

/// What the text is drawn for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// A terminal of this many columns.
    Terminal { color: bool, width: usize },
    /// A pipe or a file: ASCII, no colours, lines as long as they are.
    Plain,
}

impl Style {
    fn handler(self) -> GraphicalReportHandler {
        let (characters, styles, width) = match self {
            Self::Terminal { color: true, width } => (ThemeCharacters::unicode(), ThemeStyles::ansi(), width),
            Self::Terminal { color: false, width } => (ThemeCharacters::unicode(), ThemeStyles::none(), width),
            Self::Plain => (ThemeCharacters::ascii(), ThemeStyles::none(), usize::MAX / 2),
        };
        GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
            .with_width(width.max(20))
            .with_links(false)
            .with_context_lines(1)
            .without_syntax_highlighting()
    }
}

/// Draws all diagnostics, sorted by file and place, and a last line that counts them; empty when there are none.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| (label.span.file, label.span.start)));
    let handler = style.handler();
    let mut text = String::new();
    for diagnostic in sorted {
        for drawing in Drawing::all(diagnostic, sources) {
            handler.render_report(&mut text, &drawing).expect("a string takes every text");
        }
        text.push('\n');
    }
    if let Some(summary) = summary(diagnostics) {
        text.push_str(&summary);
        text.push('\n');
    }
    text
}

/// `3 mistakes, 1 warning`; none when there is nothing to count.
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let mistakes = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let parts = [counted(mistakes, "mistake"), counted(diagnostics.len() - mistakes, "warning")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn counted(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    }
}

/// A diagnostic, or the part of it that lies in one file, as miette wants it.
#[derive(Debug)]
struct Drawing<'a> {
    code: Option<&'static str>,
    severity: miette::Severity,
    message: &'a str,
    source: Option<Snippet<'a>>,
    labels: Vec<LabeledSpan>,
    help: Option<&'a str>,
}

impl<'a> Drawing<'a> {
    /// The part in the file of the first label, then one for each label in another file.
    fn all(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Self> {
        let file = diagnostic.labels.first().map(|label| label.span.file);
        let (here, there): (Vec<&Label>, Vec<&Label>) = diagnostic.labels.iter().partition(|label| Some(label.span.file) == file);
        let mut drawings = vec![Self {
            code: Some(diagnostic.code),
            severity: severity(diagnostic.severity),
            message: &diagnostic.message,
            source: file.map(|file| Snippet::of(file, sources)),
            labels: here.into_iter().map(|label| labeled(label, sources, true)).collect(),
            help: None,
        }];
        drawings.extend(there.into_iter().map(|label| Self::elsewhere(label, sources)));
        if let Some(last) = drawings.last_mut() {
            last.help = diagnostic.help.as_deref();
        }
        drawings
    }

    /// A label in another file than the first.
    fn elsewhere(label: &'a Label, sources: &'a Sources) -> Self {
        Self {
            code: None,
            severity: miette::Severity::Advice,
            message: &label.text,
            source: Some(Snippet::of(label.span.file, sources)),
            labels: vec![labeled(label, sources, false)],
            help: None,
        }
    }
}

fn severity(severity: Severity) -> miette::Severity {
    match severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    }
}

/// A label that spans several lines is drawn on its first.
fn labeled(label: &Label, sources: &Sources, with_text: bool) -> LabeledSpan {
    let text = (with_text && !label.text.is_empty()).then(|| label.text.clone());
    let range = label.span.range();
    let first = sources.get(label.span.file).text[range.clone()].lines().next().unwrap_or_default();
    LabeledSpan::new_with_span(text, range.start..range.start + first.len())
}

/// The lines that a span touches. The last one's break is among them: a label may stand at the end of a line.
fn whole_lines(text: &str, span: SourceSpan) -> SourceSpan {
    let (start, end) = (span.offset(), span.offset() + span.len());
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let last = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    (first..last).into()
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for Drawing<'_> {}

impl miette::Diagnostic for Drawing<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help.map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// A named text that is borrowed.
#[derive(Debug)]
struct Snippet<'a>(&'a Source);

impl<'a> Snippet<'a> {
    fn of(file: FileId, sources: &'a Sources) -> Self {
        Self(sources.get(file))
    }
}

impl SourceCode for Snippet<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, miette::MietteError> {
        let text: &str = &self.0.text;
        // miette asks without context for the place, with context for what to draw: whole lines, and no more.
        let span = if before + after == 0 { *span } else { whole_lines(text, *span) };
        let contents = text.read_span(&span, 0, 0)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.data().split(|byte| *byte == b'\n').count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::span::Span;

    fn sources() -> Sources {
        let mut sources = Sources::default();
        sources.add("recipes/a.align", "recipe a {\n    policy = dpo(rm, pairs)\n}\n", None);
        sources.add("std/b.align", "/// Trains.\nstage dpo(policy: Model) -> Model { policy }\n", None);
        sources
    }

    #[test]
    fn places_in_other_files_follow_and_help_comes_last() {
        let (here, there) = (Span::new(FileId(0), 28, 30), Span::new(FileId(1), 22, 35));
        let wrong = Diagnostic::error("align::recipe::wrong_type", "expected Model, found Scorer")
            .at(here, "this is a Scorer")
            .at(there, "`policy` is declared here")
            .help("train the model that it scores");
        let drawn = render(&[wrong], &sources(), Style::Plain);
        assert_eq!(
            drawn,
            "align::recipe::wrong_type

  x expected Model, found Scorer
   ,-[recipes/a.align:2:18]
 2 |     policy = dpo(rm, pairs)
   :                  ^|
   :                   `-- this is a Scorer
   `----
  > `policy` is declared here
   ,-[std/b.align:2:11]
 2 | stage dpo(policy: Model) -> Model { policy }
   :           ^^^^^^^^^^^^^
   `----
  help: train the model that it scores

1 mistake
"
        );
    }

    #[test]
    fn mistakes_are_sorted_and_counted() {
        let at = |file, start| Span::new(FileId(file), start, start + 1);
        let found = [
            Diagnostic::warning("align::x::third", "third").at(at(1, 0), ""),
            Diagnostic::error("align::x::second", "second").at(at(0, 15), ""),
            Diagnostic::error("align::x::first", "first").at(at(0, 0), ""),
        ];
        let drawn = render(&found, &sources(), Style::Plain);
        let order: Vec<usize> = ["first", "second", "third"].iter().filter_map(|word| drawn.find(word)).collect();
        assert!(order.is_sorted() && order.len() == 3, "{drawn}");
        assert!(drawn.ends_with("2 mistakes, 1 warning\n"));
        assert_eq!(render(&[], &sources(), Style::Plain), "");
    }

    #[test]
    fn odd_places_are_drawn() {
        let mut sources = Sources::default();
        let file = sources.add("odd", "a\tπ = \r\n\n", None);
        let length = sources.get(file).text.len();
        for start in 0..=length {
            for end in start..=length {
                if sources.get(file).text.get(start..end).is_some() {
                    let wrong = Diagnostic::error("align::x::y", "odd").at(Span::new(file, start, end), "here");
                    for style in [Style::Plain, Style::Terminal { color: true, width: 0 }] {
                        assert!(render(std::slice::from_ref(&wrong), &sources, style).contains("odd"));
                    }
                }
            }
        }
        assert!(render(&[Diagnostic::error("align::x::y", "nowhere")], &sources, Style::Plain).contains("nowhere"));
    }

    #[test]
    fn colours_are_only_for_terminals() {
        let wrong = Diagnostic::error("align::x::y", "wrong").at(Span::new(FileId(0), 0, 6), "here");
        let drawn = |style| render(std::slice::from_ref(&wrong), &sources(), style);
        assert!(drawn(Style::Terminal { color: true, width: 80 }).contains('\u{1b}'));
        assert!(drawn(Style::Plain).is_ascii());
    }
}
