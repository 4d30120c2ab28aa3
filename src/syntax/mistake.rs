//! Everything that can be wrong with a text before any name has a meaning, and how it is said.

use super::grammar::Expected;
use super::habit::Habit;
use super::parse::number::UNITS;
use super::span::Span;
use crate::diagnostic::{Diagnostic, did_you_mean};

/// One mistake; its place is kept beside it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Mistake {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: Expected, found: Found },
    #[error("this cannot be read")]
    Unreadable,
    #[error("`{word}` begins no {}", if *home == Home::File { "item" } else { "statement" })]
    UnknownStart { word: String, home: Home },
    #[error("`{bracket}` is never closed")]
    Unclosed { bracket: char, end: Span },
    #[error("`{bracket}` closes nothing")]
    Unopened { bracket: char },
    #[error("`{opener}` is closed by `{bracket}`")]
    WrongCloser { opener: char, bracket: char, opened: Span },
    #[error("the text is not closed on its line")]
    UnterminatedText { empty: bool },
    #[error("the text block is never closed")]
    UnterminatedBlock,
    #[error("unknown escape `{text}`")]
    UnknownEscape { text: String },
    #[error("a `{}` without its partner in a text", if *closing { '}' } else { '{' })]
    LoneBrace { closing: bool },
    #[error("this text must be plain")]
    HoleHere,
    #[error("unknown unit `{unit}`")]
    UnknownUnit { text: String, unit: String },
    #[error("`{text}` is not a number")]
    BadNumber { text: String },
    #[error("`{word}` is a word of the language, not a name")]
    ReservedWord { word: String },
    #[error("`{text}` is not a name")]
    BadName { text: String },
    #[error("the name of an argument or an entry is followed by `:`, not by `=`")]
    EqualsForColon,
    #[error("a binding is written with `=`, not with `{found}`")]
    AssignOperator { found: String },
    #[error("a binding has no type")]
    AnnotatedBinding,
    #[error("a comma is missing{}", if *or_colon { ", or a `:` after a name" } else { "" })]
    MissingComma { or_colon: bool },
    #[error("a `:` is missing before the type")]
    MissingColon,
    #[error("there is nothing before this comma")]
    MissingValue,
    #[error("the text has no quotes")]
    MissingQuotes,
    #[error("texts are quoted with `\"`, not with `{quote}`")]
    ForeignQuotes { quote: char },
    #[error("comments begin with `//`, not with `{sign}`")]
    ForeignComment { sign: &'static str },
    #[error("`{sign}` is not an operator here")]
    ForeignOperator { sign: &'static str, ours: &'static str },
    #[error("{}", if *before_text { format!("a text has no `{word}` before it") } else { format!("`{word}` is not a word of the language") })]
    ForeignWord { word: String, ours: &'static str, before_text: bool },
    #[error("{}", .0.message())]
    ForeignSyntax(Habit),
    #[error("{} has no place in a file", described(*found))]
    StrayCharacter { found: char },
    #[error("this value is not used")]
    UnnamedValue { home: Home },
    #[error("`{word}` cannot stand {}", home.place())]
    Misplaced { word: String, home: Home },
    #[error("the stage has no result")]
    NoResult,
    #[error("`{name}` begins with an upper-case letter, and only types do")]
    UpperName { name: String },
    #[error("types begin with an upper-case letter")]
    LowerType { name: String },
    #[error("comparisons do not chain")]
    ChainedComparison,
    #[error("an `if` inside a formula needs parentheses")]
    BareIf,
    #[error("this nests more than {limit} levels deep")]
    TooDeep { limit: usize },
    #[error("these `///` lines document nothing")]
    IdleDoc,
    /// Like the one above, and what it stands in cannot be read.
    #[error("documentation cannot stand here")]
    DocInside,
    #[error("`use` names nothing")]
    EmptyUse,
}

/// What stood where something else was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    LineEnd,
    Text,
    Sign(String),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LineEnd => f.write_str("the end of the line"),
            Self::Text => f.write_str("a text"),
            Self::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}

