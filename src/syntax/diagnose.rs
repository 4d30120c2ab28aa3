//! Says what is wrong with junk: looks for habits of other languages, then asks the grammar how far it came.

use pest::Parser as _;
use pest::error::{Error, ErrorVariant, InputLocation};

use super::grammar::{Expected, Grammar, Rule};
use super::habit::Habit;
use super::mistake::{Found, Home, Mistake, start_meant};
use super::parse::Builder;
use super::scan::{Token, TokenKind, is_item_word};
use super::span::Span;

/// A stretch of the repaired text that could not be read.
pub(super) struct Junk<'a> {
    /// As which junk the grammar skipped it.
    pub(super) rule: Rule,
    /// Where it stands in the original.
    pub(super) span: Span,
    /// Where it starts in the repaired text, and its text there.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

/// The mistake in a line that is no statement or item.
pub(super) fn line(builder: &Builder<'_>, junk: &Junk<'_>, home: Home) -> (Mistake, Span) {
    let words = Words::of(builder, junk.span);
    words.line_habit(home).unwrap_or_else(|| {
        let rule = if home == Home::File { Rule::only_item } else { Rule::only_statement };
        furthest(builder, junk, rule)
    })
}

/// What a line of several readable parts shows of another language, or of another place.
pub(super) fn habit(builder: &Builder<'_>, span: Span, home: Home) -> Option<(Mistake, Span)> {
    Words::of(builder, span).line_habit(home)
}

/// The mistake in an argument, a parameter, a field, or what stands between brackets.
pub(super) fn part(builder: &Builder<'_>, junk: &Junk<'_>) -> (Mistake, Span) {
    let words = Words::of(builder, junk.span);
    words.part_habit(junk.rule, junk.span).unwrap_or_else(|| {
        let rule = match junk.rule {
            Rule::entry_junk if matches!(words.text(1), ":" | "=") => Rule::only_entry,
            Rule::param_junk => Rule::only_parameter,
            Rule::field_junk => Rule::only_field,
            _ => Rule::only_expr,
        };
        furthest(builder, junk, rule)
    })
}

/// Reads the junk strictly and tells where that fails.
fn furthest(builder: &Builder<'_>, junk: &Junk<'_>, rule: Rule) -> (Mistake, Span) {
    let Err(error) = Grammar::parse(rule, junk.text) else { return (Mistake::Unreadable, junk.span) };
    let at = builder.fixed.start(junk.start + offset(&error));
    let expected = Expected::of(&error, end_of(junk.rule));
    let tokens = builder.tokens(junk.span);
    let next = tokens.iter().position(|token| token.end > at);
    match next.map(|next| (next, tokens[next])) {
        // A mistake that a line end shows is on the line before.
        Some((next, token)) if token.leads && next > 0 && !expected.ends() => line_end(builder, tokens[next - 1].end, expected),
        // `expect x > 1 "message"`
        Some((next, token)) if token.kind == TokenKind::Text && junk.text.starts_with(['e', 'g']) && expected.ends() => {
            let end = next.checked_sub(1).map_or(token.start, |before| tokens[before].end);
            (Mistake::MissingComma { or_colon: false }, Span::new(builder.file, end, end))
        }
        Some((next, token)) => {
            let before = next.checked_sub(1).map(|before| &builder.source[tokens[before].start..tokens[before].end]);
            let after_word = before.is_some_and(is_reserved);
            (unexpected(builder, &token, after_word, expected), Span::new(builder.file, token.start, token.end))
        }
        None => after_junk(builder, junk, expected),
    }
}

fn line_end(builder: &Builder<'_>, at: usize, expected: Expected) -> (Mistake, Span) {
    (Mistake::Unexpected { expected, found: Found::LineEnd }, Span::new(builder.file, at, at))
}

/// The junk was read to its end and is not whole: what follows it should not be there yet.
fn after_junk(builder: &Builder<'_>, junk: &Junk<'_>, expected: Expected) -> (Mistake, Span) {
    let end = junk.span.end as usize;
    let rest = &builder.source[end..];
    let next = rest.trim_start().chars().next();
    match next.filter(|_| !matches!(junk.rule, Rule::item_junk | Rule::junk)) {
        Some(next) => {
            let at = end + (rest.len() - rest.trim_start().len());
            let found = Found::Sign(next.to_string());
            (Mistake::Unexpected { expected, found }, Span::new(builder.file, at, at + next.len_utf8()))
        }
        None => line_end(builder, end, expected),
    }
}

