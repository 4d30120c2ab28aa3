//! What the checker came to know of each place of a user's file: what a name means, what a value is, and what could
//! stand at a cursor. Written down while elaborating, for editors; an ordinary check writes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::syntax::tree::{Item, ItemKind, TypeExpr, UseSource};
use crate::syntax::walk::{self, Part};

use super::arguments::Callee;
use super::elaborate::{Elaborator, Outcome};
use super::library::{ItemRef, Library, ModuleId, STDLIB, item_name};
use super::scope::{Scope, Slot};
use super::types::{Row, Type};
use super::value::{Extra, Typed, Value};

/// What stands at a cursor while the checker looks for what could stand there: a name that nobody writes.
pub const CURSOR: &str = "cursor_0x2038";

/// What kind of thing a name means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Meant {
    Function,
    Stage,
    Objective,
    Type,
    Param,
    Recipe,
    /// A line of a recipe, stage or objective, or a loop's counter.
    Binding,
    /// A parameter, where it is used and where it is given.
    Parameter,
}

/// A name that is used: where it was defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    pub to: Span,
    pub meant: Meant,
}

/// A value that was worked out.
#[derive(Clone, Debug)]
pub struct Seen {
    pub ty: Type,
    /// A constant, as one would write it.
    pub shown: Option<String>,
    /// Numbers beside the main result.
    pub extras: Vec<(Arc<str>, Type)>,
    /// The stage that makes it.
    pub stage: Option<usize>,
}

/// What could stand at the cursor.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A name: of a value in reach, a word of the wanted enum, or a function of the file's.
    Value {
        names: Vec<(Arc<str>, Option<Type>)>,
        words: Vec<Arc<str>>,
        module: ModuleId,
    },
    Column(Row),
    /// What stands behind a dot: fields, or functions that take such a first argument.
    Member {
        of: Type,
        fields: Vec<(Arc<str>, Type)>,
        module: ModuleId,
    },
}

/// Everything known of the user's files.
#[derive(Clone, Default, Debug)]
pub struct Index {
    pub references: HashMap<Span, Reference>,
    pub values: HashMap<Span, Seen>,
    /// Bindings by their names' places: what they are.
    pub bindings: BTreeMap<(u32, u32), (Arc<str>, Seen)>,
    /// The first thing found at [`CURSOR`].
    pub wanted: Option<Wanted>,
    /// The call around the cursor: the place of what is called, and which names were given.
    pub call: Option<(Span, Vec<Arc<str>>)>,
}

/// The kind of an item.
pub fn kind_of(item: &Item) -> Option<Meant> {
    Some(match &item.kind {
        ItemKind::Use(_) | ItemKind::Profile(_) => return None,
        ItemKind::Param(_) => Meant::Param,
        ItemKind::Type(_) | ItemKind::ExternType { .. } => Meant::Type,
        ItemKind::Fn(_) | ItemKind::ExternFn(_) => Meant::Function,
        ItemKind::Objective(_) => Meant::Objective,
        ItemKind::Stage(_) | ItemKind::ExternStage(_) => Meant::Stage,
        ItemKind::Recipe(_) => Meant::Recipe,
    })
}

fn seen(value: &Typed) -> Seen {
    let constant = value.as_constant().map(|cell| cell.to_json());
    // a long list says less than its type
    let shown = constant.filter(|json| !json.is_null()).map(|json| json.to_string()).filter(|text| text.len() <= 80);
    let beside = |extra: &Extra| if let Extra::Here(value) = extra { value.ty.clone() } else { Type::Unknown };
    let extras = match &value.value {
        Value::With { extras, .. } => extras.iter().map(|(name, extra)| (name.clone(), beside(extra))).collect(),
        _ => Vec::new(),
    };
    Seen { ty: value.ty.clone(), shown, extras, stage: value.as_artifact().map(|output| output.stage.0) }
}

impl<'a> Elaborator<'a> {
    /// Whether anybody reads the index.
    fn indexes(&self, span: Span) -> bool {
        self.index.is_some() && !self.library.is_std(span)
    }

    /// A name at `from` means what is defined at `to`.
    pub fn refer(&mut self, from: Span, to: Span, meant: Meant) {
        if self.indexes(from) {
            if let Some(index) = &mut self.index {
                index.references.insert(from, Reference { to, meant });
            }
        }
    }

