//! y = x Wᵀ + b with a copy of W in the order in which a product reads it, for weights that stay while many products
//! of few rows are taken: decoding.
//!
//! The copy holds panels of 32 rows of W, each as (K, 32): a register holds one k of 16 rows of W, every number of x
//! meets it as it comes, and no sums across registers are left at the end. Panels are read in order, from the first
//! word to the last. Where a network is larger than any cache, reading it is what decoding waits for, and a copy in
//! half precision takes half the time.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use bytemuck::Pod;
use faer::MatMut;
use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::MmapMut;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::ahead::{AHEAD, ask};
use super::matmul;
use super::memory::{Source, pages};
use super::vector;
use crate::engine::device::{BufferId, Precision, View};

/// Rows of W in a panel.
const PANEL: usize = 32;

/// Columns of W that are put in order at a time: several cache lines of a row, so that it is read ahead.
const TILE: usize = 128;

/// Rows of W that are turned at a time: so many numbers of the panel are written at once.
const SIDE: usize = 8;

/// Registers of a panel's row that are used side by side.
const WIDE: usize = 2;

/// Copies begin at multiples of this many bytes.
const ALIGN: usize = 64;

/// More rows of x than this are a blocked product's work.
const FEW: usize = 128;

/// A matrix unit takes 32 rows of x at a time; with this many or fewer, vector instructions are as fast.
const FOR_VECTORS: usize = 16;

/// Copies of weights, in one piece of memory: decoding runs through all of it for every token, and pages of many
/// small pieces would each have to be found. The pages outlast the copies, for the same weights are packed again after
/// the next step of training, and new pages cost more than filling them.
#[derive(Default, Debug)]
pub(super) struct PackedWeights {
    pages: Option<MmapMut>,
    places: HashMap<View, (Range<usize>, Precision)>,
    /// Whether weights are as they were when they were copied.
    holds: bool,
}

impl PackedWeights {
    /// Where the copies of weights would stand, and how many bytes they take.
    fn plan(views: &[View], precision: Precision) -> (HashMap<View, (Range<usize>, Precision)>, usize) {
        let mut places = HashMap::new();
        let mut end = 0;
        for view in views {
            let bytes = panel_words(view.rows, view.cols) * precision.bytes();
            places.insert(*view, (end..end + bytes, precision));
            end += bytes.next_multiple_of(ALIGN);
        }
        (places, end)
    }

    /// Copies the weights that `read` gives, in place of all others.
    pub(super) fn fill<'a>(&mut self, views: &[View], precision: Precision, read: impl Fn(View) -> Source<'a>) -> io::Result<()> {
        let (places, bytes) = Self::plan(views, precision);
        if self.pages.as_ref().is_none_or(|pages| pages.len() != bytes) {
            *self = Self { pages: Some(pages(bytes)?), ..Self::default() };
        }
        (self.places, self.holds) = (places, true);
        let pages = self.pages.as_mut().expect("made above");
        for (view, (range, _)) in &self.places {
            let (weight, bytes) = (read(*view), &mut pages[range.clone()]);
            match precision {
                Precision::Single => pack::<f32>(weight, bytes, |from, to| to.copy_from_slice(from)),
                Precision::Half => pack::<f16>(weight, bytes, |from, to| to.convert_from_f32_slice(from)),
            }
        }
        Ok(())
    }

    /// Weights may change from now on.
    pub(super) fn forget(&mut self) {
        self.holds = false;
    }

    /// Whether there is or was a copy of a weight in a buffer.
    pub(super) fn knows(&self, buffer: BufferId) -> bool {
        self.places.keys().any(|view| view.buffer == buffer)
    }

    /// The copy of a weight.
    pub(super) fn get(&self, view: View) -> Option<Packed<'_>> {
        let (range, precision) = self.places.get(&view).filter(|_| self.holds)?;
        let panels = &self.pages.as_ref()?[range.clone()];
        Some(Packed { depth: view.cols, precision: *precision, panels })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pages.as_ref().map_or(0, |pages| pages.len() as u64)
    }
}

/// Words of the panels of W (N, K).
fn panel_words(rows: usize, depth: usize) -> usize {
    rows.next_multiple_of(PANEL) * depth
}

