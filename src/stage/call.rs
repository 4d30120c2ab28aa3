//! A stage's arguments, turned into the primitive's own types: `let lr: f64 = call.get("lr")?`.
//!
//! The checker has filled in every parameter and checked its type, so a mismatch here means that a declaration in
//! `stdlib/prelude.align` and its primitive disagree; it is reported as such and never guessed around.

use std::path::PathBuf;
use std::sync::Arc;

use crate::formula::expr::{Expr, Formula, Kind, ObjectiveDef, Output};
use crate::recipe::checked::{Arg, StageCall};
use crate::recipe::types::{Row, Type};
use crate::syntax::span::{FileId, Span};
use crate::value::Cell;

use super::failure::Failure;

/// One call of a primitive.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    stage: &'a StageCall,
}

/// Names and formulas in order: `...columns`, `...metrics`.
pub type Columns = Vec<(Arc<str>, Formula)>;

impl<'a> Call<'a> {
    /// The typed view of a call.
    pub fn new(stage: &'a StageCall) -> Self {
        Self { stage }
    }

    /// The call as it was checked: its name, span and result types.
    pub fn stage(&self) -> &'a StageCall {
        self.stage
    }

    /// An argument in the type that the primitive works with.
    ///
    /// # Errors
    /// When the declaration has no such parameter or gives it another type.
    pub fn get<T: FromArg>(&self, name: &str) -> Result<T, Failure> {
        let found = self.stage.args.get(name);
        found.and_then(T::from_arg).ok_or_else(|| {
            let how = if found.is_none() { "is not declared" } else { "has another type in its declaration" };
            Failure::mistake(format!("argument `{name}` of `{}` {how}", self.stage.primitive))
        })
    }

    /// An option that is no part of the call while it is off.
    ///
    /// # Errors
    /// When the declaration gives it another type.
    pub fn given<T: FromArg>(&self, name: &str) -> Result<Option<T>, Failure> {
        if self.stage.args.contains_key(name) { self.get(name).map(Some) } else { Ok(None) }
    }

    /// The columns of the main result's rows, when it is a table.
    pub fn rows(&self) -> Option<&'a Row> {
        match &self.stage.output {
            Type::Data(row) => Some(row),
            _ => None,
        }
    }
}

/// A type that an argument can be read as.
pub trait FromArg: Sized {
    /// `None` when the argument is something else.
    fn from_arg(arg: &Arg) -> Option<Self>;
}

/// A type that a constant can be read as.
pub trait FromCell: Sized {
    /// `None` when the value is something else.
    fn from_cell(cell: &Cell) -> Option<Self>;
}

/// The constant in an argument.
fn constant(arg: &Arg) -> Option<&Cell> {
    match arg {
        Arg::Value(cell) => Some(cell),
        Arg::Formula(formula) => match &formula.kind {
            Kind::Const(cell) => Some(cell),
            _ => None,
        },
        _ => None,
    }
}

impl<T: FromCell> FromArg for T {
    fn from_arg(arg: &Arg) -> Option<Self> {
        T::from_cell(constant(arg)?)
    }
}

impl FromCell for Cell {
    fn from_cell(cell: &Cell) -> Option<Self> {
        Some(cell.clone())
    }
}

impl FromCell for bool {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Bool(b) => Some(*b),
            _ => None,
        }
    }
}

impl FromCell for f64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        if matches!(cell, Cell::Bool(_)) { None } else { cell.number() }
    }
}

impl FromCell for i64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Int(i) => Some(*i),
            _ => None,
        }
    }
}

impl FromCell for u64 {
    fn from_cell(cell: &Cell) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl FromCell for usize {
    fn from_cell(cell: &Cell) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl FromCell for Arc<str> {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromCell for String {
    fn from_cell(cell: &Cell) -> Option<Self> {
        Arc::<str>::from_cell(cell).map(|text| text.to_string())
    }
}

impl FromCell for PathBuf {
    fn from_cell(cell: &Cell) -> Option<Self> {
        String::from_cell(cell).map(PathBuf::from)
    }
}

impl<T: FromCell> FromCell for Vec<T> {
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::List(items) => items.iter().map(T::from_cell).collect(),
            _ => None,
        }
    }
}

/// `none` is `None`; anything else must be a `T`.
impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: &Cell) -> Option<Self> {
        if *cell == Cell::None { Some(None) } else { T::from_cell(cell).map(Some) }
    }
}

