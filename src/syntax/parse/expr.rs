//! Expressions: the flat `chain` of the grammar becomes a tree by the precedences below.

use super::{Builder, MAX_HEIGHT, child, whole};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::mistake::Mistake;
use crate::syntax::span::Span;
use crate::syntax::tree::{BinaryOp, Element, Entry, Expr, ExprKind, TypeExpr, UnaryOp};

// How tightly an operator binds, loosest first; `^` binds to the right, all others to the left.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const COMPARISON: u8 = 4;
const RANGE: u8 = 5;
const SUM: u8 = 6;
const PRODUCT: u8 = 7;
const ASCRIPTION: u8 = 8;
const NEGATION: u8 = 9;
const POWER: u8 = 10;

#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOp),
    Range { inclusive: bool },
}

enum Part {
    Prefix(UnaryOp, Span),
    Operand(Expr),
    As(TypeExpr),
    Infix(Infix, u8),
}

impl Builder<'_> {
    /// An expression; none when a part of it was reported.
    pub(super) fn expr(&mut self, pair: Pair<'_>) -> Option<Expr> {
        let span = self.span(&pair);
        let before = self.depth;
        self.depth += 1;
        let built = self.branches(pair, span);
        self.depth = before;
        built
    }

    /// `if a then b else if c then d else e` nests to the right.
    fn branches(&mut self, pair: Pair<'_>, span: Span) -> Option<Expr> {
        let mut branches = Vec::new();
        let mut last = None;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::branch => {
                    self.depth += 1;
                    branches.push(self.branch(inner));
                }
                Rule::chain => last = self.chain(inner),
                _ => return None,
            }
        }
        let mut expr = last?;
        for (start, condition, then) in whole(branches)?.into_iter().rev() {
            let kind = ExprKind::If { condition: Box::new(condition), then: Box::new(then), otherwise: Box::new(expr) };
            expr = Expr { span: start.to(span), kind };
        }
        Some(expr)
    }

    fn branch(&mut self, pair: Pair<'_>) -> Option<(Span, Expr, Expr)> {
        let start = self.span(&pair);
        let condition = self.chain(child(&pair, Rule::chain)?);
        let then = self.expr(child(&pair, Rule::expr)?);
        Some((start, condition?, then?))
    }

    fn chain(&mut self, pair: Pair<'_>) -> Option<Expr> {
        let span = self.span(&pair);
        let pairs: Vec<Pair<'_>> = pair.into_inner().collect();
        let before = self.depth;
        self.depth += pairs.iter().map(links).sum::<usize>();
        let parts = if self.depth > MAX_HEIGHT {
            self.too_deep(span);
            None
        } else {
            whole(pairs.into_iter().map(|pair| self.part(pair)).collect::<Vec<_>>())
        };
        self.depth = before;
        climb(&mut parts?.into_iter().peekable(), 0)
    }

    fn too_deep(&mut self, span: Span) {
        let mut reported = self.scan.mistakes.iter().chain(&self.mistakes);
        if !reported.any(|(mistake, _)| matches!(mistake, Mistake::TooDeep { .. })) {
            self.mistakes.push((Mistake::TooDeep { limit: MAX_HEIGHT }, span));
        }
    }

    fn part(&mut self, pair: Pair<'_>) -> Option<Part> {
        use BinaryOp::*;
        let binary = |op, power| Some(Part::Infix(Infix::Binary(op), power));
        match pair.as_rule() {
            Rule::postfix => self.postfix(pair).map(Part::Operand),
            Rule::ascription => self.type_expr(child(&pair, Rule::type_expr)?).map(Part::As),
            Rule::kw_not => Some(Part::Prefix(UnaryOp::Not, self.span(&pair))),
            Rule::negate => Some(Part::Prefix(UnaryOp::Negate, self.span(&pair))),
            Rule::kw_or => binary(Or, OR),
            Rule::kw_and => binary(And, AND),
            Rule::equal => binary(Equal, COMPARISON),
            Rule::not_equal => binary(NotEqual, COMPARISON),
            Rule::less_equal => binary(LessEqual, COMPARISON),
            Rule::greater_equal => binary(GreaterEqual, COMPARISON),
            Rule::less => binary(Less, COMPARISON),
            Rule::greater => binary(Greater, COMPARISON),
            Rule::to_closed => Some(Part::Infix(Infix::Range { inclusive: true }, RANGE)),
            Rule::to_open => Some(Part::Infix(Infix::Range { inclusive: false }, RANGE)),
            Rule::plus => binary(Add, SUM),
            Rule::subtract => binary(Subtract, SUM),
            Rule::times => binary(Multiply, PRODUCT),
            Rule::divide => binary(Divide, PRODUCT),
            Rule::power => binary(Power, POWER),
            _ => None,
        }
    }

    fn postfix(&mut self, pair: Pair<'_>) -> Option<Expr> {
        let mut inner = pair.into_inner();
        let mut expr = self.operand(inner.next()?);
        for access in inner {
            expr = self.access(expr, access);
        }
        expr
    }

    /// `.name`, `.name(…)`, each with the indices that follow it.
    fn access(&mut self, receiver: Option<Expr>, pair: Pair<'_>) -> Option<Expr> {
        let end = self.span(&pair);
        let args = child(&pair, Rule::args).map(|args| (self.span(&args), self.entries(args)));
        let name = self.name(&child(&pair, Rule::key)?);
        let indices = pair.into_inner().filter(|inner| inner.as_rule() == Rule::index).collect::<Vec<_>>();
        let called = receiver.and_then(|receiver| {
            let start = receiver.span;
            let receiver = Box::new(receiver);
            Some(match args {
                None => Expr { span: start.to(name.span), kind: ExprKind::Member { receiver, name } },
                Some((span, args)) => Expr { span: start.to(span), kind: ExprKind::Method { receiver, name, args: args? } },
            })
        });
        debug_assert!(called.as_ref().is_none_or(|called| called.span.end <= end.end));
        self.indexed(called, indices)
    }

    fn operand(&mut self, pair: Pair<'_>) -> Option<Expr> {
        let mut inner = pair.into_inner();
        let atom = inner.next()?;
        let span = self.span(&atom);
        let atom = self.atom(atom).map(|kind| Expr { span, kind });
        self.indexed(atom, inner.collect())
    }

    fn indexed(&mut self, receiver: Option<Expr>, indices: Vec<Pair<'_>>) -> Option<Expr> {
        let mut expr = receiver;
        for pair in indices {
            let end = self.span(&pair);
            let index = child(&pair, Rule::expr).and_then(|index| self.expr(index));
            expr = expr.zip(index).map(|(receiver, index)| Expr {
                span: receiver.span.to(end),
                kind: ExprKind::Index { receiver: Box::new(receiver), index: Box::new(index) },
            });
        }
        expr
    }

    fn atom(&mut self, pair: Pair<'_>) -> Option<ExprKind> {
        match pair.as_rule() {
            Rule::text => self.text(pair).map(ExprKind::Text),
            Rule::number => super::number::read(pair.as_str()).ok().map(ExprKind::Number),
            Rule::column => Some(ExprKind::Column(self.name(&child(&pair, Rule::key)?))),
            Rule::variable => Some(ExprKind::Name(self.name(&child(&pair, Rule::name)?))),
            Rule::call => {
                let args = self.entries(child(&pair, Rule::args)?);
                Some(ExprKind::Call { callee: self.name(&child(&pair, Rule::name)?), args: args? })
            }
            Rule::record => self.entries(pair).map(ExprKind::Record),
            Rule::list => self.elements(pair).map(ExprKind::List),
            Rule::group => self.expr(child(&pair, Rule::expr)?).map(|expr| expr.kind),
            // `.5` and `True` were reported.
            _ => None,
        }
    }

    /// The entries of an argument list or a record.
    fn entries(&mut self, pair: Pair<'_>) -> Option<Vec<Entry>> {
        let slots = pair.into_inner().filter(|slot| slot.as_rule() != Rule::gap).collect::<Vec<_>>();
        whole(slots.into_iter().map(|slot| self.entry(slot)).collect())
    }

    fn entry(&mut self, pair: Pair<'_>) -> Option<Entry> {
        if pair.as_rule() != Rule::entry {
            return None;
        }
        let span = self.span(&pair);
        let form = pair.into_inner().next()?;
        let spread = form.as_rule() == Rule::spread;
        let name = child(&form, Rule::key).map(|key| self.name(&key));
        let value = if form.as_rule() == Rule::expr { Some(form) } else { child(&form, Rule::expr) };
        Some(Entry { span, spread, name, value: self.expr(value?)? })
    }

    fn elements(&mut self, pair: Pair<'_>) -> Option<Vec<Element>> {
        let entries = self.entries(pair)?;
        Some(entries.into_iter().map(|Entry { spread, value, .. }| Element { spread, value }).collect())
    }
}

