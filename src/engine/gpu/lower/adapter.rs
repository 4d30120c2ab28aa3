//! What adapters need beside products: `scale`, `magnitude`, `merged_norm`.

use crate::engine::Step;

use super::super::dispatch::{Kernel, flat, params, rows};
use super::sums::column_sum;
use super::{Plan, input, output, own_params};

/// y = a x, and the derivative alike.
pub fn scale(step: &Step, plan: &mut Plan<'_>) {
    plan.each_word(&Kernel::new("scale", "forward"), own_params(step), &[input(step, 0), output(step, 0)]);
}

/// y = x m / n + b.
pub fn magnitude(step: &Step, plan: &mut Plan<'_>) {
    let bindings = vec![input(step, 0), input(step, 1), input(step, 2), input(step, 3), output(step, 0)];
    plan.call(Kernel::new("magnitude", "forward"), own_params(step), bindings, flat(step.output(0).words()));
}

/// d_x element by element, d_m and d_b by columns.
pub fn magnitude_backward(step: &Step, plan: &mut Plan<'_>) {
    let [x, magnitude, norm, d_y] = std::array::from_fn(|place| input(step, place));
    let [d_x, d_magnitude, d_bias] = std::array::from_fn(|place| output(step, place));
    if d_x.rows > 0 {
        let bindings = vec![d_y, magnitude, norm, d_x];
        plan.call(Kernel::new("magnitude", "backward"), params([0]), bindings, flat(x.rows * x.cols));
    }
    if d_magnitude.rows > 0 {
        plan.call(Kernel::new("magnitude", "lengths"), params([0]), vec![x, d_y, norm, d_magnitude], flat(x.cols));
    }
    if d_bias.rows > 0 {
        column_sum(plan, d_y, None, d_bias);
    }
}

/// The length of each row of an adapted weight.
pub fn merged_norm(step: &Step, plan: &mut Plan<'_>) {
    let bindings = vec![input(step, 0), input(step, 1), input(step, 2), output(step, 0)];
    plan.call(plan.reducing("merged_norm", "forward"), own_params(step), bindings, rows(step.input(0).rows));
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let plain = [("scale", "forward"), ("magnitude", "forward"), ("magnitude", "backward"), ("magnitude", "lengths")];
    plain.map(|(file, entry)| Kernel::new(file, entry)).into_iter().chain(Kernel::new("merged_norm", "forward").either_way()).collect()
}
