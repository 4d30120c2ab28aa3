//! n_i = |W_i + s B_i A|, the length of each row of an adapted weight; W (N, K), A (R, K), B (N, R), n (1, N).
//!
//! Not differentiable: what uses it takes it for a constant (see `magnitude`).

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, params, words};

/// inputs: W, A, B; outputs: n.
#[derive(Debug)]
pub struct MergedNorm;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub scale: f32,
}

impl Recorder<'_> {
    /// The length of each row of `weight` (N, K) + `scale` `up` (N, R) `down` (R, K): (1, N).
    pub fn merged_norm(&mut self, weight: View, down: View, up: View, scale: f32) -> View {
        assert_eq!((down.rows, down.cols), (up.cols, weight.cols), "an adapter is (N, R) times (R, K)");
        assert_eq!(up.rows, weight.rows, "an adapter has its weight's shape");
        let norm = self.temp(1, weight.rows);
        self.forward(&MergedNorm, words(&Params { scale }), vec![Some(weight), Some(down), Some(up)], vec![Output::set(norm)]);
        norm
    }
}

impl Define for MergedNorm {
    const NAME: &'static str = "merged_norm";

    const DIFFERENTIABLE: bool = false;

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([weight, down, up], [norm]) = (inputs(views), outputs(out));
        let scale = T::of(f64::from(params::<Params>(given).scale));
        for n in 0..weight.rows {
            let mut square = T::default();
            for k in 0..weight.cols {
                let mut sum = T::default();
                for r in 0..down.rows {
                    sum += up.at(n, r) * down.at(r, k);
                }
                let merged = weight.at(n, k) + scale * sum;
                square += merged * merged;
            }
            norm.set(0, n, square.sqrt());
        }
    }

    fn cases() -> Vec<Case> {
        let case = |name, n, k, r| {
            let given = vec![Given::Normal(n, k), Given::Normal(r, k), Given::Normal(n, r)];
            Case::new(name, given, |rec, v| vec![rec.merged_norm(v[0], v[1], v[2], 0.5)])
        };
        vec![case("one", 1, 1, 1), case("odd", 7, 13, 3), case("larger than a workgroup", 70, 300, 5)]
    }
}
