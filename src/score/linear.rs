//! A linear model over a text's words: x = TF-IDF of length 1, f_k = w_k · x + b_k, and the mean over members k of f_k,
//! or of Platt's 1 / (1 + exp(a_k f_k + c_k)) where the model is calibrated. Platt 1999; Salton & Buckley 1988.

use std::collections::HashMap;

use super::words::for_each_word;

/// Word weights of one or more members that vote.
#[derive(Clone, PartialEq, Debug)]
pub struct Linear {
    pub(super) terms: Vec<Box<str>>,
    places: HashMap<Box<str>, usize>,
    /// Inverse document frequency of each term.
    pub(super) idf: Vec<f64>,
    pub(super) members: Vec<Member>,
}

/// One member: a weight for each term.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub weights: Vec<f64>,
    pub bias: f64,
    /// Platt's a and c, for a probability.
    pub calibration: Option<[f64; 2]>,
}

/// Terms and their TF-IDF weight, by place; the squares add up to 1, or there are none.
pub type Features = Vec<(usize, f64)>;

impl Linear {
    /// A model over `terms`; `idf` and every member's weights have one number for each.
    ///
    /// # Panics
    /// When they have another length.
    pub fn new(terms: Vec<Box<str>>, idf: Vec<f64>, members: Vec<Member>) -> Self {
        assert!(idf.len() == terms.len() && members.iter().all(|m| m.weights.len() == terms.len()), "one weight a term");
        let places = terms.iter().cloned().zip(0..).collect();
        Self { terms, places, idf, members }
    }

    /// The number of a text.
    #[expect(clippy::cast_precision_loss, reason = "members are few")]
    pub fn score(&self, text: &str) -> f64 {
        let features = self.features(text);
        self.members.iter().map(|member| member.score(&features)).sum::<f64>() / self.members.len() as f64
    }

    /// The terms of a text.
    pub fn features(&self, text: &str) -> Features {
        let mut found = Vec::new();
        for_each_word(text, |word| found.extend(self.places.get(word)));
        found.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "words of one text")]
        let weigh = |same: &[usize]| (same[0], same.len() as f64 * self.idf[same[0]]);
        let mut features: Features = found.chunk_by(|a, b| a == b).map(weigh).collect();
        let length = features.iter().map(|(_, x)| x * x).sum::<f64>().sqrt();
        features.iter_mut().for_each(|(_, x)| *x /= length);
        features
    }

    /// The terms in the order of their weights.
    pub fn terms(&self) -> &[Box<str>] {
        &self.terms
    }

    /// The members' weights.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}

impl Member {
    fn score(&self, features: &Features) -> f64 {
        let f = self.bias + features.iter().map(|(term, x)| x * self.weights[*term]).sum::<f64>();
        self.calibration.map_or(f, |[a, c]| 1.0 / (1.0 + (a * f + c).exp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(calibration: Option<[f64; 2]>) -> Linear {
        let terms = ["good", "bad"].map(Into::into).to_vec();
        Linear::new(terms, vec![1.0, 2.0], vec![Member { weights: vec![1.0, -1.0], bias: 0.5, calibration }])
    }

    #[test]
    fn features_have_length_one() {
        let features = model(None).features("Good bad GOOD unknown");
        assert_eq!(features.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1]);
        assert!((features[0].1 - 0.5_f64.sqrt()).abs() < 1e-15, "2 × 1 against 1 × 2");
        assert!(model(None).features("nothing known").is_empty());
    }

    #[test]
    fn a_text_without_known_words_has_the_bias() {
        assert_eq!(model(None).score(""), 0.5);
        assert_eq!(model(Some([-1.0, 0.5])).score(""), 0.5);
        assert_eq!(model(None).score("good good"), 1.5);
    }
}
