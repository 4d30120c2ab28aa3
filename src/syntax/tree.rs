//! The syntax tree: what a file says, with spans, before any name has a meaning.
//!
//! One type per construct of `grammar/align.pest`. Nothing here knows which names exist or what type they have;
//! broken statements are absent (the parser reported them), so every node is whole.

use std::sync::Arc;

use super::span::Span;

/// An identifier and where it stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    pub text: Arc<str>,
    pub span: Span,
}

/// A parsed file.
#[derive(Clone, Debug)]
pub struct File {
    pub items: Vec<Item>,
    /// What the statements and items that are absent because they are broken would have bound: the parser reported
    /// those, so a use of such a name is no further mistake.
    pub broken: Vec<Name>,
}

/// A top-level item with its `///` lines (without the slashes and one leading blank, joined by newlines).
#[derive(Clone, Debug)]
pub struct Item {
    pub doc: String,
    pub span: Span,
    pub kind: ItemKind,
}

#[derive(Clone, Debug)]
pub enum ItemKind {
    Use(Use),
    Param(Binder),
    Type(TypeItem),
    Fn(FnItem),
    Objective(Objective),
    Stage(Stage),
    ExternType { name: Name, generics: Vec<Generic> },
    ExternFn(Signature),
    ExternStage(Signature),
    Recipe(Recipe),
    Profile(Profile),
}

/// `use std.harm.attack_success`, `use std.{a, b}`, `use "cards.align".{card}`.
#[derive(Clone, Debug)]
pub struct Use {
    pub source: UseSource,
    /// The names in braces; empty for `use std.harm.attack_success`, whose last path element is the name.
    pub names: Vec<Name>,
}

#[derive(Clone, Debug)]
pub enum UseSource {
    Path(Vec<Name>),
    File { path: String, span: Span },
}

#[derive(Clone, Debug)]
pub struct TypeItem {
    pub name: Name,
    pub ty: TypeExpr,
}

#[derive(Clone, Debug)]
pub struct FnItem {
    pub name: Name,
    pub params: Vec<Binder>,
    pub result: Option<TypeExpr>,
    pub body: Expr,
}

#[derive(Clone, Debug)]
pub struct Objective {
    pub name: Name,
    pub params: Vec<Binder>,
    pub rows: TypeExpr,
    pub body: Vec<ObjectiveStatement>,
}

#[derive(Clone, Debug)]
pub struct ObjectiveStatement {
    pub doc: String,
    pub span: Span,
    pub kind: ObjectiveKind,
}

#[derive(Clone, Debug)]
pub enum ObjectiveKind {
    Bind {
        name: Name,
        value: Expr,
    },
    Loss {
        value: Expr,
        weight: Option<Expr>,
    },
    /// `metric kl` logs the binding of that name; `metric kl = …` says what to log.
    Metric {
        name: Name,
        value: Option<Expr>,
    },
    State {
        name: Name,
        start: Expr,
        next: Expr,
    },
}

/// The head of a stage or an extern fn or stage.
#[derive(Clone, Debug)]
pub struct Signature {
    pub name: Name,
    pub generics: Vec<Generic>,
    pub params: Vec<Binder>,
    pub output: OutType,
}

#[derive(Clone, Debug)]
pub struct Generic {
    pub name: Name,
    pub bound: Option<TypeExpr>,
}

