//! The derivative of a recording: its steps in reverse, each recording its own backward step.
//!
//! Gradients of activations are temporaries, given back as soon as they are used up, and so are the activations
//! themselves once the step that made them has been walked past. Gradients of weights ("leaves") go to memory the
//! caller owns and add up over several backward passes.

use std::collections::{BTreeMap, BTreeSet};

use super::device::{BufferId, View};
use super::op::add;
use super::recording::{Output, Pass, Recorder, Recording, Step};

/// What is differentiated, and where gradients are.
#[derive(Clone, Default, Debug)]
pub struct Gradients {
    leaves: BTreeMap<View, Leaf>,
    wanted: BTreeSet<View>,
    of: BTreeMap<View, View>,
    /// How many values whose gradient is still to be used share a gradient buffer.
    holders: BTreeMap<BufferId, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    gradient: View,
    filled: bool,
}

impl Gradients {
    /// Nothing to differentiate yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `weight` a leaf whose gradient goes to `gradient`, which the caller owns: overwritten by the first
    /// backward step that reaches it, added to by the others.
    pub fn leaf(&mut self, weight: View, gradient: View) {
        assert_eq!((weight.rows, weight.cols), (gradient.rows, gradient.cols), "a gradient has its weight's shape");
        self.leaves.insert(weight, Leaf { gradient, filled: false });
    }

    /// Sets dL/d`value` for a value that the recording computes.
    pub fn seed(&mut self, value: View, gradient: View) {
        assert_eq!(value.words(), gradient.words(), "a gradient has its value's size");
        self.hold(value, gradient);
    }

    /// Asks for the gradient of an input that is no weight: read it with [`Gradients::of`] after [`backward`].
    pub fn want(&mut self, input: View) {
        self.wanted.insert(input);
    }

    /// dL/d`value`, where it was computed: of a wanted input, or a leaf that was reached.
    pub fn of(&self, value: View) -> Option<View> {
        let leaf = self.leaves.get(&value).filter(|leaf| leaf.filled).map(|leaf| leaf.gradient);
        leaf.or_else(|| self.of.get(&value).copied())
    }

    /// The leaves' gradients that no backward pass has written since [`Gradients::begin`]: to be filled with zeros.
    pub fn unreached(&self) -> impl Iterator<Item = View> {
        self.leaves.values().filter(|leaf| !leaf.filled).map(|leaf| leaf.gradient)
    }

    /// A new optimiser step: leaves start from zero again.
    pub fn begin(&mut self) {
        for leaf in self.leaves.values_mut() {
            leaf.filled = false;
        }
        self.forget();
    }

    /// Drops all gradients but the leaves': the next micro-batch reuses the memory.
    pub fn forget(&mut self) {
        self.wanted.clear();
        self.of.clear();
        self.holders.clear();
    }

    fn hold(&mut self, value: View, gradient: View) {
        self.of.insert(value, gradient);
        *self.holders.entry(gradient.buffer).or_default() += 1;
    }

    /// The gradient of `value` has been used up; true when no other value shares it.
    fn let_go(&mut self, value: View) -> Option<View> {
        let gradient = self.of.remove(&value)?;
        let holders = self.holders.get_mut(&gradient.buffer).expect("a held gradient is counted");
        *holders -= 1;
        (*holders == 0).then_some(gradient)
    }
}

/// What an op sees while it records its backward step.
#[derive(Debug)]
pub struct Context<'a, 'd> {
    pub rec: &'a mut Recorder<'d>,
    gradients: &'a mut Gradients,
    needed: &'a BTreeSet<View>,
}

impl Context<'_, '_> {
    /// dL/d`output`, if anything depended on it.
    pub fn upstream(&self, output: View) -> Option<View> {
        self.gradients.of.get(&output).copied()
    }

    /// Where to write dL/d`input`; `None` when nobody needs it.
    pub fn target(&mut self, input: Option<View>) -> Option<Output> {
        let input = input?;
        if let Some(leaf) = self.gradients.leaves.get_mut(&input) {
            let accumulate = std::mem::replace(&mut leaf.filled, true);
            return Some(Output { view: leaf.gradient, accumulate });
        }
        if !self.needed.contains(&input) {
            return None;
        }
        if self.gradients.of.contains_key(&input) {
            return Some(Output { view: self.own(input), accumulate: true });
        }
        let view = self.rec.temp(input.rows, input.cols);
        self.gradients.hold(input, view);
        Output::set(view)
    }