    /// A name means an item.
    pub fn refer_item(&mut self, from: Span, found: ItemRef<'a>) {
        if let (Some(name), Some(meant)) = (item_name(found.item), kind_of(found.item)) {
            self.refer(from, name.span, meant);
        }
    }

    /// A value was worked out at a place. Of several rounds the first stays.
    pub fn saw(&mut self, span: Span, value: &Outcome<Typed>) {
        if let Ok(value) = value {
            if self.indexes(span) {
                let seen = seen(value);
                if let Some(index) = &mut self.index {
                    index.values.entry(span).or_insert(seen);
                }
            }
        }
    }

    /// A binding was worked out.
    pub fn bound(&mut self, name: &Arc<str>, span: Span, value: &Outcome<Typed>) {
        if let Ok(value) = value {
            if self.indexes(span) {
                let seen = seen(value);
                if let Some(index) = &mut self.index {
                    index.bindings.entry((span.file.0, span.start)).or_insert((name.clone(), seen));
                }
            }
        }
    }

    /// A named argument belongs to a parameter or to a field of an options record.
    pub fn refer_argument(&mut self, callee: &Callee<'a>, name: &str, from: Span) {
        if !self.indexes(from) {
            return;
        }
        let plain = callee.params.iter().find(|p| !p.rest && *p.name.text == *name).map(|p| p.name.span);
        let field = || callee.params.iter().filter(|p| p.rest).find_map(|p| self.option_field(callee.module, p.ty.as_ref()?, name));
        if let Some(to) = plain.or_else(field) {
            self.refer(from, to, Meant::Parameter);
        }
    }

    fn option_field(&self, module: ModuleId, ty: &'a TypeExpr, name: &str) -> Option<Span> {
        let generics = super::resolve::Generics::new();
        let resolver = super::resolve::Resolver { library: self.library, module, generics: &generics };
        let (_, fields) = resolver.options(ty)?;
        fields.iter().find(|field| *field.name.text == *name).map(|field| field.name.span)
    }

    // ── The cursor ──────────────────────────────────────────────────────────

    /// Notes what names are in reach of a cursor that stands for a value.
    pub fn want_value(&mut self, name: &str, scope: &Scope<'a>, wanted: Option<&Type>) {
        if name != CURSOR || self.index.as_ref().is_none_or(|index| index.wanted.is_some()) {
            return;
        }
        let words = match wanted.map(Type::unwrapped) {
            Some(Type::Words(words)) => words.clone(),
            Some(Type::Bool) => vec!["true".into(), "false".into()],
            _ => Vec::new(),
        };
        let mut names = Vec::new();
        let mut around = Some(scope);
        while let Some(scope) = around {
            for (name, slot) in &scope.names.borrow().slots {
                let ty = if let Slot::Ready(value) = slot { Some(value.ty.clone()) } else { None };
                names.push((name.clone(), ty));
            }
            around = scope.parent.as_deref();
        }
        if scope.model {
            names.push(("model".into(), Some(Type::Network)));
        }
        if let Some(index) = &mut self.index {
            index.wanted = Some(Wanted::Value { names, words, module: scope.module });
        }
    }

    /// Notes the columns of the row at a cursor.
    pub fn want_column(&mut self, name: &str, row: Option<&Row>) {
        if let (CURSOR, Some(row), Some(index)) = (name, row, &mut self.index) {
            index.wanted.get_or_insert_with(|| Wanted::Column(row.clone()));
        }
    }

    /// Notes what may follow a value and a dot.
    pub fn want_member(&mut self, name: &str, of: &Typed, module: ModuleId) {
        if name != CURSOR || self.index.as_ref().is_none_or(|index| index.wanted.is_some()) {
            return;
        }
        let mut fields: Vec<(Arc<str>, Type)> = match &of.value {
            Value::Record(fields) => fields.iter().map(|(name, field)| (name.clone(), field.ty.clone())).collect(),
            _ => seen(of).extras,
        };
        if fields.is_empty() {
            fields = fields_of(&of.ty);
        }
        if let Some(index) = &mut self.index {
            index.wanted = Some(Wanted::Member { of: of.ty.clone(), fields, module });
        }
    }

