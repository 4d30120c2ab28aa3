//! The numbers of an optimiser step: AdamW's parameters, clipping by the global norm, the learning rate's course.
//!
//! The device computes in f32; what depends on the number of the step is computed here in f64.

use super::op::adamw::Params;

/// AdamW (Loshchilov & Hutter 2019).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Decoupled: weights shrink by lr times this.
    pub weight_decay: f64,
}

impl AdamW {
    /// What the op needs at `step`, counted from 1. Gradients are scaled first; norms and biases do not decay.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "devices hold f32")]
    pub fn params(&self, step: u64, grad_scale: f64, decays: bool) -> Params {
        let correction = |beta: f64| (1.0 - beta.powf(step as f64)) as f32;
        Params {
            lr: self.lr as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.eps as f32,
            weight_decay: if decays { self.weight_decay as f32 } else { 0.0 },
            correction1: correction(self.beta1),
            correction2: correction(self.beta2),
            grad_scale: grad_scale as f32,
        }
    }
}

/// The factor that brings a gradient of global norm `norm` down to `most`; 1 when it is small enough. The 1e-6 is
/// PyTorch's.
pub fn clip_scale(norm: f64, most: f64) -> f64 {
    (most / (norm + 1e-6)).min(1.0)
}

/// How the learning rate goes on after its warm-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decay {
    Constant,
    Linear,
    Cosine,
}

/// The learning rate over a run: from 0 to `peak` in `warmup` steps, then down to `floor` at step `total`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Schedule {
    pub peak: f64,
    pub floor: f64,
    pub decay: Decay,
    pub warmup: u64,
    pub total: u64,
}

impl Schedule {
    /// The rate used by the update number `step`, counted from 0. The first is 0 when there is a warm-up.
    #[expect(clippy::cast_precision_loss, reason = "steps are few")]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let length = self.total.saturating_sub(self.warmup).max(1);
        let done = ((step - self.warmup) as f64 / length as f64).min(1.0);
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        self.floor + (self.peak - self.floor) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::CpuDevice;
    use crate::engine::{Arena, Device, Recorder};

    /// Five steps of torch.optim.AdamW 2.15, lr 0.01, betas 0.9 and 0.999, eps 1e-8, weight decay 0.01.
    const START: [f32; 3] = [-0.111_659_35, -1.145_609_7, 1.410_316_1];
    const GRADIENTS: [[f32; 3]; 5] = [
        [-0.339_109_57, 0.732_988_1, 1.519_886],
        [0.389_731_32, -0.672_695_64, -0.705_161_87],
        [-0.343_855_62, 1.981_279_4, -0.024_782_538],
        [-0.440_602_6, 0.706_891_1, 0.999_909_3],
        [-0.120_023_236, -0.359_586_83, -2.313_889_3],
    ];
    const AFTER: [[f32; 3]; 5] = [
        [-0.101_648_18, -1.155_495_2, 1.400_175_1],
        [-0.102_855_906, -1.155_282_4, 1.397_090_4],
        [-0.100_087_82, -1.160_842_9, 1.394_769_3],
        [-0.094_869_99, -1.166_922_6, 1.390_115],
        [-0.089_661_87, -1.171_147_2, 1.391_690_9],
    ];

    fn run(adam: AdamW, start: &[f32], gradients: &[&[f32]]) -> Vec<Vec<f32>> {
        let (mut device, mut arena) = (CpuDevice::new(Some(1)).unwrap(), Arena::new());
        let mut load = |data: &[f32]| device.load(data, 1, data.len()).unwrap();
        let zeros = vec![0.0; start.len()];
        let [w, m, v, g] = [start, &zeros, &zeros, &zeros].map(&mut load);
        let mut after = Vec::new();
        for (step, gradient) in (1..).zip(gradients) {
            device.write_f32(g, gradient).unwrap();
            let mut rec = Recorder::new(&mut device, &mut arena);
            rec.adamw(w, g, (m, v), adam.params(step, 1.0, true));
            let recording = rec.finish().unwrap();
            device.run(&recording).unwrap();
            after.push(device.read_f32(w).unwrap());
        }
        after
    }

    #[test]
    fn adamw_follows_pytorch() {
        let adam = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };
        let found = run(adam, &START, &GRADIENTS.each_ref().map(|g| g.as_slice()));
        for (found, expected) in found.iter().flatten().zip(AFTER.iter().flatten()) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn the_first_step_in_closed_form() {
        // 1 - 0.001 0.1 - 0.001 0.5 / (0.5 + 1e-8) = 0.99890000002
        let adam = AdamW { lr: 0.001, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1 };
        assert!((run(adam, &[1.0], &[&[0.5]])[0][0] - 0.998_9).abs() < 1e-6);
    }

    #[test]
    fn schedules_follow_transformers() {
        // transformers 5.23 get_scheduler, warm-up 4 of 20 steps.
        let schedule = |decay| Schedule { peak: 1.0, floor: 0.0, decay, warmup: 4, total: 20 };
        let linear = [0.0, 0.25, 0.5, 0.75, 1.0, 0.9375, 0.875];
        let cosine = [0.0, 0.25, 0.5, 0.75, 1.0, 0.990_392_640_201_615_2, 0.961_939_766_255_643_4];
        for step in 0..7 {
            assert!((schedule(Decay::Linear).at(step) - linear[step as usize]).abs() < 1e-12);
            assert!((schedule(Decay::Cosine).at(step) - cosine[step as usize]).abs() < 1e-12);
        }
        assert!((schedule(Decay::Cosine).at(19) - 0.009_607_359_798_384_785).abs() < 1e-12);
        assert_eq!(schedule(Decay::Constant).at(19), 1.0);
    }

    #[test]
    fn a_floor_is_reached_and_kept() {
        let schedule = Schedule { peak: 1.0, floor: 0.1, decay: Decay::Cosine, warmup: 2, total: 10 };
        for (step, expected) in [(0, 0.0), (1, 0.5), (2, 1.0), (6, 0.55), (10, 0.1), (99, 0.1)] {
            assert!((schedule.at(step) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn clipping_follows_pytorch() {
        // torch.nn.utils.clip_grad_norm_ of a gradient of norm 6.782785892486572 to 1.
        let scale = clip_scale(6.782_785_892_486_572, 1.0);
        assert!((1.176_890_492_439_27 * scale - 0.173_511_356_115_341_2).abs() < 1e-7);
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
    }
}
