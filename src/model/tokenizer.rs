//! Text to token ids and back, with the `tokenizer.json` of the network.
//!
//! Text from data never becomes a special token: only this module puts the start and end tokens where they belong.
//! Networks with a chat template read a dialogue as the template renders it ([`super::conversation`]); others read its
//! texts one after the other, as they are written.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::value::{Completion, Role, Sequence, Turn};

use super::conversation::{Conversation, Said};
use super::tokenizer_files::{SideFile, side_config, side_files};
use super::{ModelError, ModelSpec, TokenSequence};

/// Characters that stand in front of a continuation while it is encoded, so that no start-of-text space is added.
const ANCHORS: [&str; 4] = ["\n", ".", "a", "0"];

/// A character that no vocabulary has: what it turns into is the unknown token, or bytes.
const UNHEARD_OF: &str = "\u{10fffd}";

/// How a network reads and writes text.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    hash: String,
    /// Special ids, which stand for no text; the bytes `<0x00>` to `<0xFF>` do, whatever the file says.
    special: BTreeSet<u32>,
    /// The special ids that a text may still turn into: the unknown token.
    unknown: BTreeSet<u32>,
    /// Put in front of every prompt.
    start: Option<u32>,
    end: Vec<u32>,
    conversation: Option<Conversation>,
    files: Vec<SideFile>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("hash", &self.hash).field("start", &self.start).field("end", &self.end).finish()
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` and what stands beside it.
    ///
    /// # Errors
    /// When it is missing or not a tokenizer.
    pub fn read(folder: &Path, spec: &ModelSpec) -> Result<Self, ModelError> {
        Self::from_files(side_files(folder)?, folder, spec)
    }

    /// The same from files that were read already; `folder` is where errors say they are.
    pub(super) fn from_files(files: Vec<SideFile>, folder: &Path, spec: &ModelSpec) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let wrong = |reason: String| ModelError::Tokenizer { path: path.clone(), reason };
        let Some((_, bytes)) = files.iter().find(|(name, _)| *name == "tokenizer.json") else {
            return Err(ModelError::NotANetwork { path: folder.to_owned(), missing: "tokenizer.json" });
        };
        // the library panics at some mistakes of syntax
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(|e| wrong(e.to_string()))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| wrong(e.to_string()))?;
        inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);
        let mut tokenizer = Self {
            hash: String::new(),
            special: special_ids(&inner),
            unknown: BTreeSet::new(),
            start: None,
            end: end_ids(&files, folder, spec)?,
            conversation: Conversation::read(&files, folder, &inner)?,
            files,
            inner,
        };
        tokenizer.unknown = tokenizer.encode_raw(UNHEARD_OF).unwrap_or_default().into_iter().collect();
        tokenizer.start = tokenizer.start_id(folder, spec)?;
        // From here on this module alone adds special tokens.
        tokenizer.inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        tokenizer.end_turns();
        let canonical = tokenizer.text().map_err(|e| wrong(e.to_string()))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(canonical.as_bytes()).update(format!("{:?}", tokenizer.start).as_bytes());
        if let Some(conversation) = &tokenizer.conversation {
            hasher.update(conversation.source().as_bytes());
        }
        tokenizer.hash = hasher.finalize().to_hex().to_string();
        Ok(tokenizer)
    }

    /// The tokenizer in its own format, as it is used. The library prints to the terminal when it writes a vocabulary some
    /// of whose ids are nobody's; such a one is given as its file has it.
    fn text(&self) -> tokenizers::Result<String> {
        let vocabulary = self.inner.get_vocab(false);
        let has_holes = vocabulary.values().max().is_some_and(|last| *last as usize >= vocabulary.len());
        if !has_holes {
            return self.inner.to_string(false);
        }
        let (_, bytes) = self.files.iter().find(|(name, _)| *name == "tokenizer.json").expect("it was read from there");
        let mut file: serde_json::Map<String, Value> = serde_json::from_slice(bytes)?;
        for unused in ["truncation", "padding", "post_processor"] {
            file.insert(unused.to_owned(), Value::Null);
        }
        Ok(serde_json::to_string(&file)?)
    }

    /// The start token, as `transformers` would put it: `add_bos_token` decides where it is said; else what the
    /// tokenizer's own post-processor adds; without one, Llama's tokenizers add it and others do not.
    fn start_id(&self, folder: &Path, spec: &ModelSpec) -> Result<Option<u32>, ModelError> {
        let config = side_config(&self.files, "tokenizer_config.json", folder)?;
        let said = config.as_ref().and_then(|c| c.field("add_bos_token")).and_then(Value::as_bool);
        let class = config.as_ref().and_then(|c| c.text("tokenizer_class")).unwrap_or("LlamaTokenizer");
        let wanted = match (said, self.inner.get_post_processor()) {
            (Some(said), _) => said,
            (None, Some(_)) => {
                let encoding = self.inner.encode_fast("a", true).map_err(|e| encode_error(&e))?;
                return Ok(encoding.get_ids().first().copied().filter(|id| self.special.contains(id)));
            }
            (None, None) => class.starts_with("Llama") || class.starts_with("Gemma"),
        };
        Ok(spec.bos.filter(|_| wanted))
    }

    /// Makes what ends an assistant's turn end a completion too: the files of chat models do not always say so.
    fn end_turns(&mut self) {
        let ends = |conversation: &Conversation| conversation.end_of_turn(|id| self.special.contains(&id));
        let turn = self.conversation.as_ref().and_then(ends);
        self.end.extend(turn.filter(|id| !self.end.contains(id)));
    }

    /// Whether dialogues are read through a chat template.
    pub fn has_template(&self) -> bool {
        self.conversation.is_some()
    }

    /// A hash of everything that decides how text becomes ids; networks with equal hashes can read each other's ids.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The token put in front of a prompt, if the network wants one.
    pub fn start(&self) -> Option<u32> {
        self.start
    }

    /// Ids that end a completion; the first one is appended to finished text.
    pub fn end(&self) -> &[u32] {
        &self.end
    }

    /// The files to write beside the weights.
    pub(super) fn files(&self) -> &[SideFile] {
        &self.files
    }

    /// The bytes of one of them.
    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| &**bytes)
    }

    /// The whole of `tokenizer.json` as it is in force.
    ///
    /// # Errors
    /// When the library cannot write what it read.
    pub(super) fn canonical(&self) -> Result<Value, ModelError> {
        let text = self.text().map_err(|e| encode_error(&e))?;
        serde_json::from_str(&text).map_err(|e| ModelError::Encode { reason: e.to_string() })
    }

    /// The text of one id as the tokenizer spells it, `<s>` included.
    pub fn piece(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The ids of a text, without start and end tokens; text that spells a special token stays text.
    ///
    /// # Errors
    /// When the tokenizer has no id for a part of the text and no unknown token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let ids = self.encode_raw(text)?;
        let Some(&id) = ids.iter().find(|id| self.is_control(**id)) else { return Ok(ids) };
        // The vocabulary itself holds the special token as a piece: break its spelling up.
        let spelling = self.piece(id).unwrap_or_default();
        let Some(at) = text.find(&spelling).filter(|_| spelling.chars().count() > 1) else { return Ok(ids) };
        let first = spelling.chars().next().map_or(0, char::len_utf8);
        let (before, after) = text.split_at(at + first);
        let mut broken = self.encode(before)?;
        broken.extend(self.after(before, &broken, after)?);
        Ok(broken)
    }

    fn encode_raw(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| encode_error(&e))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text: Vec<u32> = ids.iter().copied().filter(|id| !self.special.contains(id)).collect();
        self.inner.decode(&text, false).unwrap_or_default()
    }

    /// The text of ids, special tokens by their names.
    pub fn show(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, false).unwrap_or_default()
    }

    /// The text that `ids` add behind `prompt`: unlike [`Self::decode`] it keeps the space in front of a first word.
    pub fn decode_completion(&self, prompt: &[u32], ids: &[u32]) -> String {
        let tail = &prompt[prompt.len().saturating_sub(8)..];
        let before = self.decode(tail);
        let both = self.decode(&[tail, ids].concat());
        both.strip_prefix(&before).map_or_else(|| self.decode(ids), str::to_owned)
    }

    /// The ids of a dialogue as a prompt: as the chat template opens the assistant's turn; without a template, the start
    /// token and the texts of its turns.
    ///
    /// # Errors
    /// As [`Self::encode`], and when the template refuses the dialogue.
    pub fn encode_prompt(&self, dialogue: &[Turn]) -> Result<Vec<u32>, ModelError> {
        if let Some(conversation) = &self.conversation {
            return Ok(conversation.prompt(dialogue)?);
        }
        let text: String = dialogue.iter().map(|turn| &*turn.text).collect();
        Ok(self.start.into_iter().chain(self.encode(&text)?).collect())
    }

    /// The ids of a completion behind a prompt: the sampled ones if it was sampled; else those of its text, and the
    /// end token if it is finished.
    ///
    /// # Errors
    /// As [`Self::encode_prompt`].
    pub fn encode_completion(&self, prompt: &[Turn], completion: &Completion) -> Result<Vec<u32>, ModelError> {
        if let Some(tokens) = &completion.tokens {
            return Ok(tokens.to_vec());
        }
        if let Some(conversation) = &self.conversation {
            return Ok(conversation.completion(prompt, &completion.text, completion.finished, &self.end)?);
        }
        let before: String = prompt.iter().map(|turn| &*turn.text).collect();
        let mut ids = self.after(&before, &self.encode(&before)?, &completion.text)?;
        ids.extend(self.end.first().filter(|_| completion.finished));
        Ok(ids)
    }

    /// The ids of a prompt with its completion; without a completion, of a dialogue whose assistant turns are scored.
    ///
    /// # Errors
    /// As [`Self::encode_prompt`].
    pub fn encode_sequence(&self, sequence: &Sequence) -> Result<TokenSequence, ModelError> {
        match &sequence.completion {
            Some(completion) => {
                Ok(TokenSequence::new(self.encode_prompt(&sequence.prompt)?, self.encode_completion(&sequence.prompt, completion)?))
            }
            None => self.encode_dialogue(&sequence.prompt),
        }
    }

    fn encode_dialogue(&self, dialogue: &[Turn]) -> Result<TokenSequence, ModelError> {
        if let Some(conversation) = &self.conversation {
            let Said { ids, assistant } = conversation.dialogue(dialogue, &self.end)?;
            return Ok(TokenSequence::with_flags(&ids, &assistant));
        }
        let (mut text, mut ids, mut flags) = (String::new(), Vec::new(), Vec::new());
        for turn in dialogue {
            ids.extend(self.after(&text, &ids, &turn.text)?);
            text.push_str(&turn.text);
            flags.resize(ids.len(), turn.role == Role::Assistant);
        }
        if flags.last() == Some(&true)
            && let Some(&end) = self.end.first()
        {
            ids.push(end);
            flags.push(true);
        }
        let ids: Vec<u32> = self.start.into_iter().chain(ids).collect();
        flags.splice(..0, self.start.map(|_| false));
        Ok(TokenSequence::with_flags(&ids, &flags))
    }

    /// The ids of `text` behind `before`, whose ids are `before_ids`: the rest of the whole's ids where they begin with
    /// `before_ids`; else those of `text` encoded alone, as in the middle of a line.
    fn after(&self, before: &str, before_ids: &[u32], text: &str) -> Result<Vec<u32>, ModelError> {
        let whole = self.encode_raw(&format!("{before}{text}"))?;
        if let Some(rest) = whole.strip_prefix(before_ids).filter(|ids| self.is_text(ids)) {
            return Ok(rest.to_vec());
        }
        for anchor in ANCHORS {
            let anchored = self.encode_raw(&format!("{anchor}{text}"))?;
            if let Some(rest) = anchored.strip_prefix(&self.encode_raw(anchor)?[..]).filter(|ids| self.is_text(ids)) {
                return Ok(rest.to_vec());
            }
        }
        self.encode(text)
    }

    fn is_text(&self, ids: &[u32]) -> bool {
        !ids.iter().any(|&id| self.is_control(id))
    }

    fn is_control(&self, id: u32) -> bool {
        self.special.contains(&id) && !self.unknown.contains(&id)
    }
}

fn encode_error(e: &tokenizers::Error) -> ModelError {
    ModelError::Encode { reason: e.to_string() }
}

/// Whether a piece is a byte: `<0x0A>`.
pub(super) fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn special_ids(inner: &tokenizers::Tokenizer) -> BTreeSet<u32> {
    let tokens = inner.get_added_tokens_decoder().into_iter();
    tokens.filter(|(_, t)| t.special && !is_byte(&t.content)).map(|(id, _)| id).collect()
}

/// End tokens: those of `config.json`, then further ones that `generation_config.json` names.
fn end_ids(files: &[SideFile], folder: &Path, spec: &ModelSpec) -> Result<Vec<u32>, ModelError> {
    let mut end = spec.eos.clone();
    if let Some(config) = side_config(files, "generation_config.json", folder)? {
        for id in config.token_ids("eos_token_id")? {
            if !end.contains(&id) {
                end.push(id);
            }
        }
    }
    Ok(end)
}
