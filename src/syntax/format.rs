//! The one canonical form of a text.
//!
//! Four blanks of indentation, 110 columns, a comma behind every entry of a wrapped list, at most one empty line.
//! Comments stay where they are. A line break that the writer put where lines may break is kept: behind an opening
//! bracket, before an operator, before the `.` of a call. Invariants: the form of a form is itself, and it means the
//! same: both give the same tree.

use pest::Parser as _;

use super::grammar::{Grammar, Pair, Rule};
use super::scan;
use super::span::FileId;
use crate::diagnostic::Diagnostic;

mod expr;
mod item;
mod printer;

use printer::Doc;

/// The canonical form of a text.
///
/// # Errors
/// The text's mistakes, when it has any: broken text is left alone.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, diagnostics) = super::parse(file, text);
    let mistakes: Vec<Diagnostic> = diagnostics.into_iter().filter(Diagnostic::is_error).collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A comment in the middle of a formula moves to where one can stand, which may let the next line move too.
    let (mut form, mut moved) = once(file, text);
    for _ in 0..MOST_ROUNDS {
        if !moved {
            break;
        }
        let before = form;
        (form, moved) = once(file, &before);
        moved &= form != before;
    }
    Ok(form)
}

const MOST_ROUNDS: usize = 8;

/// The text in its form, and whether a comment moved on the way.
fn once(file: FileId, text: &str) -> (String, bool) {
    let root = Grammar::parse(Rule::file, text).expect("a text without mistakes can be read").next();
    let comments = scan::scan(file, text).comments;
    let mut writer = Writer { text, comments, next: 0, last: 0, moved: false, out: Vec::new() };
    writer.file(root.expect("a parse has one root"));
    (printer::print(&writer.out), writer.moved)
}

/// Turns pairs into a document, in the order of the text.
struct Writer<'a> {
    text: &'a str,
    comments: Vec<std::ops::Range<usize>>,
    /// The first comment that is not written yet.
    next: usize,
    /// Where the last thing written ends in the text.
    last: usize,
    /// A comment stood in the middle of something.
    moved: bool,
    out: Vec<Doc>,
}

impl<'a> Writer<'a> {
    fn say(&mut self, text: impl Into<String>) {
        self.out.push(Doc::Text(text.into()));
    }

    /// A pair as it is written, after the comments before it.
    fn leaf(&mut self, pair: &Pair<'_>) {
        self.comments_before(pair.as_span().start(), false);
        self.say(pair.as_str().trim_end());
        self.last = pair.as_span().start() + pair.as_str().trim_end().len();
    }

    /// Writes the comments that stand before `at`; in a list of things their empty lines are kept too.
    fn comments_before(&mut self, at: usize, in_list: bool) {
        while let Some(comment) = self.comments.get(self.next).filter(|comment| comment.start < at).cloned() {
            let between = &self.text[self.last.min(comment.start)..comment.start];
            let trails = !between.contains('\n') && self.last > 0;
            if in_list && is_empty_line(between) {
                self.out.push(Doc::Blank);
            }
            let text = self.text[comment.clone()].trim_end().to_owned();
            self.out.push(if trails { Doc::Trailing(text) } else { Doc::Comment(text) });
            self.last = comment.end;
            self.next += 1;
            self.moved |= !in_list;
        }
        if in_list && at >= self.last && is_empty_line(&self.text[self.last..at]) {
            self.out.push(Doc::Blank);
        }
    }

    /// Writes the comments that stand before the first thing of a file or body. Nothing precedes them, so no empty line
    /// does; those after them are kept.
    fn comments_first(&mut self, at: usize) {
        let first = self.comments.get(self.next).filter(|comment| comment.start < at).cloned();
        let trails =
            |comment: &std::ops::Range<usize>| self.last > 0 && !self.text[self.last.min(comment.start)..comment.start].contains('\n');
        let own_line = first.as_ref().is_some_and(|comment| !trails(comment));
        if let Some(comment) = first {
            let moved = self.moved;
            self.comments_before(comment.start + 1, false);
            self.moved = moved;
        }
        self.comments_before(at, own_line);
    }

