//! Type expressions → types: named types are looked up, generics filled in, ranges kept beside.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::syntax::tree::{Expr, Field, ItemKind, Name, NumberRange, TypeExpr, TypeKind};

use super::library::{Library, ModuleId};
use super::mistake::Mistake;
use super::types::{Row, Type};

/// What the type variables of a signature stand for at one call.
pub type Generics = BTreeMap<Arc<str>, Type>;

/// A field of an options record, as declared.
#[derive(Clone, Debug)]
pub struct FieldDef<'a> {
    pub name: &'a Name,
    pub ty: &'a TypeExpr,
    pub default: Option<&'a Expr>,
}

/// Resolves type expressions as one file sees them.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a, 'g> {
    pub library: &'a Library,
    pub module: ModuleId,
    pub generics: &'g Generics,
}

impl<'a> Resolver<'a, '_> {
    /// The type that an expression names.
    ///
    /// # Errors
    /// An unknown type name, or something that is no row where a row is asked for.
    pub fn resolve(&self, expr: &TypeExpr) -> Result<Type, Mistake> {
        Ok(match &expr.kind {
            TypeKind::Named { name, args } => return self.named(name, args, expr.span),
            TypeKind::List(item) => Type::List(Box::new(self.resolve(item)?)),
            TypeKind::Record(fields) => Type::Record(self.fields(fields)?),
            TypeKind::Words(words) => Type::Words(words.iter().map(|w| w.text.clone()).collect()),
            TypeKind::Optional(inner) => Type::Optional(Box::new(self.resolve(inner)?)),
            TypeKind::Ranged { ty, .. } => self.resolve(ty)?,
            TypeKind::Sum(parts) => {
                let mut row = Row::new();
                for part in parts {
                    row.extend(self.row(part)?);
                }
                Type::Record(row)
            }
            TypeKind::Arrow { from, to } => Type::Formula { rows: self.row(from)?, result: Box::new(self.resolve(to)?) },
        })
    }

    /// The row type that an expression names.
    ///
    /// # Errors
    /// As [`Self::resolve`], and when it is no record.
    pub fn row(&self, expr: &TypeExpr) -> Result<Row, Mistake> {
        match self.resolve(expr)? {
            Type::Record(row) => Ok(row),
            Type::Unknown => Ok(Row::new()),
            other => Err(Mistake::NotARow { found: other, span: expr.span }),
        }
    }

    fn fields(&self, fields: &[Field]) -> Result<Row, Mistake> {
        let mut row = Row::new();
        for field in fields {
            match field {
                Field::Named { name, ty, .. } => {
                    row.insert(name.text.clone(), self.resolve(ty)?);
                }
                Field::Spread { name } => match self.generics.get(&name.text) {
                    Some(Type::Record(more)) => row.extend(more.clone()),
                    _ => return Err(self.unknown(name)),
                },
            }
        }
        Ok(row)
    }

    fn named(&self, name: &Name, args: &[TypeExpr], span: Span) -> Result<Type, Mistake> {
        if let Some(known) = self.generics.get(&name.text) {
            return Ok(known.clone());
        }
        if is_variable(name) {
            return Ok(Type::Unknown);
        }
        let count = if &*name.text == "Objective" { 2 } else { usize::from(&*name.text == "Data") };
        let item = self.library.find(self.module, &name.text).ok_or_else(|| self.unknown(name))?;
        if args.len() != count {
            return Err(Mistake::TypeArguments { name: name.text.clone(), expected: count, found: args.len(), span });
        }
        match &item.item.kind {
            ItemKind::Type(alias) => Self { module: item.module, ..*self }.resolve(&alias.ty),
            ItemKind::ExternType { .. } => self.primitive(&name.text, args).ok_or_else(|| self.unknown(name))?,
            _ => Err(self.unknown(name)),
        }
    }

    fn primitive(&self, name: &str, args: &[TypeExpr]) -> Option<Result<Type, Mistake>> {
        Some(Ok(match name {
            "Bool" => Type::Bool,
            "Int" => Type::Int,
            "Float" => Type::Float,
            "Text" => Type::Text,
            "Path" => Type::Path,
            "Model" => Type::Model,
            "Scorer" => Type::Scorer,
            "Critic" => Type::Critic,
            "Adapter" => Type::Adapter,
            "Network" => Type::Network,
            "Estimate" => Type::Estimate,
            "Constraint" => Type::Constraint,
            "Figure" => Type::Figure,
            "Dialogue" => Type::Dialogue,
            "Completion" => Type::Completion,
            "Sequence" => Type::Sequence,
            "Tokens" => Type::Tokens,
            "Any" | "Same" | "Coarser" | "Axis" => Type::Unknown,
            "Data" => return Some(self.row(&args[0]).map(Type::Data)),
            "Objective" => {
                let rows = self.row(&args[0]);
                return Some(rows.and_then(|rows| Ok(Type::Objective { rows, metrics: self.row(&args[1])? })));
            }
            _ => return None,
        }))
    }

    fn unknown(&self, name: &Name) -> Mistake {
        let known = self.library.names(self.module).filter(|n| n.starts_with(char::is_uppercase)).cloned().collect();
        Mistake::UnknownType { name: name.text.clone(), span: name.span, known }
    }

    /// The fields of the options record that `expr` names, with the file they are declared in.
    pub fn options(&self, expr: &'a TypeExpr) -> Option<(ModuleId, Vec<FieldDef<'a>>)> {
        match &expr.kind {
            TypeKind::Record(fields) => Some((self.module, named_fields(fields))),
            TypeKind::Named { name, .. } => {
                let found = self.library.find(self.module, &name.text)?;
                let ItemKind::Type(alias) = &found.item.kind else { return None };
                Resolver { module: found.module, ..*self }.options(&alias.ty)
            }
            _ => None,
        }
    }

    /// Binds the type variables in `expr` to what `found` has in their places.
    pub fn bind(&self, expr: &TypeExpr, found: &Type, generics: &mut Generics) {
        match (&expr.kind, found) {
            (TypeKind::Named { name, args }, _) if args.is_empty() && is_variable(name) => {
                generics.entry(name.text.clone()).or_insert_with(|| found.clone());
            }
            (TypeKind::Named { name, args }, Type::Data(row)) if &*name.text == "Data" && args.len() == 1 => {
                self.bind(&args[0], &Type::Record(row.clone()), generics);
            }
            (TypeKind::Named { name, args }, Type::Objective { rows, metrics }) if &*name.text == "Objective" && args.len() == 2 => {
                self.bind(&args[0], &Type::Record(rows.clone()), generics);
                self.bind(&args[1], &Type::Record(metrics.clone()), generics);
            }
            (TypeKind::List(item), Type::List(found)) | (TypeKind::Optional(item), Type::Optional(found)) => {
                self.bind(item, found, generics);
            }
            (TypeKind::Optional(item), found) if *found != Type::Unknown => self.bind(item, found, generics),
            (TypeKind::Ranged { ty, .. }, found) => self.bind(ty, found, generics),
            _ => {}
        }
    }
}

/// One capital letter is a type variable.
pub fn is_variable(name: &Name) -> bool {
    name.text.len() == 1
}

/// The range in a type, also behind `?`.
pub fn range_of(expr: &TypeExpr) -> Option<NumberRange> {
    match &expr.kind {
        TypeKind::Ranged { range, .. } => Some(*range),
        TypeKind::Optional(inner) => range_of(inner),
        _ => None,
    }
}

fn named_fields(fields: &[Field]) -> Vec<FieldDef<'_>> {
    fields
        .iter()
        .filter_map(|field| match field {
            Field::Named { name, ty, default, .. } => Some(FieldDef { name, ty, default: default.as_ref() }),
            Field::Spread { .. } => None,
        })
        .collect()
}
