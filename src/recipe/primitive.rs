//! Calls of `extern stage`: one node of the plan each, equal calls one node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::formula::expr::{Formula, StageId};
use crate::formula::shape;
use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Field, Signature};
use crate::value::Cell;

use super::arguments::{Given, Matched, takes_columns};
use super::call::head_of;
use super::checked::{Arg, StageCall};
use super::elaborate::{Elaborator, Outcome, Refused};
use super::library::ModuleId;
use super::mistake::Mistake;
use super::resolve::{Generics, Resolver};
use super::scope::Scope;
use super::types::{Row, Type};
use super::value::{Bound, Extra, Typed, Value};

/// A call while its arguments are being bound.
#[derive(Debug, Default)]
struct Binding {
    args: BTreeMap<Arc<str>, Arg>,
    generics: Generics,
    objective: Option<Arc<Bound>>,
    /// Columns or metrics that a collecting parameter took.
    columns: Row,
}

impl<'a> Elaborator<'a> {
    /// Binds the arguments, makes the node, and says what comes out of it.
    pub fn primitive(
        &mut self,
        signature: &'a Signature,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        span: Span,
        wanted: Option<&Type>,
    ) -> Outcome<Typed> {
        let seed = self.seed_of(matched, scope)?.unwrap_or(self.seed);
        let mut binding = Binding::default();
        let mut refused = false;
        // columns are read against all the rest, so they are bound last
        let (columns, plain): (Vec<_>, Vec<_>) = signature.params.iter().partition(|p| p.rest && takes_columns(p));
        let mut inner = Scope { module, ..Scope::new(module) };
        for param in plain {
            let done = if param.rest {
                self.primitive_options(param, module, matched, scope, &inner, &mut binding)
            } else {
                self.primitive_argument(signature, param, module, matched, scope, &mut inner, &mut binding)
            };
            refused |= done.is_err();
        }
        if refused {
            return Err(Refused);
        }
        for param in columns {
            self.primitive_columns(&signature.name.text, param, module, matched, scope, &mut binding)?;
        }
        self.late_formulas(signature, module, matched, scope, &mut binding)?;
        if let Some(Type::Data(row)) = wanted.filter(|_| &*signature.name.text == "load_data") {
            binding.args.insert("as".into(), Arg::Rows(Type::Record(row.clone())));
        }
        self.node(signature, module, binding, seed, span, wanted)
    }

    #[expect(clippy::too_many_arguments, reason = "one parameter's place in one call")]
    fn primitive_argument(
        &mut self,
        signature: &'a Signature,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        inner: &mut Scope<'a>,
        binding: &mut Binding,
    ) -> Outcome<()> {
        let Some(ty) = &param.ty else { return Err(self.report(Mistake::OptionsWithoutType { span: param.span })) };
        if is_late(ty) {
            return Ok(());
        }
        let before = binding.generics.clone();
        let value = self.bind_param(param, module, matched, scope, inner, &mut binding.generics)?;
        self.check_bound(signature, param, &value, module, (&before, &binding.generics))?;
        if let Value::Objective(bound) = &value.value {
            if let Some(Type::Record(row)) = binding.generics.get("R").cloned() {
                self.reads_rows(bound, &row, value.span)?;
            }
            // further rows need only the columns that the objective reads
            if signature.params.iter().any(|p| &*p.name.text == "eval") {
                binding.generics.insert("R".into(), Type::Record(bound.rows.clone()));
            }
            binding.objective = Some(bound.clone());
        }
        let arg = self.arg(&value, &param.name.text)?;
        let idle = is_none(param.default.as_ref()) && value.as_constant() == Some(Cell::None);
        if !idle {
            binding.args.insert(param.name.text.clone(), arg);
        }
        inner.insert(param.name.text.clone(), value);
        Ok(())
    }

    /// `R: Demonstration`: what this argument bound a type variable to must fit its bound.
    fn check_bound(
        &mut self,
        signature: &'a Signature,
        param: &Binder,
        value: &Typed,
        module: ModuleId,
        (before, generics): (&Generics, &Generics),
    ) -> Outcome<()> {
        for generic in &signature.generics {
            let (Some(bound), Some(found)) = (&generic.bound, generics.get(&generic.name.text)) else { continue };
            if before.get(&generic.name.text) == Some(found) {
                continue;
            }
            let resolver = Resolver { library: self.library, module, generics };
            let wanted = resolver.resolve(bound).map_err(|mistake| self.report(mistake))?;
            if !found.fits(&wanted) {
                let (found, wanted) = match (found, &wanted) {
                    (Type::Record(a), Type::Record(b)) => (Type::Data(a.clone()), Type::Data(b.clone())),
                    (a, b) => (a.clone(), b.clone()),
                };
                return Err(self.report(Mistake::mismatch(Some(&param.name.text), found, wanted, value.span)));
            }
        }
        Ok(())
    }

