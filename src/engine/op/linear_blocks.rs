//! y = x W^T + b, where W (N, K) lies in blocks of few bits; x (M, K), b (1, N), y (M, N).
//!
//! Backward: dx = dy W. W and b are constants: what learns beside them is an adapter.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::linear::Linear;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::blocks::BlockFormat;
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x, W, b?; outputs: y. Backward inputs: W, dy; outputs: dx.
#[derive(Debug)]
pub struct LinearBlocks;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    /// Place in [`BlockFormat::ALL`].
    format: u32,
}

impl Params {
    /// How the weight's numbers lie.
    pub fn format(self) -> BlockFormat {
        BlockFormat::ALL[self.format as usize]
    }
}

impl Recorder<'_> {
    /// x (M, K) times the transpose of `weight`, the words (N, W) of a matrix (N, K) in blocks, plus `bias` (1, N): (M, N).
    pub fn linear_blocks(&mut self, x: View, weight: View, format: BlockFormat, bias: Option<View>) -> View {
        assert_eq!(format.words(x.cols), weight.cols, "a row of the weight is as long as a row of x");
        assert!(bias.is_none_or(|b| b.words() == weight.rows), "a bias has one number an output");
        let y = self.temp(x.rows, weight.rows);
        let params = words(&Params { format: format as u32 });
        self.forward(&LinearBlocks, params, vec![Some(x), Some(weight), bias], vec![Output::set(y)]);
        y
    }
}

/// W (N, K).
fn decoded<T: Float>(given: &[u32; PARAM_WORDS], weight: &Matrix<T>, cols: usize) -> Matrix<T> {
    let numbers = params::<Params>(given).format().decode_all(&weight.words, cols);
    let numbers = numbers.into_iter().map(|x| T::of(f64::from(x))).collect();
    Matrix { rows: weight.rows, cols, numbers, words: Vec::new() }
}

impl Define for LinearBlocks {
    const NAME: &'static str = "linear_blocks";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let [x, weight, bias] = inputs(views);
        Linear::oracle(&[0; PARAM_WORDS], &[x.clone(), decoded(given, weight, x.cols), bias.clone()], out);
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([weight, d_y], [d_x]) = (inputs(views), outputs(out));
        let weight = decoded(given, weight, d_x.cols);
        d_x.fill(T::default());
        for m in 0..d_y.rows {
            for n in 0..d_y.cols {
                for k in 0..d_x.cols {
                    d_x.add(m, k, d_y.at(m, n) * weight.at(n, k));
                }
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let (Some(d_y), Some(d_x)) = (context.upstream(step.output(0)), context.target(step.inputs[0])) {
            context.push(step, vec![step.inputs[1], Some(d_y)], vec![Some(d_x)]);
        }
    }

    fn cases() -> Vec<Case> {
        let case = |name, format: BlockFormat, m, n, k, biased: bool| {
            let weight: Vec<f32> = (0u16..).take(n * k).map(|i| (f32::from(i) * 0.37).sin()).collect();
            let weight = Given::Words(format.encode(&weight, k), n, format.words(k));
            let mut given = vec![Given::Normal(m, k), weight];
            given.extend(biased.then(|| Given::Numbers((0u16..).take(n).map(f32::from).collect(), 1, n)));
            Case::new(name, given, move |rec, v| vec![rec.linear_blocks(v[0], v[1], format, v.get(2).copied())])
        };
        use BlockFormat::{Int8, Nf4};
        vec![
            case("int8, one", Int8, 1, 1, 1, false),
            case("int8, one row", Int8, 1, 37, 70, true),
            case("int8, odd", Int8, 13, 7, 33, true),
            case("int8, larger than a tile", Int8, 70, 131, 96, false),
            case("nf4, one", Nf4, 1, 1, 1, false),
            case("nf4, few rows", Nf4, 5, 37, 130, true),
            case("nf4, odd", Nf4, 13, 7, 65, true),
            case("nf4, larger than a tile", Nf4, 131, 70, 200, false),
        ]
    }
}