/// What a statement stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    File,
    Recipe,
    Round,
    Objective,
    Stage,
    Profile,
}

impl Home {
    /// Where that is, for messages.
    fn place(self) -> &'static str {
        match self {
            Self::File => "at the top of a file",
            Self::Recipe => "in a recipe",
            Self::Round => "in a `repeat` or `sweep`",
            Self::Objective => "in an objective",
            Self::Stage => "in a stage",
            Self::Profile => "in a profile",
        }
    }
}

/// Every code of this phase.
pub const CODES: &[&str] = &[
    "align::syntax::annotated_binding",
    "align::syntax::assign_operator",
    "align::syntax::bad_name",
    "align::syntax::bad_number",
    "align::syntax::bare_if",
    "align::syntax::chained_comparison",
    "align::syntax::empty_use",
    "align::syntax::equals_for_colon",
    "align::syntax::foreign_comment",
    "align::syntax::foreign_operator",
    "align::syntax::foreign_quotes",
    "align::syntax::foreign_syntax",
    "align::syntax::foreign_word",
    "align::syntax::hole_here",
    "align::syntax::idle_doc",
    "align::syntax::lone_brace",
    "align::syntax::lower_type",
    "align::syntax::misplaced",
    "align::syntax::missing_colon",
    "align::syntax::missing_comma",
    "align::syntax::missing_quotes",
    "align::syntax::missing_value",
    "align::syntax::no_result",
    "align::syntax::reserved_word",
    "align::syntax::stray_character",
    "align::syntax::too_deep",
    "align::syntax::unclosed",
    "align::syntax::unexpected",
    "align::syntax::unknown_escape",
    "align::syntax::unknown_start",
    "align::syntax::unknown_unit",
    "align::syntax::unnamed_value",
    "align::syntax::unopened",
    "align::syntax::unterminated_text",
    "align::syntax::upper_name",
    "align::syntax::wrong_closer",
];

