//! The matrix unit of newer Intel servers (AMX), used for products of `f32`, and of `f32` and halves.
//!
//! The unit multiplies `bf16`, sixteen times as fast as AVX-512 multiplies `f32`. A number of 24 significant bits is the
//! sum of three of 8 bits; of the nine products of two such sums, the three smallest are below half of the last bit that
//! an `f32` keeps. Six are left: the precision of `f32`, at most 16 / 6 times as fast (Henry, Tang and Heinecke 2019,
//! "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations").
//!
//! Weights that are kept as halves for decoding are two parts exactly, and three products with 16 bits of the other factor
//! are as good as they are.
//!
//! The unit takes what is smaller than 2⁻¹²⁶ for zero, parts of numbers and sums included: below 2⁻¹⁰³ a number loses
//! digits. An infinite factor makes a result that is no number.

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::sync::LazyLock;

use faer::{MatMut, MatRef};
use half::f16;

use super::ahead::{AHEAD, ask, ask_line};

/// Rows and columns of a tile of the result, which is one register.
const SIDE: usize = 16;

/// Rows and columns of a block of the result: two tiles each, so that each tile of a factor is used twice.
pub(super) const BLOCK: usize = 2 * SIDE;

/// Numbers that one instruction sums, in pairs.
pub(super) const STEP: usize = 32;

/// A tile of a factor: sixteen rows of sixteen pairs of `bf16`. Which numbers are a pair is free, as long as it is the
/// same in both factors: here the ones that are 16 apart.
type Tile = [__m512i; SIDE];

/// `BLOCK` rows of the left factor or columns of the right one, over [`STEP`] numbers of the sum: by part of a number, the
/// largest first, two tiles. Three parts are an `f32`; two are a half, or 16 bits of an `f32`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Strip<const PARTS: usize>([[Tile; 2]; PARTS]);

impl<const PARTS: usize> Strip<PARTS> {
    #[expect(unsafe_code, reason = "registers have no constant")]
    // SAFETY: any bits are numbers.
    pub(super) const ZERO: Self = unsafe { std::mem::zeroed() };
}

/// Which factor a strip is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// (rows, sum): a row of a tile is a row of the factor.
    Left,
    /// (sum, columns), given transposed: a row of a tile is a pair of the sum.
    Right,
}

/// Whether the processor has the unit and the system lets this process use it. Asked before threads of others are
/// there, as one of them with a small stack for signals would be a reason to refuse.
static ALLOWED: LazyLock<bool> = LazyLock::new(|| {
    use std::arch::is_x86_feature_detected as has;
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    #[allow(unused_unsafe, unsafe_code, reason = "the function is safe since Rust 1.94")]
    // SAFETY: every x86-64 processor tells what it has.
    let features = unsafe { __cpuid_count(7, 0) }.edx;
    if features & BF16 == 0 || features & TILE == 0 || !has!("avx512f") || !has!("avx512bw") {
        return false;
    }
    #[expect(unsafe_code, reason = "the system is asked for a larger state of its threads")]
    // SAFETY: the call takes two numbers and touches no memory of this process.
    let refused = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    refused == 0
});

/// Whether there is a unit.
pub(super) fn here() -> bool {
    *ALLOWED
}

/// The unit, set up on this thread until this is dropped.
pub(super) struct Unit {
    not_send: PhantomData<*const ()>,
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes_of_a_row: [u16; 16],
    rows: [u8; 16],
}

/// All eight registers hold sixteen rows of sixteen words.
static SHAPES: Shapes = Shapes {
    palette: 1,
    start: 0,
    reserved: [0; 14],
    bytes_of_a_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Brings both tiles of one part of a to registers 4 and 5.
macro_rules! load_left {
    ($part:literal) => {
        concat!(
            "tileloadd tmm4, [{a} + {row} + 2 * ",
            $part,
            " * {tile}]\n",
            "tileloadd tmm5, [{a} + {row} + (2 * ",
            $part,
            " + 1) * {tile}]",
        )
    };
}

/// Brings both tiles of one part of b to registers 6 and 7.
macro_rules! load_right {
    ($part:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {row} + 2 * ",
            $part,
            " * {tile}]\n",
            "tileloadd tmm7, [{b} + {row} + (2 * ",
            $part,
            " + 1) * {tile}]",
        )
    };
}