/// `Model with { accuracy: Estimate }`.
#[derive(Clone, Debug)]
pub struct OutType {
    pub ty: TypeExpr,
    pub extras: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Stage {
    pub signature: Signature,
    pub binds: Vec<Bind>,
    pub result: Expr,
}

#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: Name,
    pub title: Option<String>,
    pub body: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub struct Profile {
    pub name: Name,
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
pub struct Setting {
    /// `limit steps = 4` caps an argument; without it `beta = 0.2` sets a param.
    pub limit: bool,
    pub name: Name,
    pub value: Expr,
    pub span: Span,
}

/// A parameter: `name: Type = default`, `trained critic: Critic`, `...training: Training = { … }`.
#[derive(Clone, Debug)]
pub struct Binder {
    pub doc: String,
    pub span: Span,
    pub trained: bool,
    pub rest: bool,
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Bind {
    pub doc: String,
    pub name: Name,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub doc: String,
    pub span: Span,
    pub kind: StatementKind,
}

#[derive(Clone, Debug)]
pub enum StatementKind {
    Bind {
        name: Name,
        value: Expr,
    },
    Expect {
        condition: Expr,
        message: Option<String>,
    },
    Gate {
        condition: Expr,
        message: Option<String>,
    },
    /// `form` is what stands behind `as`.
    Export {
        value: Expr,
        path: Expr,
        form: Option<Name>,
    },
}

// ── Types ───────────────────────────────────────────────────────────────────

#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub span: Span,
    pub kind: TypeKind,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    Named {
        name: Name,
        args: Vec<TypeExpr>,
    },
    List(Box<TypeExpr>),
    Record(Vec<Field>),
    /// `all | random`
    Words(Vec<Name>),
    Optional(Box<TypeExpr>),
    /// `Float in 0.0..1.0`
    Ranged {
        ty: Box<TypeExpr>,
        range: NumberRange,
    },
    /// `Preference + { p: Float }`
    Sum(Vec<TypeExpr>),
    /// `Row -> Float`
    Arrow {
        from: Box<TypeExpr>,
        to: Box<TypeExpr>,
    },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NumberRange {
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// `..=`: the upper bound belongs to it.
    pub inclusive: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Field {
    Named {
        doc: String,
        name: Name,
        ty: TypeExpr,
        default: Option<Expr>,
    },
    /// `...M`
    Spread {
        name: Name,
    },
}

// ── Expressions ─────────────────────────────────────────────────────────────

#[derive(Clone, Debug)]
pub struct Expr {
    pub span: Span,
    pub kind: ExprKind,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Number(Number),
    Text(Vec<TextPart>),
    Name(Name),
    /// `.prompt`
    Column(Name),
    /// `f(x, y: 1)`
    Call {
        callee: Name,
        args: Vec<Entry>,
    },
    /// `a.f(b)`
    Method {
        receiver: Box<Expr>,
        name: Name,
        args: Vec<Entry>,
    },
    /// `a.mean`
    Member {
        receiver: Box<Expr>,
        name: Name,
    },
    Index {
        receiver: Box<Expr>,
        index: Box<Expr>,
    },
    List(Vec<Element>),
    Record(Vec<Entry>),
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    /// `0..count`, `1..=3`
    Range {
        low: Box<Expr>,
        high: Box<Expr>,
        inclusive: bool,
    },
    As {
        value: Box<Expr>,
        ty: TypeExpr,
    },
    Repeat(Box<Repeat>),
    Sweep(Box<Sweep>),
}

/// A number as written, its unit applied: `10%` is 0.1, `2k` 2000, `8GiB` bytes, `5min` seconds.
#[derive(Clone, PartialEq, Debug)]
pub struct Number {
    pub value: f64,
    /// Written without point, exponent or `%`: an `Int`.
    pub whole: bool,
}

#[derive(Clone, Debug)]
pub enum TextPart {
    Literal(String),
    Hole(Expr),
}

#[derive(Clone, Debug)]
pub struct Element {
    pub spread: bool,
    pub value: Expr,
}

/// An argument or a record's entry: `x`, `name: x`, `...x`.
#[derive(Clone, Debug)]
pub struct Entry {
    pub span: Span,
    pub spread: bool,
    pub name: Option<Name>,
    pub value: Expr,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    Negate,
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}

impl BinaryOp {
    /// As it is written, which is also the name of its word.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Power => "^",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

/// `repeat round in 1..=3 carrying p = base { … } until … keep max(…)`
#[derive(Clone, Debug)]
pub struct Repeat {
    pub counter: Name,
    pub range: Expr,
    pub carried: Vec<Bind>,
    pub body: Vec<Statement>,
    pub until: Option<Expr>,
    pub keep: Option<Expr>,
}

/// `sweep beta in [0.05, 0.1], seed in 1..=3 { … } keep max(…)`
#[derive(Clone, Debug)]
pub struct Sweep {
    pub axes: Vec<Bind>,
    pub body: Vec<Statement>,
    pub keep: Option<Expr>,
}
