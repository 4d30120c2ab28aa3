//! Matrix products: y = x · Wᵀ + b, d_x = d_y · W, d_W = d_yᵀ · x, d_b = column sums.

use crate::engine::op::linear_blocks::Params;
use crate::engine::{BlockFormat, Step};

use super::super::Tuning;
use super::super::dispatch::{Bound, Kernel, Scratch, flat, params, rows, word};
use super::sums::column_sum;
use super::{Plan, Run, input, output, runs};

/// Rows of x that are too few for a tile.
const FEW_ROWS: usize = 8;

/// How a weight's numbers are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    Plain,
    Blocks(BlockFormat),
    /// Two a word: a copy that is read while a network samples.
    Halves,
}

impl Held {
    /// The files of its kernels: for tiles, and for few rows of x.
    fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("linear", "linear_row"),
            Self::Blocks(_) => ("linear_blocks", "linear_blocks_row"),
            Self::Halves => ("linear_halves", "linear_halves_row"),
        }
    }

    /// The kernel for weights that are held so.
    fn reading(self, kernel: Kernel) -> Kernel {
        if let Self::Blocks(format) = self { kernel.with("NUMBERS", word(format.numbers())) } else { kernel }
    }

    fn all() -> impl Iterator<Item = Self> + Clone {
        [Self::Plain, Self::Halves].into_iter().chain(BlockFormat::ALL.map(Self::Blocks))
    }
}

/// Matrix units: the side of their matrices, and lanes of a workgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cooperative {
    pub side: u32,
    /// Four subgroups of the smallest size that the adapter has.
    pub lanes: u32,
}

/// Rows and columns of a workgroup's tile in `shared/cooperative.wgsl`.
const COOPERATIVE_TILE: u32 = 64;

impl Cooperative {
    fn kernel(self) -> Kernel {
        let squares = COOPERATIVE_TILE / self.side;
        let file = if self.side == 16 { "linear_cooperative16" } else { "linear_cooperative8" };
        Kernel::new(file, "tiled").with("LANES", self.lanes).with("SQUARES", squares).with("BANDS", squares / 4)
    }
}

/// Which way a factor lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// As the product reads it.
    Straight,
    /// Rows and columns exchanged.
    Transposed,
}

impl Layout {
    /// Moves a factor, whose rows are `along` one dimension of the product and whose columns are `across` another.
    fn part(self, of: Bound, along: Run, across: Run) -> Bound {
        let (rows, cols) = if self == Self::Straight { (along, across) } else { (across, along) };
        of.rows_from(rows.first, rows.length).shifted(cols.first)
    }
}

/// out (rows, width) = or += a · b (+ bias), summed over `depth`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub a: (Bound, Layout),
    pub b: (Bound, Layout),
    pub held: Held,
    pub bias: Bound,
    pub depth: usize,
    /// Columns of the product. Those of `out` are the words from row to row.
    pub width: usize,
    pub out: Bound,
}

/// y = x · Wᵀ + b.
pub fn forward(step: &Step, plan: &mut Plan<'_>) {
    let (x, weight, bias, out) = (input(step, 0), input(step, 1), input(step, 2), output(step, 0));
    let copy = step.inputs[1].and_then(|weight| plan.halves.copies.get(&weight));
    let (weight, held) = copy.map_or((weight, Held::Plain), |copy| (Bound::read(*copy), Held::Halves));
    times_transposed(plan, (x, weight, held), bias, out);
}

/// The same with W in blocks.
pub fn blocks_forward(step: &Step, plan: &mut Plan<'_>) {
    let (x, weight, bias, out) = (input(step, 0), input(step, 1), input(step, 2), output(step, 0));
    times_transposed(plan, (x, weight, Held::Blocks(step.params::<Params>().format())), bias, out);
}

