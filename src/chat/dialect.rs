//! Source as `transformers` reads it, to source as minijinja reads it. Lines stay where they are.
//!
//! - `{% generation %}` becomes a scope and, in it, a filter block that marks its text;
//! - a slice with a step becomes a method call, because the engine's own does not stand an empty sequence;
//! - chains that the engine's parser would follow down the stack are refused.
//!
//! What the source quotes comes out too: `origin` wants to know which words a template compares messages with.

use std::collections::BTreeSet;

use super::error::TemplateError;

/// The filter that `{% generation %}` puts its text through.
pub(super) const GENERATION: &str = "__generation";
/// The method that a slice with a step calls.
pub(super) const STEPPED: &str = "__stepped";

/// Operators, names and literals in a row, within one argument or item.
const LONGEST_CHAIN: usize = 500;
/// Brackets in brackets.
const DEEPEST: usize = 100;
/// `elif` tags of a template.
const MOST_BRANCHES: usize = 500;

/// A template's source in the engine's dialect.
#[derive(Default, Debug)]
pub(super) struct Dialect {
    pub(super) source: String,
    pub(super) marks_generation: bool,
    /// The texts in quotes, as they are written.
    pub(super) quoted: BTreeSet<String>,
    branches: usize,
    /// Where a rewritten piece ends, and by how many bytes it grew.
    grown: Vec<(usize, isize)>,
}

/// An open bracket of an expression.
struct Bracket {
    /// Where it stands in the result.
    start: usize,
    /// Where colons stand directly in it.
    colons: Vec<usize>,
    /// Tokens since the last comma.
    chain: usize,
}

/// Rewrites a template.
///
/// # Errors
/// For a chain that is too long. What is no template otherwise is left for the engine to refuse.
pub(super) fn rewrite(source: &str) -> Result<Dialect, TemplateError> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut dialect = Dialect::default();
    let mut rest = source.as_str();
    while let Some((at, _)) = rest.match_indices('{').find(|(at, _)| rest[at + 1..].starts_with(['{', '%', '#'])) {
        let (text, tag) = rest.split_at(at);
        dialect.source.push_str(text);
        rest = match &tag[..2] {
            "{#" => dialect.verbatim(tag, "#}"),
            "{%" => dialect.block(tag)?,
            _ => dialect.expression(tag, 2, "}}")?,
        };
    }
    dialect.source.push_str(rest);
    Ok(dialect)
}

