//! Constrained decoding: completions that are texts of a given form, whatever the network would rather say.
//!
//! A form is a regular expression as `llguidance` writes terminals of a grammar. After every token it says which tokens may
//! follow so that the text can still become one of the form; only a text that is one may end.

use std::sync::{Arc, Mutex};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory, token_bytes_from_tokenizer_json};

use super::tokenizer::is_byte;
use super::{ModelError, Tokenizer};

/// What guides of one vocabulary share.
pub struct Guides {
    factory: ParserFactory,
    /// The form that was compiled last: requests beside each other often have the same.
    last: Mutex<Option<(Arc<str>, Matcher)>>,
}

/// How far one completion has come in its form.
pub struct Guide {
    form: Arc<str>,
    matcher: Option<Matcher>,
    read: usize,
}

impl std::fmt::Debug for Guides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guides").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("form", &self.form).field("read", &self.read).finish_non_exhaustive()
    }
}

impl Guides {
    /// For a network with `vocabulary` ids.
    ///
    /// # Errors
    /// When the tokenizer has no end token, or its tokens are no pieces of text.
    pub fn new(tokenizer: &Tokenizer, vocabulary: usize) -> Result<Self, ModelError> {
        let mut factory = ParserFactory::new(&environment(tokenizer, vocabulary)?, InferenceCapabilities::default(), &[]).map_err(wrong)?;
        factory.quiet();
        Ok(Self { factory, last: Mutex::new(None) })
    }

    fn compiled(&self, form: &Arc<str>) -> Result<Matcher, ModelError> {
        if let Some((last, matcher)) = &*self.last.lock().expect("nobody panicked")
            && last == form
        {
            return Ok(matcher.deep_clone());
        }
        let parser = self.factory.create_parser(TopLevelGrammar::from_lark(format!("start: FORM\nFORM: {form}\n")));
        let matcher = Matcher::new(Ok(parser.map_err(|e| wrong(without_place(&e.to_string())))?));
        *self.last.lock().expect("nobody panicked") = Some((form.clone(), matcher.deep_clone()));
        Ok(matcher)
    }
}

impl Guide {
    /// At the start of a text of this form.
    pub fn new(form: Arc<str>) -> Self {
        Self { form, matcher: None, read: 0 }
    }

    /// Sets logits of tokens that may not follow what was `said` so far to -∞.
    ///
    /// # Errors
    /// When the form is none, or no token of the vocabulary continues it.
    pub fn allow(&mut self, guides: &Guides, said: &[u32], logits: &mut [f32]) -> Result<(), ModelError> {
        let matcher = match &mut self.matcher {
            Some(matcher) => matcher,
            none => none.insert(guides.compiled(&self.form)?),
        };
        matcher.consume_tokens(&said[self.read..]).map_err(wrong)?;
        self.read = said.len();
        let mask = matcher.compute_mask_or_eos().map_err(wrong)?;
        if mask.is_zero() {
            return Err(wrong("no token of the vocabulary continues it"));
        }
        let allowed = |id: usize| u32::try_from(id).is_ok_and(|id| mask.is_allowed(id));
        logits.iter_mut().enumerate().filter(|(id, _)| !allowed(*id)).for_each(|(_, logit)| *logit = f32::NEG_INFINITY);
        Ok(())
    }
}

/// The tokens of a vocabulary as bytes of text; ids that no text has are of no form.
fn environment(tokenizer: &Tokenizer, vocabulary: usize) -> Result<TokEnv, ModelError> {
    let ends: Vec<u32> = tokenizer.end().iter().copied().filter(|id| (*id as usize) < vocabulary).collect();
    let Some(&end) = ends.first() else {
        return Err(wrong("the tokenizer has no end token, so a text would not know where to stop"));
    };
    let mut json = tokenizer.canonical()?;
    // `<0x00>` to `<0xFF>` are bytes of text, even where a file calls them special
    if let Some(added) = json["added_tokens"].as_array_mut() {
        added.retain(|token| !token["content"].as_str().is_some_and(is_byte));
    }
    let odd = |piece: &String| piece.starts_with("<0x") && !is_byte(piece);
    if let Some(piece) = json["model"]["vocab"].as_object().and_then(|vocabulary| vocabulary.keys().find(|piece| odd(piece))) {
        return Err(wrong(format!("the tokenizer's piece `{piece}` is no byte")));
    }
    let spelled = token_bytes_from_tokenizer_json(&json);
    let mut tokens = spelled.map_err(|e| wrong(format!("the tokenizer's pieces are not read as bytes: {e}")))?;
    tokens.resize(vocabulary, Vec::new());
    let size = u32::try_from(vocabulary).expect("ids have 32 bits");
    let trie = TokTrie::from(&TokRxInfo::new(size, end), &tokens).with_eos_tokens(&ends);
    Ok(Arc::new(ApproximateTokEnv::new(trie)))
}

/// What is wrong with a form, without where in the grammar that nobody wrote.
fn without_place(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("at ").and_then(|rest| rest.split_once("): ")).map_or(line, |(_, reason)| reason)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn wrong(error: impl ToString) -> ModelError {
    ModelError::Form { reason: error.to_string() }
}
