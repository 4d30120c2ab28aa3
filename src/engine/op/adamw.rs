//! Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), in place; g, w, m, v of one shape:
//! m = b1 m + (1 - b1) s g,  v = b2 v + (1 - b2) (s g)^2,
//! w = w (1 - lr decay) - lr (m / c1) / (sqrt(v / c2) + eps), with c = 1 - b^step and s the clipping factor.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, params, words};

/// inputs: g; outputs, in place: w, m, v.
#[derive(Debug)]
pub struct AdamW;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    /// 1 - beta1^step.
    pub correction1: f32,
    /// 1 - beta2^step.
    pub correction2: f32,
    /// What gradients are multiplied by first.
    pub grad_scale: f32,
}

const _: () = assert!(size_of::<Params>() == 4 * PARAM_WORDS);

impl Recorder<'_> {
    /// Updates `weight` and its moments `m` and `v` by `gradient`.
    pub fn adamw(&mut self, weight: View, gradient: View, (m, v): (View, View), params: Params) {
        assert!([gradient, m, v].iter().all(|view| view.words() == weight.words()), "adamw needs equal sizes");
        let outputs = vec![Output::set(weight), Output::set(m), Output::set(v)];
        self.forward(&AdamW, words(&params), vec![Some(gradient)], outputs);
    }
}

impl Define for AdamW {
    const NAME: &'static str = "adamw";
    const IN_PLACE: bool = true;
    const DIFFERENTIABLE: bool = false;

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let p: Params = params(given);
        let ([gradient], [weight, m, v]) = (inputs(views), outputs(out));
        let of = |x: f32| T::of(f64::from(x));
        let one = T::of(1.0);
        for i in 0..gradient.numbers.len() {
            let g = gradient.numbers[i] * of(p.grad_scale);
            m.numbers[i] = of(p.beta1) * m.numbers[i] + (one - of(p.beta1)) * g;
            v.numbers[i] = of(p.beta2) * v.numbers[i] + (one - of(p.beta2)) * g * g;
            let size = (v.numbers[i] / of(p.correction2)).sqrt() + of(p.eps);
            let step = m.numbers[i] / of(p.correction1) / size;
            weight.numbers[i] = weight.numbers[i] * (one - of(p.lr) * of(p.weight_decay)) - of(p.lr) * step;
        }
    }

    fn cases() -> Vec<Case> {
        let adamw = |name, rows, cols| {
            let normal = || Given::Normal(rows, cols);
            let given = vec![normal(), normal(), normal(), Given::Positive(rows, cols)];
            let params = Params {
                lr: 0.01,
                beta1: 0.9,
                beta2: 0.95,
                eps: 1e-8,
                weight_decay: 0.1,
                correction1: 0.271,
                correction2: 0.142_625,
                grad_scale: 0.5,
            };
            Case::new(name, given, move |rec, v| {
                rec.adamw(v[0], v[1], (v[2], v[3]), params);
                vec![v[0], v[2], v[3]]
            })
        };
        vec![adamw("one", 1, 1), adamw("odd", 7, 11), adamw("large", 50, 70)]
    }
}
