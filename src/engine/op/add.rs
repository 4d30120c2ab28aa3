//! y = a + b, or a copy y = a where there is no b; all (T, C).
//!
//! Backward: da = db = dy, which needs no kernel: gradients share their memory until one is added to.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step};

/// inputs: a, b?; outputs: y.
#[derive(Debug)]
pub struct Add;

impl Recorder<'_> {
    /// a + b, both (T, C).
    pub fn add(&mut self, a: View, b: View) -> View {
        assert_eq!((a.rows, a.cols), (b.rows, b.cols), "add needs equal shapes");
        let y = self.temp(a.rows, a.cols);
        self.forward(&Add, [0; PARAM_WORDS], vec![Some(a), Some(b)], vec![Output::set(y)]);
        y
    }

    /// Adds `from` to what is in `to`.
    pub fn add_onto(&mut self, from: View, to: View) {
        assert_eq!(from.words(), to.words(), "what is added has the size of what it is added to");
        let onto = Output { view: to, accumulate: true };
        self.forward(&Add, [0; PARAM_WORDS], vec![Some(from), None], vec![Some(onto)]);
    }

    /// Copies `from` over `to`.
    pub fn copy(&mut self, from: View, to: View) {
        assert_eq!(from.words(), to.words(), "a copy needs equal sizes");
        self.forward(&Add, [0; PARAM_WORDS], vec![Some(from), None], vec![Output::set(to)]);
    }
}

impl Define for Add {
    const NAME: &'static str = "add";

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([a, b], [y]) = (inputs(given), outputs(out));
        for (i, y) in y.numbers.iter_mut().enumerate() {
            *y = a.numbers[i] + if b.present() { b.numbers[i] } else { T::default() };
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(dy) = context.upstream(step.output(0)) {
            for input in step.inputs.iter().flatten() {
                context.pass_on(*input, dy);
            }
        }
    }

    fn cases() -> Vec<Case> {
        let add = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(rows, cols)];
            Case::new(name, given, |rec, v| vec![rec.add(v[0], v[1])])
        };
        let twice = Case::new("the same twice", vec![Given::Normal(3, 5)], |rec, v| vec![rec.add(v[0], v[0])]);
        vec![add("one", 1, 1), add("odd", 7, 13), add("large", 33, 65), twice]
    }
}
