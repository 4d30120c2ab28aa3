//! Types.

use super::{Builder, child, whole};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::tree::{Field, NumberRange, OutType, TypeExpr, TypeKind};

impl Builder<'_> {
    /// `Model with { accuracy: Estimate }`
    pub(super) fn out_type(&mut self, pair: Pair<'_>) -> Option<OutType> {
        let extras = child(&pair, Rule::record_type).map(|record| self.fields(record));
        let ty = self.type_expr(child(&pair, Rule::type_expr)?)?;
        Some(OutType { ty, extras: extras.unwrap_or(Some(Vec::new()))? })
    }

    /// A type: `R -> Float`, `Preference + { p: Float }`, `Int in 1..?`
    pub(super) fn type_expr(&mut self, pair: Pair<'_>) -> Option<TypeExpr> {
        let sides = pair.into_inner().map(|sum| self.type_sum(sum)).collect::<Vec<_>>();
        let mut sides = whole(sides)?.into_iter();
        let from = sides.next()?;
        Some(match sides.next() {
            None => from,
            Some(to) => TypeExpr { span: from.span.to(to.span), kind: TypeKind::Arrow { from: Box::new(from), to: Box::new(to) } },
        })
    }

    fn type_sum(&mut self, pair: Pair<'_>) -> Option<TypeExpr> {
        let span = self.span(&pair);
        let atoms = pair.into_inner().map(|atom| self.type_atom(atom)).collect::<Vec<_>>();
        let mut atoms = whole(atoms)?;
        Some(if atoms.len() == 1 { atoms.remove(0) } else { TypeExpr { span, kind: TypeKind::Sum(atoms) } })
    }

    fn type_atom(&mut self, pair: Pair<'_>) -> Option<TypeExpr> {
        let span = self.span(&pair);
        let range = child(&pair, Rule::number_range).map(|range| self.number_range(range));
        let optional = child(&pair, Rule::optional).is_some();
        let mut ty = self.bare_type(pair.into_inner().next()?)?;
        if let Some(range) = range {
            let range = range?;
            let span = ty.span.to(range.span);
            ty = TypeExpr { span, kind: TypeKind::Ranged { ty: Box::new(ty), range } };
        }
        Some(if optional { TypeExpr { span, kind: TypeKind::Optional(Box::new(ty)) } } else { ty })
    }

    fn bare_type(&mut self, pair: Pair<'_>) -> Option<TypeExpr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::words => TypeKind::Words(pair.into_inner().map(|name| self.name(&name)).collect()),
            Rule::record_type => TypeKind::Record(self.fields(pair)?),
            Rule::list_type => TypeKind::List(Box::new(self.type_expr(pair.into_inner().next()?)?)),
            Rule::named_type => self.named_type(pair)?,
            Rule::type_group => {
                return Some(TypeExpr { span, ..self.type_expr(pair.into_inner().next()?)? });
            }
            // `float` for `Float` was reported.
            _ => return None,
        };
        Some(TypeExpr { span, kind })
    }

    fn named_type(&mut self, pair: Pair<'_>) -> Option<TypeKind> {
        let mut inner = pair.into_inner();
        let name = self.name(&inner.next()?);
        let args = inner.map(|arg| self.type_expr(arg)).collect::<Vec<_>>();
        Some(TypeKind::Named { name, args: whole(args)? })
    }

    fn fields(&mut self, pair: Pair<'_>) -> Option<Vec<Field>> {
        let slots = pair.into_inner().filter(|slot| slot.as_rule() != Rule::gap);
        let fields = slots.map(|slot| if slot.as_rule() == Rule::field { self.field(slot) } else { None });
        whole(fields.collect())
    }

    fn field(&mut self, pair: Pair<'_>) -> Option<Field> {
        if let Some(spread) = child(&pair, Rule::field_spread) {
            return Some(Field::Spread { name: self.name(&spread.into_inner().next()?) });
        }
        let default = child(&pair, Rule::expr).map(|expr| self.expr(expr));
        let ty = self.type_expr(child(&pair, Rule::type_expr)?);
        Some(Field::Named {
            doc: super::doc(&pair),
            name: self.name(&child(&pair, Rule::key)?),
            ty: ty?,
            default: default.map_or(Some(None), |default| default.map(Some))?,
        })
    }

    fn number_range(&self, pair: Pair<'_>) -> Option<NumberRange> {
        let bound = |rule| match child(&pair, rule) {
            None => Some(None),
            Some(bound) => signed(bound).map(Some),
        };
        Some(NumberRange {
            low: bound(Rule::low)?,
            high: bound(Rule::high)?,
            inclusive: child(&pair, Rule::to_closed).is_some(),
            span: self.span(&pair),
        })
    }
}

fn signed(bound: Pair<'_>) -> Option<f64> {
    let sign = if child(&bound, Rule::minus).is_some() { -1.0 } else { 1.0 };
    let number = super::number::read(child(&bound, Rule::number)?.as_str()).ok()?;
    Some(sign * number.value)
}