/// A copy of W (N, K).
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    depth: usize,
    precision: Precision,
    panels: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Whether a product with so many rows of x is taken here.
    pub(super) fn fits(rows: usize) -> bool {
        rows <= FEW
    }

    /// y (M, N) = x (M, K) Wᵀ, or y += x Wᵀ, to be taken by [`products`].
    pub(super) fn product<'p>(&self, y: MatMut<'p, f32>, accumulate: bool, x: Source<'p>) -> Product<'p>
    where
        'a: 'p,
    {
        Product { packed: *self, y, accumulate, x, first: 0 }
    }
}

/// Takes products that need nothing of each other, as if their panels stood in one row: sharing them out among threads
/// costs as much for all as for one.
pub(super) fn products(all: Vec<Product<'_>>) {
    let parts = matmul::parts_for(all.iter().map(Product::work).sum());
    share(all, parts);
}

/// Parts cut results, never a sum.
fn share(all: Vec<Product<'_>>, parts: usize) {
    let panels = all.iter().map(Product::panels).sum::<usize>();
    if parts == 1 || panels < parts {
        return all.into_iter().for_each(Product::take);
    }
    let mut here = panels * (parts / 2) / parts;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for product in all {
        let count = here.min(product.panels());
        here -= count;
        if count == product.panels() {
            left.push(product);
        } else if count == 0 {
            right.push(product);
        } else {
            let (first, second) = product.cut(count);
            left.push(first);
            right.push(second);
        }
    }
    rayon::join(|| share(left, parts / 2), || share(right, parts - parts / 2));
}

/// Fills the panels of a copy.
fn pack<T: Pod + Send>(weight: Source<'_>, bytes: &mut [u8], store: impl Fn(&[f32], &mut [T]) + Sync) {
    let panels = bytemuck::cast_slice_mut(bytes).par_chunks_mut(PANEL * weight.cols);
    panels.enumerate().for_each(|(at, panel)| pack_one(weight, at * PANEL, panel, &store));
}

/// panel[k, j] = W[first + j, k]; rows beyond the last are zero. `store` copies a tile of the panel.
fn pack_one<T>(weight: Source<'_>, first: usize, panel: &mut [T], store: impl Fn(&[f32], &mut [T])) {
    let mut tile = [0.0; TILE * PANEL];
    for (at, panel) in panel.chunks_mut(TILE * PANEL).enumerate() {
        let columns = at * TILE..at * TILE + panel.len() / PANEL;
        for j in (0..PANEL).step_by(SIDE) {
            let mut rows: [&[f32]; SIDE] = [&[0.0; TILE][..columns.len()]; SIDE];
            for (i, row) in rows.iter_mut().enumerate().take(weight.rows.saturating_sub(first + j)) {
                *row = &weight.row(first + j + i)[columns.clone()];
                ask(row, AHEAD);
            }
            for (k, to) in tile.chunks_exact_mut(PANEL).take(columns.len()).enumerate() {
                for i in 0..SIDE {
                    to[j + i] = rows[i][k];
                }
            }
        }
        store(&tile[..panel.len()], panel);
    }
}

/// The columns of y from panel `first` on.
pub(super) struct Product<'a> {
    packed: Packed<'a>,
    y: MatMut<'a, f32>,
    accumulate: bool,
    x: Source<'a>,
    first: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.packed.precision {
            Precision::Single => self.run::<S, f32>(simd),
            Precision::Half => self.run::<S, f16>(simd),
        }
    }
}

