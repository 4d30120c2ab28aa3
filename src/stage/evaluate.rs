//! Formulas over a stage's rows. Their networks are answered by the run's engine and stay loaded between formulas.

use crate::formula::eval::{self, Prepared};
use crate::formula::expr::Formula;
use crate::formula::failure::{Cause, EvalError};
use crate::value::{Cell, Table};

use super::context::Context;
use super::failure::Failure;
use super::service::Service;

/// Evaluates formulas for one stage.
#[derive(Debug)]
pub struct Evaluator<'c> {
    service: Service<'c>,
    key: [u32; 2],
}

impl<'c> Evaluator<'c> {
    /// An evaluator that has loaded nothing yet.
    pub fn new(context: &'c Context<'c>) -> Self {
        Self { service: Service::new(context), key: context.stage_key() }
    }

    /// One cell for every row.
    ///
    /// # Errors
    /// When a row has no value, or a network cannot be asked.
    pub fn column(&mut self, formula: &Formula, table: &Table) -> Result<Vec<Cell>, Failure> {
        Ok(eval::column(formula, table, self.key, &mut self.service)?)
    }

    /// A formula whose networks have been asked, ready for any rows of the table.
    ///
    /// # Errors
    /// As [`Self::column`].
    pub fn prepare(&mut self, formula: &Formula, table: &Table) -> Result<Prepared, Failure> {
        Ok(Prepared::new(formula, table, self.key, &mut self.service)?)
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let failure = match error.cause {
            Cause::Unanswered(cause) => Self::from(cause),
            own => Self::new("align::formula::evaluation", own.to_string()),
        };
        let failure = failure.at(error.span);
        error.row.map_or(failure.clone(), |row| failure.row(row))
    }
}