/// Adds what was brought, multiplied, to the four tiles of the result: registers 0 to 3.
macro_rules! multiply {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Computes a block from strips of so many parts; what is given last multiplies one of a by one of b.
macro_rules! block {
    ($a:ident, $b:ident, $accumulate:ident, $c:ident, $parts:literal, [$($line:expr),* $(,)?]) => {
        assert!($a.len() == $b.len() && !$a.is_empty() && ($c.nrows(), $c.ncols(), $c.col_stride()) == (BLOCK, BLOCK, 1));
        let stride = $c.row_stride() * size_of::<f32>().cast_signed();
        let c = $c.as_ptr_mut().cast::<u8>();
        // An address is [begin + bytes from one row to the next], and what is added to both says which tile it is.
        //
        // SAFETY: the registers have their shapes since `new`. Loads stay within the strips, which are as many on either
        // side; loads and stores of c within its rows.
        unsafe {
            asm!(
                "test {add}, {add}",
                "jz 3f",
                "tileloadd tmm0, [{c} + {stride}]",
                "tileloadd tmm1, [{c} + {stride} + 64]",
                "tileloadd tmm2, [{lower} + {stride}]",
                "tileloadd tmm3, [{lower} + {stride} + 64]",
                "jmp 2f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                $($line,)*
                "add {a}, {strip}",
                "add {b}, {strip}",
                "dec {left}",
                "jnz 2b",
                "tilestored [{c} + {stride}], tmm0",
                "tilestored [{c} + {stride} + 64], tmm1",
                "tilestored [{lower} + {stride}], tmm2",
                "tilestored [{lower} + {stride} + 64], tmm3",
                add = in(reg) usize::from($accumulate),
                a = inout(reg) $a.as_ptr() => _,
                b = inout(reg) $b.as_ptr() => _,
                left = inout(reg) $a.len() => _,
                row = in(reg) size_of::<__m512i>(),
                tile = const size_of::<Tile>(),
                strip = const size_of::<Strip<$parts>>(),
                c = in(reg) c,
                lower = in(reg) c.wrapping_offset(SIDE.cast_signed() * stride),
                stride = in(reg) stride,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    };
}

impl Unit {
    /// # Panics
    /// Without a unit.
    ///
    /// # Safety
    /// The thread must have no other one, which would lose its setting with this one's end.
    #[expect(unsafe_code, reason = "the instruction has no safe form")]
    pub(super) unsafe fn new() -> Self {
        assert!(here());
        // SAFETY: the process may use the unit, and the shapes are ones that it has.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly, preserves_flags)) };
        Self { not_send: PhantomData }
    }

    /// Cuts numbers into strips. `x` is (up to `BLOCK` rows or columns, numbers of the sum), one of its strides 1; what is
    /// missing in the last strip is zero. As many rows of the same factor are asked for that come behind these.
    #[expect(unsafe_code, reason = "calls code for instructions that were found")]
    pub(super) fn fill<const PARTS: usize>(&self, side: Side, to: &mut [Strip<PARTS>], x: MatRef<'_, f32>) {
        assert!(x.nrows() <= BLOCK && x.ncols().div_ceil(STEP) == to.len() && (x.row_stride() == 1 || x.col_stride() == 1));
        for (at, strip) in to.iter_mut().enumerate() {
            let x = x.subcols(STEP * at, STEP.min(x.ncols() - STEP * at));
            for (half, top) in [0, SIDE].into_iter().enumerate() {
                let top = top.min(x.nrows());
                let x = x.subrows(top, SIDE.min(x.nrows() - top));
                let to = strip.0.each_mut().map(|tiles| &mut tiles[half]);
                // SAFETY: a unit comes with AVX-512 F and BW.
                unsafe { if x.col_stride() == 1 { by_row(side, x, to) } else { by_column(side, x, to) } }
            }
        }
    }

    /// Cuts a panel (numbers of the sum, `BLOCK` columns) of a right factor into strips.
    #[expect(unsafe_code, reason = "calls code for instructions that were found")]
    pub(super) fn fill_halves(&self, to: &mut [Strip<2>], panel: &[f16]) {
        assert!((panel.len() / BLOCK).div_ceil(STEP) == to.len());
        for (to, panel) in to.iter_mut().zip(panel.chunks(STEP * BLOCK)) {
            ask(panel, AHEAD);
            for half in 0..2 {
                let to = to.0.each_mut().map(|tiles| &mut tiles[half]);
                // SAFETY: a unit comes with AVX-512 F and BW.
                unsafe { by_column_of_halves(&panel[half * SIDE..], to) }
            }
        }
    }

    /// c = a b or c += a b, for a whole block whose rows lie in one piece each.
    #[expect(unsafe_code, reason = "the instructions have no safe form")]
    pub(super) fn multiply(&self, a: &[Strip<3>], b: &[Strip<3>], accumulate: bool, c: MatMut<'_, f32>) {
        // Parts of a times parts of b, as 0 is the largest: 00, 01, 02, then 20, 10, 11, which loads each as rarely as four
        // registers allow.
        block!(
            a,
            b,
            accumulate,
            c,
            3,
            [
                load_left!(0),
                load_right!(0),
                multiply!(),
                load_right!(1),
                multiply!(),
                load_right!(2),
                multiply!(),
                load_left!(2),
                load_right!(0),
                multiply!(),
                load_left!(1),
                multiply!(),
                load_right!(1),
                multiply!(),
            ]
        );
    }

    /// The same with 16 bits of a and halves for b: 01, 00, 10.
    #[expect(unsafe_code, reason = "the instructions have no safe form")]
    pub(super) fn multiply_halves(&self, a: &[Strip<2>], b: &[Strip<2>], accumulate: bool, c: MatMut<'_, f32>) {
        block!(
            a,
            b,
            accumulate,
            c,
            2,
            [load_left!(0), load_right!(1), multiply!(), load_right!(0), multiply!(), load_left!(1), multiply!(),]
        );
    }
}

impl Drop for Unit {
    #[expect(unsafe_code, reason = "the instruction has no safe form")]
    fn drop(&mut self) {
        // SAFETY: nobody else holds the unit of this thread; its content is not needed any more.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

/// The tiles of up to sixteen rows that lie in one piece each, of up to [`STEP`] numbers.
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(unsafe_code, reason = "loads of registers have no safe form")]
fn by_row<const PARTS: usize>(side: Side, x: MatRef<'_, f32>, to: [&mut Tile; PARTS]) {
    let (low, high) = (first(x.ncols()), first(x.ncols().saturating_sub(SIDE)));
    let load = |row: usize| {
        let next = x.as_ptr().wrapping_offset((BLOCK + row).cast_signed() * x.row_stride());
        let row = x.as_ptr().wrapping_offset(row.cast_signed() * x.row_stride());
        ask_line(next);
        ask_line(next.wrapping_add(SIDE));
        // SAFETY: the numbers that are loaded are the row's.
        unsafe { (_mm512_maskz_loadu_ps(low, row), _mm512_maskz_loadu_ps(high, row.wrapping_add(SIDE))) }
    };
    tiles(x.nrows(), load, side == Side::Right, to);
}

/// The same where columns lie in one piece each.
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(unsafe_code, reason = "loads of registers have no safe form")]
fn by_column<const PARTS: usize>(side: Side, x: MatRef<'_, f32>, to: [&mut Tile; PARTS]) {
    let rows = first(x.nrows());
    let column = |at: usize| {
        let there = if at < x.ncols() { rows } else { 0 };
        let column = x.as_ptr().wrapping_offset(at.cast_signed() * x.col_stride());
        ask_line(column.wrapping_add(BLOCK));
        // SAFETY: the numbers that are loaded are the column's, and none where there is no such column.
        unsafe { _mm512_maskz_loadu_ps(there, column) }
    };
    tiles(x.ncols().min(SIDE), |at| (column(at), column(SIDE + at)), side == Side::Left, to);
}

/// The tiles of sixteen columns of a panel's rows, up to [`STEP`] of them.
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(unsafe_code, reason = "loads of registers have no safe form")]
fn by_column_of_halves(panel: &[f16], to: [&mut Tile; 2]) {
    let row = |at: usize| match panel.get(at * BLOCK..) {
        // SAFETY: a row begins here, and so has sixteen numbers from here on.
        Some(row) if row.len() >= SIDE => unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(row.as_ptr().cast())) },
        _ => _mm512_setzero_ps(),
    };
    tiles(SIDE, |at| (row(at), row(SIDE + at)), false, to);
}

