//! Texts: where they end, which of their braces are holes, and quotes that are not `"`.
//!
//! After the edits made here every text is closed, and every brace in it is doubled or belongs to a hole whose
//! brackets and inner texts are balanced: the grammar never searches for an end that is not there.

use super::{Scanner, TokenKind, is_item_word};
use crate::syntax::fixed::Edit;
use crate::syntax::mistake::Mistake;
use crate::syntax::parse::MAX_DEPTH;

impl Scanner<'_> {
    /// A text that begins with some kind of quote.
    pub(super) fn quoted(&mut self, quote: char) {
        if quote != '"' {
            self.foreign_quotes(quote);
        } else if self.rest().starts_with("\"\"\"") {
            self.block_text();
        } else {
            self.line_text();
        }
    }

    /// `r"…"`: no escapes, no holes.
    pub(super) fn raw_text(&mut self) {
        let start = self.at + 2;
        let line = &self.text[start..self.line_end()];
        let end = match line.find('"') {
            Some(length) => start + length + 1,
            None => {
                let end = start + without_closers(line);
                self.unterminated(end, "\"");
                end
            }
        };
        self.token(TokenKind::Text, end);
    }

    fn line_text(&mut self) {
        let limit = self.line_end();
        let (end, lone) = self.inside(self.at + 1, limit, "\"");
        let end = end.unwrap_or_else(|| {
            let last_hole = self.last_hole_end(self.at + 1, limit);
            let line = &self.text[self.at + 1..limit];
            let end = (self.at + 1 + without_closers(line)).max(last_hole);
            let slashes = self.text[self.at..end].len() - self.text[self.at..end].trim_end_matches('\\').len();
            self.unterminated(end, if slashes % 2 == 1 { "\\\"" } else { "\"" });
            end
        });
        self.double(lone, end);
        self.token(TokenKind::Text, end);
    }

    fn block_text(&mut self) {
        let start = self.at;
        let limit = self.block_limit(start + 3);
        let (end, lone) = self.inside(start + 3, limit, "\"\"\"");
        let end = end.unwrap_or_else(|| {
            self.mistake(Mistake::UnterminatedBlock, start, start + 3);
            let slashes = self.text[start..limit].len() - self.text[start..limit].trim_end_matches('\\').len();
            self.edit(limit, limit, if slashes % 2 == 1 { "\\\"\"\"" } else { "\"\"\"" });
            limit
        });
        self.double(lone, end);
        self.token(TokenKind::Text, end);
        if let Some(line) = self.text[start..end].rfind('\n') {
            self.line_start = start + line + 1;
        }
    }

    /// Where an open block must end: before the next item at the latest, when nothing closes it.
    fn block_limit(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        if rest.contains("\"\"\"") {
            return self.text.len();
        }
        let begins_item = |line: &str| line.starts_with('}') || line.split(' ').next().is_some_and(is_item_word);
        let breaks = rest.match_indices('\n').map(|(at, _)| at);
        breaks.into_iter().find(|at| begins_item(&rest[at + 1..])).map_or(self.text.len(), |at| start + at)
    }

    /// Walks through a text up to `quote`: behind the quote, if it comes before `limit`, and the lone braces.
    fn inside(&self, mut at: usize, limit: usize, quote: &str) -> (Option<usize>, Vec<usize>) {
        let one_line = quote.len() == 1;
        let mut lone = Vec::new();
        while at < limit {
            let rest = &self.text[at..limit];
            let first = rest.chars().next().expect("before the limit");
            if rest.starts_with(quote) {
                return (Some(at + quote.len()), lone);
            }
            at += match first {
                '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                '{' | '}' if rest[1..].starts_with(first) => 2,
                '{' => match hole_length(&rest[1..], one_line, self.open.len()) {
                    Some(length) => 1 + length,
                    None => {
                        lone.push(at);
                        1
                    }
                },
                '}' => {
                    lone.push(at);
                    1
                }
                _ => first.len_utf8(),
            };
        }
        (None, lone)
    }

    fn last_hole_end(&self, start: usize, limit: usize) -> usize {
        let mut at = start;
        let mut end = start;
        while let Some(length) = self.text[at..limit].find('{') {
            at += length + 1;
            if let Some(hole) = hole_length(&self.text[at..limit], true, self.open.len()) {
                at += hole;
                end = at;
            }
        }
        end
    }

    /// Reports lone braces before `end` and reads them as themselves.
    fn double(&mut self, lone: Vec<usize>, end: usize) {
        let mut lone = lone.into_iter().filter(|at| *at < end).peekable();
        if let Some(first) = lone.peek().copied() {
            self.mistake(Mistake::LoneBrace { closing: self.text[first..].starts_with('}') }, first, first + 1);
        }
        for at in lone {
            let brace = &self.text[at..=at];
            self.scan.edits.push(Edit::new(at, at + 1, brace.repeat(2)));
        }
    }

    /// Reports a text that its line does not close and closes it at `end`.
    fn unterminated(&mut self, end: usize, quote: &str) {
        let empty = self.text[self.at..end].trim_end_matches('"').trim_start_matches('r').is_empty();
        self.mistake(Mistake::UnterminatedText { empty }, self.at, end);
        self.edit(end, end, quote);
    }

    /// `'…'` and `“…”` are read as `"…"`, without escapes and holes.
    fn foreign_quotes(&mut self, quote: char) {
        let start = self.at + quote.len_utf8();
        let closers: [&[char]; 2] = match quote {
            '\'' | '‘' | '’' => [&['\'', '’'], &['‘']],
            '«' => [&['»'], &[]],
            _ => [&['”', '“'], &['"']],
        };
        let line = &self.text[start..self.line_end()];
        let Some(length) = closers.iter().find_map(|closers| line.find(*closers)) else { return self.strange(quote) };
        let close = start + length;
        let end = close + self.text[close..].chars().next().map_or(1, char::len_utf8);
        self.mistake(Mistake::ForeignQuotes { quote }, self.at, end);
        self.edit(self.at, start, "\"");
        for (at, inner) in line[..length].match_indices(['"', '\\', '{', '}']) {
            let with = if inner == "\"" { "\\\"".to_owned() } else { inner.repeat(2) };
            self.edit(start + at, start + at + 1, &with);
        }
        self.edit(close, end, "\"");
        self.token(TokenKind::Text, end);
    }
}

