//! Chooses between kernels by measuring them on the adapter at hand.
//!
//! One choice after the other, each under those before it: for every probe the seconds under every candidate, then the
//! candidate whose times are shortest in the geometric mean. What stood before stays unless another is clearly faster, so
//! that noise changes nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::engine::{Arena, Device, EngineError, Recording, View};

use super::dispatch::Dispatch;
use super::lower;
use super::probes::{PRODUCTS, Probe};
use super::tuning::{KNOBS, Knob};
use super::{Gpu, Tuning};

/// What another candidate must save to be taken.
const CLEARLY: f64 = 0.03;

/// Seconds that one submission takes at least, so that the way to the device and back is little beside it.
const SUBMISSION: f64 = 0.002;

/// Submissions that are timed; the shortest counts, because other programs only ever take away.
const RUNS: usize = 4;

/// Operations a second below which probes are a quarter of their sizes: tuning is to take seconds.
const SLOW: f64 = 1e12;

/// How a choice was made.
#[derive(Clone, Debug)]
pub struct Measured {
    pub knob: &'static Knob,
    /// What stood before, and what was chosen: both are candidates.
    pub before: usize,
    pub chosen: usize,
    pub candidates: Vec<usize>,
    /// Of every probe, the seconds under each candidate.
    pub seconds: Vec<(Probe, Vec<f64>)>,
}

/// Measures every choice. With `quarters`, sizes of probes are quartered so often; else as often as the adapter needs.
///
/// # Errors
/// When the device is out of memory or lost; its tuning is then as it was.
pub(super) fn tune(gpu: &mut Gpu, quarters: Option<u32>) -> Result<Vec<Measured>, EngineError> {
    let before = gpu.tuning;
    let done = measure_all(gpu, quarters);
    if done.is_err() {
        gpu.tuning = before;
    }
    gpu.memory.release_scratch();
    gpu.encoder.forget_bindings();
    done
}

fn measure_all(gpu: &mut Gpu, quarters: Option<u32>) -> Result<Vec<Measured>, EngineError> {
    let quarters = match quarters {
        Some(quarters) => quarters,
        None => u32::from(rate(gpu)? < SLOW),
    };
    KNOBS.iter().map(|knob| measure(gpu, knob, quarters)).collect()
}

/// Operations a second of the smallest product.
#[expect(clippy::cast_precision_loss, reason = "operations are counted in billions")]
fn rate(gpu: &mut Gpu) -> Result<f64, EngineError> {
    let probe = PRODUCTS[0].small();
    let times = timed(gpu, probe, &[gpu.tuning])?;
    Ok(probe.work() as f64 / times[0])
}

fn measure(gpu: &mut Gpu, knob: &'static Knob, quarters: u32) -> Result<Measured, EngineError> {
    let before = (knob.get)(&gpu.tuning);
    let candidates: Vec<usize> = knob.candidates.iter().copied().chain([before]).collect::<BTreeSet<usize>>().into_iter().collect();
    let tunings: Vec<Tuning> = candidates.iter().map(|value| Gpu::limited(with(gpu.tuning, knob, *value), &gpu.opened)).collect();
    let mut seconds = Vec::new();
    for probe in knob.probes {
        let probe = (0..quarters).fold(*probe, |probe, _| probe.small());
        seconds.push((probe, timed(gpu, probe, &tunings)?));
    }
    let chosen = choose(&candidates, before, &seconds);
    (knob.set)(&mut gpu.tuning, chosen);
    Ok(Measured { knob, before, chosen, candidates, seconds })
}

fn with(mut tuning: Tuning, knob: &Knob, value: usize) -> Tuning {
    (knob.set)(&mut tuning, value);
    tuning
}

/// The candidate with the shortest times, if they are clearly shorter than those of `before`.
#[expect(clippy::cast_precision_loss, reason = "a handful of probes")]
fn choose(candidates: &[usize], before: usize, seconds: &[(Probe, Vec<f64>)]) -> usize {
    let at = candidates.iter().position(|value| *value == before).expect("what stands is a candidate");
    let mean_log = |candidate: usize| seconds.iter().map(|(_, times)| times[candidate].ln()).sum::<f64>() / seconds.len() as f64;
    let best = (0..candidates.len()).min_by(|a, b| mean_log(*a).total_cmp(&mean_log(*b))).expect("there are candidates");
    if mean_log(best) - mean_log(at) < (1.0 - CLEARLY).ln() { candidates[best] } else { before }
}

/// Seconds of a probe under each tuning, infinitely many where a driver does not compile a kernel. Those that come to the
/// same kernels are timed once, and are equal.
fn timed(gpu: &mut Gpu, probe: Probe, tunings: &[Tuning]) -> Result<Vec<f64>, EngineError> {
    let mut arena = Arena::new();
    let found = probe.record(gpu, &mut arena).and_then(|recording| {
        let mut known: Vec<(Vec<Dispatch>, f64)> = Vec::new();
        let mut times = Vec::new();
        for tuning in tunings {
            gpu.tuning = *tuning;
            let dispatches = lower::recording(&recording, tuning, &gpu.halves)?;
            let same = known.iter().find(|(program, _)| *program == dispatches).map(|(_, seconds)| *seconds);
            let seconds = match same.map_or_else(|| shortest(gpu, &recording), Ok) {
                Err(EngineError::Kernel { .. }) => f64::INFINITY,
                found => found?,
            };
            known.push((dispatches, seconds));
            times.push(seconds);
        }
        Ok(times)
    });
    gpu.thaw();
    arena.clear(gpu);
    found
}

/// Seconds of a recording, at its best.
fn shortest(gpu: &mut Gpu, recording: &Recording) -> Result<f64, EngineError> {
    // the first compiles
    once(gpu, recording)?;
    let one = once(gpu, recording)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 64")]
    let times = (SUBMISSION / one).ceil().clamp(1.0, 64.0) as u32;
    let repeated = Recording { steps: (0..times).flat_map(|_| recording.steps.iter().cloned()).collect() };
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        best = best.min(once(gpu, &repeated)? / f64::from(times));
    }
    Ok(best)
}

fn once(gpu: &mut Gpu, recording: &Recording) -> Result<f64, EngineError> {
    let last = recording.steps.last().and_then(|step| step.outputs.iter().flatten().next()).expect("a probe computes something").view;
    let begun = Instant::now();
    gpu.run(recording)?;
    // A read waits for the run; one word of it costs nothing.
    gpu.read_f32(View { rows: 1, cols: 1, ..last })?;
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_stays_unless_another_is_clearly_faster() {
        let probe = PRODUCTS[0];
        let rows = |times: [f64; 3]| vec![(probe, times.to_vec()), (probe, times.to_vec())];
        assert_eq!(choose(&[1, 2, 4], 2, &rows([0.99, 1.0, 1.01])), 2);
        assert_eq!(choose(&[1, 2, 4], 2, &rows([0.9, 1.0, 0.8])), 4);
        assert_eq!(choose(&[1, 2, 4], 2, &rows([f64::INFINITY, f64::INFINITY, 2.0])), 4, "any is better than none");
        assert_eq!(choose(&[1, 2, 4], 2, &rows([f64::INFINITY; 3])), 2);
        // as much lost at one size as gained at another
        let mixed = vec![(probe, vec![2.0, 1.0, 1.0]), (probe, vec![0.5, 1.0, 1.0])];
        assert_eq!(choose(&[1, 2, 4], 2, &mixed), 2);
    }
}