impl Product<'_> {
    /// Multiply-adds that it is worth.
    fn work(&self) -> usize {
        matmul::work(self.y.nrows(), self.y.ncols(), self.packed.depth)
    }

    fn take(self) {
        match matmul::unit_of_panels().filter(|_| self.packed.precision == Precision::Half && self.x.rows > FOR_VECTORS) {
            Some(product) => {
                let words = PANEL * self.packed.depth;
                let panels = &bytemuck::cast_slice(self.packed.panels)[self.first * words..][..self.panels() * words];
                product(self.y, self.accumulate, self.x.matrix(), panels);
            }
            None => pulp::Arch::new().dispatch(self),
        }
    }

    fn panels(&self) -> usize {
        self.y.ncols().div_ceil(PANEL)
    }

    /// Its first so many panels, and the rest.
    fn cut(self, panels: usize) -> (Self, Self) {
        let (left, right) = self.y.split_at_col_mut(panels * PANEL);
        (Self { y: left, ..self }, Self { y: right, first: self.first + panels, ..self })
    }

    #[inline(always)]
    fn run<S: Simd, W: Weight>(mut self, simd: S) {
        let (cols, words) = (self.y.ncols(), PANEL * self.packed.depth);
        let panels: &[W] = bytemuck::cast_slice(self.packed.panels);
        for begin in (0..cols).step_by(PANEL) {
            let y = self.y.as_mut().subcols_mut(begin, PANEL.min(cols - begin));
            let at = (self.first + begin / PANEL) * words;
            let mut columns = Columns { y, accumulate: self.accumulate, x: self.x, panel: &panels[at..at + words] };
            let mut top = 0;
            while top < self.x.rows {
                // as many sums as registers hold
                top += match self.x.rows - top {
                    8.. if S::F32_LANES >= 16 => columns.tile::<S, 8>(simd, top),
                    4.. => columns.tile::<S, 4>(simd, top),
                    2.. => columns.tile::<S, 2>(simd, top),
                    _ => columns.tile::<S, 1>(simd, top),
                };
            }
        }
    }
}

/// Columns of y (M, up to 32), and their panel.
struct Columns<'a, W> {
    y: MatMut<'a, f32>,
    accumulate: bool,
    x: Source<'a>,
    panel: &'a [W],
}

impl<W: Weight> Columns<'_, W> {
    /// Rows `top..top + R` of them; R.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, top: usize) -> usize {
        let mut x: [&[f32]; R] = [&[]; R];
        for (i, x) in x.iter_mut().enumerate() {
            *x = &self.x.row(top + i)[..self.panel.len() / PANEL];
        }
        let mut results = [[0.0; PANEL]; R];
        for at in (0..PANEL).step_by(WIDE * S::F32_LANES) {
            let mut sums = [[simd.splat_f32s(0.0); WIDE]; R];
            for k in 0..x[0].len() {
                let weights = &self.panel[k * PANEL..(k + 1) * PANEL];
                if top == 0 {
                    ask(weights, AHEAD);
                }
                let (a, b) = (W::register(simd, &weights[at..]), W::register(simd, &weights[at + S::F32_LANES..]));
                for i in 0..R {
                    let x = simd.splat_f32s(x[i][k]);
                    sums[i][0] = simd.mul_add_e_f32s(x, a, sums[i][0]);
                    sums[i][1] = simd.mul_add_e_f32s(x, b, sums[i][1]);
                }
            }
            for i in 0..R {
                let (results, _) = S::as_mut_simd_f32s(&mut results[i][at..at + WIDE * S::F32_LANES]);
                results.copy_from_slice(&sums[i]);
            }
        }
        for i in 0..R {
            let row = self.y.as_mut().row_mut(top + i).try_as_row_major_mut().expect("y is row-major").as_slice_mut();
            let results = &results[i][..row.len()];
            if self.accumulate {
                vector::add(row, results);
            } else {
                row.copy_from_slice(results);
            }
        }
        R
    }
}

/// A number of a panel.
trait Weight: Pod {
    /// A register of the first of `weights`.
    fn register<S: Simd>(simd: S, weights: &[Self]) -> S::f32s;
}

impl Weight for f32 {
    #[inline(always)]
    fn register<S: Simd>(_: S, weights: &[Self]) -> S::f32s {
        S::as_simd_f32s(&weights[..S::F32_LANES]).0[0]
    }
}

impl Weight for f16 {
    #[inline(always)]
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "one instruction instead of six, where it exists"))]
    fn register<S: Simd>(_: S, weights: &[Self]) -> S::f32s {
        let weights = &weights[..S::F32_LANES];
        #[cfg(target_arch = "x86_64")]
        if S::F32_LANES == 16 {
            use std::arch::x86_64::{_mm256_loadu_si256, _mm512_cvtph_ps};
            // SAFETY: registers of 16 numbers are those of AVX-512, which widens 16 halves; so many were just counted.
            return unsafe { std::mem::transmute_copy(&_mm512_cvtph_ps(_mm256_loadu_si256(weights.as_ptr().cast()))) };
        }
        let mut wide = [0.0; PANEL];
        for i in 0..S::F32_LANES {
            wide[i] = widen(weights[i]);
        }
        S::as_simd_f32s(&wide[..S::F32_LANES]).0[0]
    }
}