/// How long a hole is behind its `{`, the `}` included; none when its brackets or texts do not close.
fn hole_length(text: &str, one_line: bool, depth: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        if depth + open.len() >= MAX_DEPTH || rest.starts_with("//") || (one_line && first == '\n') {
            return None;
        }
        at += match first {
            'r' if rest.starts_with("r\"") => 3 + rest[2..].find(['"', '\n']).filter(|at| rest[2 + at..].starts_with('"'))?,
            '"' => 1 + text_length(&rest[1..], depth + open.len() + 1)?,
            '(' => open_with(&mut open, ')'),
            '[' => open_with(&mut open, ']'),
            '{' => open_with(&mut open, '}'),
            '}' if open.is_empty() => return Some(at + 1),
            ')' | ']' | '}' if open.pop() == Some(first) => 1,
            ')' | ']' | '}' => return None,
            _ => first.len_utf8(),
        };
    }
}

fn open_with(open: &mut Vec<char>, closer: char) -> usize {
    open.push(closer);
    1
}

/// How long a one-line text inside a hole is behind its quote, which must close it; its braces must be sound too.
fn text_length(text: &str, depth: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        at += match first {
            '"' => return Some(at + 1),
            '\n' => return None,
            '\\' => 1 + rest[1..].chars().next()?.len_utf8(),
            '{' | '}' if rest[1..].starts_with(first) => 2,
            '{' => 1 + hole_length(&rest[1..], true, depth)?,
            '}' => return None,
            _ => first.len_utf8(),
        };
    }
}

/// The length of a line without the closing brackets and commas at its end: they are seldom part of an open text.
fn without_closers(line: &str) -> usize {
    let mut line = line.trim_end();
    while let Some(shorter) = line.strip_suffix([')', ']', ',']).or_else(|| line.strip_suffix(" }")) {
        line = shorter.trim_end();
    }
    line.len()
}
