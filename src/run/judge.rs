//! Expectations: every one is judged at the end, with the numbers that decided it.

use serde_json::{Value, json};

use crate::formula::eval::single;
use crate::formula::expr::{Formula, Kind};
use crate::plan::Plan;
use crate::plan::meaning::artifacts;
use crate::recipe::checked::Expectation;
use crate::stage::Artifact;
use crate::syntax::span::Span;
use crate::value::Cell;

use super::artifacts::{Artifacts, Values};

/// How an expectation turned out.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// As written.
    pub text: String,
    pub message: Option<String>,
    /// `None`: it could not be judged, see `because`.
    pub holds: Option<bool>,
    pub because: Option<String>,
    /// Both sides of a comparison.
    pub sides: Vec<Cell>,
    /// The numbers it speaks of, each once.
    pub parts: Vec<Shown>,
    pub span: Span,
}

/// A number of the recipe and its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Shown {
    pub name: String,
    pub value: Cell,
}

/// Judges one expectation.
pub(super) fn judge(expectation: &Expectation, plan: &Plan, opened: &Artifacts<'_>) -> Verdict {
    let outcome = single(&expectation.condition, &mut Values(opened));
    let (holds, because) = match outcome {
        Ok(Cell::Bool(holds)) => (Some(holds), None),
        Ok(other) => (None, Some(format!("expected true or false, found {}", plain(&other)))),
        Err(error) => (None, Some(error.to_string())),
    };
    let parts = artifacts(&expectation.condition).into_iter().filter_map(|output| match opened.open(&output) {
        Ok(Artifact::Value(value)) => Some(Shown { name: plan.shown(&output), value }),
        _ => None,
    });
    Verdict {
        text: expectation.text.clone(),
        message: expectation.message.clone(),
        holds,
        because,
        sides: sides(&expectation.condition, opened),
        parts: parts.collect(),
        span: expectation.span,
    }
}

fn sides(condition: &Formula, opened: &Artifacts<'_>) -> Vec<Cell> {
    match &condition.kind {
        Kind::Word { word, args } if matches!(*word, "<" | "<=" | ">" | ">=" | "==" | "!=") => {
            args.iter().filter_map(|arg| single(arg, &mut Values(opened)).ok()).collect()
        }
        _ => Vec::new(),
    }
}

impl Verdict {
    /// The numbers that decided it, in one line: `0.743 [0.701, 0.781] vs 0.6`.
    pub fn numbers(&self) -> String {
        if !self.sides.is_empty() {
            return self.sides.iter().map(plain).collect::<Vec<_>>().join(" vs ");
        }
        self.parts.iter().map(|part| format!("{} {}", part.name, plain(&part.value))).collect::<Vec<_>>().join(", ")
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        json!({
            "text": self.text,
            "message": self.message,
            "holds": self.holds,
            "because": self.because,
            "sides": self.sides.iter().map(Cell::to_json).collect::<Vec<_>>(),
            "parts": self.parts.iter().map(|part| json!({ "name": part.name, "value": part.value.to_json() })).collect::<Vec<_>>(),
        })
    }
}

/// A value for people.
pub fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Float(x) => number(*x),
        // one draw has no interval
        Cell::Estimate(e) if !(e.lower95.is_finite() && e.upper95.is_finite()) => number(e.mean),
        Cell::Estimate(e) => format!("{} [{}, {}]", number(e.mean), number(e.lower95), number(e.upper95)),
        Cell::Text(text) => text.to_string(),
        Cell::None => "none".to_owned(),
        Cell::Bool(b) => b.to_string(),
        Cell::Int(i) => i.to_string(),
        other => other.to_json().to_string(),
    }
}

/// A value in a picture: the mean alone, three digits.
pub fn brief(cell: &Cell) -> String {
    let short = |x: f64| {
        if x != 0.0 && !(1e-3..1e4).contains(&x.abs()) {
            format!("{x:.1e}")
        } else if x.abs() < 10.0 {
            format!("{x:.2}")
        } else {
            format!("{x:.0}")
        }
    };
    match cell {
        Cell::Float(x) => short(*x),
        Cell::Estimate(e) => short(e.mean),
        other => plain(other).chars().take(16).collect(),
    }
}

/// Four significant digits.
pub fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if !x.is_finite() {
        x.to_string()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{x:.3e}")
    } else if size < 1.0 {
        format!("{x:.4}")
    } else {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of digits between 0 and 3")]
        let decimals = (3.0 - size.log10().floor()).clamp(0.0, 3.0) as usize;
        format!("{x:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Estimate;

    #[test]
    fn numbers_show_four_digits() {
        assert_eq!([0.74349, 12.3456, 1234.5, 1e-5, 0.0, -2.0].map(number), ["0.7435", "12.35", "1234", "1.000e-5", "0", "-2.000"]);
        let estimate = Cell::Estimate(Estimate { mean: 0.5, n: 4, lower95: 0.25, upper95: 0.75 });
        assert_eq!(plain(&estimate), "0.5000 [0.2500, 0.7500]");
    }
}
