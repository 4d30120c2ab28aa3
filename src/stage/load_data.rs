//! `load_data`: a file as a table of the columns that `as` states.

use std::path::PathBuf;

use super::call::Call;
use super::context::Context;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::data::fault::Faults;
use crate::data::overlap::repeated_rows;
use crate::data::{ReadError, read, read_fitting};
use crate::diagnostic::{counted, grouped, verb};
use crate::recipe::checked::Arg;
use crate::recipe::types::{Row, Type};

/// The primitive.
#[derive(Debug)]
pub struct LoadData;

impl Primitive for LoadData {
    fn name(&self) -> &'static str {
        "load_data"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let written = call.get::<PathBuf>("path")?;
        let (path, row, most) = (context.path(&written), asked(call), call.get("rows")?);
        let read = match call.get::<String>("unfit")?.as_str() {
            "drop" => read_fitting(&path, &row, most),
            _ => read(&path, &row, most).map(|table| (table, Faults::default())),
        };
        let (table, unfit) = read.map_err(|error| failure(&error, &written))?;
        if unfit.rows > 0 {
            let (count, verb) = (counted(unfit.rows, "row"), verb(unfit.rows, "is", "are"));
            let error = ReadError::Faults { path, faults: unfit, asked: row };
            let first = error.diagnostics(&written.display().to_string()).into_iter().next().expect("an error has a diagnostic");
            let message = format!("{count} of `{}` {verb} of another type and {verb} left out", written.display());
            context.warn("align::data::unfit_rows", message, Some(format!("the first: {}", first.message)));
        }
        let repeated = repeated_rows(&table);
        if repeated > 0 && !table.columns.is_empty() {
            let message = format!(
                "{} of {} in `{}` {} an earlier row",
                grouped(repeated),
                counted(table.len(), "row"),
                written.display(),
                verb(repeated, "repeats", "repeat")
            );
            context.warn(
                "align::data::repeated_rows",
                message,
                Some("each copy counts; drop them from the file if that is not meant".into()),
            );
        }
        Ok(Product::table(table))
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["path"]
    }
}

/// The row type that `as` states; without it every column is read as it is.
fn asked(call: &Call<'_>) -> Row {
    match call.stage().args.get("as") {
        Some(Arg::Rows(Type::Record(row) | Type::Data(row))) => row.clone(),
        _ => Row::new(),
    }
}

/// The first mistake, and how many more there are: `align check` shows them all.
fn failure(error: &ReadError, written: &std::path::Path) -> Failure {
    let mut diagnostics = error.diagnostics(&written.display().to_string()).into_iter();
    let first = diagnostics.next().expect("an error has a diagnostic");
    let more = match diagnostics.len() {
        0 => String::new(),
        n => format!(" (and {}, see `align check`)", counted(n, "more mistake")),
    };
    let failure = Failure::new(first.code, first.message + &more);
    match first.help {
        Some(help) => failure.help(help),
        None => failure,
    }
}
