//! What a device can do, measured in a fraction of a second: for `align devices` and `align bench`, and to judge a step by.

use std::time::Instant;

use super::arena::Arena;
use super::device::{Device, EngineError, View};
use super::op::attention::{Params as Heads, Reach};
use super::recording::Recorder;

/// Measured rates of a device.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Multiplications and additions a second in a product of two matrices of f32.
    pub matrix: f64,
    /// Bytes a second that the sum of two vectors too large for a cache reads and writes.
    pub bandwidth: f64,
}

/// Measures both for about `seconds` in all. The best of several runs counts: other programs only ever take away.
///
/// # Errors
/// When the device is out of memory or lost.
pub fn rates(device: &mut dyn Device, seconds: f64) -> Result<Rates, EngineError> {
    const WORDS: usize = 1 << 23;
    let shape = (WORDS / 1024, 1024);
    let sum = best(device, seconds / 2.0, [shape, shape], |rec, a, b| rec.add(a, b))?;
    Ok(Rates { matrix: matrix_rate(device, seconds / 2.0)?, bandwidth: (12 * WORDS) as f64 / sum })
}

/// [`Rates::matrix`] alone.
///
/// # Errors
/// When the device is out of memory or lost.
pub fn matrix_rate(device: &mut dyn Device, seconds: f64) -> Result<f64, EngineError> {
    const SIDE: usize = 768;
    Ok((2 * SIDE * SIDE * SIDE) as f64 / product(device, (SIDE, SIDE, SIDE), seconds)?)
}

/// Seconds of the product of x (M, K) and the transpose of a weight (N, K).
///
/// # Errors
/// When the device is out of memory or lost.
pub fn product(device: &mut dyn Device, (m, n, k): (usize, usize, usize), seconds: f64) -> Result<f64, EngineError> {
    best(device, seconds, [(m, k), (n, k)], |rec, x, weight| rec.linear(x, weight, None))
}

/// Seconds of causal attention over so many sequences of so many tokens.
///
/// # Errors
/// When the device is out of memory or lost.
pub fn attention(device: &mut dyn Device, (sequences, tokens): (usize, usize), heads: Heads, seconds: f64) -> Result<f64, EngineError> {
    let rows = sequences * tokens;
    let width = |heads: u32, dim: u32| heads as usize * dim as usize;
    let shapes = [(rows, width(heads.heads, heads.head_dim)), (rows, width(heads.kv_heads, heads.head_dim))];
    let first = |row: usize| u32::try_from(row / tokens * tokens).expect("few rows");
    let ranges: Vec<u32> = (0..rows).flat_map(|row| [0, 0, first(row), u32::try_from(row + 1).expect("few rows")]).collect();
    best(device, seconds, shapes, |rec, q, k| {
        let reach = Reach { ranges: rec.upload_u32(&ranges, rows, 4), key_until: None };
        rec.attention(q, k, k, reach, heads)
    })
}

/// Seconds that `op` takes on two matrices of these shapes.
fn best(
    device: &mut dyn Device,
    seconds: f64,
    shapes: [(usize, usize); 2],
    op: impl Fn(&mut Recorder<'_>, View, View) -> View,
) -> Result<f64, EngineError> {
    let mut arena = Arena::new();
    let mut rec = Recorder::new(device, &mut arena);
    let [a, b] = [(shapes[0], 0.5), (shapes[1], 0.25)].map(|((rows, cols), value)| {
        let view = rec.temp(rows, cols);
        rec.fill(view, value);
        view
    });
    let filled = rec.finish()?;
    device.run(&filled)?;
    let mut rec = Recorder::new(device, &mut arena);
    let result = op(&mut rec, a, b);
    let recording = rec.finish()?;
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while best.is_infinite() || begin.elapsed().as_secs_f64() < seconds {
        let one = Instant::now();
        device.run(&recording)?;
        // A read waits for the run; one word of it costs nothing.
        device.read_f32(View { rows: 1, cols: 1, ..result })?;
        best = best.min(one.elapsed().as_secs_f64());
    }
    arena.clear(device);
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::CpuDevice;

    #[test]
    fn rates_are_positive_and_nothing_stays_allocated() {
        let mut device = CpuDevice::new(Some(1)).unwrap();
        let rates = rates(&mut device, 0.0).unwrap();
        assert!(rates.matrix > 0.0 && rates.bandwidth > 0.0);
        assert_eq!(device.memory().in_use, 0);
    }
}
