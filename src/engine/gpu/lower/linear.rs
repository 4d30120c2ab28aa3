//! Matrix products: y = x · Wᵀ + b, d_x = d_y · W, d_W = d_yᵀ · x, d_b = column sums.

use crate::engine::op::linear_blocks::Params;
use crate::engine::{BlockFormat, Step};

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
    /// Where b is a weight in blocks.
    pub blocks: Option<BlockFormat>,
    pub bias: Bound,
    pub depth: usize,
    pub out: Bound,
}

/// y = x · Wᵀ + b.
pub fn forward(step: &Step, plan: &mut Plan<'_>) {
    let (x, weight, bias, out) = (input(step, 0), input(step, 1), input(step, 2), output(step, 0));
    times_transposed(plan, (x, weight, None), bias, out);
}

/// The same with W in blocks.
pub fn blocks_forward(step: &Step, plan: &mut Plan<'_>) {
    let (x, weight, bias, out) = (input(step, 0), input(step, 1), input(step, 2), output(step, 0));
    times_transposed(plan, (x, weight, Some(step.params::<Params>().format())), bias, out);
}

fn times_transposed(plan: &mut Plan<'_>, (x, weight, blocks): (Bound, Bound, Option<BlockFormat>), bias: Bound, out: Bound) {
    if x.rows <= FEW_ROWS {
        let params = params([u32::from(bias.rows > 0)]);
        plan.call(row_kernel(x.rows, blocks), params, vec![x, weight, bias, out], rows(weight.rows.div_ceil(4)));
        return;
    }
    let (a, b) = ((x, Layout::Straight), (weight, Layout::Transposed));
    product(plan, Product { a, b, blocks, bias, depth: x.cols, out });
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

/// d_x with W in blocks.
pub fn blocks_backward(step: &Step, plan: &mut Plan<'_>) {
    let (weight, d_y, d_x) = (input(step, 0), input(step, 1), output(step, 0));
    let (bias, blocks) = (Bound::absent(), Some(step.params::<Params>().format()));
    product(plan, Product { a: (d_y, Layout::Straight), b: (weight, Layout::Straight), blocks, bias, depth: d_y.cols, out: d_x });
}

/// d_x = d_y · W and d_W = d_yᵀ · x, those that are present.
pub fn gradients(plan: &mut Plan<'_>, x: Bound, weight: Bound, d_y: Bound, (d_x, d_weight): (Bound, Bound)) {
    let (bias, blocks, straight) = (Bound::absent(), None, Layout::Straight);
    if d_x.rows > 0 {
        product(plan, Product { a: (d_y, straight), b: (weight, straight), blocks, bias, depth: d_y.cols, out: d_x });
    }
    if d_weight.rows > 0 {
        let a = (d_y, Layout::Transposed);
        product(plan, Product { a, b: (x, straight), blocks, bias, depth: d_y.rows, out: d_weight });
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
    // of a weight in blocks the kernel knows the rows, and asks only which way they lie
    let ([a_i, a_k], [b_k, b_j]) = (strides(of.a), strides(of.b));
    let has_bias = u32::from(of.bias.rows > 0);
    let params = params([a_i, a_k, b_k, b_j, word(height), word(width), word(of.depth), word(slice.max(1)), has_bias]);
    let (clusters, side) = if tiles(of, 128) >= plan.tuning.enough_tiles { (2, 128) } else { (1, 64) };
    let groups = [word(width.div_ceil(side)), word(height.div_ceil(side)), word(layers)];
    plan.call(tiled(clusters, of.blocks), params, vec![of.a.0, of.b.0, of.bias, out], groups);
}

fn tiled(clusters: u32, blocks: Option<BlockFormat>) -> Kernel {
    let kernel = Kernel::new(if blocks.is_some() { "linear_blocks" } else { "linear" }, "tiled");
    reading(kernel.with("CLUSTERS", clusters), blocks)
}

fn row_kernel(rows: usize, blocks: Option<BlockFormat>) -> Kernel {
    let kernel = Kernel::new(if blocks.is_some() { "linear_blocks_row" } else { "linear_row" }, "forward");
    reading(kernel.with("ROWS", word(rows.next_power_of_two())), blocks)
}

/// The kernel for weights of a format.
fn reading(kernel: Kernel, blocks: Option<BlockFormat>) -> Kernel {
    blocks.into_iter().fold(kernel, |kernel, format| kernel.with("NUMBERS", word(format.numbers())))
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let formats = || [None].into_iter().chain(BlockFormat::ALL.map(Some));
    let few = formats().flat_map(|blocks| (0..=FEW_ROWS.ilog2()).map(move |power| row_kernel(1 << power, blocks)));
    formats().flat_map(|blocks| [tiled(1, blocks), tiled(2, blocks)]).chain(few).collect()
}
