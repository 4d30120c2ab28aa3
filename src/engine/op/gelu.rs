//! y = gelu(a) b, or gelu(a) where there is no b; all (T, C). gelu(a) = a f with f = (1 + erf(a / sqrt 2)) / 2, or its
//! approximation f = (1 + tanh(u)) / 2, u = sqrt(2 / pi) (a + 0.044715 a^3) (Hendrycks & Gimpel 2016).
//!
//! Backward: da = dy b (f + a f'), db = dy a f, with f' = exp(-a^2 / 2) / sqrt(2 pi), or in the approximation
//! f' = (1 - tanh(u)^2) / 2 sqrt(2 / pi) (1 + 3 0.044715 a^2).

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: a, b?; outputs: y. Backward inputs: a, b?, dy; outputs: da?, db?.
#[derive(Debug)]
pub struct Gelu;

/// sqrt(2 / pi).
pub const ROOT: f64 = 0.797_884_560_802_865_4;
/// How much of the cube there is.
pub const CUBE: f64 = 0.044_715;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    /// 1 for the approximation by tanh, 0 for the error function.
    pub approximate: u32,
}

impl Recorder<'_> {
    /// gelu(a) b, all (T, C).
    pub fn gelu(&mut self, a: View, b: Option<View>, approximate: bool) -> View {
        assert!(b.is_none_or(|b| (a.rows, a.cols) == (b.rows, b.cols)), "gelu needs equal shapes");
        let y = self.temp(a.rows, a.cols);
        let params = Params { approximate: u32::from(approximate) };
        self.forward(&Gelu, words(&params), vec![Some(a), b], vec![Output::set(y)]);
        y
    }
}

/// f and f'.
fn gate<T: Float>(p: Params, a: T) -> (T, T) {
    let (half, one) = (T::of(0.5), T::of(1.0));
    if p.approximate == 1 {
        let (root, cube) = (T::of(ROOT), T::of(CUBE));
        let bent = (root * (a + cube * a * a * a)).tanh();
        return (half * (one + bent), half * (one - bent * bent) * root * (one + T::of(3.0) * cube * a * a));
    }
    let root = T::of(std::f64::consts::FRAC_1_SQRT_2);
    (half * (one + (a * root).erf()), (-(a * a * half)).exp() * half * T::of(ROOT))
}

impl Define for Gelu {
    const NAME: &'static str = "gelu";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([a, b], [y]) = (inputs(views), outputs(out));
        for (i, y) in y.numbers.iter_mut().enumerate() {
            let x = a.numbers[i];
            *y = x * gate(params(given), x).0 * if b.present() { b.numbers[i] } else { T::of(1.0) };
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([a, b, d_y], [d_a, d_b]) = (inputs(views), outputs(out));
        for t in 0..d_y.rows {
            for c in 0..d_y.cols {
                let (x, dy) = (a.at(t, c), d_y.at(t, c));
                let (f, slope) = gate(params(given), x);
                d_a.set(t, c, dy * (f + x * slope) * if b.present() { b.at(t, c) } else { T::of(1.0) });
                d_b.set(t, c, dy * x * f);
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = vec![context.target(step.inputs[0]), context.target(step.inputs[1])];
            context.push(step, vec![step.inputs[0], step.inputs[1], Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let gelu = |name, rows, cols, gated: bool, approximate| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(rows, cols)];
            Case::new(name, given, move |rec, v| vec![rec.gelu(v[0], gated.then_some(v[1]), approximate)])
        };
        let far = |name, approximate| {
            let far = vec![-200.0, -90.0, -20.0, -6.0, -3.5, -0.01, 0.0, 0.01, 3.5, 6.0, 20.0, 90.0, 200.0];
            let given = vec![Given::Numbers(far, 1, 13), Given::Normal(1, 13)];
            Case::new(name, given, move |rec, v| vec![rec.gelu(v[0], Some(v[1]), approximate)])
        };
        vec![
            gelu("one", 1, 1, false, false),
            gelu("odd", 5, 7, false, false),
            gelu("large", 65, 70, true, false),
            gelu("approximate", 5, 7, false, true),
            gelu("approximate and gated", 65, 70, true, true),
            far("far out", false),
            far("far out, approximate", true),
        ]
    }
}
