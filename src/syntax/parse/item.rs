//! Items: what stands at the top level of a file.

use super::{Builder, child, doc, whole};
use crate::syntax::diagnose::{self, Junk};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::mistake::Home;
use crate::syntax::tree::{
    Binder, FnItem, Generic, Item, ItemKind, Name, Objective, Profile, Recipe, Signature, Stage, TypeItem, Use, UseSource,
};

impl<'a> Builder<'a> {
    /// The items of a `file` pair.
    pub(super) fn items(&mut self, file: Pair<'a>) -> Vec<Item> {
        let nodes = file.into_inner().filter(|node| node.as_rule() != Rule::EOI).collect();
        let items = self.sound(nodes, Home::File);
        items.into_iter().filter_map(|item| self.item(item)).collect()
    }

    fn item(&mut self, pair: Pair<'a>) -> Option<Item> {
        let doc = doc(&pair);
        let form = pair.clone().into_inner().find(|inner| inner.as_rule() != Rule::doc)?;
        let span = self.span(&form);
        let names = self.bound_by_item(&form);
        let kind = self.whole_or_broken(pair, names, |builder, _| builder.item_kind(form))?;
        Some(Item { doc, span, kind })
    }

    fn item_kind(&mut self, pair: Pair<'a>) -> Option<ItemKind> {
        match pair.as_rule() {
            Rule::use_ => self.use_item(&pair).map(ItemKind::Use),
            Rule::param => self.binder(child(&pair, Rule::binder)?, String::new()).map(ItemKind::Param),
            Rule::type_ => self.type_item(&pair).map(ItemKind::Type),
            Rule::fn_ => self.fn_item(&pair).map(ItemKind::Fn),
            Rule::objective => self.objective(&pair).map(ItemKind::Objective),
            Rule::extern_type => {
                let name = self.name(&child(&pair, Rule::type_name)?);
                Some(ItemKind::ExternType { name, generics: self.generics(&pair)? })
            }
            Rule::extern_fn => self.signature(child(&pair, Rule::signature)?).map(ItemKind::ExternFn),
            Rule::extern_stage => self.signature(child(&pair, Rule::signature)?).map(ItemKind::ExternStage),
            Rule::stage => self.stage(&pair).map(ItemKind::Stage),
            Rule::recipe => self.recipe(&pair).map(ItemKind::Recipe),
            Rule::profile => self.profile(&pair).map(ItemKind::Profile),
            Rule::headless => {
                let junk =
                    Junk { rule: Rule::item_junk, span: self.span(&pair), start: pair.as_span().start(), text: pair.as_str().trim_end() };
                let found = diagnose::line(self, &junk, Home::File);
                self.report(found);
                let home = Home::of_item(child(&pair, Rule::head_word)?.as_str());
                self.statements(child(&pair, Rule::body)?, home);
                None
            }
            _ => None,
        }
    }

    fn use_item(&mut self, pair: &Pair<'_>) -> Option<Use> {
        let source = match child(pair, Rule::path) {
            Some(path) => UseSource::Path(path.into_inner().map(|part| self.name(&part)).collect()),
            None => {
                let text = child(pair, Rule::text)?;
                UseSource::File { span: self.span(&text), path: self.plain_text(text)? }
            }
        };
        let used = pair.clone().into_inner().filter(|inner| inner.as_rule() == Rule::used);
        let names: Vec<Name> = used.map(|used| self.name(&used)).collect();
        let needs_names = matches!(source, UseSource::File { .. }) || pair.as_str().contains('{');
        (!needs_names || !names.is_empty()).then_some(Use { source, names })
    }

    fn type_item(&mut self, pair: &Pair<'_>) -> Option<TypeItem> {
        let ty = self.type_expr(child(pair, Rule::type_expr)?)?;
        Some(TypeItem { name: self.name(&child(pair, Rule::type_name)?), ty })
    }

    fn fn_item(&mut self, pair: &Pair<'_>) -> Option<FnItem> {
        let params = self.params(pair);
        let result = child(pair, Rule::type_expr).map(|ty| self.type_expr(ty));
        let body = self.expr(child(pair, Rule::expr)?);
        Some(FnItem {
            name: self.name(&child(pair, Rule::name)?),
            params: params?,
            result: result.map_or(Some(None), |ty| ty.map(Some))?,
            body: body?,
        })
    }

