//! y = value everywhere; y is (T, C). No backward pass.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, outputs};
use super::{Case, Define};
use crate::engine::device::View;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, params, words};

/// outputs: y.
#[derive(Debug)]
pub struct Fill;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub value: f32,
}

impl Recorder<'_> {
    /// Sets every number of `view`.
    pub fn fill(&mut self, view: View, value: f32) {
        self.forward(&Fill, words(&Params { value }), vec![], vec![Output::set(view)]);
    }
}

impl Define for Fill {
    const NAME: &'static str = "fill";
    const DIFFERENTIABLE: bool = false;

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], _: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let [y] = outputs(out);
        y.fill(T::of(f64::from(params::<Params>(given).value)));
    }

    fn cases() -> Vec<Case> {
        let fill = |name, rows, cols| {
            Case::new(name, vec![], move |rec, _| {
                let y = rec.temp(rows, cols);
                rec.fill(y, -1.5);
                vec![y]
            })
        };
        vec![fill("one", 1, 1), fill("odd", 3, 7), fill("large", 40, 70)]
    }
}