    /// Notes the call whose argument the cursor is, and overlooks what else is missing in it.
    pub fn want_argument(&mut self, callee: &Callee<'a>, args: &'a [crate::syntax::tree::Entry]) -> bool {
        if self.index.is_none() {
            return false;
        }
        let is_cursor = |name: &str| name == CURSOR;
        let mut inside = false;
        for arg in args {
            let direct = matches!(&arg.value.kind, crate::syntax::tree::ExprKind::Name(name) if is_cursor(&name.text));
            let direct = direct && arg.name.is_none();
            walk::expr(&arg.value, &mut |part| {
                if let Part::Expr(e) = part {
                    inside |= names(e).is_some_and(is_cursor);
                }
            });
            if direct {
                let given = args.iter().filter_map(|arg| arg.name.as_ref()).map(|name| name.text.clone()).collect();
                if let Some(index) = &mut self.index {
                    index.call = Some((callee.declared, given));
                }
            }
        }
        inside
    }

    // ── What no value leads to ──────────────────────────────────────────────

    /// Names of types and imports, and the parts of the files that elaborating never reaches: functions that nothing
    /// calls and branches that are not taken. What is wrong there was or will be said elsewhere.
    pub fn index_rest(&mut self) {
        if self.index.is_none() {
            return;
        }
        for module in STDLIB.len()..self.library.modules.len() {
            let library: &'a Library = self.library;
            for item in &library.modules[module].tree.items {
                self.index_item(item, module);
            }
        }
    }

    fn index_item(&mut self, item: &'a Item, module: ModuleId) {
        let library: &'a Library = self.library;
        if let ItemKind::Use(used) = &item.kind {
            let last = match &used.source {
                UseSource::Path(path) if used.names.is_empty() => path.last(),
                _ => None,
            };
            for name in used.names.iter().chain(last) {
                if let Some(found) = library.find(module, &name.text) {
                    self.refer_item(name.span, found);
                }
            }
        }
        walk::item(item, &mut |part| {
            if let Part::Type(TypeExpr { kind: crate::syntax::tree::TypeKind::Named { name, .. }, .. }) = part {
                if let Some(found) = library.find(module, &name.text) {
                    self.refer_item(name.span, found);
                }
            }
        });
        if let ItemKind::Fn(function) = &item.kind {
            // its parameters have no values: whatever needs one is passed over in silence
            let scope = Scope::new(module);
            for param in &function.params {
                scope.refuse(param.name.text.clone());
                scope.define(&param.name);
            }
            let scope = Scope { row: Some(Row::new()), body_row: None, model: true, ..scope };
            self.aside(|this| {
                let _ = this.expression(&function.body, &scope, None);
            });
        }
    }

    /// Works something out for the index alone: nothing of it is reported, and no stage stays.
    pub fn aside(&mut self, work: impl FnOnce(&mut Self)) {
        if self.index.is_none() {
            return;
        }
        let (diagnostics, stages, when) = (self.diagnostics.len(), self.stages.len(), self.when.len());
        work(self);
        self.diagnostics.truncate(diagnostics);
        self.forget_stages(stages);
        self.when.truncate(when);
    }
}

/// The name that an expression begins or ends with, where it has one.
fn names(e: &crate::syntax::tree::Expr) -> Option<&str> {
    use crate::syntax::tree::ExprKind;
    match &e.kind {
        ExprKind::Name(name) | ExprKind::Column(name) | ExprKind::Member { name, .. } | ExprKind::Method { name, .. } => Some(&name.text),
        ExprKind::Call { callee, .. } => Some(&callee.text),
        _ => None,
    }
}

/// What may stand behind a value's dot, by its type.
pub fn fields_of(ty: &Type) -> Vec<(Arc<str>, Type)> {
    let named = |fields: &[(&str, Type)]| fields.iter().map(|(name, ty)| (Arc::from(*name), ty.clone())).collect();
    match ty.unwrapped() {
        Type::Estimate => named(&[("mean", Type::Float), ("n", Type::Int), ("lower95", Type::Float), ("upper95", Type::Float)]),
        Type::Completion => named(&[("text", Type::Text), ("finished", Type::Bool)]),
        Type::Record(row) => row.iter().map(|(name, ty)| (name.clone(), ty.clone())).collect(),
        _ => Vec::new(),
    }
}

/// Whether a function takes a value of this type first: `rows.filter(…)`.
pub fn takes(library: &Library, found: ItemRef<'_>, first: &TypeExpr, ty: &Type) -> bool {
    let generics = super::resolve::Generics::new();
    let resolver = super::resolve::Resolver { library, module: found.module, generics: &generics };
    match resolver.resolve(first) {
        Ok(Type::Unknown) | Err(_) => false,
        Ok(wanted) => ty.fits(&wanted),
    }
}
