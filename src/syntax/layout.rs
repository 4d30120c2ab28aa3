//! Balances the brackets, so that the grammar sees none without its partner.
//!
//! A missing or superfluous bracket would otherwise swallow the rest of a file. Where brackets do not match, the
//! layout tells what was meant: people indent what is inside. Text that does match is left alone, however it is
//! laid out.

use super::fixed::Edit;
use super::mistake::Mistake;
use super::scan::{Scan, Token, TokenKind, is_item_word};
use super::span::{FileId, Span};

/// Adds the edits that balance the brackets, and the mistakes they mend.
pub(super) fn balance(scan: &mut Scan, file: FileId, text: &str) {
    let starts = item_starts(&scan.tokens, text);
    let mut found = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(scan.tokens.len());
        let tokens = &scan.tokens[*start..end];
        if !is_balanced(tokens, text) {
            let mut region = Region { text, tokens, open: Vec::new(), repairs: Vec::new() };
            region.walk();
            found.extend(region.repairs);
        }
    }
    let mut dropped = None;
    for repair in found {
        if let Repair::Close { opener: Opener { body: None, start, .. }, at } = &repair {
            scan.unsure.push(*start..*at);
        }
        let (mistake, label, edit) = repair.explain();
        let line = line_of(text, label.start);
        // An open text already took the brackets behind it with it.
        let is_consequence = scan.mistakes.iter().any(|(mistake, span)| {
            matches!(mistake, Mistake::UnterminatedText { .. } | Mistake::UnterminatedBlock | Mistake::TooDeep { .. })
                && line_of(text, span.start as usize) == line
        });
        let is_repeated = matches!(edit.with.as_str(), " ") && dropped == Some(label.start);
        dropped = (edit.with == " ").then_some(label.end);
        if !is_consequence && !is_repeated {
            scan.mistakes.push((mistake(file), Span::new(file, label.start, label.end)));
        }
        scan.edits.push(edit);
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |at| at + 1)
}

/// The index of the first token of every region: an item at the margin begins one.
fn item_starts(tokens: &[Token], text: &str) -> Vec<usize> {
    let begins = |at: &usize| {
        let token = &tokens[*at];
        let next = tokens.get(at + 1);
        let named = next.is_some_and(|next| !next.leads && matches!(next.kind, TokenKind::Word | TokenKind::Type | TokenKind::Text));
        token.leads && token.indent == 0 && is_item_word(&text[token.start..token.end]) && named
    };
    // Its `///` lines belong to it.
    let with_docs = |at: usize| at - tokens[..at].iter().rev().take_while(|token| token.kind == TokenKind::Doc).count();
    let mut starts = vec![0];
    starts.extend((1..tokens.len()).filter(begins).map(with_docs).filter(|at| *at > 0));
    starts
}

