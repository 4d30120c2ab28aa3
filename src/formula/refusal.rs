//! What the shape checker refuses, as data, and how each refusal is told.

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Span;

use super::program::{LowerError, Program, Slot};
use super::show;

/// One refused part of a formula.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("{refusal}")]
pub struct ShapeError {
    pub span: Span,
    /// The part as text.
    pub shown: String,
    pub refusal: Refusal,
}

/// Why.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum Refusal {
    #[error("{0}")]
    Lower(LowerError),
    #[error("the tokens of two sequences do not line up")]
    TwoSequences { first: (Span, String), second: (Span, String) },
    #[error("`{line}` has shape {first} here and {second} there")]
    Clash { line: &'static str, first: &'static str, second: &'static str, there: Span },
    #[error("`{line}` is a list")]
    IsList { line: &'static str },
    #[error("a number at the end meets no tokens, so its length is unknown")]
    NoSequence,
    #[error("there is nothing to reduce: it is one number per {shape}")]
    OneNumber { shape: &'static str },
    #[error("`{word}` runs along tokens, and there are none")]
    NothingAlong { word: &'static str },
    #[error("`{word}` takes one value per row")]
    NotOneARow { word: &'static str },
    #[error("`{word}` needs to know which rows it looks at")]
    NoAxis { word: &'static str },
    #[error("a list holds one number per place, not one per token")]
    TokensInList,
    #[error("`batch` is the rows of one optimiser step, and there is none here")]
    BatchOutside,
    #[error("rows cannot be grouped by what changes in every step")]
    GroupChanges,
    #[error("a network cannot be asked about what changes in every step")]
    SequenceChanges,
    #[error("`{word}` cannot be asked of a network while it is trained")]
    AsksTrained { word: &'static str },
    #[error("a gradient cannot pass through `over: all`")]
    GradientThroughAll,
    #[error("`over: all` cannot hold what changes in every step")]
    PresentOverAll,
    #[error("`old` exists only under `rl`")]
    OldOutsideRl,
    #[error("`loss` does not depend on anything that is trained")]
    NoGradient,
    #[error("a gradient cannot pass through `weighted`")]
    LiveWeight,
    #[error("the factor of an objective is one number, known before the step")]
    LiveScale,
    #[error("the next `{name}` depends on the networks as they change within a rollout")]
    StateReadsPresent { name: String },
    #[error("a state is one number, and this is one per {shape}")]
    StateShape { shape: &'static str },
    #[error("a start value cannot depend on what is trained")]
    StartChanges,
}

impl ShapeError {
    /// A refusal of the part at `slot`.
    pub fn new(program: &Program, slot: Slot, refusal: Refusal) -> Self {
        Self { span: program.nodes[slot].span, shown: show::show(program, slot), refusal }
    }

    /// The mistake as it is shown.
    pub fn diagnostic(&self) -> Diagnostic {
        if let Refusal::Lower(error) = &self.refusal {
            return error.diagnostic();
        }
        let diagnostic = Diagnostic::error(self.code(), self.refusal.to_string());
        let diagnostic = match &self.refusal {
            Refusal::TwoSequences { first, second } => diagnostic
                .at(first.0, format!("one number per token of `{}`", first.1))
                .at(second.0, format!("one per token of `{}`", second.1)),
            Refusal::Clash { first, second, there, .. } => {
                diagnostic.at(self.span, format!("shape {first}")).at(*there, format!("shape {second}"))
            }
            _ => diagnostic.at(self.span, self.label()),
        };
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    fn label(&self) -> String {
        if self.shown.chars().count() > 40 { "here".to_owned() } else { format!("`{}`", self.shown) }
    }

    /// The stable path of the mistake.
    pub fn code(&self) -> &'static str {
        match &self.refusal {
            Refusal::Lower(_) => "align::formula::unknown_word",
            Refusal::TwoSequences { .. } | Refusal::Clash { .. } | Refusal::IsList { .. } => "align::formula::shape_clash",
            Refusal::NoSequence => "align::formula::no_sequence",
            Refusal::OneNumber { .. } | Refusal::NothingAlong { .. } => "align::formula::nothing_to_reduce",
            Refusal::NotOneARow { .. } | Refusal::TokensInList => "align::formula::one_per_row",
            Refusal::NoAxis { .. } => "align::formula::no_axis",
            Refusal::BatchOutside => "align::formula::batch_outside_objective",
            Refusal::GroupChanges | Refusal::SequenceChanges => "align::formula::depends_on_weights",
            Refusal::AsksTrained { .. } => "align::formula::asks_trained",
            Refusal::GradientThroughAll => "align::formula::gradient_through_all",
            Refusal::PresentOverAll => "align::formula::present_over_all",
            Refusal::OldOutsideRl => "align::formula::old_outside_rl",
            Refusal::NoGradient => "align::formula::no_gradient",
            Refusal::LiveWeight | Refusal::LiveScale => "align::formula::gradient_through_weight",
            Refusal::StateReadsPresent { .. } | Refusal::StartChanges => "align::formula::state_reads_present",
            Refusal::StateShape { .. } => "align::formula::state_shape",
        }
    }

    fn help(&self) -> Option<String> {
        Some(match &self.refusal {
            Refusal::TwoSequences { .. } | Refusal::Clash { .. } => "reduce with `sum(…)` or `mean(…)`".to_owned(),
            Refusal::IsList { .. } => "reduce it with `sum(…)` or `mean(…)`, or pick one item with `[0]`".to_owned(),
            Refusal::NoSequence => "`at_end(x)` takes its length from what it is added to, such as `model.logp(.completion)`".to_owned(),
            Refusal::OneNumber { .. } | Refusal::NoAxis { .. } => "say `over: batch`, `over: all` or `over: .column`".to_owned(),
            Refusal::NothingAlong { .. } => "give it numbers per token, such as `model.logp(.completion)`".to_owned(),
            Refusal::NotOneARow { .. } => "reduce with `sum(…)` or `mean(…)` first".to_owned(),
            Refusal::TokensInList => "reduce each item with `sum(…)` or `mean(…)`".to_owned(),
            Refusal::BatchOutside => "say `over: all` for the whole table, or `over: .column`".to_owned(),
            Refusal::GroupChanges => "group by a column, such as `over: .prompt`".to_owned(),
            Refusal::SequenceChanges => "ask about a column, such as `.completion`".to_owned(),
            Refusal::AsksTrained { .. } => "give the objective's stage a column with the answer".to_owned(),
            Refusal::GradientThroughAll | Refusal::PresentOverAll => {
                "say `over: batch` for the rows of the step, or wrap what it reads in `old(…)` under `rl`".to_owned()
            }
            Refusal::OldOutsideRl => "`train` has no rollouts: compare with a frozen network given as a parameter".to_owned(),
            Refusal::NoGradient => "use a word of `model` that has a derivative, outside `old(…)` and `detach(…)`".to_owned(),
            Refusal::LiveWeight => "wrap the weight in `detach(…)`, or multiply it into the loss".to_owned(),
            Refusal::LiveScale => "multiply inside the objective instead".to_owned(),
            Refusal::StateReadsPresent { .. } => "wrap what it reads in `old(…)`".to_owned(),
            Refusal::StateShape { .. } => "reduce with `mean(…, over: all)`".to_owned(),
            Refusal::StartChanges => "start from a plain number or a parameter".to_owned(),
            Refusal::Lower(_) => return None,
        })
    }
}
