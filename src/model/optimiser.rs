//! One optimiser step: clip the gradient by its global norm, then AdamW.

use crate::engine::Recorder;
use crate::engine::optim::{AdamW, clip_scale};

use super::ModelError;
use super::session::{Engine, NetId};

/// How a step is taken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamStep {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Decoupled, on matrices only: norms and biases do not decay.
    pub weight_decay: f64,
    /// Adds so much times the mean squared distance from [`Engine::anchor`] to the loss; 0 for none.
    pub anchor: f64,
    /// Scales the gradient down to this global norm; `None` leaves it.
    pub clip: Option<f64>,
}

/// What a step found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Update {
    /// Before clipping.
    pub grad_norm: f64,
    /// Whether the step was taken; a gradient that is not finite is thrown away.
    pub applied: bool,
}

impl Engine {
    /// Takes one AdamW step by the gradients that backward passes have added up, and starts them from zero again.
    ///
    /// # Errors
    /// When the network is frozen or the device fails.
    pub fn update(&mut self, net: NetId, step: &AdamStep) -> Result<Update, ModelError> {
        self.clear_unreached(net)?;
        self.pull(net, step.anchor)?;
        let grad_norm = self.grad_norm(net)?;
        let applied = grad_norm.is_finite();
        if applied {
            let scale = step.clip.map_or(1.0, |most| clip_scale(grad_norm, most));
            self.apply(net, step, scale)?;
        }
        if let Some(training) = &mut self.loaded_mut(net).training {
            training.tape.begin();
        }
        self.sweep();
        Ok(Update { grad_norm, applied })
    }

    /// Writes zeros where no backward pass has written.
    pub(super) fn clear_unreached(&mut self, net: NetId) -> Result<(), ModelError> {
        let training = self.loaded(net).training.as_ref().ok_or(ModelError::Frozen)?;
        let unreached: Vec<_> = training.tape.unreached().collect();
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        for gradient in unreached {
            rec.fill(gradient, 0.0);
        }
        let recording = rec.finish()?;
        Ok(self.device.run(&recording)?)
    }

    /// Remembers what is trained as it is now: what [`AdamStep::anchor`] pulls back to.
    ///
    /// # Errors
    /// When the network is frozen or the device fails.
    pub fn anchor(&mut self, net: NetId) -> Result<(), ModelError> {
        let weights = self.loaded(net).training.as_ref().ok_or(ModelError::Frozen)?.weights.clone();
        let mut start = Vec::with_capacity(weights.len());
        for view in weights {
            let numbers = self.device.read_f32(view)?;
            start.push(self.device.load(&numbers, view.rows, view.cols)?);
        }
        if let Some(training) = &mut self.loaded_mut(net).training {
            training.start = start;
        }
        Ok(())
    }

    /// Adds the gradient of `strength` mean((w - start)²) over everything that is trained.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
    fn pull(&mut self, net: NetId, strength: f64) -> Result<(), ModelError> {
        let training = self.loaded(net).training.as_ref().ok_or(ModelError::Frozen)?;
        if strength == 0.0 || training.start.is_empty() {
            return Ok(());
        }
        let (weights, start, gradients) = (training.weights.clone(), training.start.clone(), training.gradients.clone());
        let count = weights.iter().map(|view| view.words()).sum::<usize>();
        let factor = (2.0 * strength / count as f64) as f32;
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        for ((weight, start), gradient) in weights.into_iter().zip(start).zip(gradients) {
            let back = rec.scale(start, -1.0);
            let away = rec.add(weight, back);
            let pull = rec.scale(away, factor);
            rec.add_onto(pull, gradient);
        }
        let recording = rec.finish()?;
        Ok(self.device.run(&recording)?)
    }

    fn grad_norm(&mut self, net: NetId) -> Result<f64, ModelError> {
        let gradients = self.loaded(net).training.as_ref().ok_or(ModelError::Frozen)?.gradients.clone();
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let sum = rec.temp(1, 1);
        rec.norm_sq(&gradients, sum);
        let recording = rec.finish()?;
        self.device.run(&recording)?;
        Ok(f64::from(self.device.read_f32(sum)?[0]).sqrt())
    }

    fn apply(&mut self, net: NetId, step: &AdamStep, scale: f64) -> Result<(), ModelError> {
        let mut training = self.loaded_mut(net).training.take().ok_or(ModelError::Frozen)?;
        training.steps += 1;
        let &AdamStep { lr, beta1, beta2, eps, weight_decay, anchor: _, clip: _ } = step;
        let adam = AdamW { lr, beta1, beta2, eps, weight_decay };
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        for (i, parameter) in training.parameters.iter().enumerate() {
            let moments = (training.first[i], training.second[i]);
            let params = adam.params(training.steps, scale, parameter.decays());
            rec.adamw(training.weights[i], training.gradients[i], moments, params);
        }
        let recorded = rec.finish();
        self.loaded_mut(net).training = Some(training);
        Ok(self.device.run(&recorded?)?)
    }
}
