//! Calls: functions and stages written in the language are inlined here; words, primitives and objectives go on.

use std::rc::Rc;
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Entry, FnItem, ItemKind, Name, Signature, Stage};
use crate::value::Cell;

use super::arguments::{Callee, Given, Matched, Param};
use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::ModuleId;
use super::mistake::Mistake;
use super::resolve::{Generics, Resolver};
use super::scope::{Scope, Slot};
use super::types::Type;
use super::value::{Extra, Typed, Value};

impl<'a> Elaborator<'a> {
    /// `f(args)` or `receiver.f(args)`.
    pub fn call(
        &mut self,
        callee: &'a Name,
        receiver: Option<Typed>,
        args: &'a [Entry],
        span: Span,
        scope: &Scope<'a>,
        wanted: Option<&Type>,
    ) -> Outcome<Typed> {
        let Some(found) = self.library.find(scope.module, &callee.text) else {
            match &receiver {
                Some(receiver) => self.want_member(&callee.text, receiver, scope.module),
                None => self.want_value(&callee.text, scope, wanted),
            }
            return Err(self.unknown_function(callee, scope));
        };
        self.refer_item(callee.span, found);
        let declared = super::library::item_name(found.item).map_or(callee.span, |name| name.span);
        let target = |params: &'a [Binder], implicit| Callee {
            name: &callee.text,
            params,
            module: found.module,
            implicit,
            span: callee.span,
            declared,
        };
        match &found.item.kind {
            ItemKind::Fn(item) => {
                let matched = self.matched(target(&item.params, None), receiver, args, scope, span)?;
                self.inside(&callee.text, span, |this| this.inline_fn(item, found.module, &matched, scope, span))
            }
            ItemKind::ExternFn(signature) => {
                let matched = self.matched(target(&signature.params, None), receiver, args, scope, span)?;
                self.inside(&callee.text, span, |this| this.formula_word(signature, &matched, scope, span))
            }
            ItemKind::Stage(stage) => {
                let matched = self.matched(target(&stage.signature.params, Some("seed")), receiver, args, scope, span)?;
                self.refuse_row(scope, callee, span)?;
                self.inside(&callee.text, span, |this| this.inline_stage(stage, found.module, &matched, scope, span))
            }
            ItemKind::ExternStage(signature) => {
                let matched = self.matched(target(&signature.params, Some("seed")), receiver, args, scope, span)?;
                self.refuse_row(scope, callee, span)?;
                self.inside(&callee.text, span, |this| this.primitive(signature, found.module, &matched, scope, span, wanted))
            }
            ItemKind::Objective(objective) => {
                let matched = self.matched(target(&objective.params, Some("on")), receiver, args, scope, span)?;
                self.inside(&callee.text, span, |this| this.objective(objective, found.module, &matched, scope, span))
            }
            ItemKind::Use(_)
            | ItemKind::Param(_)
            | ItemKind::Type(_)
            | ItemKind::ExternType { .. }
            | ItemKind::Recipe(_)
            | ItemKind::Profile(_) => Err(self.report(Mistake::NotCallable { name: callee.text.clone(), span: callee.span })),
        }
    }

    /// A stage makes one artifact for all rows; it has no meaning once per row.
    fn refuse_row(&mut self, scope: &Scope<'a>, callee: &Name, span: Span) -> Outcome<()> {
        if scope.row.is_some() || scope.model {
            return Err(self.report(Mistake::StageInFormula { name: callee.text.clone(), span }));
        }
        Ok(())
    }

    fn unknown_function(&mut self, callee: &Name, scope: &Scope<'a>) -> Refused {
        if self.library.is_broken(scope.module, &callee.text) {
            return Refused;
        }
        if scope.contains(&callee.text) {
            return self.report(Mistake::NotCallable { name: callee.text.clone(), span: callee.span });
        }
        let known = self.library.names(scope.module).filter(|n| n.starts_with(char::is_lowercase)).cloned().collect();
        let module = self.library.in_std(&callee.text);
        let std = (0..super::library::STDLIB.len()).flat_map(|m| self.library.names(m).cloned().collect::<Vec<_>>()).collect();
        self.report(Mistake::UnknownFunction { name: callee.text.clone(), span: callee.span, known, module, std })
    }

    /// Binds parameters in order; later defaults may use earlier parameters.
    pub fn bind_params(&mut self, params: &'a [Binder], module: ModuleId, matched: &Matched<'a>, scope: &Scope<'a>) -> Outcome<Scope<'a>> {
        let mut inner = Scope { module, row: scope.row.clone(), body_row: scope.row.clone(), model: scope.model, ..Scope::new(module) };
        let mut generics = Generics::new();
        let mut refused = false;
        for param in params {
            let bound = if param.rest {
                self.options(param, module, matched, scope, &inner)
            } else {
                self.bind_param(param, module, matched, scope, &inner, &mut generics)
            };
            inner.generics = Rc::new(generics.clone());
            inner.define(&param.name);
            match bound {
                Ok(value) => inner.insert(param.name.text.clone(), value),
                Err(Refused) => {
                    inner.refuse(param.name.text.clone());
                    refused = true;
                }
            }
        }
        if refused { Err(Refused) } else { Ok(inner) }
    }

    /// One plain parameter: its argument, its default, or `none`.
    pub fn bind_param(
        &mut self,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        inner: &Scope<'a>,
        generics: &mut Generics,
    ) -> Outcome<Typed> {
        let given = matched.plain.get(&param.name.text);
        let Some(ty) = &param.ty else {
            return match (given, &param.default) {
                (Some(Given::Written(e)), _) => self.expression(e, scope, None),
                (Some(Given::Known(value)), _) => Ok(value.clone()),
                (None, Some(default)) => self.expression(default, inner, None),
                (None, None) => Err(Refused),
            };
        };
        let resolver = Resolver { library: self.library, module, generics };
        let wanted = resolver.resolve(ty).map_err(|mistake| self.report(mistake))?;
        let as_param = Param { name: &param.name.text, wanted: &wanted, ty: Some(ty) };
        let value = match (given, &param.default) {
            (Some(given), _) => self.argument(given, &as_param, scope)?,
            (None, Some(default)) => self.argument(&Given::Written(default), &as_param, inner)?,
            (None, None) => self.limited(Typed::constant(Type::Unknown, Cell::None, param.span), &param.name.text),
        };
        let before = generics.clone();
        let resolver = Resolver { library: self.library, module, generics: &before };
        resolver.bind(ty, &value.ty, generics);
        // anything else keeps what it was given: `critic: Critic` may still be asked for its extras
        let widens = wanted == Type::Float && value.ty == Type::Int && matches!(value.value, Value::Formula(_));
        Ok(if widens { Typed { ty: Type::Float, ..value } } else { value })
    }

    /// `...training: Training = { lr: 1e-6 }`: the fields that were given, over those of the default.
    fn options(
        &mut self,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        inner: &Scope<'a>,
    ) -> Outcome<Typed> {
        let Some(ty) = &param.ty else { return Err(self.report(Mistake::OptionsWithoutType { span: param.span })) };
        let mut fields: Vec<(Arc<str>, Typed)> = Vec::new();
        let generics = Generics::new();
        let resolver = Resolver { library: self.library, module, generics: &generics };
        let declared = resolver.options(ty).map(|(_, fields)| fields).unwrap_or_default();
        if let Some(default) = &param.default {
            let value = self.expression(default, inner, None)?;
            if let Value::Record(record) = value.value {
                fields = record;
            }
        }
        for (name, given) in matched.rest.get(&param.name.text).into_iter().flatten() {
            let Some(field) = declared.iter().find(|f| f.name.text == *name) else { continue };
            let value = self.option(field, given, scope)?;
            fields.retain(|(n, _)| n != name);
            fields.push((name.clone(), value));
        }
        self.refuse_idle(&declared, &fields)?;
        let ty = Type::Record(fields.iter().map(|(n, v)| (n.clone(), v.ty.clone())).collect());
        Ok(Typed { ty, value: Value::Record(fields), span: param.span })
    }

    /// `lora_alpha` belongs to `lora`: given where that is `none`, it is a mistake.
    pub fn refuse_idle(&mut self, declared: &[super::resolve::FieldDef<'a>], given: &[(Arc<str>, Typed)]) -> Outcome<()> {
        let on = |head: &str| given.iter().any(|(n, value)| **n == *head && value.as_constant() != Some(Cell::None));
        let mut refused = false;
        for (name, value) in given {
            if let Some(head) = head_of(declared, name).filter(|head| !on(head)) {
                self.report(Mistake::IdleOption { name: name.clone(), of: head, span: value.span });
                refused = true;
            }
        }
        if refused { Err(Refused) } else { Ok(()) }
    }

    /// One option, against its declared type and range.
    pub fn option(&mut self, field: &super::resolve::FieldDef<'a>, given: &Given<'a>, scope: &Scope<'a>) -> Outcome<Typed> {
        let generics = Generics::new();
        let resolver = Resolver { library: self.library, module: scope.module, generics: &generics };
        let wanted = resolver.resolve(field.ty).map_err(|mistake| self.report(mistake))?;
        self.argument(given, &Param { name: &field.name.text, wanted: &wanted, ty: Some(field.ty) }, scope)
    }

    pub fn inline_fn(
        &mut self,
        item: &'a FnItem,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        span: Span,
    ) -> Outcome<Typed> {
        let inner = self.bind_params(&item.params, module, matched, scope)?;
        let Some(result) = &item.result else { return Ok(self.expression(&item.body, &inner, None)?.at(span)) };
        let wanted = self.resolve(&inner, result)?;
        let value = self.expression(&item.body, &inner, Some(&wanted))?;
        let value = self.fit(value, &wanted, &inner, None)?;
        Ok(declared(value, &wanted).at(span))
    }

    fn inline_stage(&mut self, stage: &'a Stage, module: ModuleId, matched: &Matched<'a>, scope: &Scope<'a>, span: Span) -> Outcome<Typed> {
        let outer = self.seed;
        if let Some(seed) = self.seed_of(matched, scope)? {
            self.seed = seed;
        }
        let result = self.stage_body(stage, module, matched, scope, span);
        self.seed = outer;
        result
    }

    pub fn stage_body(
        &mut self,
        stage: &'a Stage,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        span: Span,
    ) -> Outcome<Typed> {
        let inner = self.bind_params(&stage.signature.params, module, matched, scope)?;
        let inner = Scope { row: None, body_row: None, ..inner };
        for bind in &stage.binds {
            if inner.contains(&bind.name.text) {
                return Err(self.report(Mistake::Shadowed { name: bind.name.text.clone(), span: bind.name.span }));
            }
            inner.names.borrow_mut().slots.insert(bind.name.text.clone(), Slot::Pending { value: &bind.value, span: bind.name.span });
            inner.define_line(&bind.name);
        }
        for bind in &stage.binds {
            if let Some(Err(Refused)) = self.local(&inner, &bind.name.text, bind.name.span) {
                return Err(Refused);
            }
        }
        let value = self.expression(&stage.result, &inner, None)?;
        let wanted = self.resolve(&inner, &stage.signature.output.ty)?;
        let value = self.fit(value, &wanted, &inner, None)?;
        self.with_extras(&stage.signature, declared(value, &wanted), &inner, span)
    }

    /// The extras that a stage promises: the body's bindings of those names, else its result's own.
    fn with_extras(&mut self, signature: &'a Signature, value: Typed, inner: &Scope<'a>, span: Span) -> Outcome<Typed> {
        let names: Vec<&Name> = signature
            .output
            .extras
            .iter()
            .filter_map(|f| match f {
                crate::syntax::tree::Field::Named { name, .. } => Some(name),
                crate::syntax::tree::Field::Spread { .. } => None,
            })
            .collect();
        if names.is_empty() {
            return Ok(value.at(span));
        }
        let (main, own) = match value.value {
            Value::With { main, extras } => (*main, extras),
            _ => (value, Vec::new()),
        };
        let mut extras = Vec::new();
        for name in names {
            let extra = match self.local(inner, &name.text, span) {
                Some(bound) => Extra::Here(bound?),
                None => match own.iter().find(|(n, _)| *n == name.text) {
                    Some((_, extra)) => extra.clone(),
                    None => {
                        return Err(self.report(Mistake::MissingExtra {
                            name: name.text.clone(),
                            stage: signature.name.text.clone(),
                            span: name.span,
                        }));
                    }
                },
            };
            extras.push((name.text.clone(), extra));
        }
        Ok(Typed { ty: main.ty.clone(), value: Value::With { main: Box::new(main), extras }, span })
    }

    /// `seed:` of a call, if it was given.
    pub fn seed_of(&mut self, matched: &Matched<'a>, scope: &Scope<'a>) -> Outcome<Option<i64>> {
        let Some(given) = &matched.implicit else { return Ok(None) };
        let value = self.argument(given, &Param { name: "seed", wanted: &Type::Int, ty: None }, scope)?;
        match value.as_constant() {
            Some(Cell::Int(seed)) => Ok(Some(seed)),
            _ => Err(self.report(Mistake::NotConstant { name: "seed".into(), span: value.span })),
        }
    }
}

/// A value seen as its declared type: wider rows stay wide, but texts become completions where that is what was promised.
fn declared(value: Typed, wanted: &Type) -> Typed {
    let ty = match (&value.ty, wanted) {
        (Type::Data(found), Type::Data(promised)) => {
            let mut row = found.clone();
            row.extend(promised.iter().map(|(n, t)| (n.clone(), t.clone())));
            Type::Data(row)
        }
        (Type::Record(_), _) | (_, Type::Unknown) => value.ty.clone(),
        _ => wanted.clone(),
    };
    let value = match value.value {
        Value::With { main, extras } => Typed { value: Value::With { main: Box::new(Typed { ty: ty.clone(), ..*main }), extras }, ..value },
        inner => Typed { value: inner, ..value },
    };
    Typed { ty, ..value }
}

/// The option that another belongs to: `lora` of `lora_alpha`.
pub fn head_of(declared: &[super::resolve::FieldDef<'_>], name: &str) -> Option<Arc<str>> {
    let heads = declared.iter().map(|field| &field.name.text);
    heads.into_iter().find(|head| name.strip_prefix(&***head).is_some_and(|rest| rest.starts_with('_'))).cloned()
}