/// What a token means where it could not be read.
fn unexpected(builder: &Builder<'_>, token: &Token, after_word: bool, expected: Expected) -> Mistake {
    let text = builder.source[token.start..token.end].to_owned();
    match token.kind {
        TokenKind::Word if text == "if" => Mistake::BareIf,
        TokenKind::Word if is_reserved(&text) && expected.wants_name() && !after_word => Mistake::ReservedWord { word: text },
        TokenKind::Word if expected.has("a type name") => Mistake::LowerType { name: text },
        TokenKind::Type if expected.wants_name() => Mistake::UpperName { name: text },
        TokenKind::Type if expected.has("`:`") => Mistake::MissingColon,
        TokenKind::Doc => Mistake::DocInside,
        TokenKind::Text => Mistake::Unexpected { expected, found: Found::Text },
        _ => Mistake::Unexpected { expected, found: Found::Sign(text) },
    }
}

/// What ends a whole part.
fn end_of(rule: Rule) -> &'static str {
    match rule {
        Rule::junk | Rule::item_junk => "the end of the line",
        Rule::group_junk => "`)`",
        Rule::index_junk => "`]`",
        Rule::hole_junk => "`}`",
        _ => "`,`",
    }
}

/// Where pest stopped.
pub(super) fn offset(error: &Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    }
}

/// Whether a word cannot be a name.
pub(super) fn is_reserved(word: &str) -> bool {
    Grammar::parse(Rule::only_keyword, word).is_ok()
}

/// The words and signs of a stretch.
struct Words<'a> {
    builder: &'a Builder<'a>,
    tokens: Vec<Token>,
}

impl<'a> Words<'a> {
    fn of(builder: &'a Builder<'_>, span: Span) -> Self {
        Words { builder, tokens: builder.tokens(span) }
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| &self.builder.source[token.start..token.end])
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn span(&self, first: usize, last: usize) -> Span {
        Span::new(self.builder.file, self.tokens[first].start, self.tokens[last].end)
    }

    fn find(&self, text: &str) -> Option<usize> {
        (0..self.tokens.len()).find(|at| self.text(*at) == text)
    }

    fn habit(&self, habit: Habit, first: usize, last: usize) -> Option<(Mistake, Span)> {
        Some((Mistake::ForeignSyntax(habit), self.span(first, last)))
    }

    /// What a whole line shows of another language, or of another place.
    fn line_habit(&self, home: Home) -> Option<(Mistake, Span)> {
        let named = |at| matches!(self.kind(at), Some(TokenKind::Word | TokenKind::Type));
        let first = self.text(0);
        if is_reserved(first) && self.text(1) == "=" && first != "loss" {
            return Some((Mistake::ReservedWord { word: first.to_owned() }, self.span(0, 0)));
        }
        match first {
            "import" | "from" | "include" | "require" if self.kind(1) != Some(TokenKind::Symbol) => {
                return self.habit(Habit::Import, 0, 0);
            }
            "def" | "func" | "function" if named(1) => return self.habit(Habit::Function, 0, 0),
            "class" | "struct" | "enum" | "interface" if named(1) => return self.habit(Habit::Class, 0, 0),
            "for" | "while" => return self.habit(Habit::Loop, 0, 0),
            "if" if home != Home::Stage => return self.habit(Habit::Branch, 0, 0),
            "fn" if home == Home::File && self.find("=").is_none() && self.find("{").is_some() => {
                let brace = self.find("{")?;
                return self.habit(Habit::BlockFunction, brace, brace);
            }
            _ => {}
        }
        let wrong_home = is_item_word(first) && home != Home::File && named(1)
            || home == Home::File && matches!(first, "expect" | "export" | "gate" | "loss" | "metric" | "state" | "limit");
        if wrong_home {
            return Some((Mistake::Misplaced { word: first.to_owned(), home }, self.span(0, 0)));
        }
        self.unknown_start(home).or_else(|| self.binding_habit(home)).or_else(|| {
            let formula = || self.conditional().or_else(|| self.sign(&["=>"], Habit::Lambda));
            if home == Home::File { None } else { formula() }
        })
    }