    /// Writes the comments before the bracket at `at`, which no empty line precedes.
    fn comments_at_end(&mut self, at: usize) {
        if self.comments.get(self.next).is_none_or(|comment| comment.start >= at) {
            return;
        }
        self.out.push(Doc::Hard);
        self.comments_before(at, true);
        if matches!(self.out.last(), Some(Doc::Blank)) {
            self.out.pop();
        }
    }

    /// Writes what `write` writes as one group.
    fn group(&mut self, broken: bool, write: impl FnOnce(&mut Self)) {
        let docs = self.inside(write);
        self.out.push(Doc::Group { docs, broken });
    }

    /// Writes what `write` writes one level deeper.
    fn nest(&mut self, write: impl FnOnce(&mut Self)) {
        let docs = self.inside(write);
        self.out.push(Doc::Nest(docs));
    }

    fn inside(&mut self, write: impl FnOnce(&mut Self)) -> Vec<Doc> {
        let before = std::mem::take(&mut self.out);
        write(self);
        std::mem::replace(&mut self.out, before)
    }

    /// `open`, the entries with commas between them, and `close`; one entry a line when they do not fit or when the
    /// writer began a line behind the bracket.
    fn bracketed(&mut self, pair: &Pair<'a>, entries: Vec<Pair<'a>>, marks: Marks, mut write: impl FnMut(&mut Self, Pair<'a>)) {
        let span = pair.as_span();
        let (start, end) = (span.start(), span.start() + pair.as_str().trim_end().len());
        if entries.is_empty() && !self.has_comment(start, end) {
            self.say(format!("{}{}", marks.open, marks.close));
            self.last = end;
            return;
        }
        let first = entries.first().map_or(end, |entry| entry.as_span().start());
        let broken =
            self.text[start..first].contains('\n') || self.has_comment(start, end) || entries.iter().any(|entry| self.spills(entry));
        let last = entries.len();
        self.group(broken, |writer| {
            writer.say(marks.open);
            writer.last = start + 1;
            writer.nest(|writer| {
                for (at, entry) in entries.into_iter().enumerate() {
                    writer.out.push(if at == 0 { marks.edge() } else { Doc::Line });
                    writer.comments_before(entry.as_span().start(), at > 0);
                    write(writer, entry);
                    writer.out.push(if at + 1 == last { Doc::IfBroken(",") } else { Doc::Text(",".to_owned()) });
                }
                writer.comments_at_end(end - 1);
            });
            writer.out.push(marks.edge());
            writer.say(marks.close);
        });
        self.last = end;
    }

    fn has_comment(&self, start: usize, end: usize) -> bool {
        self.comments[self.next..].iter().any(|comment| start <= comment.start && comment.end <= end)
    }

    /// Whether the writer broke a chain of operators or an `if` that is a part of this pair and in no brackets.
    fn spills(&self, pair: &Pair<'_>) -> bool {
        match pair.as_rule() {
            Rule::args | Rule::list | Rule::record | Rule::group | Rule::index | Rule::text => false,
            _ if expr::looseness(pair).is_some() || pair.as_rule() == Rule::kw_else => self.begins_line(pair),
            _ => pair.clone().into_inner().any(|inner| self.spills(&inner)),
        }
    }

    /// Whether the writer began a new line before this pair.
    fn begins_line(&self, pair: &Pair<'_>) -> bool {
        let before = &self.text[..pair.as_span().start()];
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        before[..before.len() - blanks].ends_with('\n')
    }
}

/// The brackets of a list.
#[derive(Clone, Copy)]
struct Marks {
    open: &'static str,
    close: &'static str,
    /// Blanks inside when it is on one line.
    wide: bool,
}

impl Marks {
    const ROUND: Self = Self { open: "(", close: ")", wide: false };
    const SQUARE: Self = Self { open: "[", close: "]", wide: false };
    const CURLY: Self = Self { open: "{", close: "}", wide: true };
    const NAMES: Self = Self { open: "{", close: "}", wide: false };

    fn edge(self) -> Doc {
        if self.wide { Doc::Line } else { Doc::SoftLine }
    }
}

fn is_empty_line(between: &str) -> bool {
    between.matches('\n').count() > 1
}

/// The children of a pair that are of one rule.
fn all<'a>(pair: &Pair<'a>, rule: Rule) -> Vec<Pair<'a>> {
    pair.clone().into_inner().filter(|inner| inner.as_rule() == rule).collect()
}
