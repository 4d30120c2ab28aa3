//! `figure` and `heat`: rows as a drawing, kept as plain data that the report draws.
//!
//! A figure is `{ title, kind: "line" | "scatter", x: { label }, y: { label }, series: [{ name, points: [[x, y, low, high]] }] }`;
//! a heat map has `columns`, `rows` and `values` (a list for each row, null where there is no cell) in place of series.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};
use crate::formula::expr::{Formula, Kind, Output};
use crate::formula::text::in_template;
use crate::value::Cell;

/// Points and lines.
#[derive(Debug)]
pub struct Figure;

/// Cells by colour.
#[derive(Debug)]
pub struct Heat;

impl Primitive for Figure {
    fn name(&self) -> &'static str {
        "figure"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let mut evaluator = Evaluator::new(context);
        let mut given = |name: &str| -> Result<Option<Vec<Cell>>, Failure> {
            let formula = call.get::<Option<Formula>>(name)?;
            formula.map(|formula| evaluator.column(&formula, &table)).transpose()
        };
        let [x, y, low, high] = [given("x")?, given("y")?, given("low")?, given("high")?];
        let names = given("series")?;
        let at = |column: &Option<Vec<Cell>>, row: usize| column.as_ref().and_then(|cells| number(&cells[row]));
        let mut series: Map<String, Value> = Map::new();
        for row in 0..table.len() {
            let name = names.as_ref().map_or_else(String::new, |names| label(&names[row]));
            let points = series.entry(name).or_insert_with(|| json!([])).as_array_mut().expect("made as a list");
            // a point without a place is no point
            if let (Some(x), Some(y)) = (at(&x, row), at(&y, row)) {
                points.push(json!([x, y, at(&low, row), at(&high, row)]));
            }
        }
        let series: Vec<Value> = series.into_iter().map(|(name, points)| json!({ "name": name, "points": points })).collect();
        let axis = |axis: &str, title: &str| -> Result<Value, Failure> {
            let title: String = call.get(title)?;
            Ok(json!({ "label": if title.is_empty() { column(&call.get::<Formula>(axis)?) } else { title } }))
        };
        drawn(json!({
            "title": call.get::<String>("title")?, "kind": call.get::<String>("kind")?,
            "x": axis("x", "x_title")?, "y": axis("y", "y_title")?, "series": series,
        }))
    }
}

impl Primitive for Heat {
    fn name(&self) -> &'static str {
        "heat"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let mut evaluator = Evaluator::new(context);
        let mut given = |name: &str| evaluator.column(&call.get::<Formula>(name)?, &table);
        let [across, down, values] = [given("column")?, given("row")?, given("value")?];
        let (columns, rows) = (distinct(&across), distinct(&down));
        let mut cells = vec![vec![Value::Null; columns.len()]; rows.len()];
        for ((across, down), value) in across.iter().zip(&down).zip(&values) {
            let place = |names: &[String], cell: &Cell| names.iter().position(|name| *name == label(cell)).expect("listed before");
            cells[place(&rows, down)][place(&columns, across)] = json!(number(value));
        }
        drawn(json!({ "title": call.get::<String>("title")?, "kind": "heat", "columns": columns, "rows": rows, "values": cells }))
    }
}

fn drawn(spec: Value) -> Result<Product, Failure> {
    Ok(Product::new(Item::Figure(spec)))
}

fn number(cell: &Cell) -> Option<f64> {
    cell.number().filter(|x| x.is_finite())
}

/// A name as a template would show it; what it cannot show has none.
fn label(cell: &Cell) -> String {
    in_template(cell).unwrap_or_default()
}

/// What an axis shows when nobody says: the column, where it is one.
fn column(formula: &Formula) -> String {
    match &formula.kind {
        Kind::Column(name) => name.to_string(),
        _ => String::new(),
    }
}

/// The names of all cells, in the order in which they first come.
fn distinct(cells: &[Cell]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in cells.iter().map(label) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
