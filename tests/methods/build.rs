//! Formulas by hand, for goldens of parts that have no name in the standard library.

use std::sync::Arc;

use align::formula::expr::{Axis, Expr, Formula, Kind, Loss, ObjectiveDef, Output, StageId, Trained};
use align::syntax::span::{FileId, Span};
use align::value::Cell;

/// A formula with arithmetic.
#[derive(Clone, Debug)]
pub struct F(pub Formula);

pub fn of(kind: Kind) -> F {
    F(Arc::new(Expr { span: Span { file: FileId(0), start: 0, end: 0 }, kind }))
}

pub fn word(word: &'static str, args: &[F]) -> F {
    of(Kind::Word { word, args: args.iter().map(|f| f.0.clone()).collect() })
}

pub fn over(word: &'static str, args: &[F], axis: Axis) -> F {
    of(Kind::Over { word, args: args.iter().map(|f| f.0.clone()).collect(), axis })
}

pub fn col(name: &str) -> F {
    of(Kind::Column(name.into()))
}

pub fn by(columns: &[&str]) -> Axis {
    Axis::Columns(columns.iter().map(|c| col(c).0).collect())
}

pub fn num(x: f64) -> F {
    of(Kind::Const(Cell::Float(x)))
}

/// A completion at a sequence's place.
pub fn seq(column: &str) -> F {
    word("after", &[col("prompt"), col(column)])
}

pub fn model() -> F {
    of(Kind::Model)
}

pub fn critic() -> F {
    of(Kind::TrainedNetwork("critic".into()))
}

pub fn frozen() -> Output {
    Output { stage: StageId(0), path: vec![] }
}

pub fn text() -> Output {
    Output { stage: StageId(1), path: vec![] }
}

pub fn names(output: &Output) -> String {
    if output.stage.0 == 0 { "reference".to_owned() } else { "text".to_owned() }
}

pub fn reference() -> F {
    of(Kind::Artifact(frozen()))
}

pub fn if_else(condition: F, then: F, otherwise: F) -> F {
    of(Kind::If { condition: condition.0, then: then.0, otherwise: otherwise.0 })
}

macro_rules! operator {
    ($trait:ident, $method:ident, $word:literal) => {
        impl std::ops::$trait for F {
            type Output = F;
            fn $method(self, other: F) -> F {
                word($word, &[self, other])
            }
        }
        impl std::ops::$trait<f64> for F {
            type Output = F;
            fn $method(self, other: f64) -> F {
                word($word, &[self, num(other)])
            }
        }
        impl std::ops::$trait<F> for f64 {
            type Output = F;
            fn $method(self, other: F) -> F {
                word($word, &[num(self), other])
            }
        }
    };
}

operator!(Add, add, "+");
operator!(Sub, sub, "-");
operator!(Mul, mul, "*");
operator!(Div, div, "/");

impl std::ops::Neg for F {
    type Output = F;
    fn neg(self) -> F {
        word("negate", &[self])
    }
}

impl F {
    pub fn w(self, name: &'static str) -> F {
        word(name, &[self])
    }
    pub fn pow(self, exponent: f64) -> F {
        word("^", &[self, num(exponent)])
    }
    pub fn above(self, other: F) -> F {
        word(">", &[self, other])
    }
    pub fn r(self, name: &'static str, axis: Axis) -> F {
        over(name, &[self], axis)
    }
    pub fn sum(self) -> F {
        self.r("sum", Axis::Tokens)
    }
    pub fn mean(self) -> F {
        self.r("mean", Axis::Tokens)
    }
}

pub fn larger(a: F, b: F) -> F {
    word("larger", &[a, b])
}

pub fn clamp(x: F, low: F, high: F) -> F {
    word("clamp", &[x, low, high])
}

pub fn logp(network: F, sequence: F) -> F {
    word("logp", &[network, sequence])
}

pub fn score(column: &str) -> F {
    word("score", &[model(), seq(column)])
}

/// An objective of plain losses and metrics.
pub fn objective(losses: &[(F, Option<F>)], metrics: &[(&str, F)]) -> ObjectiveDef {
    let loss = |(value, weight): &(F, Option<F>)| Loss {
        value: value.0.clone(),
        weight: weight.as_ref().map(|w| w.0.clone()),
        scale: num(1.0).0,
        on: None,
    };
    ObjectiveDef {
        losses: losses.iter().map(loss).collect(),
        metrics: metrics.iter().map(|(name, f)| ((*name).into(), f.0.clone())).collect(),
        ..ObjectiveDef::default()
    }
}

pub fn plain(loss: F) -> ObjectiveDef {
    objective(&[(loss, None)], &[])
}

pub fn with_critic(mut def: ObjectiveDef) -> ObjectiveDef {
    def.trained.push(Trained::Network { name: "critic".into(), start: frozen() });
    def
}
