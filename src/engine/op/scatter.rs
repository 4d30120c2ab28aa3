//! cache[idx[i], :] = x[i, :]; x (N, C), idx (N, 1) all different, cache (S, C). Other rows stay. No backward pass.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder};

/// inputs: x, idx; outputs: cache.
#[derive(Debug)]
pub struct Scatter;

impl Recorder<'_> {
    /// Overwrites the rows `rows` (N, 1), all different, of `cache` by those of `x` (N, C).
    pub fn scatter(&mut self, x: View, rows: View, cache: View) {
        assert_eq!((x.rows, x.cols), (rows.rows, cache.cols), "scatter writes as many rows as it is given");
        self.forward(&Scatter, [0; PARAM_WORDS], vec![Some(x), Some(rows)], vec![Output::set(cache)]);
    }
}

impl Define for Scatter {
    const NAME: &'static str = "scatter";
    const IN_PLACE: bool = true;
    const DIFFERENTIABLE: bool = false;

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, rows], [cache]) = (inputs(given), outputs(out));
        for i in 0..x.rows {
            for c in 0..x.cols {
                cache.set(rows.word(i, 0), c, x.at(i, c));
            }
        }
    }

    fn cases() -> Vec<Case> {
        let scatter = |name, rows: Vec<u32>, slots, channels| {
            let given = vec![Given::Normal(rows.len(), channels), Given::column(&rows), Given::Normal(slots, channels)];
            Case::new(name, given, |rec, v| {
                rec.scatter(v[0], v[1], v[2]);
                vec![v[2]]
            })
        };
        let many = (0..70).map(|i| 3 * i % 100).collect();
        vec![scatter("one", vec![0], 1, 1), scatter("odd", vec![3, 1], 5, 7), scatter("large", many, 100, 65)]
    }
}