    /// Options are flattened into arguments; what is not given takes its declared default.
    fn primitive_options(
        &mut self,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        inner: &Scope<'a>,
        binding: &mut Binding,
    ) -> Outcome<()> {
        let generics = Generics::new();
        let resolver = Resolver { library: self.library, module, generics: &generics };
        let declared = param.ty.as_ref().and_then(|ty| resolver.options(ty)).map(|(_, fields)| fields).unwrap_or_default();
        let all = self.all_options(param, module, matched, scope, inner)?;
        let given = |name: &Arc<str>| matched.rest.get(&param.name.text).is_some_and(|given| given.iter().any(|(n, _)| n == name));
        let given: Vec<_> = all.iter().filter(|(name, _)| given(name)).cloned().collect();
        self.refuse_idle(&declared, &given)?;
        let off = |name: &str| all.iter().all(|(n, value)| **n != *name || value.as_constant() == Some(Cell::None));
        let heads: BTreeSet<Arc<str>> = declared.iter().filter_map(|field| head_of(&declared, &field.name.text)).collect();
        for (name, value) in &all {
            // an option that is off takes those that belong to it along: the call is as if it had never been declared
            if (heads.contains(name) && off(name)) || head_of(&declared, name).is_some_and(|head| off(&head)) {
                continue;
            }
            let (name, value) = (name.clone(), value.clone());
            let arg = self.arg(&value, &name)?;
            binding.args.insert(name, arg);
        }
        Ok(())
    }

    /// Every field of an options record: given, else declared default, else `none`; without those that [`is_none`] leaves out.
    pub fn all_options(
        &mut self,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        inner: &Scope<'a>,
    ) -> Outcome<Vec<(Arc<str>, Typed)>> {
        let Some(ty) = &param.ty else { return Err(Refused) };
        let generics = Generics::new();
        let resolver = Resolver { library: self.library, module, generics: &generics };
        let Some((home, fields)) = resolver.options(ty) else { return Err(Refused) };
        let given: BTreeMap<&Arc<str>, &Given<'a>> =
            matched.rest.get(&param.name.text).into_iter().flatten().map(|(n, g)| (n, g)).collect();
        let mut result = Vec::new();
        for field in &fields {
            let value = match (given.get(&field.name.text), field.default) {
                (Some(given), _) => self.option(field, given, &Scope { module: scope.module, ..scope.clone() })?,
                (None, Some(default)) => self.option(field, &Given::Written(default), &Scope { module: home, ..inner.clone() })?,
                (None, None) => self.limited(Typed::constant(Type::Unknown, Cell::None, field.name.span), &field.name.text),
            };
            if !is_none(field.default) || value.as_constant() != Some(Cell::None) {
                result.push((field.name.text.clone(), value));
            }
        }
        Ok(result)
    }

    /// `...columns: R -> C`: each formula against the rows, and against the columns before it where rows keep theirs.
    fn primitive_columns(
        &mut self,
        stage: &Arc<str>,
        param: &'a Binder,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        binding: &mut Binding,
    ) -> Outcome<()> {
        let ty = param.ty.as_ref().ok_or(Refused)?;
        let resolver = Resolver { library: self.library, module, generics: &binding.generics };
        let Type::Formula { rows, .. } = resolver.resolve(ty).map_err(|m| self.report(m))? else { return Err(Refused) };
        let keeps = &**stage != "select" && &**stage != "measure";
        let mut row = rows;
        let mut columns: Vec<(Arc<str>, Formula)> = Vec::new();
        let mut refused = false;
        for (name, given) in matched.rest.get(&param.name.text).into_iter().flatten() {
            let inner = scope.with_row(row.clone());
            let value = match given {
                Given::Written(e) => self.expression(e, &inner, None),
                Given::Known(value) => Ok(value.clone()),
            };
            let Ok(value) = value else {
                refused = true;
                continue;
            };
            let value = if value.ty == Type::Scorer { self.fit(value, &Type::Float, &inner, None)? } else { value };
            let formula = self.formula_of(&value)?;
            let ty = if &**stage == "measure" { Type::Estimate } else { column_type(&value.ty) };
            binding.columns.insert(name.clone(), ty.clone());
            if keeps {
                row.insert(name.clone(), ty);
            }
            refused |= self.check_rows(&formula).is_err();
            columns.push((name.clone(), formula));
        }
        if refused {
            return Err(Refused);
        }
        if columns.is_empty() && matches!(&**stage, "with" | "select" | "measure") {
            return Err(self.report(Mistake::NoColumns { stage: stage.clone(), span: self.stack.last().map_or(param.span, |f| f.span) }));
        }
        let variable = if &**stage == "measure" { "M" } else { "C" };
        binding.generics.insert(variable.into(), Type::Record(binding.columns.clone()));
        binding.args.insert(param.name.text.clone(), Arg::Columns(columns));
        self.objective_rows(matched, binding)
    }

