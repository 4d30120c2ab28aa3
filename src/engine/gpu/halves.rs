//! Copies of weights as halves, which a network reads while it samples, and the proof that matrix units may read them.

use crate::engine::{Arena, Device, EngineError, Precision, Recorder, View};

use super::Gpu;
use super::lower;

/// Rows of x, rows of W and depth of the product that must come out right: no multiples of any tile.
const PROOF: (usize, usize, usize) = (70, 75, 90);

/// What a sum of that depth may be off, relative to the largest: where a driver drops subnormal halves, x keeps 11 bits.
/// A matrix that is laid out otherwise than it is read is off by as much as the sums are.
const OFF: f32 = 2e-4;

impl Gpu {
    /// Copies weights whose rows are whole pairs; the others are read as they are.
    pub(super) fn halve(&mut self, weights: &[View]) -> Result<(), EngineError> {
        self.unhalve();
        for weight in weights.iter().filter(|weight| weight.cols.is_multiple_of(2)) {
            // layers of the same numbers are one weight
            if self.halves.copies.contains_key(weight) {
                continue;
            }
            let copy = match self.alloc(weight.words() / 2) {
                Ok(buffer) => View::new(buffer, weight.rows, weight.cols / 2),
                Err(error) => {
                    self.unhalve();
                    return Err(error);
                }
            };
            self.halves.copies.insert(*weight, copy);
        }
        let dispatches = lower::halve(&self.halves.copies, &self.tuning);
        self.encoder.submit(&self.opened, &mut self.memory, &dispatches)
    }

    /// Gives the copies back.
    pub(super) fn unhalve(&mut self) {
        for copy in std::mem::take(&mut self.halves.copies).into_values() {
            self.free(copy.buffer);
        }
    }

    /// Lets products of halves use matrix units, once one of them has come out as it does without.
    pub(super) fn prove(&mut self) -> Result<(), EngineError> {
        let Some(units) = self.unproven else { return Ok(()) };
        let tuning = self.tuning;
        let plain = self.product_of_halves()?;
        (self.halves.cooperative, self.tuning.cooperative) = (Some(units), true);
        let found = self.product_of_halves();
        (self.halves.cooperative, self.tuning) = (None, tuning);
        let right = match found {
            Ok(found) => near(&found, &plain),
            // a driver that cannot compile what it offers
            Err(EngineError::Kernel { .. }) => false,
            Err(error) => return Err(error),
        };
        self.unproven = None;
        self.halves.cooperative = right.then_some(units);
        Ok(())
    }

    fn product_of_halves(&mut self) -> Result<Vec<f32>, EngineError> {
        let (m, n, k) = PROOF;
        let mut arena = Arena::new();
        let mut rec = Recorder::new(self, &mut arena);
        // numbers of either sign and of very different sizes
        let number = |i: usize| (f32::from(u16::try_from(i * 7919 % 2039).expect("less than 2039")) / 1019.0 - 1.0).powi(3);
        let numbers = |count: usize| -> Vec<f32> { (0..count).map(number).collect() };
        let (x, weight) = (rec.upload_f32(&numbers(m * k), m, k), rec.upload_f32(&numbers(n * k), n, k));
        let y = rec.linear(x, weight, None);
        let found = rec.finish().and_then(|recording| {
            self.halve(&[weight])?;
            self.run(&recording)?;
            self.read_f32(y)
        });
        self.unhalve();
        arena.clear(self);
        found
    }
}

fn near(found: &[f32], wanted: &[f32]) -> bool {
    let most = wanted.iter().fold(1f32, |most, x| most.max(x.abs()));
    found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() <= OFF * most)
}

/// What [`Device::freeze`] asks for.
pub(super) fn freeze(gpu: &mut Gpu, weights: &[View], precision: Precision) -> Result<(), EngineError> {
    match precision {
        Precision::Single => Ok(()),
        Precision::Half => {
            gpu.prove()?;
            gpu.halve(weights)
        }
    }
}
