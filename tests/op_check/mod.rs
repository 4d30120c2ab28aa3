//! Walks `OPS` over a device: every case of every op, both passes, with random upstream gradients.

#![allow(dead_code, reason = "each test program uses a part")]

use align::engine::op::{Case, Given};
use align::engine::oracle::OracleDevice;
use align::engine::{Arena, Device, Gradients, OPS, Op, Recorder, View, backward};

/// What one run of a case gave: the op's outputs, then the gradients of its [`Given::Normal`] inputs.
#[derive(PartialEq, Debug)]
pub struct Results {
    pub outputs: Vec<Vec<f32>>,
    pub gradients: Vec<Vec<f32>>,
}

/// A device with a case's inputs on it.
struct Setup<'d, D: ?Sized> {
    device: &'d mut D,
    arena: Arena,
    views: Vec<View>,
}

/// Runs every case of every op on `device` and compares with the oracle in f64.
pub fn parity(device: &mut dyn Device) {
    for (op, case) in cases() {
        let found = run(op, &case, device);
        let expected = run(op, &case, &mut OracleDevice::<f64>::new());
        let pairs = found.outputs.iter().zip(&expected.outputs);
        for (place, (found, expected)) in pairs.enumerate() {
            close(found, expected, op.tolerance(), &format!("{} `{}`, output {place}", op.name(), case.name));
        }
        for (place, (found, expected)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
            close(found, expected, op.tolerance(), &format!("{} `{}`, gradient {place}", op.name(), case.name));
        }
    }
}

/// Runs every case of every op on two devices that should do the same: the bits must agree.
pub fn determinism(one: &mut dyn Device, other: &mut dyn Device) {
    for (op, case) in cases() {
        assert_eq!(run(op, &case, one), run(op, &case, other), "{} `{}`", op.name(), case.name);
    }
}

/// Asks for the gradient of one input at a time: it must be the one that is found beside all the others.
pub fn alone(device: &mut dyn Device) {
    for (op, case) in cases().filter(|(op, _)| op.differentiable()) {
        let together = run(op, &case, device).gradients;
        for (place, expected) in together.iter().enumerate() {
            let found = run_for(op, &case, device, Some(place)).gradients;
            close(&found[place], expected, op.tolerance(), &format!("{} `{}`, gradient {place} alone", op.name(), case.name));
        }
    }
}

/// Compares every op's backward oracle with central differences of its forward oracle, in f64.
pub fn gradients() {
    for (op, case) in cases().filter(|(op, _)| op.differentiable()) {
        let mut device = OracleDevice::<f64>::new();
        let analytic = run(op, &case, &mut device);
        let normal = case.given.iter().enumerate().filter(|(_, given)| matches!(given, Given::Normal(..)));
        for ((place, _), gradient) in normal.zip(&analytic.gradients) {
            for at in probes(gradient.len()) {
                let numeric = central_difference(&case, place, at);
                let error = (f64::from(gradient[at]) - numeric).abs() / (1.0 + numeric.abs());
                let what = format!("{} `{}`, input {place}[{at}]", op.name(), case.name);
                assert!(error < 1e-6, "{what}: {} against {numeric}", gradient[at]);
            }
        }
    }
}

fn cases() -> impl Iterator<Item = (&'static dyn Op, Case)> {
    OPS.iter().flat_map(|op| op.cases().into_iter().map(|case| (*op, case)))
}

/// A few places of a long vector, all of a short one.
fn probes(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(12).max(1))
}

fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / (1.0 + most);
        assert!(error <= tolerance, "{what}[{at}]: {found} against {expected}, error {error:e}");
    }
}

/// Forward, then backward from random upstream gradients, each as a recording of its own.
fn run(op: &dyn Op, case: &Case, device: &mut dyn Device) -> Results {
    run_for(op, case, device, None)
}

/// The same, for the gradient of one of its [`Given::Normal`] inputs only; the others' are zeros.
fn run_for(op: &dyn Op, case: &Case, device: &mut dyn Device, only: Option<usize>) -> Results {
    let mut setup = Setup::new(device, case);
    let (outputs, forward) = {
        let mut rec = Recorder::new(setup.device, &mut setup.arena);
        let outputs = (case.record)(&mut rec, &setup.views);
        (outputs, rec.finish().expect("there is memory"))
    };
    setup.device.run(&forward).expect("the forward pass runs");
    let found = outputs.iter().map(|view| setup.device.read_f32(*view).expect("outputs can be read")).collect();
    let mut results = Results { outputs: found, gradients: Vec::new() };
    if op.differentiable() {
        results.gradients = setup.backward(case, &forward, &outputs, only);
    }
    setup.free();
    results
}

