//! Rotary positions, half-split: with D = head_dim, R of it turned, a = x[t, h D + i], b = x[t, h D + R/2 + i] and the
//! angle's cosine and sine from row positions[t] of a table (P, R) = [cos | sin]:
//! y[.. i] = a cos - b sin, y[.. R/2 + i] = b cos + a sin, y[.. j] = x[.. j] for j >= R; x, y (T, H D), positions (T, 1).
//!
//! The host makes the table, because shaders promise no accuracy for the sine of a large angle; any scaling of
//! frequencies or of the attention is in it.
//!
//! Backward: the rotation by the negative angle.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x, positions, table; outputs: y. Backward inputs: dy, positions, table; outputs: dx.
#[derive(Debug)]
pub struct Rope;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    /// D.
    pub head_dim: u32,
    /// R.
    pub turned: u32,
}

impl Recorder<'_> {
    /// Rotates the first R dimensions of every head of x (T, H D) by its row's position; `table` is (P, R): cosines,
    /// then sines.
    pub fn rope(&mut self, x: View, positions: View, table: View, head_dim: usize) -> View {
        let even = head_dim.is_multiple_of(2) && table.cols.is_multiple_of(2);
        assert!(even && table.cols <= head_dim && x.cols.is_multiple_of(head_dim), "rope turns pairs within heads");
        assert_eq!(x.rows, positions.rows, "every token has a position");
        let y = self.temp(x.rows, x.cols);
        let small = |n| u32::try_from(n).expect("a head is small");
        let params = Params { head_dim: small(head_dim), turned: small(table.cols) };
        let inputs = vec![Some(x), Some(positions), Some(table)];
        self.forward(&Rope, words(&params), inputs, vec![Output::set(y)]);
        y
    }
}

fn rotate<T: Float>(given: &[u32; PARAM_WORDS], sign: T, views: &[Matrix<T>], out: &mut [Matrix<T>]) {
    let ([x, positions, table], [y]) = (inputs(views), outputs(out));
    let p: Params = params(given);
    let (head_dim, half) = (p.head_dim as usize, p.turned as usize / 2);
    y.numbers.clone_from(&x.numbers);
    for t in 0..x.rows {
        for head in (0..x.cols).step_by(head_dim) {
            for i in 0..half {
                let (cos, sin) = (table.at(positions.word(t, 0), i), table.at(positions.word(t, 0), half + i) * sign);
                let (a, b) = (x.at(t, head + i), x.at(t, head + half + i));
                y.set(t, head + i, a * cos - b * sin);
                y.set(t, head + half + i, b * cos + a * sin);
            }
        }
    }
}

impl Define for Rope {
    const NAME: &'static str = "rope";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        rotate(given, T::of(1.0), views, out);
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        rotate(given, T::of(-1.0), views, out);
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let d_x = context.target(step.inputs[0]);
            context.push(step, vec![Some(d_y), step.inputs[1], step.inputs[2]], vec![d_x]);
        }
    }

    fn cases() -> Vec<Case> {
        let rope = |name, positions: Vec<u32>, heads, head_dim: usize, turned: usize| {
            let most = positions.iter().max().map_or(0, |p| *p as usize + 1);
            let given = vec![
                Given::Normal(positions.len(), heads * head_dim),
                Given::column(&positions),
                Given::Numbers(table(most, turned), most, turned),
            ];
            Case::new(name, given, move |rec, v| vec![rec.rope(v[0], v[1], v[2], head_dim)])
        };
        let many = || (0..140).map(|t| 5 * t % 200).collect();
        vec![
            rope("one", vec![3], 1, 2, 2),
            rope("odd", vec![0, 4, 1], 3, 6, 6),
            rope("large", many(), 2, 64, 64),
            rope("partial", vec![2, 0, 7], 3, 8, 2),
            rope("partial large", many(), 3, 20, 6),
        ]
    }
}

/// cos | sin of p / 100^(2i/D).
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a table in f32")]
fn table(positions: usize, head_dim: usize) -> Vec<f32> {
    let angle = |p: usize, i: usize| p as f64 * 100f64.powf(-2.0 * i as f64 / head_dim as f64);
    let row = |p| {
        let angles = move || (0..head_dim / 2).map(move |i| angle(p, i));
        angles().map(f64::cos).chain(angles().map(f64::sin)).map(|x| x as f32).collect::<Vec<_>>()
    };
    (0..positions).flat_map(row).collect()
}
