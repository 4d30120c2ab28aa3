//! What a save means: which stages are something else now and why, which only follow, which are new or gone.

use std::collections::BTreeMap;

use crate::plan::explain::compare_keys;
use crate::plan::meaning::Meaning;
use crate::plan::{Node, Plan};

use super::fingerprints;

/// A stage that is something else than it was, by itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Changed {
    pub stage: String,
    /// One sentence a field of its key.
    pub because: Vec<String>,
}

/// The difference of two plans of one recipe.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Difference {
    pub changed: Vec<Changed>,
    /// Stages that change because of what they read.
    pub follow: Vec<String>,
    pub new: Vec<String>,
    pub gone: Vec<String>,
    /// Before and now; the artifact is the same.
    pub renamed: Vec<(String, String)>,
    /// Expectations, exports or conditions differ.
    pub promises: bool,
}

impl Difference {
    /// What has changed from one plan to the next.
    pub fn between(before: &Plan, now: &Plan) -> Self {
        let mut this = Self::default();
        let (old, new) = (fingerprints(before), fingerprints(now));
        let names: BTreeMap<&str, usize> = before.names().zip(0..).collect();
        let mut kept = Vec::new();
        for node in &now.nodes {
            let name = &node.call.name;
            match names.get(name.as_str()).map(|at| &before.nodes[*at]) {
                Some(then) if then.fingerprint == node.fingerprint => kept.push(name.as_str()),
                Some(then) => {
                    kept.push(name.as_str());
                    let because = own_causes(before, now, then, node);
                    if because.is_empty() {
                        this.follow.push(name.clone());
                    } else {
                        this.changed.push(Changed { stage: name.clone(), because });
                    }
                }
                None => match before.nodes.iter().find(|then| then.fingerprint == node.fingerprint) {
                    Some(then) => this.renamed.push((then.call.name.clone(), name.clone())),
                    None => this.new.push(name.clone()),
                },
            }
        }
        let gone = |node: &&Node| !kept.contains(&node.call.name.as_str()) && !new.contains(&node.fingerprint);
        this.gone = before.nodes.iter().filter(gone).map(|node| node.call.name.clone()).collect();
        this.promises = old == new && promises(before) != promises(now);
        this
    }

    /// Whether a run of one plan is a run of the other.
    pub fn is_nothing(&self) -> bool {
        let Self { changed, follow, new, gone, renamed, promises } = self;
        changed.is_empty() && follow.is_empty() && new.is_empty() && gone.is_empty() && renamed.is_empty() && !promises
    }
}

/// Why a stage is another, apart from artifacts that changed under their old names.
fn own_causes(before: &Plan, now: &Plan, then: &Node, node: &Node) -> Vec<String> {
    let differences = compare_keys(&then.key, &node.key);
    let sentences = differences.into_iter().filter_map(|mut difference| {
        if let Some(place) = difference.field.strip_prefix("inputs.") {
            let name = |plan: &Plan, node: &Node| node.places.get(place).map(|output| plan.shown(output));
            let (was, is) = (name(before, then), name(now, node));
            if was == is {
                return None;
            }
            difference.stage = Some((is.unwrap_or_else(|| "nothing".to_owned()), was));
        }
        Some(difference.sentence())
    });
    sentences.collect()
}

/// What a plan says beside its stages' fingerprints, as text that can be compared.
fn promises(plan: &Plan) -> Vec<String> {
    let stage = |node: &Node| {
        let mut meaning = Meaning::default();
        format!("{}", meaning.conditions("when", &node.call.when))
    };
    let expectations = plan.expectations.iter().map(|e| format!("{} {:?}", e.text, e.message));
    let exports = plan.exports.iter().map(|e| format!("{} {} {:?}", plan.reference(&e.what), e.path.display(), e.form));
    expectations.chain(exports).chain(plan.nodes.iter().map(stage)).collect()
}
