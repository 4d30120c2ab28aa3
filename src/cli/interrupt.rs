//! Ctrl-C and SIGTERM: the first asks the stage to finish its step and checkpoint, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::out;

/// A flag that the first signal sets.
pub(super) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let handled = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        out::error("stopping: what is at work ends its step and keeps it; once more to stop at once");
    });
    if let Err(error) = handled {
        out::error(&format!("Ctrl-C will end the run without a checkpoint: {error}"));
    }
    flag
}
