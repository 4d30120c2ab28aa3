//! Expressions → typed values. Constants fold on the way, so that a choice between shapes is made before shapes meet.

use std::sync::Arc;

use crate::formula::expr::{Expr as Core, Formula, Kind};
use crate::syntax::span::Span;
use crate::syntax::tree::{BinaryOp, Element, Entry, Expr, ExprKind, Name, TextPart, UnaryOp};
use crate::value::Cell;

use super::elaborate::{Elaborator, Outcome, Refused};
use super::mistake::Mistake;
use super::resolve::Resolver;
use super::scope::Scope;
use super::types::Type;
use super::value::{Extra, Typed, Value, constant_of};

impl<'a> Elaborator<'a> {
    /// Works out an expression; `wanted` helps where the text alone does not say (enum words, loaded rows).
    pub fn expression(&mut self, e: &'a Expr, scope: &Scope<'a>, wanted: Option<&Type>) -> Outcome<Typed> {
        let value = self.work_out(e, scope, wanted);
        self.saw(e.span, &value);
        value
    }

    fn work_out(&mut self, e: &'a Expr, scope: &Scope<'a>, wanted: Option<&Type>) -> Outcome<Typed> {
        match &e.kind {
            ExprKind::Number(n) if n.whole => {
                #[expect(clippy::cast_possible_truncation, reason = "the grammar reads whole numbers below 2^53")]
                let whole = n.value as i64;
                Ok(Typed::constant(Type::Int, Cell::Int(whole), e.span))
            }
            ExprKind::Number(n) => Ok(Typed::constant(Type::Float, Cell::Float(n.value), e.span)),
            ExprKind::Text(parts) => self.text(parts, e.span, scope),
            ExprKind::Name(name) => self.name(name, scope, wanted),
            ExprKind::Column(name) => self.column(name, scope),
            ExprKind::Call { callee, args } => self.call(callee, None, args, e.span, scope, wanted),
            ExprKind::Method { receiver, name, args } => {
                let receiver = self.expression(receiver, scope, None)?;
                self.call(name, Some(receiver), args, e.span, scope, wanted)
            }
            ExprKind::Member { receiver, name } => {
                let receiver = self.expression(receiver, scope, None)?;
                self.want_member(&name.text, &receiver, scope.module);
                self.member(receiver, name, e.span)
            }
            ExprKind::Index { receiver, index } => self.index(receiver, index, e.span, scope),
            ExprKind::List(items) => self.list(items, e.span, scope, wanted),
            ExprKind::Record(entries) => self.record(entries, e.span, scope, wanted),
            ExprKind::Unary { op, operand } => self.unary(*op, operand, e.span, scope),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, e.span, scope),
            ExprKind::If { condition, then, otherwise } => self.choice(condition, then, otherwise, e.span, scope, wanted),
            ExprKind::Range { low, high, inclusive } => self.range(low, high, *inclusive, e.span, scope),
            ExprKind::As { value, ty } => {
                let ty = self.resolve(scope, ty)?;
                let ty = if let Type::Record(row) = ty { Type::Data(row) } else { ty };
                let value = self.expression(value, scope, Some(&ty))?;
                self.fit(value, &ty, scope, None)
            }
            ExprKind::Repeat(repeat) => self.repeat(repeat, e.span, scope),
            ExprKind::Sweep(sweep) => self.sweep(sweep, e.span, scope),
        }
    }

    /// A type as a scope's file sees it.
    pub fn resolve(&mut self, scope: &Scope<'a>, ty: &crate::syntax::tree::TypeExpr) -> Outcome<Type> {
        let resolver = Resolver { library: self.library, module: scope.module, generics: &scope.generics };
        resolver.resolve(ty).map_err(|mistake| self.report(mistake))
    }

    fn text(&mut self, parts: &'a [TextPart], span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let mut formulas: Vec<Formula> = Vec::new();
        for part in parts {
            match part {
                TextPart::Literal(text) => formulas
                    .push(Typed::constant(Type::Text, Cell::text(text.as_str()), span).as_formula().expect("a constant is a formula")),
                TextPart::Hole(hole) => {
                    let value = self.expression(hole, scope, None)?;
                    let formula =
                        value.as_formula().ok_or_else(|| self.report(Mistake::NotText { found: value.ty.clone(), span: hole.span }))?;
                    formulas.push(formula);
                }
            }
        }
        if let Some(texts) = formulas.iter().map(|f| constant_of(f).and_then(|c| plain(&c))).collect::<Option<Vec<String>>>() {
            return Ok(Typed::constant(Type::Text, Cell::text(texts.concat()), span));
        }
        Ok(Typed::formula(Type::Text, Kind::Template(formulas), span))
    }

    fn name(&mut self, name: &'a Name, scope: &Scope<'a>, wanted: Option<&Type>) -> Outcome<Typed> {
        if let Some(value) = self.local(scope, &name.text, name.span) {
            return value;
        }
        self.want_value(&name.text, scope, wanted);
        if let Some(Type::Words(words)) = wanted.map(Type::unwrapped) {
            if words.contains(&name.text) {
                return Ok(Typed::constant(Type::Words(vec![name.text.clone()]), Cell::Text(name.text.clone()), name.span));
            }
        }
        match &*name.text {
            "none" => return Ok(Typed::constant(Type::Unknown, Cell::None, name.span)),
            "true" | "false" => return Ok(Typed::constant(Type::Bool, Cell::Bool(&*name.text == "true"), name.span)),
            "model" if scope.model => return Ok(Typed::formula(Type::Network, Kind::Model, name.span)),
            _ => {}
        }
        if let Some(value) = self.param(scope, name) {
            return value;
        }
        Err(self.unknown_name(name, scope, wanted))
    }

    fn unknown_name(&mut self, name: &Name, scope: &Scope<'a>, wanted: Option<&Type>) -> Refused {
        if self.library.is_broken(scope.module, &name.text) {
            return Refused;
        }
        if let Some(Type::Words(words)) = wanted.map(Type::unwrapped) {
            return self.report(Mistake::UnknownWord { name: name.text.clone(), words: words.clone(), span: name.span });
        }
        if scope.row.as_ref().is_some_and(|row| row.contains_key(&name.text)) {
            return self.report(Mistake::ColumnWithoutDot { name: name.text.clone(), span: name.span });
        }
        if self.library.find(scope.module, &name.text).is_some() {
            return self.report(Mistake::ItemWithoutCall { name: name.text.clone(), span: name.span });
        }
        let mut known = scope.known();
        known.extend(self.library.names(scope.module).filter(|n| n.starts_with(char::is_lowercase)).cloned());
        self.report(Mistake::UnknownName { name: name.text.clone(), span: name.span, known })
    }

    fn column(&mut self, name: &Name, scope: &Scope<'a>) -> Outcome<Typed> {
        self.want_column(&name.text, scope.row.as_ref());
        let Some(row) = &scope.row else { return Err(self.report(Mistake::NoRow { column: name.text.clone(), span: name.span })) };
        match row.get(&name.text) {
            Some(ty) => Ok(Typed::formula(ty.clone(), Kind::Column(name.text.clone()), name.span)),
            None => Err(self.report(Mistake::UnknownColumn { name: name.text.clone(), row: row.clone(), span: name.span })),
        }
    }

    /// `a.b`: a field of a record, an extra result of a stage, a part of an estimate or a completion.
    pub fn member(&mut self, receiver: Typed, name: &Name, span: Span) -> Outcome<Typed> {
        match &receiver.value {
            Value::Record(fields) => {
                if let Some((_, value)) = fields.iter().find(|(n, _)| *n == name.text) {
                    return Ok(value.clone().at(span));
                }
                let known = fields.iter().map(|(n, _)| n.clone()).collect();
                return Err(self.report(Mistake::UnknownMember { name: name.text.clone(), of: receiver.ty, known, span: name.span }));
            }
            Value::With { main, extras } => match extras.iter().find(|(n, _)| *n == name.text) {
                Some((_, Extra::Here(value))) => return Ok(value.clone().at(span)),
                Some((_, Extra::NoEval)) => {
                    return Err(self.report(Mistake::NoEval { metric: name.text.clone(), span: name.span, made: receiver.span }));
                }
                None if main.ty.is_network() => {
                    let known = extras.iter().map(|(n, _)| n.clone()).collect();
                    return Err(self.report(Mistake::UnknownMetric { name: name.text.clone(), known, span: name.span }));
                }
                None => return self.member((**main).clone(), name, span),
            },
            _ => {}
        }
        let field = |ty: Type, of: Formula| Ok(Typed::formula(ty, Kind::Field { of, name: name.text.clone() }, span));
        let fields: Vec<(&str, Type)> = match receiver.ty.unwrapped() {
            Type::Estimate => vec![("mean", Type::Float), ("n", Type::Int), ("lower95", Type::Float), ("upper95", Type::Float)],
            Type::Completion => vec![("text", Type::Text), ("finished", Type::Bool)],
            Type::Record(row) => row.iter().map(|(n, t)| (&**n, t.clone())).collect(),
            _ => Vec::new(),
        };
        match (fields.iter().find(|(n, _)| *n == &*name.text), receiver.as_formula()) {
            (Some((_, ty)), Some(of)) => field(ty.clone(), of),
            _ => {
                let known = fields.iter().map(|(n, _)| Arc::from(*n)).collect();
                Err(self.report(Mistake::UnknownMember { name: name.text.clone(), of: receiver.ty, known, span: name.span }))
            }
        }
    }

    fn index(&mut self, receiver: &'a Expr, index: &'a Expr, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let of = self.expression(receiver, scope, None)?;
        let at = self.expression(index, scope, Some(&Type::Int))?;
        let at = self.fit(at, &Type::Int, scope, None)?;
        if let (Value::List(items), Some(Cell::Int(place))) = (&of.value, at.as_constant()) {
            let found = usize::try_from(place).ok().and_then(|p| items.get(p));
            return found
                .cloned()
                .map(|v| v.at(span))
                .ok_or_else(|| self.report(Mistake::IndexRange { place, length: items.len(), span: at.span }));
        }
        match (&of.ty, of.as_formula(), at.as_formula()) {
            (Type::List(item), Some(list), Some(place)) => {
                Ok(Typed::formula((**item).clone(), Kind::Index { of: list, index: place }, span))
            }
            _ => Err(self.report(Mistake::NotAList { found: of.ty.clone(), span: of.span })),
        }
    }

    fn list(&mut self, elements: &'a [Element], span: Span, scope: &Scope<'a>, wanted: Option<&Type>) -> Outcome<Typed> {
        let item = match wanted.map(Type::unwrapped) {
            Some(Type::List(item)) => Some((**item).clone()),
            _ => None,
        };
        let mut items: Vec<Typed> = Vec::new();
        for element in elements {
            let value = self.expression(&element.value, scope, if element.spread { wanted } else { item.as_ref() })?;
            match value.value {
                Value::List(more) if element.spread => items.extend(more),
                _ if element.spread => return Err(self.report(Mistake::NotAList { found: value.ty, span: element.value.span })),
                _ => items.push(value),
            }
        }
        let mut ty = items.first().map_or_else(|| item.unwrap_or(Type::Unknown), |first| first.ty.clone());
        for other in items.iter().skip(1) {
            ty = ty.join(&other.ty).ok_or_else(|| {
                self.report(Mistake::MixedList { first: ty.clone(), first_span: items[0].span, other: other.ty.clone(), span: other.span })
            })?;
        }
        Ok(Typed { ty: Type::List(Box::new(ty)), value: Value::List(items), span })
    }

    /// A record's fields, spreads first to last, a later field winning over a spread one.
    pub fn record(&mut self, entries: &'a [Entry], span: Span, scope: &Scope<'a>, wanted: Option<&Type>) -> Outcome<Typed> {
        let mut fields: Vec<(Arc<str>, Typed, bool)> = Vec::new();
        for entry in entries {
            if entry.spread {
                let value = self.expression(&entry.value, scope, None)?;
                let Value::Record(more) = value.value else {
                    return Err(self.report(Mistake::NotARecord { found: value.ty, span: entry.span }));
                };
                for (name, field) in more {
                    fields.retain(|(n, _, spread)| !(*spread && *n == name));
                    fields.push((name, field, true));
                }
                continue;
            }
            let Some(name) = &entry.name else { return Err(self.report(Mistake::FieldWithoutName { span: entry.span })) };
            if let Some((_, first, false)) = fields.iter().find(|(n, _, _)| *n == name.text) {
                let first = first.span;
                return Err(self.report(Mistake::RepeatedArgument { name: name.text.clone(), span: entry.span, first }));
            }
            let expected = wanted.and_then(|w| if let Type::Record(row) = w.unwrapped() { row.get(&name.text) } else { None });
            let value = self.expression(&entry.value, scope, expected)?;
            fields.retain(|(n, _, _)| *n != name.text);
            fields.push((name.text.clone(), value, false));
        }
        let fields: Vec<(Arc<str>, Typed)> = fields.into_iter().map(|(n, v, _)| (n, v)).collect();
        let ty = Type::Record(fields.iter().map(|(n, v)| (n.clone(), v.ty.clone())).collect());
        Ok(Typed { ty, value: Value::Record(fields), span })
    }

    fn unary(&mut self, op: UnaryOp, operand: &'a Expr, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        match op {
            UnaryOp::Negate => {
                let value = self.expression(operand, scope, Some(&Type::Float))?;
                if matches!(&value.ty, Type::List(item) if item.is_number()) {
                    return self.word("negate", vec![value], Type::List(Box::new(Type::Float)), span);
                }
                let value = self.numeric(value, scope)?;
                let ty = if value.ty == Type::Estimate { Type::Float } else { value.ty.clone() };
                self.word("negate", vec![value], ty, span)
            }
            UnaryOp::Not => {
                let value = self.expression(operand, scope, Some(&Type::Bool))?;
                let value = self.truth(value, scope)?;
                let ty = value.ty.clone();
                self.word("not", vec![value], ty, span)
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let a = self.expression(left, scope, None);
        // an enum word on the right takes its meaning from the left, and the other way round
        let hint = a.as_ref().ok().map(|a| a.ty.clone()).filter(|t| matches!(t.unwrapped(), Type::Words(_)));
        let b = self.expression(right, scope, hint.as_ref());
        let (a, b) = (a?, b?);
        match op {
            BinaryOp::And | BinaryOp::Or => {
                let (a, b) = (self.truth(a, scope)?, self.truth(b, scope)?);
                let ty = a.ty.join(&b.ty).unwrap_or(Type::Bool);
                self.word(if op == BinaryOp::And { "and" } else { "or" }, vec![a, b], ty, span)
            }
            BinaryOp::Equal | BinaryOp::NotEqual => self.equality(op, a, b, span),
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                let (a, b) = (self.numeric(a, scope)?, self.numeric(b, scope)?);
                let ty = match [&a.ty, &b.ty] {
                    tys if tys.contains(&&Type::Tokens) => Type::Tokens,
                    tys if tys.iter().any(|ty| ty.is_numbers()) => Type::List(Box::new(Type::Bool)),
                    _ => Type::Bool,
                };
                self.word(op.symbol(), vec![a, b], ty, span)
            }
            _ => self.arithmetic(op, a, b, span, scope),
        }
    }

    fn equality(&mut self, op: BinaryOp, a: Typed, b: Typed, span: Span) -> Outcome<Typed> {
        if a.ty.join(&b.ty).is_none() {
            return Err(self.report(Mistake::NeverEqual { left: a.ty, left_span: a.span, right: b.ty, span: b.span }));
        }
        let ty = if [&a.ty, &b.ty].contains(&&Type::Tokens) { Type::Tokens } else { Type::Bool };
        self.word(op.symbol(), vec![a, b], ty, span)
    }

    /// A part of a constraint: a plain text stands for itself.
    fn part(&mut self, value: Typed) -> Outcome<Typed> {
        let span = value.span;
        if value.ty == Type::Constraint { Ok(value) } else { self.word("literal", vec![value], Type::Constraint, span) }
    }

    fn arithmetic(&mut self, op: BinaryOp, a: Typed, b: Typed, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        if matches!((&a.value, &b.value), (Value::Objective(_), _) | (_, Value::Objective(_))) {
            return self.objective_arithmetic(op, a, b, span);
        }
        let turns = |ty: &Type| matches!(ty, Type::Dialogue | Type::Text);
        if op == BinaryOp::Add && turns(&a.ty) && turns(&b.ty) && [&a.ty, &b.ty].contains(&&Type::Dialogue) {
            return self.word("+", vec![a, b], Type::Dialogue, span);
        }
        let form = |ty: &Type| matches!(ty, Type::Constraint | Type::Text);
        if op == BinaryOp::Add && form(&a.ty) && form(&b.ty) && [&a.ty, &b.ty].contains(&&Type::Constraint) {
            let (a, b) = (self.part(a)?, self.part(b)?);
            return self.word("+", vec![a, b], Type::Constraint, span);
        }
        if op == BinaryOp::Add && (a.ty == Type::Text || b.ty == Type::Text) {
            return Err(self.report(Mistake::TextSum { span }));
        }
        let list = |ty: &Type| matches!(ty, Type::List(item) if item.is_number());
        if (list(&a.ty) && (list(&b.ty) || b.ty.is_number())) || (list(&b.ty) && a.ty.is_number()) {
            return self.word(op.symbol(), vec![a, b], Type::List(Box::new(Type::Float)), span);
        }
        let (a, b) = (self.numeric(a, scope)?, self.numeric(b, scope)?);
        let ty = match (&a.ty, &b.ty) {
            (Type::Tokens, _) | (_, Type::Tokens) => Type::Tokens,
            (a, b) if a.is_numbers() || b.is_numbers() => Type::List(Box::new(Type::Float)),
            (Type::Int, Type::Int) if !matches!(op, BinaryOp::Divide | BinaryOp::Power) => Type::Int,
            _ => Type::Float,
        };
        self.word(op.symbol(), vec![a, b], ty, span)
    }

    fn choice(
        &mut self,
        condition: &'a Expr,
        then: &'a Expr,
        otherwise: &'a Expr,
        span: Span,
        scope: &Scope<'a>,
        wanted: Option<&Type>,
    ) -> Outcome<Typed> {
        let asked = self.expression(condition, scope, Some(&Type::Bool))?;
        let asked = self.truth(asked, scope)?;
        if let Some(Cell::Bool(known)) = asked.as_constant() {
            if !self.library.is_std(span) {
                self.aside(|this| {
                    let _ = this.expression(if known { otherwise } else { then }, scope, wanted);
                });
            }
            return self.expression(if known { then } else { otherwise }, scope, wanted);
        }
        let (a, b) = (self.expression(then, scope, wanted), self.expression(otherwise, scope, wanted));
        let (a, b) = (a?, b?);
        let Some(ty) = a.ty.join(&b.ty) else {
            return Err(self.report(Mistake::Branches { then: a.ty, then_span: a.span, otherwise: b.ty, span: b.span }));
        };
        let (a, b) = (self.fit(a, &ty, scope, None)?, self.fit(b, &ty, scope, None)?);
        match (asked.as_formula(), a.as_formula(), b.as_formula()) {
            (Some(condition), Some(then), Some(otherwise)) => {
                let ty = if asked.ty == Type::Tokens { Type::Tokens } else { ty };
                Ok(Typed::formula(ty, Kind::If { condition, then, otherwise }, span))
            }
            _ => Err(self.report(Mistake::LateChoice { span })),
        }
    }

    fn range(&mut self, low: &'a Expr, high: &'a Expr, inclusive: bool, span: Span, scope: &Scope<'a>) -> Outcome<Typed> {
        let bound = |this: &mut Self, e: &'a Expr| -> Outcome<Typed> {
            let value = this.expression(e, scope, Some(&Type::Int))?;
            this.fit(value, &Type::Int, scope, None)
        };
        let (low, high) = (bound(self, low)?, bound(self, high)?);
        let high = if inclusive {
            let one = Typed::constant(Type::Int, Cell::Int(1), high.span);
            self.word("+", vec![high, one], Type::Int, span)?
        } else {
            high
        };
        match (low.as_formula(), high.as_formula()) {
            (Some(low), Some(high)) => Ok(Typed { ty: Type::List(Box::new(Type::Int)), value: Value::Range { low, high }, span }),
            _ => unreachable!("integers are formulas"),
        }
    }

    /// A number, tokens' numbers, or a scorer's number for the row at hand.
    pub fn numeric(&mut self, value: Typed, scope: &Scope<'a>) -> Outcome<Typed> {
        if value.ty.is_number() || value.ty == Type::Tokens || value.ty.is_numbers() {
            return Ok(value);
        }
        if matches!(value.ty.unwrapped(), Type::Float | Type::Int) && matches!(value.ty, Type::Optional(_)) {
            return Ok(value);
        }
        self.fit(value, &Type::Float, scope, None)
    }

    fn truth(&mut self, value: Typed, scope: &Scope<'a>) -> Outcome<Typed> {
        if value.ty == Type::Tokens {
            return Ok(value);
        }
        self.fit(value, &Type::Bool, scope, None)
    }

    /// A word over values, folded when all are constants.
    pub fn word(&mut self, word: &'static str, args: Vec<Typed>, ty: Type, span: Span) -> Outcome<Typed> {
        let mut formulas = Vec::with_capacity(args.len());
        for arg in &args {
            let formula = arg.as_formula().ok_or_else(|| self.report(Mistake::NotAFormula { found: arg.ty.clone(), span: arg.span }))?;
            formulas.push(formula);
        }
        if let Some(cells) = formulas.iter().map(constant_of).collect::<Option<Vec<Cell>>>() {
            if let Some(folded) = crate::formula::words::fold(word, &cells) {
                return Ok(Typed::constant(ty, folded, span));
            }
        }
        Ok(Typed { ty, value: Value::Formula(Arc::new(Core { span, kind: Kind::Word { word, args: formulas } })), span })
    }
}

/// A constant as it reads inside a text.
fn plain(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.to_string()),
        Cell::Int(n) => Some(n.to_string()),
        Cell::Float(x) => Some(x.to_string()),
        Cell::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
