//! Which column of a file is meant by a column that it does not have: people name the same thing in many ways.

use std::sync::Arc;

use crate::diagnostic::did_you_mean;

/// Names that data sets in circulation use for one thing; the first is the standard library's.
const NAMES: &[&[&str]] = &[
    &["prompt", "instruction", "question", "query", "input", "context", "opening", "behavior", "goal", "prompts_final"],
    &["completion", "output", "response", "answer", "target", "text", "generation"],
    &["chosen", "preferred", "accepted", "better", "winner", "win", "positive", "response_chosen", "response_j", "good"],
    &["rejected", "dispreferred", "worse", "loser", "lose", "negative", "response_rejected", "response_k", "bad"],
    &["desirable", "label", "liked", "thumbs_up"],
    &["rating", "score", "grade", "stars", "reward"],
];

/// The column among `has` that is most likely meant by `asked`.
pub fn meant<'a>(asked: &str, has: &'a [Arc<str>]) -> Option<&'a Arc<str>> {
    let same = |name: &&&'a Arc<str>| name.eq_ignore_ascii_case(asked);
    let known = NAMES.iter().find(|names| names.contains(&asked));
    let alike = || known?.iter().find_map(|name| has.iter().find(|column| column.eq_ignore_ascii_case(name)));
    let spelt = || {
        let near = did_you_mean(asked, has.iter().map(|name| &**name))?;
        has.iter().find(|name| &***name == near)
    };
    has.iter().find(|name| same(&name)).or_else(alike).or_else(spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_then_spelling() {
        let has: Vec<Arc<str>> = ["dispreferred", "preferred", "Prompt", "scroe"].map(Arc::from).to_vec();
        let meant = |asked| meant(asked, &has).map(|name| &**name);
        assert_eq!(meant("chosen"), Some("preferred"));
        assert_eq!(meant("rejected"), Some("dispreferred"));
        assert_eq!(meant("prompt"), Some("Prompt"));
        assert_eq!(meant("score"), Some("scroe"));
        assert_eq!(meant("weather"), None);
    }
}