    /// dL/d`input` += `gradient`, without a copy where `input` has none yet.
    pub fn pass_on(&mut self, input: View, gradient: View) {
        let shared = self.needed.contains(&input) && !self.gradients.of.contains_key(&input);
        if shared && !self.gradients.leaves.contains_key(&input) {
            self.gradients.hold(input, gradient);
        } else if let Some(output) = self.target(Some(input)) {
            self.rec.forward(&add::Add, [0; 8], vec![Some(gradient), None], vec![Some(output)]);
        }
    }

    /// Records the backward pass of `step`'s op, if it has anywhere to write.
    pub fn push(&mut self, step: &Step, inputs: Vec<Option<View>>, outputs: Vec<Option<Output>>) {
        if outputs.iter().any(Option::is_some) {
            let (op, params) = (step.op, step.params);
            self.rec.push(Step { op, pass: Pass::Backward, params, inputs, outputs });
        }
    }

    /// The gradient of `input` in memory that no other value's gradient shares, so that it can be added to.
    fn own(&mut self, input: View) -> View {
        let shared = self.gradients.of[&input];
        if self.gradients.holders[&shared.buffer] == 1 {
            return shared;
        }
        let copy = self.rec.temp(input.rows, input.cols);
        self.rec.forward(&add::Add, [0; 8], vec![Some(shared), None], vec![Output::set(copy)]);
        self.gradients.let_go(input);
        self.gradients.hold(input, copy);
        copy
    }
}

/// Records the derivative of `forward` into `rec`, from the seeds in `gradients` to its leaves and wanted inputs.
///
/// Temporaries that `forward` made are given back on the way: read them before the new recording is run.
pub fn backward(rec: &mut Recorder<'_>, forward: &Recording, gradients: &mut Gradients) {
    let needed = needed(forward, gradients);
    for step in forward.steps.iter().rev() {
        step.op.backward(step, &mut Context { rec, gradients, needed: &needed });
        // what a step adds to was made by an earlier one, which still needs the gradient
        for output in step.outputs.iter().flatten().filter(|output| !output.accumulate) {
            if let Some(gradient) = gradients.let_go(output.view) {
                rec.release(gradient);
            }
            rec.release(output.view);
        }
    }
}

