//! Words of other languages that can be taken out or replaced: `let`, `return`, `True`.

use super::{Scan, Token, TokenKind};
use crate::syntax::fixed::Edit;
use crate::syntax::mistake::Mistake;
use crate::syntax::span::{FileId, Span};

/// Reports and repairs them, looking at each word and its neighbours.
pub(super) fn words(scan: &mut Scan, file: FileId, text: &str) {
    let mut found = Vec::new();
    let of = |token: &Token| &text[token.start..token.end];
    for (at, token) in scan.tokens.iter().enumerate() {
        let next = scan.tokens.get(at + 1);
        let then = scan.tokens.get(at + 2).map(of);
        let names_next = next.is_some_and(|next| matches!(next.kind, TokenKind::Word | TokenKind::Type) && !next.leads);
        let ours = match of(token) {
            "let" | "var" | "const" | "val" if token.leads && names_next && matches!(then, Some("=" | ":")) => "",
            "return" if token.leads && next.is_some_and(|next| !next.leads && !matches!(of(next), "=" | ":")) => "",
            // `f"…"`
            "f" | "b" | "u" | "F" | "R" | "rf" | "fr" if next.is_some_and(|next| is_prefix(token, next)) => "",
            "True" => "true",
            "False" => "false",
            "None" | "Null" | "NULL" | "NaN" => "none",
            _ => continue,
        };
        found.push((*token, ours, next.is_some_and(|next| is_prefix(token, next))));
    }
    for (token, ours, before_text) in found {
        let word = text[token.start..token.end].to_owned();
        let span = Span::new(file, token.start, token.end);
        scan.mistakes.push((Mistake::ForeignWord { word, ours, before_text }, span));
        scan.edits.push(Edit::new(token.start, token.end, ours));
    }
}

fn is_prefix(token: &Token, next: &Token) -> bool {
    next.kind == TokenKind::Text && token.end == next.start
}
