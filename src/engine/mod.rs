//! Tensors, ops, gradients and the optimiser. Knows nothing of alignment.
//!
//! A [`Recorder`] turns calls such as `rec.linear(x, weight, None)` into a [`Recording`]: a plain list of steps over
//! views of device memory. [`grad::backward`] appends the derivative of such a list. Any [`Device`] runs it: `cpu`
//! natively, `gpu` by the kernel of the same name, [`oracle::OracleDevice`] by the naive loops beside each op.
//!
//! **Invariant:** same recording, same device: same bits. On `cpu` the number of threads changes nothing either.

pub mod arena;
pub mod blocks;
pub mod cpu;
mod device;
pub mod gpu;
pub mod grad;
pub mod op;
pub mod optim;
pub mod oracle;
pub mod probe;
pub mod recording;

pub use arena::Arena;
pub use blocks::BlockFormat;
pub use device::{BufferId, Device, DeviceInfo, DeviceKind, EngineError, MemoryUse, Precision, View};
pub use grad::{Gradients, backward};
pub use op::{OPS, Op};
pub use recording::{Indices, Output, PARAM_WORDS, Pass, Recorder, Recording, Step};

/// Every code about devices, and what it means.
pub const CODES: &[(&str, &str)] = &[
    ("align::engine::no_device", "The device that was asked for is not there or cannot be opened. `align devices` lists what there is."),
    ("align::engine::failed", "The device failed while it was at work: it is out of memory, or its driver has given up."),
];
