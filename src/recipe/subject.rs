//! One objective or `fn` by itself, for `align eval`: numbers from the command line, networks as names, and whatever
//! else a function takes as a column of the given rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::{Formula, Kind, ObjectiveDef, StageId};
use crate::syntax::span::FileId;
use crate::syntax::tree::{Binder, ItemKind};
use crate::world::Sources;

use super::Options;
use super::arguments::{Given, Matched};
use super::body::parse_value;
use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::{ItemRef, Library, STDLIB};
use super::memory::Memory;
use super::mistake::Mistake;
use super::resolve::{Generics, Resolver};
use super::scope::Scope;
use super::types::{Row, Type};
use super::value::{Typed, Value};

/// What is to be evaluated.
#[derive(Clone, Debug)]
pub enum Subject {
    Objective(Arc<ObjectiveDef>),
    Formula(Formula),
}

/// The objective or function `name` of a file, or of the standard library, with `params` filled in; and the names of
/// its networks, by the place of the stage that stands for each.
///
/// # Errors
/// Everything that is wrong with the file, the name or the params.
pub fn subject(
    sources: &mut Sources,
    from: Option<FileId>,
    name: &str,
    params: &[(String, String)],
) -> Result<(Subject, Vec<String>), Vec<Diagnostic>> {
    let root = from.unwrap_or_else(|| sources.add("<eval>", "", None));
    let mut library = Library::load(sources, root, &mut Memory::default());
    let broken = std::mem::take(&mut library.diagnostics);
    if broken.iter().any(Diagnostic::is_error) {
        return Err(broken);
    }
    let options = Options::default();
    let mut elaborator = Elaborator::new(&library, sources, &options);
    let mut names = Vec::new();
    let subject = find(&library, name, &mut elaborator).and_then(|found| elaborator.subject(found, params, &mut names));
    match subject {
        Ok(subject) if !elaborator.diagnostics.iter().any(Diagnostic::is_error) => Ok((subject, names)),
        _ => Err(elaborator.diagnostics),
    }
}

fn find<'a>(library: &'a Library, name: &str, elaborator: &mut Elaborator<'a>) -> Outcome<ItemRef<'a>> {
    let callable = |item: &ItemRef<'_>| matches!(item.item.kind, ItemKind::Fn(_) | ItemKind::Objective(_));
    let found = library.find(library.root(), name).filter(callable).or_else(|| library.find(0, name).filter(callable));
    found.ok_or_else(|| {
        let known = (0..STDLIB.len()).chain([library.root()]).flat_map(|m| library.names(m).cloned()).collect();
        elaborator.report(Mistake::NothingToEvaluate { name: name.to_owned(), known })
    })
}

impl<'a> Elaborator<'a> {
    fn subject(&mut self, found: ItemRef<'a>, params: &[(String, String)], names: &mut Vec<String>) -> Outcome<Subject> {
        let scope = Scope::new(found.module);
        match &found.item.kind {
            ItemKind::Objective(item) => {
                let matched = self.given(&item.params, found.module, params, names, None)?;
                let value = self.objective(item, found.module, &matched, &scope, item.name.span)?;
                match value.value {
                    Value::Objective(bound) => Ok(Subject::Objective(Arc::new(bound.def.clone()))),
                    _ => Err(Refused),
                }
            }
            ItemKind::Fn(item) => {
                let mut row = Row::from([("prompt".into(), Type::Dialogue)]);
                let matched = self.given(&item.params, found.module, params, names, Some(&mut row))?;
                let scope = Scope { row: Some(row), model: true, ..scope };
                let value = self.inline_fn(item, found.module, &matched, &scope, item.name.span)?;
                value.as_formula().map(Subject::Formula).ok_or(Refused)
            }
            _ => Err(Refused),
        }
    }

    /// Arguments for every parameter: from the command line, its default, a named network, or (for functions) a column.
    fn given(
        &mut self,
        declared: &'a [Binder],
        module: usize,
        params: &[(String, String)],
        names: &mut Vec<String>,
        mut row: Option<&mut Row>,
    ) -> Outcome<Matched<'a>> {
        for (name, _) in params {
            if !declared.iter().any(|p| *p.name.text == **name) {
                let known = declared.iter().map(|p| p.name.text.clone()).collect();
                return Err(self.report(Mistake::UnknownParam { name: name.clone(), known }));
            }
        }
        let mut matched = Matched { plain: BTreeMap::new(), rest: BTreeMap::new(), implicit: None };
        for param in declared {
            let generics = Generics::new();
            let resolver = Resolver { library: self.library, module, generics: &generics };
            let ty = match &param.ty {
                Some(ty) => resolver.resolve(ty).map_err(|m| self.report(m))?,
                None => Type::Tokens,
            };
            let written = params.iter().rev().find(|(n, _)| **n == *param.name.text);
            let value = if ty.is_network() {
                names.push(param.name.text.to_string());
                Typed::artifact(ty, StageId(names.len() - 1), Vec::new(), param.span)
            } else if let Some((_, text)) = written {
                let wanted = if param.ty.is_none() { Type::Float } else { ty };
                let Some(cell) = parse_value(text, &wanted) else {
                    return Err(self.report(Mistake::BadParam {
                        name: param.name.text.clone(),
                        text: text.clone(),
                        ty: wanted,
                        span: param.span,
                    }));
                };
                Typed::constant(wanted, cell, param.span)
            } else if param.default.is_some() || matches!(ty, Type::Optional(_)) {
                continue;
            } else if let Some(row) = row.as_deref_mut() {
                let ty = if ty == Type::Sequence { Type::Completion } else { ty };
                row.insert(param.name.text.clone(), ty.clone());
                Typed::formula(ty, Kind::Column(param.name.text.clone()), param.span)
            } else {
                return Err(self.report(Mistake::UnsetParam { name: param.name.text.clone(), span: param.span }));
            };
            matched.plain.insert(param.name.text.clone(), Given::Known(value));
        }
        Ok(matched)
    }
}
