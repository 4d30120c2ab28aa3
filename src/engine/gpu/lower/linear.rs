//! Matrix products: y = x · Wᵀ + b, d_x = d_y · W, d_W = d_yᵀ · x, d_b = column sums.

use crate::engine::Step;

use super::super::dispatch::{Bound, Kernel, Scratch, params, rows, word};
use super::sums::column_sum;
use super::{Plan, Tuning, input, output};

/// Rows of x that are too few for a tile.
const FEW_ROWS: usize = 8;

/// Which way a factor lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// As the product reads it.
    Straight,
    /// Rows and columns exchanged.
    Transposed,
}

/// out (rows, cols) = or += a · b (+ bias), summed over `depth`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub a: (Bound, Layout),
    pub b: (Bound, Layout),
    pub bias: Bound,
    pub depth: usize,
    pub out: Bound,
}

/// y = x · Wᵀ + b.
pub fn forward(step: &Step, plan: &mut Plan<'_>) {
    let (x, weight, bias, out) = (input(step, 0), input(step, 1), input(step, 2), output(step, 0));
    if x.rows <= FEW_ROWS {
        few_rows(plan, x, weight, bias, out);
        return;
    }
    let (a, b) = ((x, Layout::Straight), (weight, Layout::Transposed));
    product(plan, Product { a, b, bias, depth: x.cols, out });
}

/// d_x, d_W and d_b, as far as they are wanted.
pub fn backward(step: &Step, plan: &mut Plan<'_>) {
    let [x, weight, d_y] = std::array::from_fn(|place| input(step, place));
    let [d_x, d_weight, d_bias] = std::array::from_fn(|place| output(step, place));
    gradients(plan, x, weight, d_y, (d_x, d_weight));
    if d_bias.rows > 0 {
        column_sum(plan, d_y, None, d_bias);
    }
}

/// d_x = d_y · W and d_W = d_yᵀ · x, those that are present.
pub fn gradients(plan: &mut Plan<'_>, x: Bound, weight: Bound, d_y: Bound, (d_x, d_weight): (Bound, Bound)) {
    let (bias, straight) = (Bound::absent(), Layout::Straight);
    if d_x.rows > 0 {
        product(plan, Product { a: (d_y, straight), b: (weight, straight), bias, depth: d_y.cols, out: d_x });
    }
    if d_weight.rows > 0 {
        let a = (d_y, Layout::Transposed);
        product(plan, Product { a, b: (x, straight), bias, depth: d_y.rows, out: d_weight });
    }
}

/// One product, in one dispatch, or split along its depth in two.
pub fn product(plan: &mut Plan<'_>, of: Product) {
    let layers = layers(plan.tuning, &of);
    if layers == 1 {
        one_dispatch(plan, &of, of.depth, 1, of.out);
        return;
    }
    let slice = of.depth.div_ceil(layers).next_multiple_of(16);
    let layers = of.depth.div_ceil(slice);
    let sums = Bound::scratch(Scratch::Layers, layers, of.out.rows * of.out.cols);
    let unbiased = Product { bias: Bound::absent(), ..of };
    one_dispatch(plan, &unbiased, slice, layers, sums.written());
    column_sum(plan, sums, None, Bound { rows: 1, cols: of.out.rows * of.out.cols, ..of.out });
}

fn tiles(of: &Product, side: usize) -> usize {
    of.out.rows.div_ceil(side) * of.out.cols.div_ceil(side)
}

fn layers(tuning: &Tuning, of: &Product) -> usize {
    if of.bias.rows > 0 || tiles(of, 128) >= tuning.enough_tiles {
        return 1;
    }
    (tuning.split_groups / tiles(of, 64).max(1)).min(of.depth / tuning.least_slice).max(1)
}

fn one_dispatch(plan: &mut Plan<'_>, of: &Product, slice: usize, layers: usize, out: Bound) {
    let (height, width) = (of.out.rows, of.out.cols);
    let strides = |(bound, layout): (Bound, Layout)| match layout {
        Layout::Straight => [word(bound.cols), 1],
        Layout::Transposed => [1, word(bound.cols)],
    };
    let ([a_i, a_k], [b_k, b_j]) = (strides(of.a), strides(of.b));
    let has_bias = u32::from(of.bias.rows > 0);
    let params = params([a_i, a_k, b_k, b_j, word(height), word(width), word(of.depth), word(slice.max(1)), has_bias]);
    let (kernel, side) = if tiles(of, 128) >= plan.tuning.enough_tiles { (tiled(2), 128) } else { (tiled(1), 64) };
    let groups = [word(width.div_ceil(side)), word(height.div_ceil(side)), word(layers)];
    plan.call(kernel, params, vec![of.a.0, of.b.0, of.bias, out], groups);
}

fn tiled(clusters: u32) -> Kernel {
    Kernel::new("linear", "tiled").with("CLUSTERS", clusters)
}

/// Few rows of x against all of W.
fn few_rows(plan: &mut Plan<'_>, x: Bound, weight: Bound, bias: Bound, out: Bound) {
    let params = params([u32::from(bias.rows > 0)]);
    let groups = rows(weight.rows.div_ceil(4));
    plan.call(row_kernel(x.rows), params, vec![x, weight, bias, out], groups);
}

fn row_kernel(rows: usize) -> Kernel {
    Kernel::new("linear_row", "forward").with("ROWS", word(rows.next_power_of_two()))
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let few = (0..=FEW_ROWS.ilog2()).map(|power| row_kernel(1 << power));
    [tiled(1), tiled(2)].into_iter().chain(few).collect()
}