    /// An objective of `rl` reads what the rollout's columns give; now they are known.
    fn objective_rows(&mut self, matched: &Matched<'a>, binding: &Binding) -> Outcome<()> {
        let (Some(bound), Some(Type::Record(prompts))) = (binding.objective.clone(), binding.generics.get("P")) else { return Ok(()) };
        let mut row = prompts.clone();
        row.insert("completion".into(), Type::Completion);
        row.extend(binding.columns.clone());
        let span = matched.plain.get("objective").map_or_else(|| bound.span.expect("objectives have a place"), Given::span);
        self.reads_rows(&bound, &row, span)
    }

    /// Refuses an objective whose rows lack a column that it reads.
    fn reads_rows(&mut self, bound: &Bound, row: &Row, span: Span) -> Outcome<()> {
        if Type::Record(row.clone()).fits(&Type::Record(bound.rows.clone())) {
            return Ok(());
        }
        Err(self.report(Mistake::mismatch(Some("objective"), Type::Data(row.clone()), Type::Data(bound.rows.clone()), span)))
    }

    /// Formulas over metrics (`stop_when`) can be read only once the objective is known; `R -> …` once the rows are.
    fn late_formulas(
        &mut self,
        signature: &'a Signature,
        module: ModuleId,
        matched: &Matched<'a>,
        scope: &Scope<'a>,
        binding: &mut Binding,
    ) -> Outcome<()> {
        for param in signature.params.iter().filter(|p| !p.rest) {
            let Some(ty) = param.ty.as_ref().filter(|ty| is_late(ty)) else { continue };
            let mut generics = binding.generics.clone();
            let value = self.bind_param(param, module, matched, scope, &Scope::new(module), &mut generics)?;
            if let (crate::syntax::tree::TypeKind::Arrow { to, .. }, found) = (&ty.kind, &value.ty) {
                let empty = Generics::new();
                Resolver { library: self.library, module, generics: &empty }.bind(to, found, &mut binding.generics);
            }
            let arg = match &value.value {
                Value::Range { low, high } => {
                    let bound = |formula: &Formula| Typed { ty: Type::Int, value: Value::Formula(formula.clone()), span: value.span };
                    let items = self.word("..", vec![bound(low), bound(high)], value.ty.clone(), value.span)?;
                    Arg::Formula(self.formula_of(&items)?)
                }
                _ if value.as_constant() == Some(Cell::None) => Arg::Value(Cell::None),
                _ => Arg::Formula(self.formula_of(&value)?),
            };
            if let Arg::Formula(formula) = &arg {
                self.check_rows(formula)?;
            }
            binding.args.insert(param.name.text.clone(), arg);
        }
        Ok(())
    }

    fn check_rows(&mut self, formula: &Formula) -> Outcome<()> {
        shape::check_rows(formula).map(|_| ()).map_err(|errors| {
            for error in errors {
                self.add(error.diagnostic());
            }
            Refused
        })
    }

    fn formula_of(&mut self, value: &Typed) -> Outcome<Formula> {
        value.as_formula().ok_or_else(|| self.report(Mistake::NotAFormula { found: value.ty.clone(), span: value.span }))
    }

    /// A checked value as an argument of a node.
    fn arg(&mut self, value: &Typed, name: &Arc<str>) -> Outcome<Arg> {
        if let Value::Objective(bound) = &value.value {
            return Ok(Arg::Objective(Arc::new(bound.def.clone())));
        }
        if let (Value::List(items), Type::List(item)) = (&value.value, &value.ty) {
            if matches!(item.unwrapped(), Type::Data(_)) || item.unwrapped().is_network() {
                return Ok(Arg::Artifacts(items.iter().filter_map(Typed::as_artifact).collect()));
            }
        }
        if let Some(cell) = value.as_constant() {
            return Ok(Arg::Value(cell));
        }
        match value.as_artifact() {
            Some(output) if matches!(value.ty, Type::Data(_)) || value.ty.is_network() => Ok(Arg::Artifact(output)),
            _ if matches!(value.ty, Type::Data(_)) => Err(self.report(Mistake::NotConstant { name: name.clone(), span: value.span })),
            _ => Ok(Arg::Formula(self.formula_of(value)?)),
        }
    }

