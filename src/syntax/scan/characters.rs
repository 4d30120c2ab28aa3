//! Characters that the language does not have, and what was probably meant.

use super::{Scanner, TokenKind};
use crate::syntax::mistake::Mistake;

/// Longest first.
const SYMBOLS: &[&str] =
    &["...", "..=", "->", "=>", "==", "!=", "<=", ">=", ":=", "+=", "..", "=", "+", "-", "*", "/", "^", "<", ">", ",", ".", ":", "|", "?"];

/// Operators of other languages or of mathematics, and ours.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "and"),
    ("||", "or"),
    ("**", "^"),
    ("===", "=="),
    ("<>", "!="),
    ("!", "not"),
    ("≤", "<="),
    ("≥", ">="),
    ("≠", "!="),
    ("×", "*"),
    ("·", "*"),
    ("÷", "/"),
    ("−", "-"),
    ("–", "-"),
    ("—", "-"),
    ("→", "->"),
    ("…", "..."),
    ("¬", "not"),
    ("∧", "and"),
    ("∨", "or"),
];

/// The length of the symbol a text starts with.
pub(super) fn symbol_length(text: &str) -> Option<usize> {
    if foreign(text).is_some() {
        return None;
    }
    SYMBOLS.iter().find(|symbol| text.starts_with(**symbol)).map(|symbol| symbol.len())
}

fn foreign(text: &str) -> Option<&'static (&'static str, &'static str)> {
    FOREIGN.iter().find(|(sign, _)| text.starts_with(sign) && !(*sign == "!" && text.starts_with("!=")))
}

/// An ASCII name as long as a word, so that its uses still agree with each other.
pub(super) fn ascii(word: &str) -> String {
    word.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect()
}

impl Scanner<'_> {
    /// Whether an argument or an entry begins here.
    fn begins_entry(&self) -> bool {
        let last = self.scan.tokens.last().map_or("", |token| &self.text[token.start..token.end]);
        matches!(last, "(" | "[" | "{" | ",")
    }

    /// `*rows` where an argument begins: other languages pass arguments on like that.
    pub(super) fn is_star_argument(&self) -> bool {
        self.begins_entry() && self.rest()[1..].starts_with(|c: char| c.is_ascii_alphabetic())
    }

    /// A character without a place in the language.
    pub(super) fn strange(&mut self, first: char) {
        if let Some((sign, ours)) = foreign(self.rest()) {
            let ours = if *sign == "**" && self.begins_entry() { "..." } else { ours };
            let end = self.at + sign.len();
            self.mistake(Mistake::ForeignOperator { sign, ours }, self.at, end);
            self.edit(self.at, end, &format!(" {ours} "));
            self.token(TokenKind::Symbol, end);
            return;
        }
        let end = self.at + first.len_utf8();
        // A byte order mark is how some editors begin a file.
        if !(first == '\u{feff}' && self.at == 0) {
            self.mistake(Mistake::StrayCharacter { found: first }, self.at, end);
        }
        self.edit(self.at, end, " ");
        self.at = end;
    }
}