/// Every value of the recording that depends on a leaf or a wanted input, and those themselves.
fn needed(forward: &Recording, gradients: &Gradients) -> BTreeSet<View> {
    let mut needed: BTreeSet<View> = gradients.leaves.keys().chain(&gradients.wanted).copied().collect();
    for step in &forward.steps {
        if step.inputs.iter().flatten().any(|input| needed.contains(input)) {
            needed.extend(step.outputs.iter().flatten().map(|output| output.view));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::op::rms_norm;
    use crate::engine::oracle::OracleDevice;
    use crate::engine::{Arena, Device};

    const SHAPE: (usize, usize) = (3, 4);

    struct Net {
        device: OracleDevice<f64>,
        arena: Arena,
        x: View,
        weight: View,
        gain: View,
    }

    impl Net {
        fn new() -> Self {
            let mut device = OracleDevice::new();
            let mut load = |rows, cols, step: f32| {
                let numbers: Vec<f32> = (0u8..).take(rows * cols).map(|i| (f32::from(i) * step).sin()).collect();
                device.load(&numbers, rows, cols).unwrap()
            };
            let (x, weight, gain) = (load(SHAPE.0, SHAPE.1, 0.9), load(SHAPE.1, SHAPE.1, 1.7), load(1, SHAPE.1, 0.6));
            Self { device, arena: Arena::new(), x, weight, gain }
        }

        /// Two residual blocks that share a weight, and a skip from the start: every way in which gradients meet.
        fn record(&mut self) -> (Recording, View) {
            self.arena.reset();
            let mut rec = Recorder::new(&mut self.device, &mut self.arena);
            let mut y = self.x;
            for _ in 0..2 {
                let normed = rec.rms_norm(y, self.gain, rms_norm::Params { eps: 1e-5, offset: 0.0 });
                let mapped = rec.linear(normed, self.weight, None);
                y = rec.add(y, mapped);
            }
            let y = rec.add(self.x, y);
            let y = rec.add(y, y);
            (rec.finish().unwrap(), y)
        }

        fn value(&mut self) -> f64 {
            let (recording, y) = self.record();
            self.device.run(&recording).unwrap();
            seeds(y).iter().zip(self.device.read(y)).map(|(seed, y)| f64::from(*seed) * y).sum()
        }

        fn backward(&mut self, gradients: &mut Gradients) {
            let (recording, y) = self.record();
            self.device.run(&recording).unwrap();
            let mut rec = Recorder::new(&mut self.device, &mut self.arena);
            let seed = rec.upload_f32(&seeds(y), y.rows, y.cols);
            gradients.seed(y, seed);
            backward(&mut rec, &recording, gradients);
            let recording = rec.finish().unwrap();
            self.device.run(&recording).unwrap();
        }

        fn check(&mut self, of: View, gradient: View, times: f64) {
            for at in 0..of.words() {
                let original = self.device.read(of).to_vec();
                let mut shifted = |by: f64| {
                    let mut numbers = original.clone();
                    numbers[at] += by;
                    self.device.write(of, &numbers);
                    self.value()
                };
                let numeric = (shifted(1e-6) - shifted(-1e-6)) / 2e-6 * times;
                self.device.write(of, &original);
                let found = self.device.read(gradient)[at];
                assert!((found - numeric).abs() < 1e-6 * (1.0 + numeric.abs()), "{found} {numeric}");
            }
        }
    }

    fn seeds(y: View) -> Vec<f32> {
        (0u8..).take(y.words()).map(|i| (f32::from(i) * 2.3).cos()).collect()
    }

    #[test]
    fn gradients_add_up_wherever_a_value_is_used_twice() {
        let mut net = Net::new();
        let mut gradients = Gradients::new();
        gradients.want(net.x);
        gradients.want(net.weight);
        net.backward(&mut gradients);
        let (d_x, d_weight) = (gradients.of(net.x).unwrap(), gradients.of(net.weight).unwrap());
        let held = [d_x, d_weight].map(|view| net.device.read(view).to_vec());
        let kept = [d_x, d_weight].map(|view| View::new(net.device.alloc(view.words()).unwrap(), view.rows, view.cols));
        for (view, numbers) in kept.iter().zip(&held) {
            net.device.write(*view, numbers);
        }
        net.check(net.x, kept[0], 1.0);
        net.check(net.weight, kept[1], 1.0);
    }

    #[test]
    fn leaves_add_up_over_passes_until_a_new_step_begins() {
        let mut net = Net::new();
        let mut leaf = |of: View| View::new(net.device.alloc(of.words()).unwrap(), of.rows, of.cols);
        let (d_weight, d_gain, d_unused) = (leaf(net.weight), leaf(net.gain), leaf(net.x));
        let mut gradients = Gradients::new();
        gradients.leaf(net.weight, d_weight);
        gradients.leaf(net.gain, d_gain);
        gradients.leaf(d_unused, d_unused);
        for times in [1.0, 2.0] {
            net.backward(&mut gradients);
            gradients.forget();
            net.check(net.weight, d_weight, times);
            net.check(net.gain, d_gain, times);
        }
        assert_eq!(gradients.unreached().collect::<Vec<_>>(), [d_unused]);
        gradients.begin();
        net.backward(&mut gradients);
        net.check(net.weight, d_weight, 1.0);
        assert!(gradients.of(net.x).is_none(), "nobody asked for it");
    }

    #[test]
    fn a_warm_step_allocates_nothing() {
        let mut net = Net::new();
        let mut gradients = Gradients::new();
        gradients.want(net.x);
        net.backward(&mut gradients);
        let before = net.device.memory().in_use;
        gradients.forget();
        gradients.want(net.x);
        net.backward(&mut gradients);
        assert_eq!(net.device.memory().in_use, before);
    }
}