impl Mistake {
    /// The stable path of the mistake.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unexpected { .. } | Self::Unreadable => "align::syntax::unexpected",
            Self::UnknownStart { .. } => "align::syntax::unknown_start",
            Self::Unclosed { .. } => "align::syntax::unclosed",
            Self::Unopened { .. } => "align::syntax::unopened",
            Self::WrongCloser { .. } => "align::syntax::wrong_closer",
            Self::UnterminatedText { .. } | Self::UnterminatedBlock => "align::syntax::unterminated_text",
            Self::UnknownEscape { .. } => "align::syntax::unknown_escape",
            Self::LoneBrace { .. } => "align::syntax::lone_brace",
            Self::HoleHere => "align::syntax::hole_here",
            Self::UnknownUnit { .. } => "align::syntax::unknown_unit",
            Self::BadNumber { .. } => "align::syntax::bad_number",
            Self::ReservedWord { .. } => "align::syntax::reserved_word",
            Self::BadName { .. } => "align::syntax::bad_name",
            Self::EqualsForColon => "align::syntax::equals_for_colon",
            Self::AssignOperator { .. } => "align::syntax::assign_operator",
            Self::AnnotatedBinding => "align::syntax::annotated_binding",
            Self::MissingComma { .. } => "align::syntax::missing_comma",
            Self::MissingColon => "align::syntax::missing_colon",
            Self::MissingValue => "align::syntax::missing_value",
            Self::MissingQuotes => "align::syntax::missing_quotes",
            Self::ForeignQuotes { .. } => "align::syntax::foreign_quotes",
            Self::ForeignComment { .. } => "align::syntax::foreign_comment",
            Self::ForeignOperator { .. } => "align::syntax::foreign_operator",
            Self::ForeignWord { .. } => "align::syntax::foreign_word",
            Self::ForeignSyntax(_) => "align::syntax::foreign_syntax",
            Self::StrayCharacter { .. } => "align::syntax::stray_character",
            Self::UnnamedValue { .. } => "align::syntax::unnamed_value",
            Self::Misplaced { .. } => "align::syntax::misplaced",
            Self::NoResult => "align::syntax::no_result",
            Self::UpperName { .. } => "align::syntax::upper_name",
            Self::LowerType { .. } => "align::syntax::lower_type",
            Self::ChainedComparison => "align::syntax::chained_comparison",
            Self::BareIf => "align::syntax::bare_if",
            Self::TooDeep { .. } => "align::syntax::too_deep",
            Self::IdleDoc | Self::DocInside => "align::syntax::idle_doc",
            Self::EmptyUse => "align::syntax::empty_use",
        }
    }

    /// What the place of the mistake contributes.
    fn label(&self) -> String {
        match self {
            Self::Unexpected { found: Found::LineEnd, .. } => "the line ends here".to_owned(),
            Self::Unexpected { .. } => "unexpected here".to_owned(),
            Self::Unclosed { .. } => "opened here".to_owned(),
            Self::UnknownUnit { .. } => "no such unit".to_owned(),
            Self::ForeignOperator { ours, .. } => format!("write `{}`", ours.trim()),
            Self::EqualsForColon => "write `:`".to_owned(),
            Self::AssignOperator { .. } => "write `=`".to_owned(),
            Self::MissingComma { .. } => "a comma belongs here".to_owned(),
            Self::MissingColon => "a `:` belongs here".to_owned(),
            Self::NoResult => "nothing stands before this brace".to_owned(),
            Self::UnterminatedText { empty: true } => "nothing follows it".to_owned(),
            Self::UnterminatedText { empty: false } => "no `\"` ends it".to_owned(),
            Self::UnterminatedBlock => "no `\"\"\"` ends it".to_owned(),
            Self::HoleHere => "this has a hole `{…}`".to_owned(),
            Self::ReservedWord { .. } => "reserved".to_owned(),
            Self::WrongCloser { opener, .. } => {
                format!("`{}` was expected", super::layout::partner(*opener))
            }
            _ => String::new(),
        }
    }

    /// The next action.
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Unexpected { expected, found: Found::Sign(found) } => {
                format!("did you mean {}?", expected.nearest(found)?)
            }
            Self::UnknownStart { word, home } => start_help(word, *home),
            Self::Unclosed { bracket, .. } => format!("add `{}`", super::layout::partner(*bracket)),
            Self::Unopened { .. } => "remove it, or open it earlier".to_owned(),
            Self::UnterminatedText { empty: true } => "is the `\"` missing where the text begins?".to_owned(),
            Self::UnterminatedText { empty: false } => {
                "end it with `\"`; a text of several lines is written between `\"\"\"` and `\"\"\"`".to_owned()
            }
            Self::UnterminatedBlock => "end it with `\"\"\"`".to_owned(),
            Self::UnknownEscape { text } => {
                format!("the escapes are `\\n`, `\\t`, `\\\\` and `\\\"`; for a backslash write `\\{text}`, for a pattern `r\"…\"`")
            }
            Self::LoneBrace { closing } => {
                let brace = if *closing { '}' } else { '{' };
                format!("`{{name}}` puts a value into a text; for the brace itself write `{brace}{brace}`")
            }
            Self::HoleHere => "write it out; for a brace itself write `{{` or `}}`".to_owned(),
            Self::UnknownUnit { unit, .. } => unit_help(unit),
            Self::BadNumber { text } if text.starts_with('.') => format!("write `0{text}`"),
            Self::BadNumber { text } if text.starts_with("0x") => "numbers are written in decimal".to_owned(),
            Self::BadNumber { .. } => "numbers are written like `12`, `0.5`, `1e-5`, `10%`, `2k`".to_owned(),
            Self::ReservedWord { .. } => "choose another name".to_owned(),
            Self::BadName { text } if text.contains('-') => format!("write `{}`", text.replace('-', "_")),
            Self::BadName { .. } => "names are made of `a` to `z`, digits and `_`".to_owned(),
            Self::AnnotatedBinding => "leave the type out: it follows from the value".to_owned(),
            Self::MissingValue => "remove the comma, or write the value".to_owned(),
            Self::MissingQuotes => "put it between `\"` and `\"`".to_owned(),
            Self::ForeignComment { .. } => "write `// …`".to_owned(),
            Self::ForeignQuotes { .. } => "write `\"…\"`".to_owned(),
            Self::ForeignWord { word, .. } if word == "return" => "leave it out: the last line of a stage is its result".to_owned(),
            Self::ForeignWord { before_text: true, .. } => "leave it out: every text may have holes `{…}`".to_owned(),
            Self::ForeignWord { ours: "", .. } => "leave it out: `name = …` binds a name".to_owned(),
            Self::ForeignWord { ours, .. } => format!("write `{ours}`"),
            Self::ForeignSyntax(habit) => habit.help().to_owned(),
            Self::StrayCharacter { found } => stray_help(*found)?.to_owned(),
            Self::UnnamedValue { home: Home::Stage } => {
                "give it a name: `name = …`; only the last line of a stage is its result".to_owned()
            }
            Self::UnnamedValue { home: Home::File } => "put it into a `recipe`, with a name: `name = …`".to_owned(),
            Self::UnnamedValue { .. } => "give it a name: `name = …`".to_owned(),
            Self::Misplaced { word, .. } => misplaced_help(word).to_owned(),
            Self::NoResult => "end it with the value it gives, without a name".to_owned(),
            Self::UpperName { name } => format!("write `{}`", lower(name)),
            Self::LowerType { name } => type_help(name),
            Self::ChainedComparison => "join two with `and`: `0 < x and x < 1`".to_owned(),
            Self::BareIf => "write `(if … then … else …)`".to_owned(),
            Self::TooDeep { .. } => "give parts of it names".to_owned(),
            Self::IdleDoc | Self::DocInside => "put them before what they are about, or make them a comment with `//`".to_owned(),
            Self::EmptyUse => "say what you use: `.{name, other}`".to_owned(),
            _ => return None,
        };
        Some(help)
    }

    /// Says it to people.
    fn at(self, span: Span) -> Diagnostic {
        let diagnostic = match self {
            Self::IdleDoc => Diagnostic::warning(self.code(), self.to_string()),
            _ => Diagnostic::error(self.code(), self.to_string()),
        };
        let mut diagnostic = diagnostic.at(span, self.label());
        match &self {
            Self::Unclosed { bracket, end } => {
                let closer = super::layout::partner(*bracket);
                diagnostic = diagnostic.at(*end, format!("`{closer}` was expected here at the latest"));
            }
            Self::WrongCloser { opened, .. } => diagnostic = diagnostic.at(*opened, "opened here"),
            _ => {}
        }
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

/// What is said of all mistakes of a file, in the order of their places.
pub(super) fn diagnostics(mut mistakes: Vec<(Mistake, Span)>) -> Vec<Diagnostic> {
    mistakes.sort_by_key(|(_, span)| (span.start, span.end));
    let mut upper = Vec::new();
    mistakes.retain(|(mistake, _)| match mistake {
        // Said once: where it is bound, or else where it is used first.
        Mistake::UpperName { name } if upper.contains(name) => false,
        Mistake::UpperName { name } => {
            upper.push(name.clone());
            true
        }
        _ => true,
    });
    mistakes.dedup();
    mistakes.into_iter().map(|(mistake, span)| mistake.at(span)).collect()
}

fn described(found: char) -> String {
    match found {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => "a no-break space".to_owned(),
        c if c.is_control() || c.is_whitespace() || ('\u{200b}'..='\u{200f}').contains(&c) || c == '\u{feff}' => {
            format!("the invisible character U+{:04X}", u32::from(c))
        }
        c => format!("`{c}`"),
    }
}

fn stray_help(found: char) -> Option<&'static str> {
    Some(match found {
        ';' => "statements end with their line: leave it out",
        '%' => "a percentage is written without a blank, `10%`; there is no remainder operator",
        '&' => "write `and`",
        '~' => "write `not`",
        '@' | '$' => "names stand alone; a value inside a text is written `{name}`",
        '`' | '\'' => "texts are quoted with `\"`",
        '\\' => "a line goes on when the next one begins with an operator or a bracket is open: leave it out",
        c if c.is_whitespace() || c.is_control() => "replace it with a blank",
        _ => return None,
    })
}