/// How many levels of tree a part of a chain can add.
fn links(pair: &Pair<'_>) -> usize {
    let indices = |pair: Pair<'_>| pair.into_inner().filter(|inner| inner.as_rule() == Rule::index).count();
    match pair.as_rule() {
        Rule::postfix => pair.clone().into_inner().map(|inner| 1 + indices(inner)).sum::<usize>() - 1,
        _ => 1,
    }
}

type Parts = std::iter::Peekable<std::vec::IntoIter<Part>>;

/// Precedence climbing: an expression of operators that bind at least as tightly as `least`.
fn climb(parts: &mut Parts, least: u8) -> Option<Expr> {
    let mut left = match parts.next()? {
        Part::Operand(expr) => expr,
        Part::Prefix(op, span) => {
            let operand = climb(parts, if op == UnaryOp::Not { NOT } else { NEGATION })?;
            Expr { span: span.to(operand.span), kind: ExprKind::Unary { op, operand: Box::new(operand) } }
        }
        Part::As(_) | Part::Infix(..) => return None,
    };
    loop {
        match parts.next_if(|part| binds(part, least)) {
            Some(Part::As(ty)) => {
                let span = left.span.to(ty.span);
                left = Expr { span, kind: ExprKind::As { value: Box::new(left), ty } };
            }
            Some(Part::Infix(infix, power)) => {
                let right = climb(parts, if power == POWER { power } else { power + 1 })?;
                left = joined(infix, left, right);
            }
            _ => return Some(left),
        }
    }
}