/// The first lanes of a register.
fn first(lanes: usize) -> __mmask16 {
    if lanes < SIDE { (1 << lanes) - 1 } else { __mmask16::MAX }
}

/// Tiles whose first rows, or columns if `turned`, are the pairs of what `load` gives; the others are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn tiles<const PARTS: usize>(rows: usize, load: impl Fn(usize) -> (__m512, __m512), turned: bool, mut to: [&mut Tile; PARTS]) {
    for row in 0..SIDE {
        let (x, y) = if row < rows { load(row) } else { (_mm512_setzero_ps(), _mm512_setzero_ps()) };
        let (x, y) = (parts::<PARTS>(x), parts::<PARTS>(y));
        for (tile, (x, y)) in to.iter_mut().zip(x.into_iter().zip(y)) {
            tile[row] = pair(x, y);
        }
    }
    if turned {
        for tile in to {
            turn(tile);
        }
    }
}

/// The upper halves of words, side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pair(x: __m512i, y: __m512i) -> __m512i {
    _mm512_mask_blend_epi16(0xaaaa_aaaa, _mm512_srli_epi32::<16>(x), y)
}

/// Numbers that add up to `x`, each the nearest of 8 bits: cut off instead, all would err to the same side. A `bf16` is the
/// upper half of each. The last is what is left: of three it has 8 bits, of two as many errors to one side as to the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parts<const PARTS: usize>(x: __m512) -> [__m512i; PARTS] {
    let (half, upper) = (_mm512_set1_epi32(0x8000), _mm512_set1_epi32(0xffff_0000_u32.cast_signed()));
    let mut parts = [_mm512_castps_si512(x); PARTS];
    for part in 1..PARTS {
        let rest = parts[part - 1];
        let nearest = _mm512_and_si512(_mm512_add_epi32(rest, half), upper);
        parts[part - 1] = nearest;
        parts[part] = _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(rest), _mm512_castsi512_ps(nearest)));
    }
    parts
}

/// Transposes sixteen rows of sixteen words: within quarters of a register first, then the quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn turn(x: &mut Tile) {
    let mut pairs = *x;
    for i in (0..SIDE).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    // of rows i to i + 3: register i + c holds columns c, 4 + c, 8 + c and 12 + c
    let mut fours = pairs;
    for i in (0..SIDE).step_by(4) {
        for (c, half) in [(0, 0), (2, 1)] {
            fours[i + c] = _mm512_unpacklo_epi64(pairs[i + half], pairs[i + half + 2]);
            fours[i + c + 1] = _mm512_unpackhi_epi64(pairs[i + half], pairs[i + half + 2]);
        }
    }
    for c in 0..4 {
        let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
        let even = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(d, e));
        let odd = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(d, e));
        x[c] = _mm512_shuffle_i32x4::<0x88>(even.0, even.1);
        x[c + 4] = _mm512_shuffle_i32x4::<0x88>(odd.0, odd.1);
        x[c + 8] = _mm512_shuffle_i32x4::<0xdd>(even.0, even.1);
        x[c + 12] = _mm512_shuffle_i32x4::<0xdd>(odd.0, odd.1);
    }
}
