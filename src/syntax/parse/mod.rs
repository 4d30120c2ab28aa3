//! Text to tree: scan, balance the brackets, read with the grammar, build the tree, say what is wrong.
//!
//! Every phase collects its mistakes; what cannot be built is absent from the tree and was reported, and the names
//! it would have bound are in [`File::broken`], so that later phases do not report them a second time.

mod body;
mod expr;
mod item;
pub(super) mod number;
pub(super) mod text;
mod ty;

use std::sync::Arc;

use pest::Parser as _;

use super::faults;
use super::fixed::Fixed;
use super::grammar::{Grammar, Pair, Rule};
use super::mistake::Mistake;
use super::scan::{self, Scan, Token};
use super::span::{FileId, Span};
use super::tree::{File, Name};
use super::{diagnose, layout};
use crate::diagnostic::Diagnostic;

/// How deep brackets may nest: far more than a person writes, far less than a stack holds.
pub(super) const MAX_DEPTH: usize = 128;

/// How many levels a tree may have, operators and brackets together.
const MAX_HEIGHT: usize = 2 * MAX_DEPTH;

/// Reads a file. Never fails: what cannot be read is reported and left out.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let mut scan = scan::scan(file, text);
    layout::balance(&mut scan, file, text);
    let fixed = Fixed::new(text, std::mem::take(&mut scan.edits));
    let mut builder = Builder::new(file, text, &scan, &fixed);
    let items = match Grammar::parse(Rule::file, &fixed.text) {
        Ok(mut pairs) => builder.items(pairs.next().expect("a parse has one root")),
        Err(error) => {
            let end = text.len();
            let start = fixed.start(diagnose::offset(&error)).min(end);
            builder.mistakes.push((Mistake::Unreadable, Span::new(file, start, end)));
            Vec::new()
        }
    };
    let Builder { mistakes, broken, .. } = builder;
    let found = scan.mistakes.into_iter().chain(mistakes).collect();
    (File { items, broken }, super::mistake::diagnostics(found))
}

/// Turns pest's pairs into the tree.
pub(super) struct Builder<'a> {
    pub(super) file: FileId,
    pub(super) source: &'a str,
    pub(super) scan: &'a Scan,
    pub(super) fixed: &'a Fixed,
    pub(super) mistakes: Vec<(Mistake, Span)>,
    broken: Vec<Name>,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, source: &'a str, scan: &'a Scan, fixed: &'a Fixed) -> Self {
        Self { file, source, scan, fixed, mistakes: Vec::new(), broken: Vec::new(), depth: 0 }
    }

    /// Where a pair stands in the original, without the blanks and comments that pest lets trail.
    pub(super) fn span(&self, pair: &Pair<'_>) -> Span {
        let (start, end) = (pair.as_span().start(), pair.as_span().end());
        self.trimmed(self.fixed.start(start), self.fixed.end(end))
    }

    /// The span without trailing blanks and comments.
    pub(super) fn trimmed(&self, start: usize, mut end: usize) -> Span {
        loop {
            let text = self.source[start.min(end)..end].trim_end();
            end = start.min(end) + text.len();
            let comment = self.scan.comments.partition_point(|comment| comment.end < end);
            match self.scan.comments.get(comment) {
                Some(comment) if comment.end == end && comment.start >= start => end = comment.start,
                _ => return Span::new(self.file, start.min(end), end),
            }
        }
    }

    /// Adds a mistake, unless something on its line was wrong with the characters: it may only follow from that.
    pub(super) fn report(&mut self, (mistake, span): (Mistake, Span)) {
        let at = span.start as usize;
        let start = self.source[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = self.source[at..].find('\n').map_or(self.source.len(), |length| at + length);
        let is_unsure = self.scan.unsure.iter().any(|range| range.start <= at && at <= range.end);
        if !is_unsure && !self.scan.has_mistake(Span::new(self.file, start, end)) {
            self.mistakes.push((mistake, span));
        }
    }

    /// The tokens that lie inside a span, those of a text's holes too.
    pub(super) fn tokens(&self, span: Span) -> Vec<Token> {
        let around = self.scan.tokens_in(Span::new(self.file, 0, span.end as usize)).len();
        let text = self.scan.tokens.get(around).filter(|token| token.start < span.start as usize);
        if text.is_none() {
            return self.scan.tokens_in(span).to_vec();
        }
        let start = span.start as usize;
        let inner = scan::scan(self.file, &self.source[span.range()]).tokens;
        let moved = |token: Token| Token { start: token.start + start, end: token.end + start, ..token };
        inner.into_iter().map(moved).collect()
    }

    fn name(&self, pair: &Pair<'_>) -> Name {
        Name { text: Arc::from(pair.as_str().trim_end()), span: self.span(pair) }
    }

    /// Reports the mistakes inside a pair, bodies aside, and builds it; `names` are what it would have bound.
    fn whole_or_broken<T>(&mut self, pair: Pair<'a>, names: Vec<Name>, build: impl FnOnce(&mut Self, Pair<'a>) -> Option<T>) -> Option<T> {
        let span = self.span(&pair);
        let reported = self.mistakes.len();
        faults::report(self, &pair);
        let built = build(self, pair);
        if built.is_none() {
            self.broken.extend(names);
            if self.mistakes.len() == reported && !self.scan.has_mistake(span) {
                self.mistakes.push((Mistake::Unreadable, span));
            }
        }
        built
    }
}

/// The first child of a rule.
pub(super) fn child<'a>(pair: &Pair<'a>, rule: Rule) -> Option<Pair<'a>> {
    pair.clone().into_inner().find(|inner| inner.as_rule() == rule)
}

/// All of them, or none when one is missing.
fn whole<T>(parts: Vec<Option<T>>) -> Option<Vec<T>> {
    parts.into_iter().collect()
}

/// The `///` lines in front of an item, a statement, a parameter or a field.
fn doc(pair: &Pair<'_>) -> String {
    let lines = pair.clone().into_inner().take_while(|inner| inner.as_rule() == Rule::doc);
    let text = |line: Pair<'_>| {
        let line = line.as_str().trim_start_matches("///").trim_end();
        line.strip_prefix(' ').unwrap_or(line).to_owned()
    };
    lines.map(text).collect::<Vec<_>>().join("\n")
}
