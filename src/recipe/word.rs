//! Calls of `extern fn`: the words of the formula language, their argument types and what they give.

use std::rc::Rc;
use std::sync::Arc;

use crate::formula::expr::{Axis, Expr as Core, Formula, Kind};
use crate::formula::words;
use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Expr, ExprKind, Signature, TypeExpr, TypeKind};

use super::arguments::{Given, Matched};
use super::elaborate::{Elaborator, Outcome, Refused};
use super::mistake::Mistake;
use super::resolve::Generics;
use super::scope::Scope;
use super::types::Type;
use super::value::{Typed, Value};

impl<'a> Elaborator<'a> {
    /// A word applied to its arguments.
    pub fn formula_word(&mut self, signature: &'a Signature, matched: &Matched<'a>, scope: &Scope<'a>, span: Span) -> Outcome<Typed> {
        let Some(word) = words::find(&signature.name.text) else {
            return Err(self.report(Mistake::WordWithoutRust { name: signature.name.text.clone(), span: signature.name.span }));
        };
        let mut axis = None;
        let mut args: Vec<Typed> = Vec::new();
        let inner = Scope { module: 0, ..Scope::new(0) };
        let mut generics = Generics::new();
        let mut refused = false;
        for param in &signature.params {
            if is_named(param.ty.as_ref(), "Axis") {
                axis = Some(self.axis(param, matched, scope)?);
                continue;
            }
            let value = if param.rest {
                self.all_options(param, 0, matched, scope, &inner).map(|fields| {
                    let ty = Type::Record(fields.iter().map(|(n, v)| (n.clone(), v.ty.clone())).collect());
                    Typed { ty, value: Value::Record(fields), span }
                })
            } else {
                self.bind_param(param, 0, matched, scope, &inner, &mut generics)
            };
            match value {
                Ok(value) => {
                    // a later parameter's default may name it
                    inner.insert(param.name.text.clone(), value.clone());
                    args.push(value);
                }
                Err(Refused) => refused = true,
            }
        }
        if refused {
            return Err(Refused);
        }
        if let Some(first) = args.first().filter(|_| is_named(signature.params[0].ty.as_ref(), "Any")) {
            self.check_operand(&signature.name.text, first, axis.as_ref())?;
        }
        let ty = self.word_type(signature, &args, axis.as_ref(), &generics)?;
        match axis {
            None => self.word(word, args, ty, span),
            Some(axis) => {
                let formulas: Vec<Formula> = args.iter().map(|a| a.as_formula().ok_or(Refused)).collect::<Outcome<_>>()?;
                Ok(Typed { ty, value: Value::Formula(Arc::new(Core { span, kind: Kind::Over { word, args: formulas, axis } })), span })
            }
        }
    }

    fn axis(&mut self, param: &'a Binder, matched: &Matched<'a>, scope: &Scope<'a>) -> Outcome<Axis> {
        let written = match matched.plain.get(&param.name.text) {
            Some(Given::Written(e)) => *e,
            Some(Given::Known(value)) => return Err(self.report(Mistake::NotAnAxis { span: value.span })),
            None => match &param.default {
                Some(default) => default,
                None => return Err(Refused),
            },
        };
        match &written.kind {
            ExprKind::Name(name) if !scope.contains(&name.text) => match &*name.text {
                "tokens" => Ok(Axis::Tokens),
                "row" => Ok(Axis::Row),
                "batch" => Ok(Axis::Batch),
                "all" => Ok(Axis::All),
                _ => Err(self.report(Mistake::NotAnAxis { span: name.span })),
            },
            ExprKind::List(items) => Ok(Axis::Columns(items.iter().map(|i| self.axis_column(&i.value, scope)).collect::<Outcome<_>>()?)),
            _ => Ok(Axis::Columns(vec![self.axis_column(written, scope)?])),
        }
    }

    fn axis_column(&mut self, e: &'a Expr, scope: &Scope<'a>) -> Outcome<Formula> {
        if scope.row.is_none() {
            return Err(self.report(Mistake::NotAnAxis { span: e.span }));
        }
        let value = self.expression(e, scope, None)?;
        value.as_formula().ok_or_else(|| self.report(Mistake::NotAnAxis { span: e.span }))
    }

    /// Arithmetic words want numbers; a reduction over tokens wants tokens or a list.
    fn check_operand(&mut self, word: &Arc<str>, operand: &Typed, axis: Option<&Axis>) -> Outcome<()> {
        let ty = operand.ty.unwrapped();
        let list = matches!(ty, Type::List(_));
        let number = ty.is_number() || matches!(ty, Type::Tokens | Type::Bool);
        if matches!(&**word, "old" | "detach" | "shifted" | "arg_max" | "gathered" | "place") {
            return Ok(());
        }
        match axis {
            Some(Axis::Tokens) if !list && *ty != Type::Tokens => {
                Err(self.report(Mistake::OneNumberARow { word: word.clone(), found: operand.ty.clone(), span: operand.span }))
            }
            _ if number || list => Ok(()),
            _ => Err(self.report(Mistake::mismatch(None, operand.ty.clone(), Type::Float, operand.span))),
        }
    }

    fn word_type(&mut self, signature: &'a Signature, args: &[Typed], axis: Option<&Axis>, generics: &Generics) -> Outcome<Type> {
        let ty = &signature.output.ty;
        if is_named(Some(ty), "Same") {
            let any_tokens = args.iter().any(|a| a.ty == Type::Tokens);
            let first = args[0].ty.clone();
            return Ok(match first {
                _ if any_tokens => Type::Tokens,
                Type::Int
                    if !matches!(
                        &*signature.name.text,
                        "abs" | "larger" | "smaller" | "clamp" | "old" | "detach" | "shifted" | "arg_max"
                    ) =>
                {
                    Type::Float
                }
                Type::Int if args.iter().any(|a| a.ty == Type::Float) => Type::Float,
                Type::Estimate => Type::Float,
                other => other,
            });
        }
        if is_named(Some(ty), "Coarser") {
            return Ok(match (&args[0].ty, axis) {
                (Type::List(item), Some(Axis::Tokens)) if !item.is_number() && **item != Type::Bool => (**item).clone(),
                _ => Type::Float,
            });
        }
        if let TypeKind::List(item) = &ty.kind {
            if is_named(Some(item), "Same") {
                return Ok(Type::List(Box::new(args[0].ty.clone())));
            }
        }
        let inner = Scope { generics: Rc::new(generics.clone()), ..Scope::new(0) };
        self.resolve(&inner, ty)
    }
}

fn is_named(ty: Option<&TypeExpr>, wanted: &str) -> bool {
    matches!(ty.map(|t| &t.kind), Some(TypeKind::Named { name, args }) if &*name.text == wanted && args.is_empty())
}
