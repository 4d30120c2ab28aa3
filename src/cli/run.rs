//! `align run`

use crate::diagnostic::{Diagnostic, reason};
use crate::hub::Extent;
use crate::run::Run;
use crate::stage::PRIMITIVES;

use super::Exit;
use super::args::RunArgs;
use super::fetch::How;
use super::open::planned;
use super::progress::Watcher;
use super::{interrupt, out, report};

pub(super) fn run(args: &RunArgs) -> Exit {
    let how = How { extent: Extent::All, update: args.update, json: args.json };
    let Some(planned) = planned(&args.recipe, args.device.device, how) else { return Exit::Failed };
    let room = args.memory.room(planned.plan.numerics.device);
    if let Err(refused) = planned.plan.ready().and_then(|()| planned.plan.fits(room)) {
        out::diagnostics(&refused, &planned.sources);
        return Exit::Failed;
    }
    let interrupted = interrupt::flag();
    let engine = planned.device.engine();
    let watcher = Watcher::new(&planned.sources, args.json);
    let run = Run {
        plan: &planned.plan,
        store: &planned.store,
        root: &planned.root,
        primitives: PRIMITIVES,
        engine: &engine,
        device: (planned.device.name.clone(), planned.device.because.clone()),
        sources: &planned.sources,
        interrupted: &interrupted,
        checkpoint_every: args.checkpoint_every,
        listen: &|event| watcher.hear(event),
    };
    match run.execute() {
        Ok(outcome) => {
            report::written(&planned, &outcome.folder, args.json);
            Exit::Code(outcome.exit_code())
        }
        Err(error) => {
            let message = format!("`{}` cannot be written: {}", planned.store.root().display(), reason(&error));
            let refused =
                Diagnostic::error("align::run::disk", message).help("results are kept there: free some space or check permissions");
            out::diagnostics(&[refused], &planned.sources);
            Exit::Failed
        }
    }
}
