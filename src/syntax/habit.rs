//! Constructs of other languages, and what is written here instead.

/// A construct of other languages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    Import,
    Function,
    Class,
    Loop,
    Branch,
    Lambda,
    Conditional,
    Tuple,
    Slice,
    QuotedKey,
    NamedItem,
    FormatSpec,
    ManyNames,
    AssignToPart,
    TopLevelBinding,
    BlockFunction,
    EmptyHole,
    NumberedPart,
}

impl Habit {
    /// What is wrong with it.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Import => "files and names are brought in with `use`",
            Self::Function => "functions are written with `fn`",
            Self::Class => "types are written with `type`",
            Self::Loop => "there are no loops over values",
            Self::Branch => "`if` is a value, not a block",
            Self::Lambda => "there are no lambdas",
            Self::Conditional => "a choice is written `if … then … else …`",
            Self::Tuple => "there are no tuples",
            Self::Slice => "there are no slices",
            Self::QuotedKey => "the name of an entry has no quotes",
            Self::NamedItem => "the items of a list have no names",
            Self::FormatSpec => "a hole has no format",
            Self::ManyNames => "a binding has one name",
            Self::AssignToPart => "only a whole name can be bound",
            Self::TopLevelBinding => "a binding cannot stand at the top of a file",
            Self::BlockFunction => "the body of an `fn` is one formula",
            Self::EmptyHole => "there is no value between these braces",
            Self::NumberedPart => "parts have names, not numbers",
        }
    }

    /// What to write.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Import => "write `use std.{name, other}`, or `use \"cards.align\".{card}` for a file of your own",
            Self::Function => "write `fn name(x) = formula` at the top of the file; what trains or makes rows is a `stage`",
            Self::Class => "write `type Name = { field: Type }`",
            Self::Loop => {
                "to go through values write `runs = sweep x in [1, 2] { … }`, to go on from round to round \
                 `loop = repeat round in 1..=3 carrying p = base { … }`"
            }
            Self::Branch => "write `name = if condition then value else other`",
            Self::Lambda => "write the formula itself, with a dot before the row's columns: `filter(rows, .harm > 0.5)`",
            Self::Conditional => "write `if condition then value else other`",
            Self::Tuple => "write a list `[a, b]` or a record `{ first: a, second: b }`",
            Self::Slice => "for the first rows write `rows.take(3)`; a list is indexed by one number",
            Self::QuotedKey => "write `name: value`",
            Self::NamedItem => "leave the names out, or write a record `{ name: value }`",
            Self::FormatSpec => "leave out the `:` and what follows it",
            Self::ManyNames => "bind a record and use its parts: `part = rows.split(…)`, then `part.train`",
            Self::AssignToPart => "bind a new name; rows get new columns with `rows.with(column: …)`",
            Self::TopLevelBinding => "put it into a `recipe`, or make it a setting with `param name: Type = value`",
            Self::BlockFunction => "write `fn name(x) = formula`, without braces",
            Self::NumberedPart => "the items of a list are taken with brackets: `list[0]`",
            Self::EmptyHole => "`{name}` puts a value into a text; for the braces themselves write `{{}}`",
        }
    }
}
