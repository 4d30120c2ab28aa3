//! The formula language: one arithmetic for objectives, rewards, columns, filters, metrics and expectations.
//!
//! [`expr`] is what the checker hands over; [`program`] makes it a tape; [`shape`] says what each part runs over and
//! refuses what makes no sense; [`eval`] computes it in f64 over a table; [`mod@derive`] runs it backwards; [`objective`]
//! splits a loss into what is known once and what a step computes; [`at`] evaluates an objective on given numbers.
//! Networks are behind one trait, so nothing here knows an engine.

mod across;
pub mod aggregate;
pub mod apply;
mod ask;
pub mod at;
pub mod column;
mod derive;
mod elementwise;
pub mod eval;
pub mod expr;
pub mod failure;
pub mod fit;
mod given;
mod guide;
pub mod halfspace;
mod infer;
pub mod key;
mod likeness;
mod lines;
mod lists;
mod lower;
pub mod meaning;
mod metric;
pub mod number;
pub mod objective;
mod parts;
pub mod phases;
mod prepared;
pub mod program;
pub mod reduce;
pub mod refusal;
mod scope;
pub mod shape;
pub mod show;
pub mod text;
pub mod words;

/// Every code about formulas, and what it means.
pub const CODES: &[(&str, &str)] = &[
    ("align::formula::unknown_word", "The checker knows a word that the formula language does not. This is a mistake in align."),
    (
        "align::formula::arguments",
        "A word has more or fewer arguments than it takes. The checker refuses that first, so this is a mistake in align.",
    ),
    (
        "align::formula::no_network",
        "A word asks a network, and which one depends on the row. A formula asks networks that are known before the run.",
    ),
    (
        "align::formula::pattern",
        "A text that should say what to look for is no regular expression. A bracket that stands for itself is `\\(`, written `r\"\\(\"`; look-around and references to groups do not exist here, so that a search takes no longer than the text is long.",
    ),
    ("align::formula::network_as_value", "A network stands where a number should. Ask it something, as in `model.logp(.completion)`."),
    (
        "align::formula::shape_clash",
        "Two values run over different things, such as the tokens of two texts, so there is no telling which goes with which.",
    ),
    ("align::formula::no_sequence", "`at_end` puts a number at the last token, and nothing says of which text."),
    ("align::formula::nothing_to_reduce", "A reduction such as `sum` or a word such as `next` has nothing to run along."),
    ("align::formula::one_per_row", "A word takes one number per row and was given one per token, or a list."),
    ("align::formula::no_axis", "A word looks at several rows and was not told which: `over: batch`, `over: all` or a column."),
    ("align::formula::batch_outside_objective", "`over: batch` means the rows of one optimiser step, which exist only in an objective."),
    ("align::formula::depends_on_weights", "What groups rows, or what a network is asked about, changes with every step of training."),
    ("align::formula::asks_trained", "A network cannot be sampled while it is trained: no gradient passes through a choice of words."),
    ("align::formula::gradient_through_all", "A step sees only its own rows, so no gradient can pass through a number over all of them."),
    ("align::formula::present_over_all", "A step sees only its own rows, so a number over all of them cannot be anew in each step."),
    ("align::formula::old_outside_rl", "`old(…)` is a value as it was when the rollout was sampled, and only `rl` has rollouts."),
    ("align::formula::no_gradient", "A loss that does not depend on what is trained would train nothing."),
    (
        "align::formula::gradient_through_weight",
        "Weights and factors of a loss are fixed numbers; a gradient through them would change what is minimised.",
    ),
    ("align::formula::state_reads_present", "A state moves between rollouts, so it reads only what is known then."),
    ("align::formula::state_shape", "A state is one number for the whole training, not one for each row."),
    ("align::formula::evaluation", "A formula has no value for a row, such as the first item of an empty list."),
];