    fn node(
        &mut self,
        signature: &'a Signature,
        module: ModuleId,
        binding: Binding,
        seed: i64,
        span: Span,
        wanted: Option<&Type>,
    ) -> Outcome<Typed> {
        let mut generics = binding.generics;
        if let Some(bound) = &binding.objective {
            generics.insert("M".into(), Type::Record(bound.metrics.clone()));
            let number = |ty: &Type, one: Type| if matches!(ty, Type::List(_)) { Type::List(Box::new(one)) } else { one };
            let all = |one: &dyn Fn(&Type) -> Type| Type::Record(bound.numbers.iter().map(|(n, t)| (n.clone(), one(t))).collect());
            generics.insert("T".into(), all(&|ty| number(ty, Type::Estimate)));
            generics.insert("D".into(), all(&|ty| Type::List(Box::new(number(ty, Type::Float)))));
            self.check_objective(bound, &signature.name.text, &binding.args)?;
        }
        let resolver = Resolver { library: self.library, module, generics: &generics };
        let output = match wanted.filter(|_| &*signature.name.text == "load_data") {
            Some(Type::Data(row)) => Type::Data(row.clone()),
            _ => resolver.resolve(&signature.output.ty).map_err(|mistake| self.report(mistake))?,
        };
        let mut extras = Row::new();
        for field in &signature.output.extras {
            match field {
                Field::Named { name, ty, .. } => {
                    extras.insert(name.text.clone(), resolver.resolve(ty).map_err(|mistake| self.report(mistake))?);
                }
                Field::Spread { name } => {
                    if let Some(Type::Record(row)) = generics.get(&name.text) {
                        extras.extend(row.clone());
                    }
                }
            }
        }
        if let Type::Record(row) = &output {
            extras.extend(row.clone());
        }
        let no_eval = matches!(binding.args.get("eval"), Some(Arg::Value(Cell::None)));
        let call = StageCall {
            name: self.stage_name(&signature.name.text),
            primitive: signature.name.text.clone(),
            args: binding.args,
            seed,
            span: self.user_span(span),
            when: self.when.clone(),
            rounds: self.round_of(&signature.name.text),
            output: output.clone(),
            extras: extras.clone(),
        };
        let stage = self.add_stage(call);
        Ok(result_of(stage, output, extras, no_eval, span))
    }

    fn stage_name(&self, primitive: &str) -> String {
        let mut parts = self.path.clone();
        parts.push(primitive.to_owned());
        parts.join(".")
    }

    /// The stage of a call: an equal earlier one, or a new one.
    pub fn add_stage(&mut self, call: StageCall) -> StageId {
        if let Some(known) = self.calls.known_or_next(&call, &self.stages) {
            // wanted without conditions somewhere: it runs without conditions
            let stage = &mut self.stages[known.0];
            if call.when.is_empty() {
                stage.when.clear();
            }
            let new = call.rounds.into_iter().filter(|round| !stage.rounds.iter().any(|r| (&r.of, r.index) == (&round.of, round.index)));
            let new: Vec<_> = new.collect();
            stage.rounds.extend(new);
            return known;
        }
        let id = StageId(self.stages.len());
        self.stages.push(call);
        id
    }

    /// Takes back the stages from the `first` on.
    pub fn forget_stages(&mut self, first: usize) {
        self.stages.truncate(first);
        self.calls.truncate(first);
    }
}

/// What a call stands for: its artifact, the record it makes, or an artifact with extras.
fn result_of(stage: StageId, output: Type, extras: Row, no_eval: bool, span: Span) -> Typed {
    let part = |name: &Arc<str>, ty: &Type| Typed::artifact(ty.clone(), stage, vec![name.clone()], span);
    if let Type::Record(row) = &output {
        let fields = row.iter().map(|(name, ty)| (name.clone(), part(name, ty))).collect();
        return Typed { ty: output, value: Value::Record(fields), span };
    }
    let main = Typed::artifact(output.clone(), stage, Vec::new(), span);
    if extras.is_empty() {
        return main;
    }
    let extras =
        extras.iter().map(|(name, ty)| (name.clone(), if no_eval { Extra::NoEval } else { Extra::Here(part(name, ty)) })).collect();
    Typed { ty: output, value: Value::With { main: Box::new(main), extras }, span }
}

/// Whether a default is the word `none`. What has such a default is no part of a call while it is `none`, so that calls
/// from before it was declared keep their fingerprints.
fn is_none(default: Option<&crate::syntax::tree::Expr>) -> bool {
    default.is_some_and(|default| matches!(&default.kind, crate::syntax::tree::ExprKind::Name(name) if &*name.text == "none"))
}

/// Formulas over rows and metrics are read after the arguments that say what those are.
fn is_late(ty: &crate::syntax::tree::TypeExpr) -> bool {
    match &ty.kind {
        crate::syntax::tree::TypeKind::Arrow { .. } => true,
        crate::syntax::tree::TypeKind::Optional(inner) => is_late(inner),
        _ => false,
    }
}

/// A column holds plain values: an enum word is a text.
fn column_type(ty: &Type) -> Type {
    match ty {
        Type::Words(_) => Type::Text,
        Type::Estimate => Type::Float,
        other => other.clone(),
    }
}
