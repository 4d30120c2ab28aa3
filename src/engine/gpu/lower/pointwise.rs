//! Ops whose every output element has an invocation of its own.

use crate::engine::{Pass, Step};

use super::super::dispatch::{Kernel, flat, params};
use super::{Plan, input, output, own_params};

/// y = value.
pub fn fill(step: &Step, plan: &mut Plan<'_>) {
    plan.each_word(&Kernel::new("fill", "forward"), own_params(step), &[output(step, 0)]);
}

/// y = a + b.
pub fn add(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), input(step, 1), output(step, 0)];
    plan.each_word(&Kernel::new("add", "forward"), own_params(step), &bindings);
}

/// y = silu(a) b.
pub fn swiglu(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), input(step, 1), output(step, 0)];
    plan.each_word(&Kernel::new("swiglu", "forward"), own_params(step), &bindings);
}

/// d_a and d_b.
pub fn swiglu_backward(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), input(step, 1), input(step, 2), output(step, 0), output(step, 1)];
    plan.each_word(&Kernel::new("swiglu", "backward"), own_params(step), &bindings);
}

/// y = gelu(a) b.
pub fn gelu(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), input(step, 1), output(step, 0)];
    plan.each_word(&Kernel::new("gelu", "forward"), own_params(step), &bindings);
}

/// d_a and d_b.
pub fn gelu_backward(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), input(step, 1), input(step, 2), output(step, 0), output(step, 1)];
    plan.each_word(&Kernel::new("gelu", "backward"), own_params(step), &bindings);
}

/// The rotation, or its inverse.
pub fn rope(step: &Step, plan: &mut Plan<'_>) {
    let sign: f32 = match step.pass {
        Pass::Forward => 1.0,
        Pass::Backward => -1.0,
    };
    let bindings = vec![input(step, 0), input(step, 1), input(step, 2), output(step, 0)];
    let params = params([step.params[0], step.params[1], sign.to_bits()]);
    plan.call(Kernel::new("rope", "rotate"), params, bindings, flat(step.input(0).words() / 2));
}

/// Weights and moments in place.
pub fn adamw(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [input(step, 0), output(step, 0), output(step, 1), output(step, 2)];
    plan.each_word(&Kernel::new("adamw", "forward"), own_params(step), &bindings);
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    [
        ("fill", "forward"),
        ("add", "forward"),
        ("swiglu", "forward"),
        ("swiglu", "backward"),
        ("gelu", "forward"),
        ("gelu", "backward"),
        ("rope", "rotate"),
        ("adamw", "forward"),
    ]
    .map(|(file, entry)| Kernel::new(file, entry))
    .to_vec()
}
