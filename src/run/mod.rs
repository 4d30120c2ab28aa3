//! A plan becomes artifacts: a content-addressed store beside the recipe, and a scheduler that fills it.
//!
//! Comes in: a [`crate::plan::Plan`], the primitives, and somebody who listens to [`Event`]s. Goes out: artifacts in
//! the [`Store`], a folder of numbers per run, exports, and an [`Outcome`]. **Invariants:** an artifact is complete or
//! absent; two runs on one store never make the same artifact twice; a failed stage stops only what needs it.

mod artifacts;
mod clock;
mod described;
mod event;
mod export;
mod judge;
mod kept;
mod late;
mod lock;
mod outcome;
mod record;
mod samples;
mod scheduler;
mod store;
mod stored;
mod work;

use std::path::Path;
use std::time::Duration;

use crate::formula::expr::{Output, StageId};
use crate::model::Network;
use crate::plan::Plan;
use crate::stage::{Artifact, Call, Failure, FromArg, saved_state};

pub use event::{Event, Tally, diagnostic_json};
pub use export::refusals as export_refusals;
pub use judge::{Shown, Verdict, brief, number, plain};
pub use kept::{Kept, Lost, Speaker};
pub use outcome::{Outcome, Run, Status};
pub use store::Store;
pub use stored::{Note, Stored};

/// The codes that runs and stages share, and what they mean.
pub const CODES: &[(&str, &str)] = &[
    ("align::run::argument", "A stage's declaration in the standard library and its implementation disagree. This is a mistake in align."),
    ("align::run::product", "A stage returned something that cannot be kept. This is a mistake in align."),
    ("align::run::disk", "The disk refused to read or write: it may be full, or the permissions may not allow it."),
    (
        "align::run::damaged_artifact",
        "A stored result is not what it was when it was made. It is set aside and made again; nothing is ever made from it.",
    ),
    (
        "align::run::export_exists",
        "An export would overwrite a file or folder that align did not write, or that was changed since. Move it away or export to another path.",
    ),
    ("align::run::not_finite", "A loss or gradient is no longer a number, several steps in a row. The steps were not applied."),
    ("align::run::not_converged", "The numbers that `fit` found are where its search stopped, and the loss is not flat there."),
    ("align::run::no_rows", "A stage that trains or samples was given a table without rows."),
    ("align::run::cut", "Some texts are longer than `max_length` tokens. What goes beyond was not read; of a prompt, the end is kept."),
    (
        "align::run::beyond_context",
        "Some texts are longer than the network's `max_position_embeddings`. Rotary positions can be computed beyond that, but the network has never seen them, and what it says there is worth little.",
    ),
    (
        "align::run::no_end_token",
        "Neither `config.json` nor the tokenizer names a token that ends a text. The network cannot learn where an answer ends, and says as much as it may.",
    ),
    ("align::run::greedy_rollouts", "At temperature 0 every sample of a prompt is the same, and there is nothing to prefer."),
    ("align::run::stopped_early", "`stop_when` held after a rollout, so the stage took fewer steps than it was given."),
    (
        "align::run::log_prob_mismatch",
        "What the sampler said of its tokens differs from what training says of them. This is a mistake in align: nothing is trained on such numbers.",
    ),
    ("align::run::checkpoint", "A checkpoint is whole and still not one that this stage can go on from."),
    (
        "align::run::no_samples",
        "What networks said to the same prompts could not be scored for the report. Everything that the recipe asks for was made.",
    ),
    ("align::run::no_round", "Every round of a loop was dropped by a gate, so there is none to keep."),
];

/// The network that an unfinished stage was training at its last checkpoint, and the checkpoint's step.
///
/// # Errors
/// When what it began with, or the checkpoint, is damaged.
pub fn begun(plan: &Plan, store: &Store, root: &Path, stage: StageId) -> Result<Option<(u64, Network)>, Failure> {
    let node = plan.node(stage);
    let base = ["network", "policy"].iter().find_map(|name| node.call.args.get(*name).and_then(Output::from_arg));
    let Some((checkpoint, base)) = store.checkpoints(&node.fingerprint, Duration::MAX).latest()?.zip(base) else { return Ok(None) };
    let Artifact::Network(base) = artifacts::Artifacts::new(plan, store, root).open(&base)? else { return Ok(None) };
    let network = saved_state::network(&Call::new(&node.call), &Network::open(&base.path)?, &checkpoint.folder)?;
    Ok(Some((checkpoint.step, network)))
}

/// How long a stage took, and the numbers that it gave, if it has run.
pub fn known(plan: &Plan, store: &Store, root: &Path, stage: StageId) -> Option<(f64, Vec<(String, crate::value::Cell)>)> {
    let object = store.object(&plan.node(stage).fingerprint).ok()?;
    Some((object.note.seconds, artifacts::Artifacts::new(plan, store, root).values(stage)))
}

/// What a stage of a plan made, if it has run: for looking at it outside of a run.
///
/// # Errors
/// When it has not run, or what it made is damaged.
pub fn made(plan: &Plan, store: &Store, root: &Path, stage: StageId) -> Result<Artifact, Failure> {
    let artifacts = artifacts::Artifacts::new(plan, store, root);
    Ok(artifacts.open(&Output { stage, path: Vec::new() })?)
}
