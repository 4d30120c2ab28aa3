//! One stage: open its inputs, run its primitive, put what it made into the store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use crate::formula::expr::Output;
use crate::plan::{Node, Past, Shelf};
use crate::stage::{Artifact, Call, Context, Failure, Primitive, Report, Setting};

use super::artifacts::{Artifacts, Unreadable};
use super::clock::utc;
use super::event::Event;
use super::late;
use super::outcome::Run;
use super::store::names;
use super::stored::{self, Note, Warning};

/// Everything that a stage reads.
pub(super) fn inputs(node: &Node, artifacts: &Artifacts<'_>) -> Result<BTreeMap<Output, Artifact>, Unreadable> {
    node.places.values().map(|output| Ok((output.clone(), artifacts.open(output)?))).collect()
}

/// Makes a stage's artifact. The caller holds its lock. Returns the seconds it took.
pub(super) fn make(
    run: &Run<'_>,
    node: &Node,
    primitive: &dyn Primitive,
    inputs: &BTreeMap<Output, Artifact>,
    artifacts: &Artifacts<'_>,
    say: &dyn Fn(Event),
) -> Result<f64, Failure> {
    let call = late::settle(&node.call, artifacts)?;
    let folder = run.store.begin(&node.fingerprint)?;
    let checkpoints = run.store.checkpoints(&node.fingerprint, run.checkpoint_every);
    let name = || node.call.name.clone();
    say(Event::Running { stage: name(), primitive: node.call.primitive.to_string(), resume: checkpoints.step() });
    let warnings = RefCell::new(Vec::new());
    let report = |report: Report| {
        if let Report::Warning(warning) = &report {
            warnings.borrow_mut().push(Warning::of(warning));
        }
        say(event(name(), report));
    };
    let begun = Instant::now();
    let context = Context::new(Setting {
        inputs,
        folder: &folder,
        checkpoints: &checkpoints,
        root: run.root,
        seed: node.call.seed,
        stage_key: node.stream,
        span: node.call.span,
        interrupted: run.interrupted,
        report: &report,
        engine: run.engine,
    });
    let product = primitive.run(&Call::new(&call), &context)?;
    let (main, extras) = stored::write(&product, &folder, &node.places)?;
    let (seconds, finished) = (begun.elapsed().as_secs_f64(), utc(SystemTime::now()));
    let note = Note { key: node.key.clone(), stage: name(), main, extras, warnings: warnings.take(), seconds, finished };
    run.store.finish(&node.fingerprint, note)?;
    Ok(seconds)
}

/// Remembers a finished stage under its name, for `explain` and for estimates.
pub(super) fn remember(run: &Run<'_>, node: &Node) -> std::io::Result<()> {
    let known = run.store.past(&run.plan.recipe, &node.call.name).is_some_and(|past| past.fingerprint == node.fingerprint);
    if known {
        return Ok(());
    }
    let Ok(object) = run.store.object(&node.fingerprint) else { return Ok(()) };
    let past = Past {
        fingerprint: node.fingerprint.clone(),
        key: node.key.clone(),
        names: names(&node.places, |output| run.plan.shown(output)),
        finished: object.note.finished.clone(),
        seconds: object.note.seconds,
        tokens: node.cost.tokens,
    };
    run.store.remember(&run.plan.recipe, &node.call.name, &past)
}

fn event(stage: String, report: Report) -> Event {
    match report {
        Report::Progress(progress) => Event::Progress { stage, progress },
        Report::Metrics { step, metrics } => Event::Metrics { stage, step, metrics },
        Report::Warning(warning) => Event::Warning { stage: Some(stage), warning },
        Report::Checkpoint { step } => Event::Checkpoint { stage, step },
    }
}