fn times_transposed(plan: &mut Plan<'_>, (x, weight, held): (Bound, Bound, Held), bias: Bound, out: Bound) {
    if x.rows > FEW_ROWS {
        let (a, b) = ((x, Layout::Straight), (weight, Layout::Transposed));
        product(plan, Product { a, b, held, bias, depth: x.cols, width: weight.rows, out });
        return;
    }
    for run in runs(weight.rows, plan.rows_at_once(weight)) {
        let (some, bias) = (weight.rows_from(run.first, run.length), part_of_bias(bias, run));
        let kernel = row_kernel(x.rows, held).by_subgroups(plan.tuning.subgroups);
        let params = params([u32::from(bias.rows > 0)]);
        plan.call(kernel, params, vec![x, some, bias, out.shifted(run.first)], rows(run.length.div_ceil(4)));
    }
}

/// What a run of a weight's rows has of a bias, if there is one.
pub fn part_of_bias(bias: Bound, run: Run) -> Bound {
    if bias.rows > 0 { bias.cols_from(run.first, run.length) } else { bias }
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
    let (bias, held) = (Bound::absent(), Held::Blocks(step.params::<Params>().format()));
    let (a, b) = ((d_y, Layout::Straight), (weight, Layout::Straight));
    product(plan, Product { a, b, held, bias, depth: d_y.cols, width: d_x.cols, out: d_x });
}

/// d_x = d_y · W and d_W = d_yᵀ · x, those that are present.
pub fn gradients(plan: &mut Plan<'_>, x: Bound, weight: Bound, d_y: Bound, (d_x, d_weight): (Bound, Bound)) {
    let (bias, held, straight) = (Bound::absent(), Held::Plain, Layout::Straight);
    if d_x.rows > 0 {
        product(plan, Product { a: (d_y, straight), b: (weight, straight), held, bias, depth: d_y.cols, width: d_x.cols, out: d_x });
    }
    if d_weight.rows > 0 {
        let a = (d_y, Layout::Transposed);
        product(plan, Product { a, b: (x, straight), held, bias, depth: d_y.rows, width: x.cols, out: d_weight });
    }
}

/// One product, in as many pieces as its factors and its result are bound in: all of their rows in most cases.
pub fn product(plan: &mut Plan<'_>, of: Product) {
    let most = |factor: (Bound, Layout), layout| if factor.1 == layout { plan.rows_at_once(factor.0) } else { usize::MAX };
    let rows = runs(of.out.rows, most(of.a, Layout::Straight).min(plan.rows_at_once(of.out)));
    let cols = runs(of.width, most(of.b, Layout::Transposed));
    let depths = runs(of.depth, most(of.a, Layout::Transposed).min(most(of.b, Layout::Straight)));
    for row in &rows {
        for col in &cols {
            for depth in &depths {
                piece(plan, of.part(*row, *col, *depth));
            }
        }
    }
}

impl Product {
    /// Some rows and columns of the result, and what some of the depth adds to them.
    fn part(self, row: Run, col: Run, depth: Run) -> Self {
        let first = depth.first == 0;
        let out = self.out.rows_from(row.first, row.length).shifted(col.first);
        Self {
            a: (self.a.1.part(self.a.0, row, depth), self.a.1),
            b: (self.b.1.part(self.b.0, depth, col), self.b.1),
            bias: if first { part_of_bias(self.bias, col) } else { Bound::absent() },
            depth: depth.length,
            width: col.length,
            out: Bound { accumulate: out.accumulate || !first, ..out },
            ..self
        }
    }
}

/// One dispatch, or split along its depth two.
fn piece(plan: &mut Plan<'_>, of: Product) {
    let layers = layers(plan.tuning, &of);
    if layers == 1 {
        one_dispatch(plan, &of, of.depth, 1, of.out);
        return;
    }
    let slice = of.depth.div_ceil(layers).next_multiple_of(32);
    let layers = of.depth.div_ceil(slice);
    let sums = Bound::scratch(Scratch::Layers, layers, of.out.rows * of.out.cols);
    let unbiased = Product { bias: Bound::absent(), ..of };
    one_dispatch(plan, &unbiased, slice, layers, sums.written());
    column_sum(plan, sums, None, Bound { rows: 1, cols: of.out.rows * of.out.cols, ..of.out });
}