fn is_balanced(tokens: &[Token], text: &str) -> bool {
    let mut open = Vec::new();
    for token in tokens {
        match bracket(token, text) {
            Some(c @ ('(' | '[' | '{')) => open.push(partner(c)),
            Some(c) if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// The bracket that a token is.
fn bracket(token: &Token, text: &str) -> Option<char> {
    let c = text[token.start..token.end].chars().next()?;
    (token.kind == TokenKind::Symbol && "()[]{}".contains(c)).then_some(c)
}

pub(super) fn partner(c: char) -> char {
    match c {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        ')' => '(',
        ']' => '[',
        _ => '{',
    }
}

/// An open bracket.
#[derive(Clone, Copy)]
struct Opener {
    bracket: char,
    start: usize,
    /// How far the line is indented that it stands on.
    indent: usize,
    /// How far its first line is indented, when it is a body of statements.
    body: Option<usize>,
}

enum Repair {
    /// `opener` is closed at `at`.
    Close { opener: Opener, at: usize },
    /// The closing bracket at `at` has no opening one.
    Drop { bracket: char, at: usize },
    /// The closing bracket at `at` is of another kind than `opener`.
    Swap { opener: Opener, bracket: char, at: usize },
}

type Explained = (Box<dyn Fn(FileId) -> Mistake>, std::ops::Range<usize>, Edit);

impl Repair {
    /// The mistake, its place, and what mends it.
    fn explain(self) -> Explained {
        match self {
            Self::Close { opener, at } => {
                let closer = partner(opener.bracket);
                let mistake = move |file| Mistake::Unclosed { bracket: opener.bracket, end: Span::new(file, at, at) };
                (Box::new(mistake), opener.start..opener.start + 1, Edit::new(at, at, closer))
            }
            Self::Drop { bracket, at } => (Box::new(move |_| Mistake::Unopened { bracket }), at..at + 1, Edit::new(at, at + 1, " ")),
            Self::Swap { opener, bracket, at } => {
                let closer = partner(opener.bracket);
                let mistake = move |file| Mistake::WrongCloser {
                    bracket,
                    opener: opener.bracket,
                    opened: Span::new(file, opener.start, opener.start + 1),
                };
                (Box::new(mistake), at..at + 1, Edit::new(at, at + 1, closer))
            }
        }
    }
}

/// An item, or what stands before the first one, while its brackets are paired.
struct Region<'a> {
    text: &'a str,
    tokens: &'a [Token],
    open: Vec<Opener>,
    repairs: Vec<Repair>,
}

impl Region<'_> {
    fn walk(&mut self) {
        for at in 0..self.tokens.len() {
            let token = self.tokens[at];
            if token.leads {
                self.line_begins(at);
            }
            match bracket(&token, self.text) {
                Some(c @ ('(' | '[' | '{')) => self.opens(at, c),
                Some(c) => self.closes(at, c),
                None => {}
            }
        }
        self.close_above(0, self.tokens.last().map_or(0, |token| token.end));
    }

    fn opens(&mut self, at: usize, bracket: char) {
        let token = self.tokens[at];
        self.head_ends(at, bracket);
        let body = (bracket == '{' && self.is_body(at))
            .then(|| self.tokens.get(at + 1).filter(|next| next.leads).map_or(usize::MAX, |next| next.indent));
        self.open.push(Opener { bracket, start: token.start, indent: token.indent, body });
    }

    /// The body of an item shows that its head is over: parameters end before the last `->` or `for`.
    fn head_ends(&mut self, at: usize, bracket: char) {
        let in_head = bracket == '{' && !self.open.is_empty() && self.open.iter().all(|opener| opener.body.is_none());
        if !in_head || !self.is_body(at) || self.tokens.get(at + 1).is_some_and(|next| !next.leads) {
            return;
        }
        if self.open[0].bracket != '(' {
            return self.close_above(0, self.tokens[at - 1].end);
        }
        let is_sign = |token: &&Token| matches!(&self.text[token.start..token.end], "->" | "for");
        let since = |token: &&Token| token.start > self.open[0].start;
        let sign = self.tokens[..at].iter().rev().take_while(since).find(is_sign).unwrap_or(&self.tokens[at]);
        let before = self.tokens.partition_point(|token| token.start < sign.start);
        let end = before.checked_sub(1).map_or(sign.start, |before| self.tokens[before].end);
        self.close_above(0, end);
    }

    /// Whether a `{` begins a body of statements and not a record.
    fn is_body(&self, at: usize) -> bool {
        let kind = |at: usize| self.tokens.get(at).map(|token| token.kind);
        let text = |at: usize| self.tokens.get(at).map_or("", |token| &self.text[token.start..token.end]);
        let is_field = matches!(kind(at + 1), Some(TokenKind::Word | TokenKind::Type)) && text(at + 2) == ":";
        let after_head = at.checked_sub(1).is_some_and(|before| match kind(before) {
            Some(TokenKind::Symbol) => matches!(text(before), ")" | "]" | "}" | ">" | "?"),
            Some(TokenKind::Word) => !matches!(text(before), "with" | "for" | "as" | "then" | "else" | "in"),
            _ => true,
        });
        after_head && !is_field && text(at + 1) != "..." && !self.tokens[at].leads
    }

    /// A new line may show that something above it was never closed.
    fn line_begins(&mut self, at: usize) {
        let token = self.tokens[at];
        if at == 0 || !(self.begins_statement(at) || self.is_aligned(&token)) {
            return;
        }
        let end = self.tokens[at - 1].end;
        while let Some(top) = self.open.last() {
            let over = match top.body {
                None => token.indent <= top.indent || self.begins_with_keyword(at),
                Some(body) => self.open.len() > 1 && token.indent < body && token.indent <= top.indent,
            };
            if !over {
                break;
            }
            self.close_above(self.open.len() - 1, end);
        }
    }

    /// Whether a line begins with a word where the statements of the body around it begin.
    fn is_aligned(&self, token: &Token) -> bool {
        let body = self.open.iter().rev().find_map(|opener| opener.body);
        matches!(token.kind, TokenKind::Word | TokenKind::Type) && body == Some(token.indent)
    }

    fn begins_statement(&self, at: usize) -> bool {
        let next = self.tokens.get(at + 1).map_or("", |next| &self.text[next.start..next.end]);
        self.begins_with_keyword(at) || (self.tokens[at].kind == TokenKind::Word && next == "=")
    }

    fn begins_with_keyword(&self, at: usize) -> bool {
        let token = self.tokens[at];
        let word = &self.text[token.start..token.end];
        let followed = self.tokens.get(at + 1).map_or("", |next| &self.text[next.start..next.end]);
        matches!(word, "expect" | "export" | "gate" | "loss" | "metric" | "state" | "limit") && followed != ":"
    }

    fn closes(&mut self, at: usize, bracket: char) {
        let token = self.tokens[at];
        match self.partner_of(&token, bracket) {
            Some(index) => {
                let end = at.checked_sub(1).map_or(token.start, |before| self.tokens[before].end);
                self.close_above(index + 1, end);
                self.open.pop();
            }
            None => self.unmatched(at, bracket),
        }
    }

    /// Which open bracket a closing one belongs to.
    fn partner_of(&self, token: &Token, bracket: char) -> Option<usize> {
        let wanted = partner(bracket);
        if bracket != '}' {
            let body = self.open.iter().rposition(|opener| opener.body.is_some()).map_or(0, |at| at + 1);
            return self.open[body..].iter().rposition(|opener| opener.bracket == wanted).map(|at| body + at);
        }
        let nearest = self.open.iter().rposition(|opener| opener.bracket == '{')?;
        if token.leads {
            let aligned = |opener: &Opener| opener.bracket == '{' && opener.indent == token.indent;
            return Some(self.open.iter().rposition(aligned).unwrap_or(nearest));
        }
        // `a = f(x)}`: a body that began on an earlier line ends on a line of its own.
        let line = line_of(self.text, token.start);
        let is_body_above = self.open[nearest].body.is_some() && self.open[nearest].start < line;
        (!is_body_above || self.closers_left(token) == 0).then_some(nearest)
    }

    /// How many `}` follow.
    fn closers_left(&self, token: &Token) -> usize {
        let later = self.tokens.iter().filter(|later| later.start > token.start);
        later.filter(|later| bracket(later, self.text) == Some('}')).count()
    }

    fn unmatched(&mut self, at: usize, bracket: char) {
        let token = self.tokens[at];
        let next = self.tokens.get(at + 1).and_then(|next| self::bracket(next, self.text));
        match self.open.last().copied() {
            Some(opener) if opener.body.is_none() && next != Some(partner(opener.bracket)) => {
                self.open.pop();
                self.repairs.push(Repair::Swap { opener, bracket, at: token.start });
            }
            _ => self.repairs.push(Repair::Drop { bracket, at: token.start }),
        }
    }

    /// Closes every bracket from `depth` on, at `end`.
    fn close_above(&mut self, depth: usize, end: usize) {
        while self.open.len() > depth {
            let opener = self.open.pop().expect("there are more than `depth`");
            self.repairs.push(Repair::Close { opener, at: end });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::fixed::Fixed;

    fn balanced(text: &str) -> (String, Vec<String>) {
        let mut scan = crate::syntax::scan::scan(FileId(0), text);
        balance(&mut scan, FileId(0), text);
        let said = scan.mistakes.iter().map(|(mistake, span)| format!("{mistake} at {}", span.start)).collect();
        (Fixed::new(text, scan.edits).text, said)
    }

    #[test]
    fn what_matches_is_left_alone() {
        let flat = "recipe r {\na = f(\nx,\n[1,\n2]\n)\n}\nfn f(x) = (\nx)\n";
        assert_eq!(balanced(flat), (flat.to_owned(), vec![]));
    }

    #[test]
    fn the_layout_shows_where_a_bracket_ends() {
        let cases = [
            ("recipe r {\n    a = f(x\n    b = 1\n}", "recipe r {\n    a = f(x)\n    b = 1\n}"),
            ("recipe r {\n    a = { x: 1,\n        y: 2\n    b = 1\n}", "recipe r {\n    a = { x: 1,\n        y: 2}\n    b = 1\n}"),
            ("recipe r {\n    a = f(g([x\n}", "recipe r {\n    a = f(g([x]))\n}"),
            ("recipe r {\n    a = 1\n\nfn f(x) = x", "recipe r {\n    a = 1}\n\nfn f(x) = x"),
            (
                "recipe r {\n    l = repeat i in x {\n        a = 1\n    b = 1\n}",
                "recipe r {\n    l = repeat i in x {\n        a = 1}\n    b = 1\n}",
            ),
            ("recipe r {\n    a = f(x))\n}", "recipe r {\n    a = f(x) \n}"),
            ("recipe r {\n    a = f(x)}\n    b = 1\n}", "recipe r {\n    a = f(x) \n    b = 1\n}"),
            ("recipe r {\n    a = [1, 2)\n}", "recipe r {\n    a = [1, 2]\n}"),
            ("stage s(a: A, b: B -> C {\n    x = 1\n    x\n}", "stage s(a: A, b: B) -> C {\n    x = 1\n    x\n}"),
        ];
        for (text, wanted) in cases {
            let (fixed, said) = balanced(text);
            assert_eq!(fixed, wanted);
            assert!(!said.is_empty(), "nothing said about {text}");
        }
    }
}
