//! The first look at a text: its tokens, its comments, and mistakes that a wrong character makes.
//!
//! What a beginner brings from other languages (`#` comments, curly quotes, `&&`, `True`, `let`) is reported and
//! repaired, so that the rest of the line is still read. Brackets deeper than [`MAX_DEPTH`] are taken out here, before
//! any recursion can follow them.

use super::fixed::Edit;
use super::mistake::Mistake;
use super::parse::MAX_DEPTH;
use super::span::{FileId, Span};

mod characters;
mod foreign;
mod quoted;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A name or a keyword.
    Word,
    Type,
    Number,
    Text,
    Doc,
    Symbol,
}

/// A token of the original text; a text with its holes is one token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first token of its line.
    pub(super) leads: bool,
    /// How many columns its line is indented.
    pub(super) indent: usize,
}

/// What a look at the characters tells.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tokens: Vec<Token>,
    /// Ordered, as byte ranges.
    pub(super) comments: Vec<std::ops::Range<usize>>,
    pub(super) edits: Vec<Edit>,
    pub(super) mistakes: Vec<(Mistake, Span)>,
    /// From a bracket that was never closed to where it was closed for the grammar: what is wrong in between may
    /// only follow from that.
    pub(super) unsure: Vec<std::ops::Range<usize>>,
}

impl Scan {
    /// The tokens that lie inside a span.
    pub(super) fn tokens_in(&self, span: Span) -> &[Token] {
        let range = span.range();
        let first = self.tokens.partition_point(|token| token.start < range.start);
        let count = self.tokens[first..].partition_point(|token| token.end <= range.end);
        &self.tokens[first..first + count]
    }

    /// Whether something inside a span was reported already.
    pub(super) fn has_mistake(&self, span: Span) -> bool {
        self.mistakes.iter().any(|(_, at)| at.start <= span.end && span.start <= at.end)
    }
}

/// Looks at every character once.
pub(super) fn scan(file: FileId, text: &str) -> Scan {
    let mut scanner = Scanner { file, text, at: 0, line_start: 0, fresh: true, open: Vec::new(), scan: Scan::default() };
    while scanner.at < text.len() {
        scanner.step();
    }
    foreign::words(&mut scanner.scan, file, text);
    scanner.scan.comments.sort_by_key(|comment| comment.end);
    scanner.scan
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    line_start: usize,
    /// No token yet on this line.
    fresh: bool,
    open: Vec<Open>,
    scan: Scan,
}