fn tiles(of: &Product, side: usize) -> usize {
    of.out.rows.div_ceil(side) * of.width.div_ceil(side)
}

/// Layers are summed as one row, so only a result without gaps has several.
fn layers(tuning: &Tuning, of: &Product) -> usize {
    if of.bias.rows > 0 || of.width < of.out.cols || tiles(of, 128) >= tuning.enough_tiles {
        return 1;
    }
    (tuning.split_groups / tiles(of, 64).max(1)).min(of.depth / tuning.least_slice).max(1)
}

fn one_dispatch(plan: &mut Plan<'_>, of: &Product, slice: usize, layers: usize, out: Bound) {
    let (height, width) = (of.out.rows, of.width);
    let strides = |(bound, layout): (Bound, Layout)| match layout {
        Layout::Straight => [word(bound.cols), 1],
        Layout::Transposed => [1, word(bound.cols)],
    };
    // of a weight in blocks the kernel knows the rows, and asks only which way they lie
    let ([a_i, a_k], [b_k, b_j]) = (strides(of.a), strides(of.b));
    let (has_bias, stride) = (u32::from(of.bias.rows > 0), word(of.out.cols));
    let params = params([a_i, a_k, b_k, b_j, word(height), word(width), word(of.depth), word(slice.max(1)), has_bias, stride]);
    let vectors = plan.tuning.vectors && of.held == Held::Plain && of.a.0.in_vectors() && of.b.0.in_vectors();
    let units = plan.halves.cooperative.filter(|_| of.held == Held::Halves && plan.tuning.cooperative);
    let (kernel, side) = match units {
        Some(units) => (units.kernel(), COOPERATIVE_TILE as usize),
        None if tiles(of, 128) >= plan.tuning.enough_tiles => (tiled(2, of.held).by_vectors(vectors), 128),
        None => (tiled(1, of.held).by_vectors(vectors), 64),
    };
    let groups = [word(width.div_ceil(side)), word(height.div_ceil(side)), word(layers)];
    plan.call(kernel, params, vec![of.a.0, of.b.0, of.bias, out], groups);
}

fn tiled(clusters: u32, held: Held) -> Kernel {
    held.reading(Kernel::new(held.files().0, "tiled").with("CLUSTERS", clusters))
}

fn row_kernel(rows: usize, held: Held) -> Kernel {
    held.reading(Kernel::new(held.files().1, "forward").with("ROWS", word(rows.next_power_of_two())))
}

/// `copy` = the numbers of `weight` as halves.
pub fn halve(plan: &mut Plan<'_>, weight: Bound, copy: Bound) {
    for run in runs(weight.rows, plan.rows_at_once(weight)) {
        let (weight, copy) = (weight.rows_from(run.first, run.length), copy.rows_from(run.first, run.length));
        plan.call(Kernel::new("halve", "forward"), params([0]), vec![weight, copy.written()], flat(copy.rows * copy.cols));
    }
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let few = Held::all().flat_map(|held| (0..=FEW_ROWS.ilog2()).flat_map(move |power| row_kernel(1 << power, held).either_way()));
    let units = [(8, 32), (8, 128), (16, 128), (16, 256)].map(|(side, lanes)| Cooperative { side, lanes }.kernel());
    let tiles = Held::all().flat_map(|held| [tiled(1, held), tiled(2, held)]);
    let vectors = [1, 2].map(|clusters| tiled(clusters, Held::Plain).by_vectors(true));
    tiles.chain(vectors).chain(few).chain(units).chain([Kernel::new("halve", "forward")]).collect()
}
