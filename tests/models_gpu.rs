//! Networks on the `gpu` device against numbers of `transformers` and TRL. Without an adapter the trials show as ignored;
//! in CI that is a failure.

#[allow(dead_code, reason = "shared with the tests of the processor, which use the rest")]
mod model_check;

use align::engine::Device;
use align::engine::gpu::{Choice, Gpu};
use libtest_mimic::{Arguments, Trial};
use model_check::Tolerance;

const GPU: Tolerance = Tolerance { logits: 1e-4, loss: 1e-4, gradient: 1e-3 };

fn gpu() -> Box<dyn Device> {
    Box::new(Gpu::open(Choice::Software).expect("an adapter was found before"))
}

fn main() {
    let arguments = Arguments::from_args();
    let missing = Gpu::open(Choice::Software).err();
    if let (Some(error), Ok(_)) = (&missing, std::env::var("CI")) {
        panic!("CI needs an adapter: {error}");
    }
    let trial = |name, run: fn()| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let trials = vec![
        trial("goldens", || model_check::golden(gpu, GPU)),
        trial("adapters", || model_check::check_adapters(gpu, GPU)),
        trial("curves", || model_check::check_curves(gpu)),
        trial("stories", || model_check::check_stories(gpu())),
        trial("remains", || model_check::check_remains(gpu())),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}
