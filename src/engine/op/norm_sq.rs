//! s = sum of x^2 over all of x (T, C); s (1, 1). Adding several gradients' sums up gives the square of the global norm.
//! No backward pass.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder};

/// inputs: x; outputs: s.
#[derive(Debug)]
pub struct NormSq;

impl Recorder<'_> {
    /// The sum of all squares of `views` into `sum` (1, 1).
    pub fn norm_sq(&mut self, views: &[View], sum: View) {
        assert_eq!(sum.words(), 1, "a norm is one number");
        for (place, view) in views.iter().enumerate() {
            let output = Some(Output { view: sum, accumulate: place > 0 });
            self.forward(&NormSq, [0; PARAM_WORDS], vec![Some(*view)], vec![output]);
        }
    }
}

impl Define for NormSq {
    const NAME: &'static str = "norm_sq";
    const DIFFERENTIABLE: bool = false;

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x], [sum]) = (inputs(given), outputs(out));
        sum.fill(T::default());
        for x in &x.numbers {
            sum.add(0, 0, *x * *x);
        }
    }

    fn cases() -> Vec<Case> {
        let norm = |name, rows, cols| {
            Case::new(name, vec![Given::Normal(rows, cols), Given::Normal(3, 5)], |rec, v| {
                let sum = rec.temp(1, 1);
                rec.norm_sq(&[v[0], v[1]], sum);
                vec![sum]
            })
        };
        vec![norm("one", 1, 1), norm("odd", 7, 11), norm("large", 130, 70)]
    }
}