    fn objective(&mut self, pair: &Pair<'a>) -> Option<Objective> {
        let body = self.objective_body(child(pair, Rule::body)?);
        let params = self.params(pair);
        let rows = self.type_expr(child(pair, Rule::type_expr)?);
        Some(Objective { name: self.name(&child(pair, Rule::name)?), params: params?, rows: rows?, body })
    }

    fn stage(&mut self, pair: &Pair<'a>) -> Option<Stage> {
        let body = self.stage_body(child(pair, Rule::body)?);
        let signature = self.signature(child(pair, Rule::signature)?);
        let (binds, result) = body?;
        Some(Stage { signature: signature?, binds, result })
    }

    fn recipe(&mut self, pair: &Pair<'a>) -> Option<Recipe> {
        let body = self.recipe_body(child(pair, Rule::body)?);
        let title = match child(pair, Rule::text) {
            Some(text) => Some(self.plain_text(text)?),
            None => None,
        };
        Some(Recipe { name: self.name(&child(pair, Rule::name)?), title, body })
    }

    fn profile(&mut self, pair: &Pair<'a>) -> Option<Profile> {
        let settings = self.profile_body(child(pair, Rule::body)?);
        Some(Profile { name: self.name(&child(pair, Rule::name)?), settings })
    }

    fn signature(&mut self, pair: Pair<'_>) -> Option<Signature> {
        let generics = self.generics(&pair);
        let params = self.params(&pair);
        let output = self.out_type(child(&pair, Rule::out_type)?);
        Some(Signature { name: self.name(&child(&pair, Rule::name)?), generics: generics?, params: params?, output: output? })
    }

    fn generics(&mut self, pair: &Pair<'_>) -> Option<Vec<Generic>> {
        let Some(generics) = child(pair, Rule::generics) else { return Some(Vec::new()) };
        whole(generics.into_inner().map(|generic| self.generic(&generic)).collect())
    }

    fn generic(&mut self, pair: &Pair<'_>) -> Option<Generic> {
        let bound = match child(pair, Rule::type_expr) {
            Some(bound) => Some(self.type_expr(bound)?),
            None => None,
        };
        Some(Generic { name: self.name(&child(pair, Rule::type_name)?), bound })
    }

    /// The parameters of an item; none when one of them was reported.
    fn params(&mut self, pair: &Pair<'_>) -> Option<Vec<Binder>> {
        let slots = child(pair, Rule::params)?.into_inner().filter(|slot| slot.as_rule() != Rule::gap);
        whole(slots.map(|slot| self.parameter(slot)).collect())
    }

    fn parameter(&mut self, pair: Pair<'_>) -> Option<Binder> {
        let form = pair.clone().into_inner().find(|inner| inner.as_rule() != Rule::doc)?;
        self.binder(form, doc(&pair))
    }

    /// A `binder` or a `rest` pair.
    fn binder(&mut self, pair: Pair<'_>, doc: String) -> Option<Binder> {
        if !matches!(pair.as_rule(), Rule::binder | Rule::rest) {
            return None;
        }
        let ty = child(&pair, Rule::type_expr).map(|ty| self.type_expr(ty));
        let default = child(&pair, Rule::expr).map(|default| self.expr(default));
        Some(Binder {
            doc,
            span: self.span(&pair),
            trained: child(&pair, Rule::kw_trained).is_some(),
            rest: pair.as_rule() == Rule::rest,
            name: self.name(&child(&pair, Rule::name)?),
            ty: ty.map_or(Some(None), |ty| ty.map(Some))?,
            default: default.map_or(Some(None), |default| default.map(Some))?,
        })
    }

    /// What an item makes known, when it can be built or not.
    fn bound_by_item(&self, pair: &Pair<'_>) -> Vec<Name> {
        if pair.as_rule() == Rule::use_ {
            let used = pair.clone().into_inner().filter(|inner| inner.as_rule() == Rule::used);
            let last = child(pair, Rule::path).and_then(|path| path.into_inner().last());
            return used.chain(last).map(|name| self.name(&name)).collect();
        }
        let head = child(pair, Rule::signature).or_else(|| child(pair, Rule::binder)).unwrap_or_else(|| pair.clone());
        let name = child(&head, Rule::name).or_else(|| child(&head, Rule::type_name));
        match name {
            Some(name) => vec![self.name(&name)],
            None => self.first_words(self.span(pair), 1),
        }
    }
}
