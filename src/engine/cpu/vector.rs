//! Loops over vectors.

use super::simd::{LANES, fastest, fma};

/// e^x within 2e-7 of its value, for x in -87.3 ..= 88.3 and clamped outside: the nearest power of two times a
/// polynomial of the rest. NaN stays NaN.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    // 1.5 2^23 + 127: adding it leaves round(x / ln 2) and the bias of the exponent in the lowest bits.
    const ROUND: f32 = 12_583_039.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, x));
    let p = fma::<FMA>(r, 1.987_569_1e-4, 1.398_2e-3);
    let p = fma::<FMA>(p, r, 8.333_452e-3);
    let p = fma::<FMA>(p, r, 4.166_579_6e-2);
    let p = fma::<FMA>(p, r, 1.666_666_5e-1);
    let p = fma::<FMA>(p, r, 0.5);
    fma::<FMA>(p * r, r, r + 1.0) * f32::from_bits(shifted.to_bits() << 23)
}

/// tanh x within 4e-7 of its value, relatively; NaN stays NaN.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let s = x * x;
    let p = fma::<FMA>(s, 62.0 / 2835.0, -17.0 / 315.0);
    let p = fma::<FMA>(p, s, 2.0 / 15.0);
    let p = fma::<FMA>(p, s, -1.0 / 3.0);
    let near = fma::<FMA>(p * s, x, x);
    let e = exp::<FMA>(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    if x.abs() < 0.3 { near } else { far }
}

/// The sum over lanes, always in the same order. Not inlined: the compiler would otherwise arrange the lanes of the
/// loop before it to suit this sum, two to a register.
#[inline(never)]
pub(super) fn sum(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The numbers of a slice as lanes and a rest.
#[inline(always)]
pub(super) fn lanes(x: &[f32]) -> (&[[f32; LANES]], &[f32]) {
    x.as_chunks()
}

fastest! {
    /// The inner product of two vectors.
    pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (lanes(a), lanes(b));
        let mut total = [0.0; LANES];
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                total[i] = fma::<FMA>(a[i], b[i], total[i]);
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sum(total) + rest
    }


    /// y += x.
    pub(super) fn add(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }

    /// The largest number, or minus infinity.
    pub(super) fn max(x: &[f32]) -> f32 {
        let (x, rest) = lanes(x);
        let mut most = [f32::NEG_INFINITY; LANES];
        for x in x {
            for i in 0..LANES {
                most[i] = if x[i] > most[i] { x[i] } else { most[i] };
            }
        }
        most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, x| if *x > most { *x } else { most })
    }

    /// x = exp(scale x - shift); returns the sum.
    pub(super) fn exp_scaled(x: &mut [f32], scale: f32, shift: f32) -> f32 {
        let (x, rest) = x.as_chunks_mut::<LANES>();
        let mut total = [0.0; LANES];
        for x in x {
            for i in 0..LANES {
                x[i] = exp::<FMA>(fma::<FMA>(x[i], scale, -shift));
                total[i] += x[i];
            }
        }
        let mut rest_total = 0.0;
        for x in rest {
            *x = exp::<FMA>(fma::<FMA>(*x, scale, -shift));
            rest_total += *x;
        }
        sum(total) + rest_total
    }

    /// x = cap tanh(scale x / cap).
    pub(super) fn cap_scaled(x: &mut [f32], scale: f32, cap: f32) {
        let inner = scale / cap;
        for x in x {
            *x = cap * tanh::<FMA>(*x * inner);
        }
    }

    /// x *= scale.
    pub(super) fn scale(x: &mut [f32], scale: f32) {
        for x in x {
            *x *= scale;
        }
    }

    /// The sum of squares; f64, so that the order hardly matters.
    pub(super) fn square_sum(x: &[f32]) -> f64 {
        let (x, rest) = lanes(x);
        let mut total = 0.0;
        for block in x.chunks(64) {
            let mut part = [0.0; LANES];
            for x in block {
                for i in 0..LANES {
                    part[i] = fma::<FMA>(x[i], x[i], part[i]);
                }
            }
            total += f64::from(sum(part));
        }
        total + rest.iter().map(|x| f64::from(x * x)).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst_exp<const FMA: bool>() -> f64 {
        let error = |x: f32| (f64::from(exp::<FMA>(x)) / f64::from(x).exp() - 1.0).abs();
        (0..200_000u32).map(|i| error(-87.0 + 175.0 * i as f32 / 200_000.0)).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_accurate() {
        assert!(worst_exp::<true>() < 2e-7, "{}", worst_exp::<true>());
        assert!(worst_exp::<false>() < 2e-7, "{}", worst_exp::<false>());
        assert_eq!(exp::<false>(0.0), 1.0);
        assert!(exp::<false>(f32::NAN).is_nan());
        assert!(exp::<false>(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn tanh_is_accurate() {
        let error = |x: f32| (f64::from(tanh::<true>(x)) / f64::from(x).tanh() - 1.0).abs();
        let worst = (0..200_000u32).map(|i| error(-20.0 + 40.0 * (i as f32 + 0.5) / 200_000.0)).fold(0.0, f64::max);
        assert!(worst < 4e-7, "{worst}");
        assert_eq!([tanh::<false>(0.0), tanh::<false>(400.0), tanh::<false>(-400.0)], [0.0, 1.0, -1.0]);
        assert!(tanh::<false>(f32::NAN).is_nan());
    }

    #[test]
    fn loops_agree_with_their_meaning() {
        let x: Vec<f32> = (0..83u8).map(|i| f32::from(i) / 50.0 - 0.7).collect();
        let y: Vec<f32> = x.iter().map(|x| 1.0 - x * x).collect();
        let exact: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        assert!((f64::from(dot(&x, &y)) - exact).abs() < 1e-5);
        assert_eq!(max(&x), x[82]);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
        let mut e = x.clone();
        let total = exp_scaled(&mut e, 2.0, 0.5);
        let exact: f64 = x.iter().map(|x| (2.0 * f64::from(*x) - 0.5).exp()).sum();
        assert!((f64::from(total) / exact - 1.0).abs() < 1e-6);
        let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((square_sum(&x) - squares).abs() < 1e-5);
    }
}
