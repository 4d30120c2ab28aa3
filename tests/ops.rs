//! Every op: its derivative, and the native device against its oracle.

mod op_check;

use align::engine::cpu::CpuDevice;

fn cpu(threads: usize) -> CpuDevice {
    CpuDevice::new(Some(threads)).expect("threads start")
}

#[test]
fn derivatives_agree_with_central_differences() {
    op_check::gradients();
}

#[test]
fn the_native_device_agrees_with_the_oracles() {
    op_check::parity(&mut cpu(1));
    op_check::parity(&mut cpu(3));
}

#[test]
fn the_native_device_is_deterministic() {
    op_check::determinism(&mut cpu(2), &mut cpu(2));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    op_check::determinism(&mut cpu(1), &mut cpu(3));
}

#[test]
fn a_gradient_does_not_depend_on_which_others_are_wanted() {
    op_check::alone(&mut cpu(2));
}
