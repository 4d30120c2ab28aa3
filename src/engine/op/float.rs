//! The numbers that oracles compute with.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// f32 or f64.
pub trait Float:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + std::fmt::Debug
    + Send
    + 'static
{
    /// The nearest number.
    fn of(x: f64) -> Self;
    /// This number as f64.
    fn wide(self) -> f64;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
}

macro_rules! float {
    ($t:ty, $erf:path) => {
        impl Float for $t {
            #[expect(clippy::allow_attributes, reason = "one of the two casts is none")]
            #[allow(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
            fn of(x: f64) -> Self {
                x as $t
            }
            fn wide(self) -> f64 {
                f64::from(self)
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn tanh(self) -> Self {
                self.tanh()
            }
            fn erf(self) -> Self {
                $erf(self)
            }
        }
    };
}

float!(f32, libm::erff);
float!(f64, libm::erf);