impl Dialect {
    /// Copies up to and including `close`, and returns what is behind it.
    fn verbatim<'a>(&mut self, text: &'a str, close: &str) -> &'a str {
        let end = text.find(close).map_or(text.len(), |at| at + close.len());
        self.source.push_str(&text[..end]);
        &text[end..]
    }

    fn block<'a>(&mut self, tag: &'a str) -> Result<&'a str, TemplateError> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let start = tag.len() - tag[2..].trim_start_matches(['-', '+']).trim_start().len();
        let name = &tag[start..start + tag[start..].find(|c| !is_name(c)).unwrap_or(tag.len() - start)];
        let replacement = match name {
            "raw" => {
                let end = end_of_raw(tag);
                self.source.push_str(&tag[..end]);
                return Ok(&tag[end..]);
            }
            "generation" => {
                self.marks_generation = true;
                &format!("with %}}{{% filter {GENERATION}")
            }
            "endgeneration" => "endfilter %}{% endwith",
            other => other,
        };
        self.branches += usize::from(name == "elif");
        if self.branches > MOST_BRANCHES {
            return Err(self.refused("there are too many branches"));
        }
        self.source.push_str(&tag[..start]);
        self.source.push_str(replacement);
        self.grow(name.len(), replacement.len());
        self.expression(&tag[start + name.len()..], 0, "%}")
    }

    /// Copies an expression and what closes it; the first `skipped` bytes are no part of it.
    fn expression<'a>(&mut self, text: &'a str, skipped: usize, close: &str) -> Result<&'a str, TemplateError> {
        self.source.push_str(&text[..skipped]);
        let mut brackets = vec![Bracket { start: 0, colons: Vec::new(), chain: 0 }];
        let mut at = skipped;
        while let Some(c) = text[at..].chars().next() {
            if brackets.len() == 1 && text[at..].starts_with(close) {
                self.source.push_str(close);
                return Ok(&text[at + close.len()..]);
            }
            let here = self.source.len();
            let mut end = at + c.len_utf8();
            match c {
                '"' | '\'' => {
                    end = at + quoted(&text[at..]);
                    self.quoted.insert(text[at + 1..end].trim_end_matches(c).to_owned());
                }
                '(' | '[' | '{' => brackets.push(Bracket { start: here, colons: Vec::new(), chain: 0 }),
                _ if c.is_alphanumeric() || c == '_' => {
                    let more = |c: char| !(c.is_alphanumeric() || c == '_');
                    end = at + text[at..].find(more).unwrap_or(text.len() - at);
                }
                _ => {}
            }
            let mut written = &text[at..end];
            if let Some(bracket) = brackets.last_mut() {
                match c {
                    ':' => bracket.colons.push(here),
                    ',' => bracket.chain = 0,
                    _ if !c.is_whitespace() => bracket.chain += 1,
                    _ => {}
                }
                if bracket.chain > LONGEST_CHAIN || brackets.len() > DEEPEST {
                    return Err(self.refused("the expression is too long"));
                }
            }
            if matches!(c, ')' | ']' | '}') && brackets.len() > 1 {
                let bracket = brackets.pop();
                if let Some(Bracket { start, colons, .. }) = bracket.filter(|b| c == ']' && b.colons.len() == 2) {
                    self.stepped(start, [colons[0], colons[1]]);
                    written = ")";
                }
            }
            self.source.push_str(written);
            at = end;
        }
        Ok("")
    }

    /// Turns the slice that was written from `start` on, its closing bracket excepted, into a call without one.
    fn stepped(&mut self, start: usize, [first, second]: [usize; 2]) {
        let written = self.source.split_off(start);
        let part = |from: usize, to: usize| written[from - start..to - start].to_owned();
        let parts = [part(start + 1, first), part(first + 1, second), part(second + 1, start + written.len())];
        let parts = parts.map(|part| if part.trim().is_empty() { "none".to_owned() } else { part });
        self.source.push_str(&format!(".{STEPPED}({}", parts.join(",")));
        self.grow(written.len(), self.source.len() - start);
    }

    fn grow(&mut self, before: usize, after: usize) {
        if before != after {
            self.grown.push((self.source.len(), after.cast_signed() - before.cast_signed()));
        }
    }

    /// The column, in characters from 1, at which byte `at` of the result stands in the original.
    pub(super) fn column(&self, at: usize) -> usize {
        let at = (0..=at.min(self.source.len())).rev().find(|at| self.source.is_char_boundary(*at)).unwrap_or(0);
        let start = self.source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let grown: isize = self.grown.iter().filter(|(end, _)| (start..=at).contains(end)).map(|(_, by)| by).sum();
        self.source[start..at].chars().count().saturating_add_signed(-grown) + 1
    }

    fn refused(&self, reason: &str) -> TemplateError {
        let line = self.source.matches('\n').count() + 1;
        TemplateError::Syntax { line, column: self.column(self.source.len()), reason: reason.into() }
    }
}

/// The length of the literal that `text` begins with, its quotes included.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, c)| c);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            _ if Some(c) == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Where the tag stands that ends a raw block, or the end.
fn end_of_raw(text: &str) -> usize {
    let opens = text.match_indices("{%").map(|(at, _)| at).skip(1);
    let mut ends = opens.filter(|at| text[at + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw"));
    ends.next().and_then(|at| text[at..].find("%}").map(|end| at + end + 2)).unwrap_or(text.len())
}
