//! Arguments meet parameters: by position, by name, from spread records, from defaults; then types, ranges, limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::formula::expr::Kind;
use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Entry, Expr, NumberRange, TypeExpr, TypeKind};
use crate::value::Cell;

use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::ModuleId;
use super::mistake::Mistake;
use super::resolve::{Generics, Resolver, range_of};
use super::scope::Scope;
use super::types::{Row, Type};
use super::value::{Typed, Value};

/// An argument before its parameter is known.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// Still text: worked out once the parameter says against which rows.
    Written(&'a Expr),
    /// The receiver of `a.f(b)`, or a field of a spread record.
    Known(Typed),
}

impl Given<'_> {
    pub fn span(&self) -> Span {
        match self {
            Given::Written(e) => e.span,
            Given::Known(v) => v.span,
        }
    }
}

/// Arguments by parameter: one slot per plain parameter, a list per collecting one (`...training`).
#[derive(Debug)]
pub struct Matched<'a> {
    pub plain: BTreeMap<Arc<str>, Given<'a>>,
    pub rest: BTreeMap<Arc<str>, Vec<(Arc<str>, Given<'a>)>>,
    /// `seed:`, which every stage takes, and `on:`, which every objective takes.
    pub implicit: Option<Given<'a>>,
}

/// What is being called.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    pub name: &'a Arc<str>,
    pub params: &'a [Binder],
    pub module: ModuleId,
    /// A parameter that is not written down: `seed` of stages, `on` of objectives.
    pub implicit: Option<&'static str>,
    pub span: Span,
    /// Where it is declared.
    pub declared: Span,
}

