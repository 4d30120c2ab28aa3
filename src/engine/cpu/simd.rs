//! Plain loops, compiled once per instruction set and chosen at run time.
//!
//! A release build must run on any processor of its family, so the compiler may only use the oldest instructions there;
//! on x86-64 that means no fused multiply-add and a quarter of the width. [`fastest!`] compiles each function's body
//! again for AVX2 and for AVX-512. The loops inside work on lanes of 16 numbers and leave vectorising to the compiler.

/// Numbers a loop handles side by side: one AVX-512 register.
pub(super) const LANES: usize = 16;

/// An instruction set that loops are compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Base,
}

impl Level {
    /// The best one of this processor.
    #[inline]
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("fma") {
                return Self::Avx512;
            }
            if has!("avx2") && has!("fma") {
                return Self::Avx2;
            }
        }
        Self::Base
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            Self::Base => std::env::consts::ARCH,
        }
    }
}

/// a b + c, fused where the instruction set has it: elsewhere `mul_add` would be a library call.
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Defines functions whose bodies are compiled for every [`Level`]. A body may use the constant `FMA`.
macro_rules! fastest {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for instructions that were found"))]
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body<const FMA: bool>($($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? {
                body::<true>($($arg),*)
            }

            match $crate::engine::cpu::simd::Level::best() {
                // SAFETY: the processor has AVX-512 F, BW, DQ, VL and FMA.
                #[cfg(target_arch = "x86_64")]
                $crate::engine::cpu::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: the processor has AVX2 and FMA.
                #[cfg(target_arch = "x86_64")]
                $crate::engine::cpu::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                $crate::engine::cpu::simd::Level::Base => body::<{ cfg!(target_arch = "aarch64") }>($($arg),*),
            }
        }
    )*};
}

pub(super) use fastest;