/// The words that begin items.
const ITEMS: &[&str] = &["use", "param", "type", "fn", "objective", "stage", "recipe", "profile", "extern"];

/// The words that begin statements.
const STATEMENTS: &[&str] = &["expect", "export", "gate", "loss", "metric", "state", "limit"];

fn starts(home: Home) -> &'static [&'static str] {
    if home == Home::File { ITEMS } else { STATEMENTS }
}

/// The word of the language that a word at the start of a line probably stands for.
pub(super) fn start_meant(word: &str, home: Home) -> Option<&'static str> {
    match word {
        "assert" | "require" | "ensure" | "check" if home != Home::File => Some("expect"),
        "save" | "write" | "output" if home != Home::File => Some("export"),
        _ => did_you_mean(word, starts(home).iter().copied()),
    }
}

fn start_help(word: &str, home: Home) -> String {
    match start_meant(word, home) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let words: Vec<String> = starts(home).iter().map(|word| format!("`{word}`")).collect();
            let binding = if home == Home::File { "" } else { "`name = …`, " };
            format!("what stands here begins with {binding}{}", words.join(", "))
        }
    }
}

fn misplaced_help(word: &str) -> &'static str {
    match word {
        "loss" | "metric" | "state" => "it belongs in an `objective`, and cannot be a name",
        "limit" => "it belongs in a `profile`, and cannot be a name",
        "expect" | "gate" | "export" => "it belongs in a `recipe`",
        "use" | "param" | "type" | "extern" | "fn" | "objective" | "stage" | "recipe" | "profile" => {
            "it belongs at the top of the file, outside of all braces"
        }
        _ => "it belongs in a `recipe` or a `stage`",
    }
}

