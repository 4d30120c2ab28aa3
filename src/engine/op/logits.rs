//! What the oracles of the ops over a vocabulary share: logits under a soft cap and a temperature, and their normaliser.

use super::float::Float;

/// z / temperature, where a soft cap c > 0 first makes z c tanh(z / c); and its derivative by z.
pub fn cooled<T: Float>(z: T, temperature: f32, cap: f32) -> (T, T) {
    let (temperature, limit) = (T::of(f64::from(temperature)), T::of(f64::from(cap)));
    if cap == 0.0 {
        return (z / temperature, T::of(1.0) / temperature);
    }
    let squeezed = (z / limit).tanh();
    (limit * squeezed / temperature, (T::of(1.0) - squeezed * squeezed) / temperature)
}

/// log Σ exp z of at least one number.
pub fn log_sum_exp<T: Float>(z: &[T]) -> T {
    let most = z.iter().fold(z[0], |most, z| if *z > most { *z } else { most });
    let mut total = T::default();
    for z in z {
        total += (*z - most).exp();
    }
    most + total.ln()
}
