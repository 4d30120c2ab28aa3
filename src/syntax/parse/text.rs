//! Text literals: raw, one line, block.
//!
//! A text without holes is one literal part, which may be empty; literal parts never touch.

use super::{Builder, child};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::tree::{Expr, TextPart};

/// A piece as written, before indentation is taken off.
enum Piece<'a> {
    Raw(&'a str),
    Meant(String),
    Hole(Pair<'a>),
}

impl Builder<'_> {
    /// The parts of a `text` pair.
    pub(super) fn text(&mut self, pair: Pair<'_>) -> Option<Vec<TextPart>> {
        let form = pair.into_inner().next().expect("a text has a form");
        let is_block = form.as_rule() == Rule::block;
        let pieces: Vec<Piece<'_>> = form.into_inner().map(piece).collect();
        let indent = if is_block { indentation(&pieces) } else { None };
        let mut parts = Parts::default();
        let count = pieces.len();
        for (at, piece) in pieces.into_iter().enumerate() {
            match piece {
                Piece::Raw(raw) if is_block => parts.literal(&outdented(raw, indent, at == 0, at + 1 == count)),
                Piece::Raw(raw) => parts.literal(raw),
                Piece::Meant(text) => parts.literal(&text),
                Piece::Hole(hole) => parts.hole(child(&hole, Rule::expr).and_then(|expr| self.expr(expr))),
            }
        }
        parts.finish()
    }

    /// The text of a `text` pair that may not have holes, such as a title.
    pub(super) fn plain_text(&mut self, pair: Pair<'_>) -> Option<String> {
        match self.text(pair)?.as_slice() {
            [TextPart::Literal(text)] => Some(text.clone()),
            _ => None,
        }
    }
}

fn piece(pair: Pair<'_>) -> Piece<'_> {
    match pair.as_rule() {
        Rule::escape => Piece::Meant(escaped(pair.as_str()).unwrap_or_default().to_owned()),
        Rule::brace => Piece::Meant(pair.as_str()[..1].to_owned()),
        Rule::hole => Piece::Hole(pair),
        _ => Piece::Raw(pair.as_str()),
    }
}

/// What an escape stands for.
pub(in crate::syntax) fn escaped(escape: &str) -> Option<&'static str> {
    match escape {
        "\\n" => Some("\n"),
        "\\t" => Some("\t"),
        "\\\\" => Some("\\"),
        "\\\"" => Some("\""),
        _ => None,
    }
}

/// The blanks that every line of a block begins with, its closing line included; none when it has one line only.
fn indentation(pieces: &[Piece<'_>]) -> Option<usize> {
    let mut least = None;
    for piece in pieces {
        let Piece::Raw(raw) = piece else { continue };
        let lines: Vec<&str> = raw.split('\n').skip(1).collect();
        for (at, line) in lines.iter().enumerate() {
            let text = line.trim_start_matches([' ', '\t']);
            let goes_on = at + 1 == lines.len();
            if !text.trim_end_matches('\r').is_empty() || goes_on {
                let blanks = line.len() - text.len();
                least = Some(least.map_or(blanks, |least: usize| least.min(blanks)));
            }
        }
    }
    least
}

/// Takes the indentation off a raw piece's lines, and the line breaks next to the quotes.
fn outdented(raw: &str, indent: Option<usize>, first: bool, last: bool) -> String {
    let Some(indent) = indent else { return raw.to_owned() };
    let mut lines: Vec<String> = raw.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect();
    for line in lines.iter_mut().skip(1) {
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.drain(..blanks.min(indent));
    }
    let is_blank = |line: Option<&String>| line.is_some_and(|line| line.trim_matches([' ', '\t']).is_empty());
    if first && lines.len() > 1 && is_blank(lines.first()) {
        lines.remove(0);
    }
    if last && lines.len() > 1 && is_blank(lines.last()) {
        lines.pop();
    }
    lines.join("\n")
}

/// Parts under construction; `broken` when a hole could not be read.
#[derive(Default)]
struct Parts {
    parts: Vec<TextPart>,
    broken: bool,
}

impl Parts {
    fn literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(TextPart::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(TextPart::Literal(text.to_owned())),
        }
    }

    fn hole(&mut self, expr: Option<Expr>) {
        match expr {
            Some(expr) => self.parts.push(TextPart::Hole(expr)),
            None => self.broken = true,
        }
    }

    fn finish(mut self) -> Option<Vec<TextPart>> {
        if self.parts.is_empty() {
            self.parts.push(TextPart::Literal(String::new()));
        }
        (!self.broken).then_some(self.parts)
    }
}
