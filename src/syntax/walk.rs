//! Everything that stands inside something: for whoever looks at a tree without giving it a meaning.

use super::tree::{
    Binder, Expr, ExprKind, Field, Item, ItemKind, ObjectiveKind, OutType, Statement, StatementKind, TextPart, TypeExpr, TypeKind,
};

/// A part of a tree.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    Type(&'a TypeExpr),
    Expr(&'a Expr),
    Binder(&'a Binder),
    /// A field of a record type.
    Field(&'a Field),
    /// A statement of a recipe or a loop.
    Statement(&'a Statement),
}

/// Visits every part of an item, from the outside in.
pub fn item<'a>(item: &'a Item, see: &mut dyn FnMut(Part<'a>)) {
    match &item.kind {
        ItemKind::Use(_) | ItemKind::ExternType { .. } => {}
        ItemKind::Param(one) => binder(one, see),
        ItemKind::Type(alias) => ty(&alias.ty, see),
        ItemKind::Fn(f) => {
            f.params.iter().for_each(|p| binder(p, see));
            f.result.iter().for_each(|t| ty(t, see));
            expr(&f.body, see);
        }
        ItemKind::Objective(objective) => {
            objective.params.iter().for_each(|p| binder(p, see));
            ty(&objective.rows, see);
            for line in &objective.body {
                match &line.kind {
                    ObjectiveKind::Bind { value, .. } => expr(value, see),
                    ObjectiveKind::Loss { value, weight } => {
                        expr(value, see);
                        weight.iter().for_each(|w| expr(w, see));
                    }
                    ObjectiveKind::Metric { value, .. } => value.iter().for_each(|v| expr(v, see)),
                    ObjectiveKind::State { start, next, .. } => {
                        expr(start, see);
                        expr(next, see);
                    }
                }
            }
        }
        ItemKind::Stage(stage) => {
            stage.signature.params.iter().for_each(|p| binder(p, see));
            output(&stage.signature.output, see);
            stage.binds.iter().for_each(|bind| expr(&bind.value, see));
            expr(&stage.result, see);
        }
        ItemKind::ExternFn(signature) | ItemKind::ExternStage(signature) => {
            signature.generics.iter().filter_map(|g| g.bound.as_ref()).for_each(|t| ty(t, see));
            signature.params.iter().for_each(|p| binder(p, see));
            output(&signature.output, see);
        }
        ItemKind::Recipe(recipe) => recipe.body.iter().for_each(|s| statement(s, see)),
        ItemKind::Profile(profile) => profile.settings.iter().for_each(|s| expr(&s.value, see)),
    }
}

fn output<'a>(out: &'a OutType, see: &mut dyn FnMut(Part<'a>)) {
    ty(&out.ty, see);
    out.extras.iter().for_each(|f| field(f, see));
}

fn binder<'a>(one: &'a Binder, see: &mut dyn FnMut(Part<'a>)) {
    see(Part::Binder(one));
    one.ty.iter().for_each(|t| ty(t, see));
    one.default.iter().for_each(|d| expr(d, see));
}

fn field<'a>(one: &'a Field, see: &mut dyn FnMut(Part<'a>)) {
    see(Part::Field(one));
    if let Field::Named { ty: of, default, .. } = one {
        ty(of, see);
        default.iter().for_each(|d| expr(d, see));
    }
}

fn ty<'a>(one: &'a TypeExpr, see: &mut dyn FnMut(Part<'a>)) {
    see(Part::Type(one));
    match &one.kind {
        TypeKind::Named { args, .. } => args.iter().for_each(|t| ty(t, see)),
        TypeKind::List(inner) | TypeKind::Optional(inner) | TypeKind::Ranged { ty: inner, .. } => ty(inner, see),
        TypeKind::Record(fields) => fields.iter().for_each(|f| field(f, see)),
        TypeKind::Words(_) => {}
        TypeKind::Sum(parts) => parts.iter().for_each(|t| ty(t, see)),
        TypeKind::Arrow { from, to } => {
            ty(from, see);
            ty(to, see);
        }
    }
}

fn statement<'a>(one: &'a Statement, see: &mut dyn FnMut(Part<'a>)) {
    see(Part::Statement(one));
    match &one.kind {
        StatementKind::Bind { value, .. } => expr(value, see),
        StatementKind::Expect { condition, .. } | StatementKind::Gate { condition, .. } => expr(condition, see),
        StatementKind::Export { value, path, .. } => {
            expr(value, see);
            expr(path, see);
        }
    }
}

/// Visits an expression and everything in it.
pub fn expr<'a>(one: &'a Expr, see: &mut dyn FnMut(Part<'a>)) {
    see(Part::Expr(one));
    match &one.kind {
        ExprKind::Number(_) | ExprKind::Name(_) | ExprKind::Column(_) => {}
        ExprKind::Text(parts) => {
            for part in parts {
                if let TextPart::Hole(hole) = part {
                    expr(hole, see);
                }
            }
        }
        ExprKind::Call { args, .. } | ExprKind::Record(args) => args.iter().for_each(|a| expr(&a.value, see)),
        ExprKind::Method { receiver, args, .. } => {
            expr(receiver, see);
            args.iter().for_each(|a| expr(&a.value, see));
        }
        ExprKind::Member { receiver, .. } => expr(receiver, see),
        ExprKind::Index { receiver: a, index: b }
        | ExprKind::Binary { left: a, right: b, .. }
        | ExprKind::Range { low: a, high: b, .. } => {
            expr(a, see);
            expr(b, see);
        }
        ExprKind::List(items) => items.iter().for_each(|i| expr(&i.value, see)),
        ExprKind::Unary { operand, .. } => expr(operand, see),
        ExprKind::If { condition, then, otherwise } => [condition, then, otherwise].into_iter().for_each(|e| expr(e, see)),
        ExprKind::As { value, ty: of } => {
            expr(value, see);
            ty(of, see);
        }
        ExprKind::Repeat(repeat) => {
            expr(&repeat.range, see);
            repeat.carried.iter().for_each(|c| expr(&c.value, see));
            repeat.body.iter().for_each(|s| statement(s, see));
            repeat.until.iter().chain(&repeat.keep).for_each(|e| expr(e, see));
        }
        ExprKind::Sweep(sweep) => {
            sweep.axes.iter().for_each(|a| expr(&a.value, see));
            sweep.body.iter().for_each(|s| statement(s, see));
            sweep.keep.iter().for_each(|e| expr(e, see));
        }
    }
}
