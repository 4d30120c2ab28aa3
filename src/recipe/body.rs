//! A recipe file as a whole: params and profiles, the chosen recipe's statements, and items that nothing calls.

use std::path::PathBuf;
use std::sync::Arc;

use crate::formula::expr::StageId;
use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Generic, Item, ItemKind, Name, Profile, Recipe, Statement, StatementKind};
use crate::value::Cell;

use super::arguments::{Given, Matched, Param};
use super::checked::{Checked, Expectation, Export};
use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::{ItemRef, ModuleId};
use super::mistake::Mistake;
use super::resolve::{Generics, Resolver, range_of};
use super::scope::{Scope, Slot};
use super::types::Type;
use super::value::{Typed, Value};

impl<'a> Elaborator<'a> {
    /// Checks the file: its command-line settings, its unused items, and the recipe that was asked for.
    pub fn file(&mut self) -> Option<Checked> {
        let root = self.library.root();
        self.settings(root);
        self.loose_items();
        let recipe = self.chosen_recipe().ok()?;
        self.recipe(recipe, root).ok()
    }

    fn root_items(&self) -> impl Iterator<Item = &'a Item> + use<'a> {
        self.library.modules[self.library.root()].tree.items.iter()
    }

    // ── Params and profiles ─────────────────────────────────────────────────

    /// Checks `-p` names and the profile, and takes over its limits.
    fn settings(&mut self, root: ModuleId) {
        let known: Vec<Arc<str>> =
            self.root_items().filter_map(|i| if let ItemKind::Param(b) = &i.kind { Some(b.name.text.clone()) } else { None }).collect();
        for (name, _) in &self.options.params {
            if !known.iter().any(|k| **k == **name) {
                self.report(Mistake::UnknownParam { name: name.clone(), known: known.clone() });
            }
        }
        let profiles: Vec<&'a Profile> =
            self.root_items().filter_map(|i| if let ItemKind::Profile(p) = &i.kind { Some(p) } else { None }).collect();
        for setting in profiles.iter().flat_map(|p| &p.settings).filter(|s| !s.limit && !known.contains(&s.name.text)) {
            self.report(Mistake::UnknownSetting { name: setting.name.text.clone(), known: known.clone(), span: setting.name.span });
        }
        for setting in profiles.iter().flat_map(|p| &p.settings) {
            if let Some(found) = self.library.find(root, &setting.name.text).filter(|_| !setting.limit) {
                self.refer_item(setting.name.span, found);
            }
        }
        let Some(wanted) = &self.options.profile else { return };
        let Some(profile) = profiles.iter().find(|p| *p.name.text == **wanted) else {
            let known = profiles.iter().map(|p| p.name.text.clone()).collect();
            self.report(Mistake::UnknownProfile { name: wanted.clone(), known });
            return;
        };
        let scope = Scope::new(root);
        for setting in profile.settings.iter().filter(|s| s.limit) {
            let value = self.expression(&setting.value, &scope, Some(&Type::Float)).and_then(|v| self.fit(v, &Type::Float, &scope, None));
            if let Some(limit) = value.ok().and_then(|v| v.as_constant()).and_then(|c| c.number()) {
                self.limits.insert(setting.name.text.clone(), limit);
            }
        }
    }

    /// A `param` of the file: from the command line, the profile, or its default.
    pub fn param(&mut self, scope: &Scope<'a>, name: &Name) -> Option<Outcome<Typed>> {
        let found: ItemRef<'a> = self.library.find(scope.module, &name.text)?;
        let ItemKind::Param(binder) = &found.item.kind else { return None };
        self.refer_item(name.span, found);
        Some(self.param_value(binder, found.module).map(|v| v.at(name.span)))
    }

    fn param_value(&mut self, binder: &'a Binder, module: ModuleId) -> Outcome<Typed> {
        let scope = Scope::new(module);
        let Some(ty) = &binder.ty else { return Err(self.report(Mistake::OptionsWithoutType { span: binder.span })) };
        let wanted = self.resolve(&scope, ty)?;
        let param = Param { name: &binder.name.text, wanted: &wanted, ty: Some(ty) };
        if let Some((_, text)) = self.options.params.iter().rev().find(|(n, _)| **n == *binder.name.text) {
            let Some(cell) = parse_value(text, &wanted) else {
                return Err(self.report(Mistake::BadParam {
                    name: binder.name.text.clone(),
                    text: text.clone(),
                    ty: wanted.clone(),
                    span: binder.span,
                }));
            };
            let value = Typed::constant(wanted.clone(), cell, binder.span);
            return self.argument(&Given::Known(value), &param, &scope);
        }
        let profile = self.options.profile.as_ref().and_then(|wanted| {
            self.root_items().find_map(|i| match &i.kind {
                ItemKind::Profile(p) if *p.name.text == **wanted => p.settings.iter().find(|s| !s.limit && s.name.text == binder.name.text),
                _ => None,
            })
        });
        match profile.map(|s| &s.value).or(binder.default.as_ref()) {
            Some(e) => self.argument(&Given::Written(e), &param, &scope),
            None => Err(self.report(Mistake::UnsetParam { name: binder.name.text.clone(), span: binder.span })),
        }
    }