fn binds(part: &Part, least: u8) -> bool {
    match part {
        Part::As(_) => ASCRIPTION >= least,
        Part::Infix(_, power) => *power >= least,
        Part::Prefix(..) | Part::Operand(_) => false,
    }
}

fn joined(infix: Infix, left: Expr, right: Expr) -> Expr {
    let span = left.span.to(right.span);
    let (left, right) = (Box::new(left), Box::new(right));
    let kind = match infix {
        Infix::Binary(op) => ExprKind::Binary { op, left, right },
        Infix::Range { inclusive } => ExprKind::Range { low: left, high: right, inclusive },
    };
    Expr { span, kind }
}

#[cfg(test)]
mod tests {
    use crate::syntax::span::FileId;
    use crate::syntax::tree::{Expr, ExprKind, ItemKind, TextPart, UnaryOp};

    /// The body of `fn f() = …`, and the text around it.
    fn body(text: &str) -> (Expr, String) {
        let text = format!("fn f() = {text} // end\n");
        let (file, diagnostics) = crate::syntax::parse(FileId(0), &text);
        assert_eq!(diagnostics, [], "{text}");
        match file.items.into_iter().next().map(|item| item.kind) {
            Some(ItemKind::Fn(function)) => (function.body, text),
            other => panic!("no function but {other:?}"),
        }
    }