/// Something that nests, as far as depth goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Bracket,
    /// Beyond the limit, and taken out.
    Removed,
    /// `if` until its `else`, `Data<` until its `>`.
    If,
    Angle,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn mistake(&mut self, mistake: Mistake, start: usize, end: usize) {
        self.scan.mistakes.push((mistake, Span::new(self.file, start, end)));
    }

    fn edit(&mut self, start: usize, end: usize, with: &str) {
        self.scan.edits.push(Edit::new(start, end, with));
    }

    /// Adds the token from here to `end` and goes there.
    fn token(&mut self, kind: TokenKind, end: usize) {
        let line = &self.text[self.line_start..self.at];
        let indent = line.len() - line.trim_start().len();
        let token = Token { kind, start: self.at, end, leads: self.fresh, indent };
        self.scan.tokens.push(token);
        self.fresh = false;
        self.at = end;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let first = rest.chars().next().expect("there is text left");
        match first {
            '\n' => self.new_line(),
            ' ' | '\t' | '\r' => self.at += 1,
            '/' if rest.starts_with("//") || rest.starts_with("/*") => self.comment(),
            '#' => self.foreign_comment(self.line_end()),
            '"' | '\'' | '“' | '”' | '„' | '‘' | '’' | '«' => self.quoted(first),
            'r' if rest.starts_with("r\"") => self.raw_text(),
            '0'..='9' => self.token(TokenKind::Number, self.at + number_length(rest)),
            '(' | '[' | '{' => self.opens(),
            ')' | ']' | '}' => self.closes(),
            _ if first.is_alphanumeric() || first == '_' => self.word(),
            _ => self.symbol(first),
        }
    }

    fn new_line(&mut self) {
        self.at += 1;
        self.line_start = self.at;
        self.fresh = true;
    }

    fn line_end(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |length| self.at + length)
    }

    fn comment(&mut self) {
        let rest = self.rest();
        let end = self.at + self.text[self.at..self.line_end()].trim_end().len();
        if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(end, |length| self.at + length + 2);
            self.foreign_comment(end);
        } else if rest.starts_with("///") && !rest.starts_with("////") {
            self.token(TokenKind::Doc, end);
        } else {
            self.scan.comments.push(self.at..end);
            self.at = end;
        }
    }

    fn foreign_comment(&mut self, end: usize) {
        let sign = if self.rest().starts_with('#') { "#" } else { "/*" };
        self.mistake(Mistake::ForeignComment { sign }, self.at, self.at + sign.len());
        self.edit(self.at, end, " ");
        self.scan.comments.push(self.at..end);
        if let Some(line) = self.text[self.at..end].rfind('\n') {
            self.line_start = self.at + line + 1;
        }
        self.at = end;
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..length];
        if !word.is_ascii() {
            self.mistake(Mistake::BadName { text: word.to_owned() }, self.at, self.at + length);
            self.edit(self.at, self.at + length, &characters::ascii(word));
        }
        match word {
            "if" if !self.push(Open::If) => {
                self.edit(self.at, self.at + length, "");
                self.at += length;
                return;
            }
            "else" if self.open.last() == Some(&Open::If) => drop(self.open.pop()),
            _ if self.fresh && self.at == self.line_start && is_item_word(word) => self.forget_words(),
            _ => {}
        }
        let kind = if word.starts_with(char::is_uppercase) { TokenKind::Type } else { TokenKind::Word };
        self.token(kind, self.at + length);
    }

    /// Enters one level; false, and reported, when it is too deep.
    fn push(&mut self, open: Open) -> bool {
        let fits = self.open.len() < MAX_DEPTH;
        if fits {
            self.open.push(open);
        } else {
            if !self.scan.mistakes.iter().any(|(mistake, _)| matches!(mistake, Mistake::TooDeep { .. })) {
                self.mistake(Mistake::TooDeep { limit: MAX_DEPTH }, self.at, self.at + 1);
            }
            if open == Open::Bracket {
                self.open.push(Open::Removed);
            }
        }
        fits
    }

    /// Leaves what words and angles opened: brackets enclose them.
    fn forget_words(&mut self) {
        while matches!(self.open.last(), Some(Open::If | Open::Angle)) {
            self.open.pop();
        }
    }

    fn opens(&mut self) {
        if self.push(Open::Bracket) {
            self.token(TokenKind::Symbol, self.at + 1);
        } else {
            self.edit(self.at, self.at + 1, " ");
            self.at += 1;
        }
    }

    fn closes(&mut self) {
        self.forget_words();
        if self.open.pop() == Some(Open::Removed) {
            self.edit(self.at, self.at + 1, " ");
            self.at += 1;
        } else {
            self.token(TokenKind::Symbol, self.at + 1);
        }
    }

    fn symbol(&mut self, first: char) {
        if let Some(length) = characters::symbol_length(self.rest()) {
            match first {
                '<' if length == 1 && self.after_type() => {
                    if !self.push(Open::Angle) {
                        self.edit(self.at, self.at + 1, " ");
                        self.at += 1;
                        return;
                    }
                }
                '*' if length == 1 && self.is_star_argument() => {
                    self.mistake(Mistake::ForeignOperator { sign: "*", ours: "..." }, self.at, self.at + 1);
                    self.edit(self.at, self.at + 1, "...");
                }
                '>' if length == 1 && self.open.last() == Some(&Open::Angle) => drop(self.open.pop()),
                _ => {}
            }
            self.token(TokenKind::Symbol, self.at + length);
        } else {
            self.strange(first);
        }
    }

    fn after_type(&self) -> bool {
        self.scan.tokens.last().is_some_and(|token| token.kind == TokenKind::Type)
    }
}