impl<'d> Setup<'d, dyn Device + 'd> {
    fn new(device: &'d mut (dyn Device + 'd), case: &Case) -> Self {
        let views = (0u64..).zip(&case.given).map(|(place, given)| place_on(device, place, given)).collect();
        Self { device, arena: Arena::new(), views }
    }

    fn backward(&mut self, case: &Case, forward: &align::engine::Recording, outputs: &[View], only: Option<usize>) -> Vec<Vec<f32>> {
        let mut gradients = Gradients::new();
        let normal: Vec<View> =
            case.given.iter().zip(&self.views).filter(|(given, _)| matches!(given, Given::Normal(..))).map(|(_, view)| *view).collect();
        let mut rec = Recorder::new(self.device, &mut self.arena);
        for (_, input) in normal.iter().enumerate().filter(|(place, _)| only.is_none_or(|only| only == *place)) {
            gradients.want(*input);
        }
        for (place, output) in (0u64..).zip(outputs) {
            let seed = rec.upload_f32(&upstream(place, output.words()), output.rows, output.cols);
            gradients.seed(*output, seed);
        }
        backward(&mut rec, forward, &mut gradients);
        let recording = rec.finish().expect("there is memory");
        self.device.run(&recording).expect("the backward pass runs");
        let read = |view: &View| match gradients.of(*view) {
            Some(gradient) => self.device.read_f32(gradient).expect("gradients can be read"),
            None => vec![0.0; view.words()],
        };
        normal.iter().map(read).collect()
    }

    fn free(mut self) {
        self.arena.clear(self.device);
        for view in self.views {
            self.device.free(view.buffer);
        }
    }
}

fn place_on(device: &mut dyn Device, place: u64, given: &Given) -> View {
    let (rows, cols) = match given {
        Given::Normal(rows, cols) | Given::Positive(rows, cols) => (*rows, *cols),
        Given::Numbers(_, rows, cols) | Given::Words(_, rows, cols) => (*rows, *cols),
    };
    let view = View::new(device.alloc(rows * cols).expect("there is memory"), rows, cols);
    let written = match given {
        Given::Normal(..) => device.write_f32(view, &normal(place, rows * cols)),
        Given::Positive(..) => device.write_f32(view, &normal(place, rows * cols).iter().map(|x| x * x).collect::<Vec<_>>()),
        Given::Numbers(numbers, ..) => device.write_f32(view, numbers),
        Given::Words(words, ..) => device.write_u32(view, words),
    };
    written.expect("inputs can be written");
    view
}

/// d (sum of upstream . outputs) / d input[at], in f64.
fn central_difference(case: &Case, place: usize, at: usize) -> f64 {
    const STEP: f64 = 1e-5;
    let value = |shift: f64| {
        let mut device = OracleDevice::<f64>::new();
        let mut arena = Arena::new();
        let views: Vec<View> = (0u64..).zip(&case.given).map(|(p, given)| place_on(&mut device, p, given)).collect();
        let mut input = device.read(views[place]).to_vec();
        input[at] += shift;
        device.write(views[place], &input);
        let mut rec = Recorder::new(&mut device, &mut arena);
        let outputs = (case.record)(&mut rec, &views);
        let recording = rec.finish().expect("there is memory");
        device.run(&recording).expect("oracles run");
        let weighted = |(place, view): (u64, &View)| -> f64 {
            let seeds = upstream(place, view.words());
            device.read(*view).iter().zip(seeds).map(|(x, seed)| x * f64::from(seed)).sum()
        };
        (0u64..).zip(&outputs).map(weighted).sum::<f64>()
    };
    (value(STEP) - value(-STEP)) / (2.0 * STEP)
}

fn upstream(place: u64, length: usize) -> Vec<f32> {
    normal(1000 + place, length)
}

/// Normal numbers by Box and Muller from a counter (splitmix64).
fn normal(stream: u64, length: usize) -> Vec<f32> {
    let uniform = |counter: u64| {
        let mut x = (stream << 40 | counter).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ x >> 31) >> 11) as f64 / (1u64 << 53) as f64
    };
    let one = |at: u64| (-2.0 * (1.0 - uniform(2 * at)).ln()).sqrt() * (std::f64::consts::TAU * uniform(2 * at + 1)).cos();
    (0..length as u64).map(|at| one(at) as f32).collect()
}