impl<'a> Elaborator<'a> {
    /// Sorts a call's arguments to the parameters of what is called.
    pub fn matched(
        &mut self,
        callee: Callee<'a>,
        receiver: Option<Typed>,
        args: &'a [Entry],
        scope: &Scope<'a>,
        span: Span,
    ) -> Outcome<Matched<'a>> {
        let mut matched = Matched { plain: BTreeMap::new(), rest: BTreeMap::new(), implicit: None };
        let mut refused = false;
        let unfinished = self.want_argument(&callee, args);
        let mut written: BTreeMap<Arc<str>, Span> = BTreeMap::new();
        let mut positions = callee.params.iter().filter(|p| !p.rest);
        let positional = receiver
            .map(Given::Known)
            .into_iter()
            .chain(args.iter().filter(|a| a.name.is_none() && !a.spread).map(|a| Given::Written(&a.value)));
        for given in positional {
            match positions.next() {
                Some(param) => {
                    written.insert(param.name.text.clone(), given.span());
                    matched.plain.insert(param.name.text.clone(), given);
                }
                None => {
                    let taken = callee.params.iter().filter(|p| !p.rest).count();
                    self.report(Mistake::TooManyArguments {
                        callee: callee.name.clone(),
                        taken,
                        span: given.span(),
                        declared: callee.span,
                    });
                    refused = true;
                }
            }
        }
        for entry in args.iter().filter(|a| a.name.is_some()) {
            let name = entry.name.as_ref().expect("filtered");
            if let Some(first) = written.insert(name.text.clone(), entry.span) {
                self.report(Mistake::RepeatedArgument { name: name.text.clone(), span: entry.span, first });
                refused = true;
                continue;
            }
            self.refer_argument(&callee, &name.text, name.span);
            refused |= self.place(&callee, &name.text, Given::Written(&entry.value), name.span, &mut matched).is_err();
        }
        for entry in args.iter().filter(|a| a.spread) {
            refused |= self.spread(&callee, entry, scope, &written, &mut matched).is_err();
        }
        for param in callee.params.iter().filter(|p| !p.rest && p.default.is_none() && !is_optional(p.ty.as_ref())) {
            if !matched.plain.contains_key(&param.name.text) && !unfinished {
                let doc = param.doc.clone();
                self.report(Mistake::MissingArgument {
                    name: param.name.text.clone(),
                    callee: callee.name.clone(),
                    doc,
                    span,
                    declared: param.span,
                });
                refused = true;
            }
        }
        if refused { Err(Refused) } else { Ok(matched) }
    }

    /// Gives a named argument to its parameter, or to the collecting parameter that has such a field.
    fn place(&mut self, callee: &Callee<'a>, name: &Arc<str>, given: Given<'a>, span: Span, matched: &mut Matched<'a>) -> Outcome<()> {
        if callee.params.iter().any(|p| !p.rest && p.name.text == *name) {
            matched.plain.entry(name.clone()).or_insert(given);
            return Ok(());
        }
        if callee.implicit == Some(&**name) {
            matched.implicit.get_or_insert(given);
            return Ok(());
        }
        // options first: columns take every name that is left
        let options = callee.params.iter().filter(|p| p.rest).find(|p| self.option_names(callee.module, p).contains(name));
        let columns = callee.params.iter().find(|p| p.rest && takes_columns(p));
        if let Some(param) = options.or(columns) {
            let list = matched.rest.entry(param.name.text.clone()).or_default();
            if !list.iter().any(|(n, _)| n == name) {
                list.push((name.clone(), given));
            }
            return Ok(());
        }
        let mut known: Vec<Arc<str>> = callee.params.iter().filter(|p| !p.rest).map(|p| p.name.text.clone()).collect();
        for param in callee.params.iter().filter(|p| p.rest) {
            known.extend(self.option_names(callee.module, param));
        }
        known.extend(callee.implicit.map(Arc::from));
        Err(self.report(Mistake::UnknownArgument { name: name.clone(), callee: callee.name.clone(), known, span }))
    }

    fn spread(
        &mut self,
        callee: &Callee<'a>,
        entry: &'a Entry,
        scope: &Scope<'a>,
        written: &BTreeMap<Arc<str>, Span>,
        matched: &mut Matched<'a>,
    ) -> Outcome<()> {
        let value = self.expression(&entry.value, scope, None)?;
        let Value::Record(fields) = value.value else { return Err(self.report(Mistake::NotARecord { found: value.ty, span: entry.span })) };
        for (name, field) in fields {
            if !written.contains_key(&name) {
                self.place(callee, &name, Given::Known(field.at(entry.span)), entry.span, matched)?;
            }
        }
        Ok(())
    }

    fn option_names(&self, module: ModuleId, param: &Binder) -> Vec<Arc<str>> {
        param.ty.as_ref().map_or_else(Vec::new, |ty| self.record_fields(module, ty))
    }

    fn record_fields(&self, module: ModuleId, ty: &TypeExpr) -> Vec<Arc<str>> {
        let generics = Generics::new();
        let resolver = Resolver { library: self.library, module, generics: &generics };
        match resolver.resolve(ty) {
            Ok(Type::Record(row)) => row.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Works an argument out against the type of its parameter: rows at hand, conversions, range, the profile's limit.
    pub fn argument(&mut self, given: &Given<'a>, param: &Param<'_>, scope: &Scope<'a>) -> Outcome<Typed> {
        if let Type::Formula { rows, result } = param.wanted.unwrapped() {
            return self.row_formula(given, rows, result, scope);
        }
        let value = match given {
            Given::Written(e) => self.expression(e, scope, Some(param.wanted))?,
            Given::Known(value) => value.clone(),
        };
        let value = self.fit(value, param.wanted, scope, Some(param.name))?;
        // one word of several is still one of several: it may be compared with the others
        let value = match (param.wanted.unwrapped(), &value.ty) {
            (wanted @ Type::Words(_), Type::Words(_)) => Typed { ty: wanted.clone(), ..value },
            _ => value,
        };
        let value = self.limited(value, param.name);
        self.in_range(&value, param)?;
        Ok(value)
    }

    /// An argument that is a formula over rows of another type than the row at hand.
    fn row_formula(&mut self, given: &Given<'a>, rows: &Row, result: &Type, scope: &Scope<'a>) -> Outcome<Typed> {
        let inner = scope.with_row(rows.clone());
        match given {
            Given::Written(e) => {
                let value = self.expression(e, &inner, Some(result))?;
                if matches!(value.value, Value::Range { .. }) { Ok(value) } else { self.fit(value, result, &inner, None) }
            }
            // already a formula over rows: the columns it reads must be there
            Given::Known(value) => self.fit(value.clone(), result, &inner, None),
        }
    }

    /// Applies `limit name = n` of the chosen profile.
    pub fn limited(&self, value: Typed, name: &str) -> Typed {
        let Some(limit) = self.limits.get(name) else { return value };
        #[expect(clippy::cast_possible_truncation, reason = "a limit on an integer is a whole number")]
        let whole = Cell::Int(*limit as i64);
        match value.as_constant() {
            // without a number of its own an option goes on without end: the limit is its number
            Some(Cell::None) => Typed::constant(Type::Int, whole, value.span),
            Some(known) if known.number().is_some_and(|x| x > *limit) => {
                let cell = if value.ty.unwrapped() == &Type::Int { whole } else { Cell::Float(*limit) };
                Typed::constant(value.ty, cell, value.span)
            }
            _ => value,
        }
    }

    fn in_range(&mut self, value: &Typed, param: &Param<'_>) -> Outcome<()> {
        let (Some(range), Some(x)) = (param.ty.and_then(range_of), value.as_constant().and_then(|c| c.number())) else { return Ok(()) };
        if contains(&range, x) {
            return Ok(());
        }
        let declared = range.span;
        Err(self.report(Mistake::OutOfRange { name: param.name.into(), value: x, range: show(&range), span: value.span, declared }))
    }

    /// A value where `wanted` is asked for: the conversions that are no change of meaning, or a refusal.
    pub fn fit(&mut self, value: Typed, wanted: &Type, scope: &Scope<'a>, param: Option<&str>) -> Outcome<Typed> {
        if !value.ty.fits(wanted) {
            let scores = value.ty == Type::Scorer && *wanted.unwrapped() == Type::Float;
            if let Some(row) = scope.row.as_ref().filter(|_| scores) {
                return self.bare_scorer(value, row.contains_key("completion"));
            }
            return Err(self.report(Mistake::mismatch(param, value.ty.clone(), wanted.clone(), value.span)));
        }
        let converted = match (&value.ty, wanted.unwrapped()) {
            (Type::Int, Type::Float) => match value.as_constant() {
                #[expect(clippy::cast_precision_loss, reason = "literals stay below 2^53")]
                Some(Cell::Int(n)) => Typed::constant(Type::Float, Cell::Float(n as f64), value.span),
                _ => value,
            },
            (Type::Completion, Type::Text) => {
                let of = value.as_formula().expect("a completion is a formula");
                Typed::formula(Type::Text, Kind::Field { of, name: "text".into() }, value.span)
            }
            (Type::Completion | Type::Text, Type::Sequence) => self.after_prompt(value, scope)?,
            _ => value,
        };
        Ok(converted)
    }

    /// A completion read by a network stands after its row's prompt.
    fn after_prompt(&mut self, value: Typed, scope: &Scope<'a>) -> Outcome<Typed> {
        if !scope.row.as_ref().is_some_and(|row| row.contains_key("prompt")) {
            return Err(self.report(Mistake::NoPrompt { span: value.span }));
        }
        let span = value.span;
        let prompt = Typed::formula(Type::Dialogue, Kind::Column("prompt".into()), span);
        self.word("after", vec![prompt, value], Type::Sequence, span)
    }

    /// `reward: rm` means `rm.score(.completion)`.
    fn bare_scorer(&mut self, scorer: Typed, has_completion: bool) -> Outcome<Typed> {
        let span = scorer.span;
        if !has_completion {
            return Err(self.report(Mistake::NothingToScore { span }));
        }
        let column = |name: &str, ty| Typed::formula(ty, Kind::Column(name.into()), span);
        let sequence =
            self.word("after", vec![column("prompt", Type::Dialogue), column("completion", Type::Completion)], Type::Sequence, span)?;
        self.word("score", vec![scorer, sequence], Type::Float, span)
    }
}

/// A parameter as an argument meets it.
#[derive(Clone, Copy, Debug)]
pub struct Param<'p> {
    pub name: &'p str,
    pub wanted: &'p Type,
    pub ty: Option<&'p TypeExpr>,
}

/// Whether a parameter collects columns: `...columns: R -> C`.
pub fn takes_columns(param: &Binder) -> bool {
    param.ty.as_ref().is_some_and(|ty| matches!(ty.kind, TypeKind::Arrow { .. }))
}

fn is_optional(ty: Option<&TypeExpr>) -> bool {
    match ty.map(|t| &t.kind) {
        Some(TypeKind::Optional(_)) => true,
        // `R -> Float?` and `Int in 1..?` end in the mark too
        Some(TypeKind::Arrow { to, .. }) => is_optional(Some(to)),
        Some(TypeKind::Ranged { ty, .. }) => is_optional(Some(ty)),
        _ => false,
    }
}

fn contains(range: &NumberRange, x: f64) -> bool {
    let high = range.high.is_none_or(|h| if range.inclusive { x <= h } else { x < h });
    range.low.is_none_or(|l| x >= l) && high
}

fn show(range: &NumberRange) -> String {
    let bound = |b: Option<f64>| b.map_or(String::new(), |x| x.to_string());
    format!("{}{}{}", bound(range.low), if range.inclusive { "..=" } else { ".." }, bound(range.high))
}
