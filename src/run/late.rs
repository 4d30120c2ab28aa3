//! Arguments that are only known once other stages have run: `lr: 0.1 * rm.accuracy`, a threshold from a measurement.

use std::sync::Arc;

use crate::formula::eval::single;
use crate::formula::expr::{Expr, Formula, Kind};
use crate::formula::words::{self, Kind as WordKind};
use crate::plan::meaning::{artifacts, walk};
use crate::recipe::checked::{Arg, StageCall};
use crate::stage::Failure;

use super::artifacts::{Artifacts, Values};

/// The call with such formulas replaced by their values.
pub(super) fn settle(call: &StageCall, artifacts: &Artifacts<'_>) -> Result<StageCall, Failure> {
    let mut call = call.clone();
    for arg in call.args.values_mut() {
        if let Arg::Formula(formula) = arg
            && is_late(formula)
        {
            let value = single(formula, &mut Values(artifacts))?;
            *arg = Arg::Formula(Arc::new(Expr { span: formula.span, kind: Kind::Const(value) }));
        }
    }
    Ok(call)
}

/// Whether a formula speaks of other stages' numbers and of nothing else: no row, no network, no chance.
fn is_late(formula: &Formula) -> bool {
    let mut plain = true;
    walk(formula, &mut |expr| {
        plain &= match &expr.kind {
            Kind::Word { word, .. } => {
                words::get(word).is_some_and(|w| matches!(w.kind, WordKind::Number(_) | WordKind::Text(_) | WordKind::Items(_)))
            }
            Kind::Column(_) | Kind::Over { .. } | Kind::Model | Kind::TrainedNetwork(_) | Kind::TrainedNumber(_) | Kind::State(_) => false,
            Kind::Const(_)
            | Kind::Artifact(_)
            | Kind::If { .. }
            | Kind::List(_)
            | Kind::Record(_)
            | Kind::Field { .. }
            | Kind::Index { .. }
            | Kind::Template(_) => true,
        };
    });
    // an argument that is nothing but an artifact may be a network or a table
    plain && !matches!(formula.kind, Kind::Artifact(_)) && !artifacts(formula).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{Sketch, column, constant, word};

    #[test]
    fn only_numbers_of_other_stages_are_late() {
        let mut sketch = Sketch::default();
        let rm = sketch.stage("rm", "measure", vec![]);
        let mean = sketch.part(&rm, "mean");
        assert!(is_late(&word("*", vec![constant(0.1), mean.clone()])));
        assert!(!is_late(&word(">", vec![column("x"), mean])));
        assert!(!is_late(&word("+", vec![constant(1.0), constant(2.0)])));
    }
}