    // ── The recipe ──────────────────────────────────────────────────────────

    fn chosen_recipe(&mut self) -> Outcome<&'a Recipe> {
        let recipes: Vec<&'a Recipe> =
            self.root_items().filter_map(|i| if let ItemKind::Recipe(r) = &i.kind { Some(r) } else { None }).collect();
        let known: Vec<Arc<str>> = recipes.iter().map(|r| r.name.text.clone()).collect();
        match (&self.options.recipe, recipes.as_slice()) {
            (Some(wanted), all) => match all.iter().find(|r| *r.name.text == **wanted) {
                Some(recipe) => Ok(*recipe),
                None => Err(self.report(Mistake::UnknownRecipe { name: wanted.clone(), known })),
            },
            (None, [only]) => Ok(*only),
            (None, []) => Err(self.report(Mistake::NoRecipe)),
            (None, _) => Err(self.report(Mistake::WhichRecipe { known })),
        }
    }

    fn recipe(&mut self, recipe: &'a Recipe, root: ModuleId) -> Outcome<Checked> {
        let scope = Scope::new(root);
        let mut refused = false;
        for statement in &recipe.body {
            if let StatementKind::Bind { name, value } = &statement.kind {
                refused |= self.pending(&scope, name, value).is_err();
            }
        }
        for statement in &recipe.body {
            if let StatementKind::Bind { name, .. } = &statement.kind {
                refused |= matches!(self.local(&scope, &name.text, name.span), Some(Err(Refused)));
            }
        }
        let mut checked = Checked {
            name: recipe.name.text.clone(),
            title: recipe.title.clone(),
            stages: Vec::new(),
            expectations: Vec::new(),
            exports: Vec::new(),
            limited_by: self.options.profile.as_deref().filter(|_| !self.limits.is_empty()).map(Arc::from),
        };
        for statement in &recipe.body {
            refused |= self.statement(statement, &scope, &mut checked).is_err();
        }
        if refused {
            return Err(Refused);
        }
        checked.stages = std::mem::take(&mut self.stages);
        Ok(checked)
    }

    fn pending(&mut self, scope: &Scope<'a>, name: &'a Name, value: &'a crate::syntax::tree::Expr) -> Outcome<()> {
        let first = match scope.names.borrow().slots.get(&name.text) {
            Some(Slot::Pending { span, .. }) => Some(*span),
            _ => None,
        };
        if let Some(first) = first {
            return Err(self.report(Mistake::DefinedTwice { name: name.text.clone(), span: name.span, first }));
        }
        scope.names.borrow_mut().slots.insert(name.text.clone(), Slot::Pending { value, span: name.span });
        scope.define_line(name);
        Ok(())
    }

    fn statement(&mut self, statement: &'a Statement, scope: &Scope<'a>, checked: &mut Checked) -> Outcome<()> {
        match &statement.kind {
            StatementKind::Bind { .. } => Ok(()),
            StatementKind::Gate { .. } => Err(self.report(Mistake::Misplaced {
                what: "`gate`",
                place: "a recipe; it ends a round of `repeat`",
                span: statement.span,
            })),
            StatementKind::Expect { condition, message } => {
                let asked = self.expression(condition, scope, Some(&Type::Bool))?;
                let asked = self.fit(asked, &Type::Bool, scope, None)?;
                let text =
                    self.sources.get(condition.span.file).text[condition.span.range()].split_whitespace().collect::<Vec<_>>().join(" ");
                let condition = asked.as_formula().ok_or(Refused)?;
                checked.expectations.push(Expectation { text, condition, message: message.clone(), span: statement.span });
                Ok(())
            }
            StatementKind::Export { value, path, form } => {
                let what = self.expression(value, scope, None)?;
                let path = self.expression(path, scope, Some(&Type::Path))?;
                let Some(Cell::Text(path)) = path.as_constant() else {
                    return Err(self.report(Mistake::NotConstant { name: "the path".into(), span: path.span }));
                };
                let Some(output) = what.as_artifact() else {
                    return Err(self.report(Mistake::NotExportable { found: what.ty, span: what.span }));
                };
                if let Some(first) = checked.exports.iter().find(|e| e.path.as_os_str() == &*path) {
                    let first = first.span;
                    return Err(self.report(Mistake::ExportTwice { path: path.to_string(), span: statement.span, first }));
                }
                let path = PathBuf::from(&*path);
                let form = self.form(&what.ty, what.span, &path, form.as_ref())?;
                checked.exports.push(Export { what: output, ty: what.ty, path, form, span: statement.span });
                Ok(())
            }
        }
    }

    // ── Items that nothing calls ────────────────────────────────────────────

    /// Checks every function, stage and objective of the user's files once with made-up arguments, before the recipe has stages,
    /// so that a mistake in one that is not called (yet) is found too.
    fn loose_items(&mut self) {
        for module in super::library::STDLIB.len()..self.library.modules.len() {
            let items: Vec<&'a Item> = self.library.modules[module].tree.items.iter().collect();
            for item in items {
                self.loose_item(item, module);
                self.forget_stages(0);
            }
        }
    }

    fn loose_item(&mut self, item: &'a Item, module: ModuleId) {
        let (name, params) = match &item.kind {
            ItemKind::Fn(f) => (&f.name, &f.params),
            ItemKind::Objective(o) => (&o.name, &o.params),
            ItemKind::Stage(s) => (&s.signature.name, &s.signature.params),
            ItemKind::Param(binder) => {
                let _ = self.param_value(binder, module);
                return;
            }
            _ => return,
        };
        if params.iter().any(|p| p.ty.is_none()) {
            return;
        }
        let bounds: &[Generic] = if let ItemKind::Stage(s) = &item.kind { &s.signature.generics } else { &[] };
        let Some(matched) = self.made_up(params, bounds, module) else { return };
        let scope = Scope::new(module);
        let _ = match &item.kind {
            ItemKind::Objective(o) => self.loose_objective(o, module, &matched, &scope, name.span),
            ItemKind::Stage(s) => self.stage_body(s, module, &matched, &scope, name.span).map(|_| ()),
            _ => Ok(()),
        };
    }

    fn loose_objective(
        &mut self,
        item: &'a crate::syntax::tree::Objective,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        span: Span,
    ) -> Outcome<()> {
        let value = self.objective(item, module, matched, scope, span)?;
        let Value::Objective(bound) = &value.value else { return Ok(()) };
        // nobody said yet where it runs: `rl` allows all that `train` does
        self.check_objective(bound, "rl", &std::collections::BTreeMap::new())
    }

    /// An argument of every parameter's type: opaque ones as artifacts of no stage, numbers from their ranges, type variables
    /// as what bounds them.
    fn made_up(&mut self, params: &'a [Binder], bounds: &'a [Generic], module: ModuleId) -> Option<Matched<'a>> {
        let mut matched = Matched { plain: std::collections::BTreeMap::new(), rest: std::collections::BTreeMap::new(), implicit: None };
        let mut generics = Generics::new();
        for generic in bounds {
            let Some(bound) = &generic.bound else { continue };
            let found = Resolver { library: self.library, module, generics: &generics }.resolve(bound).ok()?;
            generics.insert(generic.name.text.clone(), found);
        }
        for param in params.iter().filter(|p| !p.rest && p.default.is_none()) {
            let ty = param.ty.as_ref()?;
            let resolver = Resolver { library: self.library, module, generics: &generics };
            let wanted = resolver.resolve(ty).ok()?;
            let low = range_of(ty).and_then(|r| r.low).unwrap_or(1.0);
            let value = match &wanted {
                Type::Optional(_) => continue,
                Type::Bool => Typed::constant(wanted, Cell::Bool(true), param.span),
                #[expect(clippy::cast_possible_truncation, reason = "bounds of whole numbers are whole")]
                Type::Int => Typed::constant(wanted, Cell::Int(low as i64), param.span),
                Type::Float => Typed::constant(wanted, Cell::Float(low), param.span),
                Type::Text | Type::Path => Typed::constant(wanted, Cell::text(""), param.span),
                Type::Words(words) => {
                    let first = words.first()?.clone();
                    Typed::constant(wanted, Cell::Text(first), param.span)
                }
                Type::Model | Type::Scorer | Type::Critic | Type::Network | Type::Data(_) => {
                    Typed::artifact(wanted, StageId(usize::MAX), Vec::new(), param.span)
                }
                _ => return None,
            };
            matched.plain.insert(param.name.text.clone(), Given::Known(value));
        }
        Some(matched)
    }
}

