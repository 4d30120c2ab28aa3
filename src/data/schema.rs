//! What a file seems to hold, from its first rows: for messages, and for recipes that do not say.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::recipe::types::{Row, Type};

use super::error::ReadError;
use super::fault::Faults;
use super::fit::fit;
use super::format;
use super::json::{Node, NodeKind};

/// How many rows are looked at.
const ROWS: usize = 200;

/// The columns of a file and their types in its first rows. A column that some rows lack is optional; broken rows are
/// passed over, they are [`super::validate`]'s.
///
/// # Errors
/// When the file cannot be opened or none of the first rows is sound.
pub fn schema(path: &Path) -> Result<Row, ReadError> {
    let mut columns: BTreeMap<Arc<str>, (Type, usize)> = BTreeMap::new();
    let (mut rows, mut faults) = (0, Faults::default());
    format::rows(path, &Row::new(), &mut |record| {
        faults.rows += 1;
        match record {
            Err(fault) => faults.add(fault),
            Ok(record) => {
                rows += 1;
                for (name, node) in &record.fields {
                    let ty = of(node);
                    columns.entry(name.clone()).and_modify(|(known, n)| (*known, *n) = (join(known, &ty), *n + 1)).or_insert((ty, 1));
                }
            }
        }
        if faults.rows < ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if rows == 0 {
        let path = path.to_owned();
        return Err(if faults.is_empty() { ReadError::NoRows { path } } else { ReadError::Faults { path, faults, asked: Row::new() } });
    }
    let all = |(ty, n): (Type, usize)| if n < rows { optional(ty) } else { ty };
    Ok(columns.into_iter().map(|(name, found)| (name, all(found))).collect())
}

/// The narrowest type of a value.
fn of(node: &Node) -> Type {
    match &node.kind {
        NodeKind::Null => optional(Type::Unknown),
        NodeKind::Bool(_) => Type::Bool,
        NodeKind::Int(_) => Type::Int,
        NodeKind::Float(_) => Type::Float,
        NodeKind::Text(_) => Type::Text,
        NodeKind::Bare(text) if text.is_empty() => optional(Type::Unknown),
        NodeKind::Bare(_) => {
            let narrow = [Type::Bool, Type::Int, Type::Float].into_iter().find(|ty| fit(node, ty).is_ok());
            narrow.unwrap_or(Type::Text)
        }
        NodeKind::List(items) if !items.is_empty() && fit(node, &Type::Dialogue).is_ok() => Type::Dialogue,
        NodeKind::List(items) => {
            let item = items.iter().map(of).reduce(|a, b| join(&a, &b)).unwrap_or(Type::Unknown);
            Type::List(Box::new(item))
        }
        NodeKind::Object(fields) => Type::Record(fields.iter().map(|(name, node)| (name.clone(), of(node))).collect()),
    }
}

/// The narrowest type that both fit.
fn join(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (a, b) if a == b => a.clone(),
        (Type::Optional(a), b) | (b, Type::Optional(a)) => {
            let b = if let Type::Optional(b) = b { b } else { b };
            optional(join(a, b))
        }
        (Type::Unknown, ty) | (ty, Type::Unknown) => ty.clone(),
        (Type::Int, Type::Float) | (Type::Float, Type::Int) => Type::Float,
        (Type::Text, Type::Bool | Type::Int | Type::Float) | (Type::Bool | Type::Int | Type::Float, Type::Text) => Type::Unknown,
        (Type::List(a), Type::List(b)) => Type::List(Box::new(join(a, b))),
        (Type::Record(a), Type::Record(b)) => Type::Record(join_rows(a, b)),
        _ => Type::Unknown,
    }
}

fn join_rows(a: &Row, b: &Row) -> Row {
    let one = |name: &Arc<str>| match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => join(a, b),
        (Some(ty), None) | (None, Some(ty)) => optional(ty.clone()),
        (None, None) => Type::Unknown,
    };
    a.keys().chain(b.keys()).map(|name| (name.clone(), one(name))).collect()
}

fn optional(ty: Type) -> Type {
    if matches!(ty, Type::Optional(_)) { ty } else { Type::Optional(Box::new(ty)) }
}