/// A finite half as a single, in few plain instructions that are vectorised where this stands: the bits of a half, put
/// where those of a single are, are 2^-112 times its value.
#[inline(always)]
fn widen(half: f16) -> f32 {
    let bits = u32::from(half.to_bits());
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * 2_f32.powi(112);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(length: usize, step: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * step).sin()).collect()
    }

    fn multiply((m, n, k): (usize, usize, usize), precision: Precision, parts: usize) -> Vec<f32> {
        let (x, w) = (numbers(m * k, 0.37), numbers(n * k, 0.73));
        let view = View::new(BufferId(0), n, k);
        let mut packed = PackedWeights::default();
        packed.fill(&[view], precision, |_| Source { data: &w, rows: n, cols: k }).expect("there is memory");
        let packed = packed.get(view).expect("it was packed");
        let mut y = vec![0.5; m * n];
        let whole = MatMut::from_row_major_slice_mut(&mut y, m, n);
        share(vec![packed.product(whole, true, Source { data: &x, rows: m, cols: k })], parts);
        y
    }

    #[test]
    fn every_edge_is_right() {
        for (m, n, k) in
            [(1, 1, 1), (1, 33, 48), (3, 64, 33), (8, 31, 288), (15, 100, 300), (64, 40, 520), (2, 70, 1), (33, 70, 45), (17, 300, 97)]
        {
            let (x, w) = (numbers(m * k, 0.37), numbers(n * k, 0.73));
            let half: Vec<f32> = w.iter().map(|w| f16::from_f32(*w).to_f32()).collect();
            for (precision, w) in [(Precision::Single, &w), (Precision::Half, &half)] {
                let y = multiply((m, n, k), precision, 1);
                // 16 bits of x and 11 of W: a twentieth of what W lost when it became halves
                let by_unit = precision == Precision::Half && m > FOR_VECTORS && matmul::unit_of_panels().is_some();
                let bound = if by_unit { 1e-5 * (k as f64).sqrt() } else { 2e-5 };
                for i in 0..m {
                    for j in 0..n {
                        let exact: f64 = (0..k).map(|l| f64::from(x[i * k + l]) * f64::from(w[j * k + l])).sum();
                        assert!((f64::from(y[i * n + j]) - 0.5 - exact).abs() < bound, "{m} x {n} x {k} {precision:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_finite_half_is_widened_exactly() {
        for half in (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()) {
            assert_eq!(widen(half).to_bits(), half.to_f32().to_bits());
        }
    }

    #[test]
    fn products_together_are_those_alone() {
        let (k, sizes) = (150, [40, 300, 1, 64]);
        let views: Vec<View> = sizes.iter().zip(0..).map(|(n, buffer)| View::new(BufferId(buffer), *n, k)).collect();
        let (x, w) = (numbers(13 * k, 0.37), numbers(300 * k, 0.73));
        let mut packed = PackedWeights::default();
        let read = |view: View| Source { data: &w[..view.rows * k], rows: view.rows, cols: k };
        packed.fill(&views, Precision::Half, read).expect("there is memory");
        for parts in [1, 2, 3, 7] {
            let mut y = sizes.map(|n| vec![0.5; 13 * n]);
            let all = y.iter_mut().zip(&views).map(|(y, view)| {
                let y = MatMut::from_row_major_slice_mut(y, 13, view.rows);
                packed.get(*view).expect("it was packed").product(y, true, Source { data: &x, rows: 13, cols: k })
            });
            share(all.collect(), parts);
            assert!(y.iter().zip(sizes).all(|(y, n)| *y == multiply((13, n, k), Precision::Half, 1)), "{parts}");
        }
    }

    #[test]
    fn neither_parts_nor_other_rows_of_its_kernel_change_a_bit() {
        for (rows, precision) in [(13, Precision::Single), (13, Precision::Half), (40, Precision::Half)] {
            let whole = multiply((rows, 300, 150), precision, 1);
            for parts in [2, 3, 7] {
                assert!(multiply((rows, 300, 150), precision, parts) == whole);
            }
            let fewer = if rows > FOR_VECTORS { 33 } else { 5 };
            assert!(multiply((fewer, 300, 150), precision, 1) == whole[..fewer * 300]);
        }
    }
}