/// A command-line value as a constant of `ty`: `0.2`, `10%`, `2k`, `true`, a word, a text.
pub fn parse_value(text: &str, ty: &Type) -> Option<Cell> {
    let number = |text: &str| {
        let (digits, factor) = match text.char_indices().last()? {
            (at, '%') => (&text[..at], 0.01),
            (at, 'k') => (&text[..at], 1e3),
            (at, 'M') => (&text[..at], 1e6),
            _ => (text, 1.0),
        };
        digits.replace('_', "").parse::<f64>().ok().map(|x| x * factor).filter(|x| x.is_finite())
    };
    match ty {
        Type::Bool => text.parse().ok().map(Cell::Bool),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
        Type::Int => number(text).filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| Cell::Int(x as i64)),
        Type::Float => number(text).map(Cell::Float),
        Type::Text | Type::Path => Some(Cell::text(text)),
        Type::Words(words) => words.iter().find(|w| ***w == *text).map(|w| Cell::Text(w.clone())),
        Type::List(item) => match serde_json::from_str(text).ok().and_then(|json| Cell::from_json(json).ok()) {
            Some(Cell::List(items)) if !item.is_number() || items.iter().all(|item| item.number().is_some()) => Some(Cell::List(items)),
            _ => None,
        },
        Type::Optional(_) if text == "none" => Some(Cell::None),
        Type::Optional(inner) => parse_value(text, inner),
        _ => None,
    }
}