/// The words that begin an item.
pub(super) fn is_item_word(word: &str) -> bool {
    matches!(word, "use" | "param" | "type" | "extern" | "fn" | "objective" | "stage" | "recipe" | "profile")
}

/// How long the number at the start of a text is, its unit included.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let run = |mut at: usize, wanted: fn(&u8) -> bool| {
        while bytes.get(at).is_some_and(wanted) {
            at += 1;
        }
        at
    };
    let digit = |b: &u8| b.is_ascii_digit() || *b == b'_';
    let mut end = run(0, digit);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = run(end + 1, digit);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = run(end + 1 + sign, u8::is_ascii_digit);
        }
    }
    if bytes.get(end) == Some(&b'%') { end + 1 } else { run(end, |b| b.is_ascii_alphanumeric() || *b == b'_') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::fixed::Fixed;

    /// The text as the grammar will see it, and the codes of what was wrong.
    fn repaired(text: &str) -> (String, Vec<&'static str>) {
        let scan = scan(FileId(0), text);
        let codes = scan.mistakes.iter().map(|(mistake, _)| mistake.code().trim_start_matches("align::syntax::"));
        (Fixed::new(text, scan.edits.clone()).text, codes.collect())
    }

    #[test]
    fn sound_text_is_left_alone() {
        for text in ["a = \"{f(\"x\")} {{ }} \\\" // no comment\" // one\n", "r\"\\d{2}\" '", "\"\"\"\n  {a}\n \"two\" \"\"\""] {
            let text = text.trim_end_matches(" '");
            assert_eq!(repaired(text), (text.to_owned(), vec![]));
        }
    }

    #[test]
    fn habits_are_repaired() {
        let cases = [
            ("x = 1 # one", "x = 1  ", "foreign_comment"),
            ("x = 'it'", "x = \"it\"", "foreign_quotes"),
            ("x = “a \"b\" {c}”", "x = \"a \\\"b\\\" {{c}}\"", "foreign_quotes"),
            ("x = a && b", "x = a  and  b", "foreign_operator"),
            ("let x = 1", " x = 1", "foreign_word"),
            ("f(\"abc)", "f(\"abc\")", "unterminated_text"),
            ("x = \"run {n}", "x = \"run {n}\"", "unterminated_text"),
            ("x = \"a } b\"", "x = \"a }} b\"", "lone_brace"),
            ("x = a; y = b", "x = a  y = b", "stray_character"),
            ("größe = 1", "gr__e = 1", "bad_name"),
        ];
        for (text, wanted, code) in cases {
            let (fixed, codes) = repaired(text);
            assert_eq!((fixed.as_str(), codes.first()), (wanted, Some(&code)), "{text}");
        }
    }

    #[test]
    fn a_quadratic_number_of_braces_is_read_in_time() {
        let text = "\"{".repeat(20_000);
        assert!(!repaired(&text).1.is_empty());
    }

    #[test]
    fn tokens_know_their_line() {
        let scan = scan(FileId(0), "a =\n    f(x) // c\n  \"\"\"\n\n\"\"\" b\nc");
        let places: Vec<(usize, bool, usize)> = scan.tokens.iter().map(|t| (t.start, t.leads, t.indent)).collect();
        assert_eq!(places[..4], [(0, true, 0), (2, false, 0), (8, true, 4), (9, false, 4)]);
        let last = places.len() - 1;
        assert_eq!((places[last - 1].1, places[last].1, places[last].2), (false, true, 0));
    }
}
