//! What a network reads, in tokens: a prompt, a completion, and which of its tokens are scored.

use std::sync::Arc;

/// A prompt and the completion behind it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TokenSequence {
    prompt: Arc<[u32]>,
    completion: Arc<[u32]>,
    /// Which completion tokens are scored, one flag a token; `None` scores them all.
    scored: Option<Arc<[bool]>>,
}

/// How many tokens a cut to a maximal length took away.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cut {
    pub prompt: usize,
    pub completion: usize,
}

impl TokenSequence {
    /// A sequence whose completion is scored throughout. Nothing predicts the very first token, so without a prompt
    /// it becomes the prompt.
    pub fn new(prompt: impl Into<Arc<[u32]>>, completion: impl Into<Arc<[u32]>>) -> Self {
        let (prompt, completion) = (prompt.into(), completion.into());
        match (&prompt[..], &completion[..]) {
            ([], [first, rest @ ..]) => Self { prompt: [*first].into(), completion: rest.into(), scored: None },
            _ => Self { prompt, completion, scored: None },
        }
    }

    /// A sequence of which `flags[i]` says whether token i is scored; what comes before the first one is the prompt.
    pub fn with_flags(ids: &[u32], flags: &[bool]) -> Self {
        let first = flags.iter().position(|&f| f).unwrap_or(ids.len()).clamp(1.min(ids.len()), ids.len());
        let rest = &flags[first..];
        let scored = (!rest.iter().all(|&f| f)).then(|| rest.into());
        Self { prompt: ids[..first].into(), completion: ids[first..].into(), scored }
    }

    /// The ids in front, never scored. Empty only where the completion is empty too.
    pub fn prompt(&self) -> &Arc<[u32]> {
        &self.prompt
    }

    /// The ids behind the prompt, end token included.
    pub fn completion(&self) -> &Arc<[u32]> {
        &self.completion
    }

    /// Number of tokens, prompt and completion.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// Whether there are no tokens at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether completion token `i` is scored.
    pub fn is_scored(&self, i: usize) -> bool {
        self.scored.as_ref().is_none_or(|flags| flags[i])
    }

    /// Number of scored tokens: how many log-probs, entropies and values it has.
    pub fn scored_len(&self) -> usize {
        self.scored.as_ref().map_or(self.completion.len(), |flags| flags.iter().filter(|&&f| f).count())
    }

    /// Keeps the first `longest` tokens and says what was cut, so that a caller can count and report it.
    pub fn cut(&mut self, longest: usize) -> Cut {
        let prompt = self.prompt.len().saturating_sub(longest);
        let completion = self.completion.len().min((self.len() - prompt).saturating_sub(longest));
        if prompt > 0 {
            self.prompt = self.prompt[..longest].into();
        }
        if completion > 0 {
            let kept = self.completion.len() - completion;
            self.completion = self.completion[..kept].into();
            self.scored = self.scored.as_ref().map(|flags| flags[..kept].into());
        }
        Cut { prompt, completion }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_of_all_is_never_scored() {
        let sequence = TokenSequence::new([], [5, 6, 7]);
        assert_eq!((&sequence.prompt[..], &sequence.completion[..]), (&[5][..], &[6, 7][..]));
        let sequence = TokenSequence::with_flags(&[5, 6, 7], &[true, true, false]);
        assert_eq!((&sequence.prompt[..], sequence.scored_len()), (&[5][..], 1));
    }

    #[test]
    fn flags_split_prompt_from_completion() {
        let sequence = TokenSequence::with_flags(&[1, 2, 3, 4], &[false, false, true, true]);
        assert_eq!(sequence, TokenSequence::new([1, 2], [3, 4]));
        let nothing = TokenSequence::with_flags(&[1, 2], &[false, false]);
        assert_eq!((nothing.prompt.len(), nothing.scored_len()), (2, 0));
    }

    #[test]
    fn a_cut_takes_from_the_end_and_counts() {
        let whole = TokenSequence::with_flags(&[1, 2, 3, 4, 5], &[false, false, true, false, true]);
        let mut cut = whole.clone();
        assert_eq!(cut.cut(4), Cut { prompt: 0, completion: 1 });
        assert_eq!((cut.len(), cut.scored_len()), (4, 1));
        assert_eq!(cut.cut(1), Cut { prompt: 1, completion: 2 });
        assert_eq!((cut.len(), cut.scored_len()), (1, 0));
        let mut same = whole.clone();
        assert_eq!((same.cut(5), same), (Cut::default(), whole));
    }
}