    /// A misspelt `expect`, or a line at the top of a file that begins no item.
    fn unknown_start(&self, home: Home) -> Option<(Mistake, Span)> {
        let first = self.text(0);
        let is_start = match home {
            Home::File => {
                let brace = self.find("{").unwrap_or(usize::MAX);
                !is_item_word(first) && self.find("=").is_none_or(|equals| brace < equals)
            }
            _ if self.kind(0) == Some(TokenKind::Symbol) => !"([{.-".contains(first),
            _ => {
                let value = !matches!(self.kind(1), Some(TokenKind::Symbol) | None) && !self.tokens[1].leads;
                value && !is_reserved(first) && start_meant(first, home).is_some()
            }
        };
        let is_word = matches!(self.kind(0), Some(TokenKind::Word | TokenKind::Type));
        let is_value = !is_word || matches!(self.text(1), "(" | "." | "+" | "-" | "*" | "/");
        let last = self.tokens.len().checked_sub(1).filter(|_| is_start)?;
        Some(match is_value && home == Home::File {
            true => (Mistake::UnnamedValue { home }, self.span(0, last)),
            false => (Mistake::UnknownStart { word: first.to_owned(), home }, self.span(0, 0)),
        })
    }

    /// What stands before the first `=` of a line tells what was meant to be bound.
    fn binding_habit(&self, home: Home) -> Option<(Mistake, Span)> {
        let equals = self.find("=")?;
        if !matches!(self.kind(0), Some(TokenKind::Word | TokenKind::Type)) || equals == 0 || is_item_word(self.text(0)) {
            return None;
        }
        let last = equals - 1;
        let left = || (1..=last).map(|at| self.text(at));
        if self.tokens[0].kind == TokenKind::Type && last == 0 {
            return Some((Mistake::UpperName { name: self.text(0).to_owned() }, self.span(0, 0)));
        }
        if left().any(|text| text == ",") && left().step_by(2).all(|text| text == ",") {
            return self.habit(Habit::ManyNames, 0, last);
        }
        if last > 0 && left().step_by(2).all(|text| text == "-") {
            let span = self.span(0, last);
            return Some((Mistake::BadName { text: self.builder.source[span.range()].to_owned() }, span));
        }
        if last > 0 && self.text(1) == "(" && self.text(last) == ")" {
            return self.habit(Habit::Function, 0, last);
        }
        if last > 0 && matches!(self.text(1), "." | "[") {
            return self.habit(Habit::AssignToPart, 0, last);
        }
        (home == Home::File && last == 0).then(|| self.habit(Habit::TopLevelBinding, 0, last)).flatten()
    }

    /// What a part of an expression shows of another language.
    fn part_habit(&self, rule: Rule, span: Span) -> Option<(Mistake, Span)> {
        let Some(last) = self.tokens.len().checked_sub(1) else {
            let is_hole = rule == Rule::hole_junk;
            let braces = Span { start: span.start.saturating_sub(1), end: span.end + 1, ..span };
            return is_hole.then_some((Mistake::ForeignSyntax(Habit::EmptyHole), braces));
        };
        if matches!(rule, Rule::param_junk | Rule::field_junk) {
            let before = self.builder.source[..span.start as usize].trim_end();
            let after_name = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let is_type = after_name && self.kind(0) == Some(TokenKind::Type);
            return is_type.then(|| (Mistake::MissingColon, self.span(0, 0)));
        }
        let is_quoted_key = self.kind(0) == Some(TokenKind::Text) && matches!(self.text(1), ":" | "=");
        match rule {
            Rule::group_junk if self.find(",").is_some() => self.habit(Habit::Tuple, 0, last),
            Rule::index_junk if self.find(":").is_some() => self.habit(Habit::Slice, 0, last),
            Rule::hole_junk if self.find(":").is_some() => self.habit(Habit::FormatSpec, self.find(":")?, last),
            Rule::entry_junk if is_quoted_key => self.habit(Habit::QuotedKey, 0, 0),
            _ => self.sign(&["lambda", "->", "=>"], Habit::Lambda).or_else(|| self.sign(&["for"], Habit::Loop)),
        }
        .or_else(|| self.conditional())
    }

    /// The first of some signs that occurs.
    fn sign(&self, signs: &[&str], habit: Habit) -> Option<(Mistake, Span)> {
        let at = signs.iter().find_map(|sign| self.find(sign))?;
        self.habit(habit, at, at)
    }

    /// `x ? y : z` and `y if x else z`.
    fn conditional(&self) -> Option<(Mistake, Span)> {
        let after_value = |at: usize| match self.kind(at) {
            Some(TokenKind::Symbol) => matches!(self.text(at), ")" | "]" | "}"),
            Some(_) => !is_reserved(self.text(at)),
            None => false,
        };
        let python = self.find("if").filter(|at| *at > 0 && after_value(at - 1));
        let c = self.find("?").filter(|at| (*at..self.tokens.len()).any(|at| self.text(at) == ":"));
        let at = c.or(python)?;
        self.habit(Habit::Conditional, at, at)
    }
}

/// The rules that pest tried where it stopped.
pub(super) fn tried(error: &Error<Rule>) -> &[Rule] {
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    }
}