impl FromArg for Output {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Artifact(output) => Some(output.clone()),
            Arg::Formula(formula) => match &formula.kind {
                Kind::Artifact(output) => Some(output.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromArg for Vec<Output> {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Artifacts(outputs) => Some(outputs.clone()),
            one => Output::from_arg(one).map(|output| vec![output]),
        }
    }
}

impl FromArg for Formula {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Formula(formula) => Some(formula.clone()),
            Arg::Value(cell) => {
                let span = Span::new(FileId(0), 0, 0);
                Some(Arc::new(Expr { span, kind: Kind::Const(cell.clone()) }))
            }
            _ => None,
        }
    }
}

impl FromArg for Columns {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Columns(columns) => Some(columns.clone()),
            _ => None,
        }
    }
}

impl FromArg for Arc<ObjectiveDef> {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Objective(objective) => Some(objective.clone()),
            _ => None,
        }
    }
}

impl FromArg for Type {
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Rows(rows) => Some(rows.clone()),
            _ => None,
        }
    }
}

/// `T?` of what is not a constant: absent parameters are the constant `none`.
macro_rules! optional {
    ($($ty:ty),*) => {$(
        impl FromArg for Option<$ty> {
            fn from_arg(arg: &Arg) -> Option<Self> {
                if constant(arg) == Some(&Cell::None) { Some(None) } else { <$ty>::from_arg(arg).map(Some) }
            }
        }
    )*};
}

optional!(Output, Formula, Arc<ObjectiveDef>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::expr::StageId;
    use crate::recipe::types::Row;
    use std::collections::BTreeMap;

    fn call(args: Vec<(&str, Arg)>) -> StageCall {
        StageCall {
            name: "x".into(),
            primitive: "filter".into(),
            args: args.into_iter().map(|(n, a)| (Arc::from(n), a)).collect(),
            seed: 0,
            span: Span::new(FileId(0), 0, 1),
            when: Vec::new(),
            rounds: Vec::new(),
            output: Type::Data(Row::new()),
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn arguments_come_in_the_types_a_primitive_works_with() {
        let output = Output { stage: StageId(3), path: Vec::new() };
        let stage = call(vec![
            ("lr", Arg::Value(Cell::Int(1))),
            ("steps", Arg::Value(Cell::None)),
            ("count", Arg::Value(Cell::Int(7))),
            ("stop", Arg::Value(Cell::List([Cell::text("a")].into()))),
            ("data", Arg::Artifact(output.clone())),
            ("eval", Arg::Value(Cell::None)),
        ]);
        let call = Call::new(&stage);
        assert_eq!(call.get::<f64>("lr"), Ok(1.0));
        assert_eq!(call.get::<Option<u64>>("steps"), Ok(None));
        assert_eq!(call.get::<Option<usize>>("count"), Ok(Some(7)));
        assert_eq!(call.get::<Vec<String>>("stop"), Ok(vec!["a".to_owned()]));
        assert_eq!(call.get::<Output>("data"), Ok(output));
        assert_eq!(call.get::<Option<Output>>("eval"), Ok(None));
    }

    #[test]
    fn a_declaration_that_disagrees_is_named() {
        let stage = call(vec![("lr", Arg::Value(Cell::text("fast")))]);
        let shown = |failure: Failure| failure.to_string();
        let call = Call::new(&stage);
        assert_eq!(shown(call.get::<f64>("lr").unwrap_err()), "argument `lr` of `filter` has another type in its declaration");
        assert_eq!(shown(call.get::<f64>("beta").unwrap_err()), "argument `beta` of `filter` is not declared");
    }
}