fn unit_help(unit: &str) -> String {
    let known = UNITS.iter().map(|(name, _)| *name);
    let meant = match unit {
        "K" => Some("k"),
        "m" | "mn" => Some("M"),
        "KB" | "kB" | "kb" => Some("KiB"),
        "MB" | "mb" => Some("MiB"),
        "GB" | "gb" | "G" | "g" => Some("GiB"),
        "sec" | "secs" => Some("s"),
        "mins" | "minutes" => Some("min"),
        "hours" | "hr" | "hrs" => Some("h"),
        "percent" | "pct" => Some("%"),
        _ => did_you_mean(unit, known.clone()),
    };
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the units are {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn type_help(name: &str) -> String {
    let ours = match name {
        "str" | "string" => "Text".to_owned(),
        "integer" => "Int".to_owned(),
        "double" | "number" => "Float".to_owned(),
        "boolean" => "Bool".to_owned(),
        "list" | "array" => "[Type]".to_owned(),
        "dict" | "object" => "{ name: Type }".to_owned(),
        _ => name.split('_').map(capital).collect(),
    };
    format!("write `{ours}`; a choice of words has several: `all | random`")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `RewardModel` as a name: `reward_model`.
fn lower(name: &str) -> String {
    let mut lower = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 && !name[..at].ends_with(|before: char| before.is_uppercase() || before == '_') {
            lower.push('_');
        }
        lower.extend(c.to_lowercase());
    }
    lower
}
