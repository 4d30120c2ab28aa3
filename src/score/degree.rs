//! The closed word classes of the sentiment rules: negations, degree words, and phrases with a meaning of their own.
//! Hutto & Gilbert 2014; the lists are those of vaderSentiment 3.3.2.

/// What a degree word next to a sentiment word adds to its valence: the mean difference that raters gave.
pub(super) const DEGREE: f64 = 0.293;

/// Words and short phrases that make a sentiment stronger.
pub(super) const STRONGER: &[&str] = &[
    "absolutely",
    "amazingly",
    "awfully",
    "completely",
    "considerable",
    "considerably",
    "decidedly",
    "deeply",
    "effing",
    "enormous",
    "enormously",
    "entirely",
    "especially",
    "exceptional",
    "exceptionally",
    "extreme",
    "extremely",
    "fabulously",
    "flippin",
    "flipping",
    "frackin",
    "fracking",
    "frickin",
    "fricking",
    "friggin",
    "frigging",
    "fuckin",
    "fucking",
    "fuggin",
    "fugging",
    "fully",
    "greatly",
    "hella",
    "highly",
    "hugely",
    "incredible",
    "incredibly",
    "intensely",
    "major",
    "majorly",
    "more",
    "most",
    "particularly",
    "purely",
    "quite",
    "really",
    "remarkably",
    "so",
    "substantially",
    "thoroughly",
    "total",
    "totally",
    "tremendous",
    "tremendously",
    "uber",
    "unbelievably",
    "unusually",
    "utter",
    "utterly",
    "very",
];

/// Words and short phrases that make it weaker.
pub(super) const WEAKER: &[&str] = &[
    "almost",
    "barely",
    "hardly",
    "just enough",
    "kind of",
    "kind-of",
    "kinda",
    "kindof",
    "less",
    "little",
    "marginal",
    "marginally",
    "occasional",
    "occasionally",
    "partly",
    "scarce",
    "scarcely",
    "slight",
    "slightly",
    "somewhat",
    "sort of",
    "sort-of",
    "sorta",
    "sortof",
];

/// Words that turn a later sentiment around; so does every word with `n't` in it.
pub(super) const NEGATIONS: &[&str] = &[
    "aint", "arent", "cannot", "cant", "couldnt", "darent", "despite", "didnt", "doesnt", "dont", "hadnt", "hasnt", "havent", "isnt",
    "mightnt", "mustnt", "neednt", "neither", "never", "none", "nope", "nor", "not", "nothing", "nowhere", "oughtnt", "rarely", "seldom",
    "shant", "shouldnt", "uh-uh", "uhuh", "wasnt", "werent", "without", "wont", "wouldnt",
];

/// Phrases whose valence is their own, whatever their words say.
pub(super) const PHRASES: &[(&str, f64)] = &[
    ("the shit", 3.0),
    ("the bomb", 3.0),
    ("bad ass", 1.5),
    ("bus stop", 0.0),
    ("yeah right", -2.0),
    ("kiss of death", -1.5),
    ("to die for", 3.0),
    ("beating heart", 3.5),
];

/// What a degree word or phrase adds, if it is one.
pub(super) fn degree(words: &str) -> Option<f64> {
    let is_in = |list: &[&str]| list.binary_search(&words).is_ok();
    if is_in(STRONGER) {
        Some(DEGREE)
    } else if is_in(WEAKER) {
        Some(-DEGREE)
    } else {
        None
    }
}

/// Whether a word negates.
pub(super) fn negates(word: &str) -> bool {
    NEGATIONS.binary_search(&word).is_ok() || word.contains("n't")
}

/// The valence of a phrase with a meaning of its own.
pub(super) fn phrase(words: &str) -> Option<f64> {
    PHRASES.iter().find(|(phrase, _)| *phrase == words).map(|(_, valence)| *valence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_the_search() {
        for list in [STRONGER, WEAKER, NEGATIONS] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
        }
    }
}