    /// An expression with a pair of parentheses for every operator.
    fn shown(expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Number(number) => number.value.to_string(),
            ExprKind::Name(name) => name.text.to_string(),
            ExprKind::Column(name) => format!(".{}", name.text),
            ExprKind::Unary { op: UnaryOp::Not, operand } => format!("(not {})", shown(operand)),
            ExprKind::Unary { op: UnaryOp::Negate, operand } => format!("(-{})", shown(operand)),
            ExprKind::Binary { op, left, right } => format!("({} {} {})", shown(left), op.symbol(), shown(right)),
            ExprKind::Range { low, high, inclusive } => {
                format!("({} {} {})", shown(low), if *inclusive { "..=" } else { ".." }, shown(high))
            }
            ExprKind::If { condition, then, otherwise } => {
                format!("(if {} {} {})", shown(condition), shown(then), shown(otherwise))
            }
            ExprKind::As { value, .. } => format!("({} as)", shown(value)),
            ExprKind::Member { receiver, name } => format!("{}.{}", shown(receiver), name.text),
            ExprKind::Method { receiver, name, args } => format!("{}.{}({})", shown(receiver), name.text, args.len()),
            ExprKind::Call { callee, args } => format!("{}({})", callee.text, args.len()),
            ExprKind::Index { receiver, index } => format!("{}[{}]", shown(receiver), shown(index)),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        for (text, tree) in [
            ("a + b * c - d", "((a + (b * c)) - d)"),
            ("a / b / c", "((a / b) / c)"),
            ("-a ^ 2", "(-(a ^ 2))"),
            ("2 ^ -a ^ b", "(2 ^ (-(a ^ b)))"),
            ("a ^ b ^ c", "(a ^ (b ^ c))"),
            ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
            ("-a.b[0].c(1) < .d", "((-a.b[0].c(1)) < .d)"),
            ("1 + a..b * 2", "((1 + a) .. (b * 2))"),
            ("a * b as Int", "(a * (b as))"),
            ("if a then b else if c then d else e + f", "(if a b (if c d (e + f)))"),
            ("a - -b", "(a - (-b))"),
            ("f(a) + g (b)", "(f(1) + g(1))"),
        ] {
            assert_eq!(shown(&body(text).0), tree, "{text}");
        }
    }

    #[test]
    fn spans_hold_exactly_what_they_name() {
        let (expr, text) = body("(a + b )  * f( x, y: 1 ) .z // note\n    - if_not");
        let of = |expr: &Expr| text[expr.span.range()].to_owned();
        let ExprKind::Binary { left, right, .. } = &expr.kind else { panic!("no difference") };
        assert_eq!(of(&expr), "(a + b )  * f( x, y: 1 ) .z // note\n    - if_not");
        assert_eq!(of(left), "(a + b )  * f( x, y: 1 ) .z");
        assert_eq!(of(right), "if_not");
        let ExprKind::Binary { left, right, .. } = &left.kind else { panic!("no product") };
        assert_eq!(of(left), "(a + b )");
        let ExprKind::Member { receiver, name } = &right.kind else { panic!("no member") };
        assert_eq!((of(receiver).as_str(), &text[name.span.range()]), ("f( x, y: 1 )", "z"));
        let ExprKind::Call { args, .. } = &receiver.kind else { panic!("no call") };
        assert_eq!(&text[args[1].span.range()], "y: 1");
    }

    #[test]
    fn texts_are_what_they_say() {
        let text = |text: &str| match body(text).0.kind {
            ExprKind::Text(parts) => parts
                .into_iter()
                .map(|part| match part {
                    TextPart::Literal(text) => text,
                    TextPart::Hole(expr) => format!("<{}>", shown(&expr)),
                })
                .collect::<Vec<_>>(),
            other => panic!("no text but {other:?}"),
        };
        assert_eq!(text(r#""""#), [""]);
        assert_eq!(text(r#""a\n\t\"\\""#), ["a\n\t\"\\"]);
        assert_eq!(text(r#""{{a}}""#), ["{a}"]);
        assert_eq!(text(r#""x {a + 1} y {.b}""#), ["x ", "<(a + 1)>", " y ", "<.b>"]);
        assert_eq!(text(r#""{joined(a, ", ")}!""#), ["<joined(2)>", "!"]);
        assert_eq!(text(r#"r"\d{2}""#), ["\\d{2}"]);
        assert_eq!(text("\"\"\"\n    one\n      two {a}\n\n    three\n    \"\"\""), ["one\n  two ", "<a>", "\n\nthree"]);
        assert_eq!(text("\"\"\"\n  {a}\n   b\n\n  \"\"\""), ["<a>", "\n b\n"]);
        assert_eq!(text("\"\"\"plain \"quoted\" text\"\"\""), ["plain \"quoted\" text"]);
        assert_eq!(text("\"\"\"\r\n  a\r\n  b\r\n  \"\"\""), ["a\nb"]);
    }
}
