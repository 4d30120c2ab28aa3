//! Renderings to token ids, so that only the template's own text becomes control tokens.
//!
//! A rendering is encoded as a whole. When no control token in the result touches text from the conversation, that is
//! the answer, and it is the one that `transformers` gives. Otherwise somebody wrote `<|im_end|>` into a message: then
//! the template's control tokens are replaced by stand-ins, private characters that a second tokenizer knows as added
//! tokens with the same white-space rules, while it reads the control tokens themselves as plain text. The whole is
//! encoded once more, so everything around the seams, prefixes of words included, is as before.
//!
//! Limits: an added token that is not `special` (`<think>` in some files) is a token wherever it is written, as in
//! `transformers`; and when the model's own vocabulary holds the spelling of a control token as a piece (Unigram), the
//! spelling is broken behind its first character, which may add that tokenizer's start-of-word sign in the middle.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use tokenizers::{AddedToken, Tokenizer};

use super::dialogue::DialogueError;
use super::template::Rendering;

/// Characters that hardly a vocabulary has: what they turn into is the unknown token, or bytes. One is private, two are
/// letters, because some normalizers drop the private ones.
const UNHEARD_OF: [&str; 3] = ["\u{10fffd}", "\u{a66e}", "\u{1242b}"];

/// Where stand-ins are taken from: private characters that no text means anything by.
const PRIVATE: Range<u32> = 0xf_0000..0xf_fffe;

/// One id of a rendering, and the byte at which its text begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub id: u32,
    pub start: usize,
}

/// A tokenizer that knows its control tokens.
pub struct Encoder {
    tokenizer: Tokenizer,
    /// Added tokens that stand for no text, by id.
    controls: Vec<(u32, AddedToken)>,
    /// Built when the first message spells a control token.
    sealed: OnceLock<Result<Sealed, DialogueError>>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("controls", &self.controls.len()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder with the vocabulary of `tokenizer`; its truncation and padding are left out.
    ///
    /// # Errors
    /// When the tokenizer refuses to be without truncation.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, DialogueError> {
        let mut tokenizer = tokenizer.clone();
        tokenizer.with_truncation(None).map_err(|e| failed(&e))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let probes = UNHEARD_OF.iter().flat_map(|text| encoded(&tokenizer, text).unwrap_or_default());
        let unknown: BTreeSet<u32> = probes.map(|piece| piece.id).collect();
        tokenizer.set_encode_special_tokens(false);
        let mut controls: Vec<_> = tokenizer.get_added_tokens_decoder().into_iter().collect();
        // Byte pieces stand for text, and so does the unknown token, whatever the file says.
        let is_byte = |piece: &str| piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>');
        controls.retain(|(id, token)| token.special && !token.content.is_empty() && !is_byte(&token.content) && !unknown.contains(id));
        controls.sort_by_key(|(id, _)| *id);
        Ok(Self { tokenizer, controls, sealed: OnceLock::new() })
    }

    /// The ids of a rendering.
    ///
    /// # Errors
    /// When the tokenizer has no id for a part of the text, or none but the control token for what a message spells.
    pub fn encode(&self, rendering: &Rendering) -> Result<Vec<Token>, DialogueError> {
        self.refuse_untraced(rendering)?;
        let pieces = encoded(&self.tokenizer, &rendering.text)?;
        let forged = |piece: &Piece| self.is_control(piece.id) && rendering.interpolated.iter().any(|r| overlaps(r, &piece.range));
        if !pieces.iter().any(forged) {
            return Ok(pieces.iter().map(|piece| Token { id: piece.id, start: piece.range.start }).collect());
        }
        self.encode_sealed(rendering)
    }

    /// As [`Self::encode`], the way that holds whatever messages spell.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_sealed(&self, rendering: &Rendering) -> Result<Vec<Token>, DialogueError> {
        self.refuse_untraced(rendering)?;
        let first = self.free_slot(&rendering.text)?;
        match first == PRIVATE.start {
            true => self.sealed.get_or_init(|| Sealed::new(self, first)).as_ref().map_err(Clone::clone)?.encode(self, rendering),
            false => Sealed::new(self, first)?.encode(self, rendering),
        }
    }

    /// Refuses a control token of which it is not known whether the template or a message wrote it.
    fn refuse_untraced(&self, rendering: &Rendering) -> Result<(), DialogueError> {
        let is_own = |range: Range<usize>| !rendering.interpolated.iter().any(|data| overlaps(data, &range));
        let is_doubtful = |token: &str| {
            rendering.untraced.iter().any(|text| text.contains(token))
                && rendering.text.match_indices(token).any(|(at, _)| is_own(at..at + token.len()))
        };
        match self.controls.iter().find(|(_, token)| is_doubtful(&token.content)) {
            Some((_, token)) => Err(DialogueError::Untraced { token: token.content.clone() }),
            None => Ok(()),
        }
    }

    /// The first of as many private characters as there are control tokens, and one, none of which is in `text`.
    fn free_slot(&self, text: &str) -> Result<u32, DialogueError> {
        let taken: BTreeSet<u32> = text.chars().map(u32::from).filter(|c| PRIVATE.contains(c)).collect();
        let size = u32::try_from(self.controls.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut slots = PRIVATE.step_by(size.try_into().unwrap_or(usize::MAX));
        let free = slots.find(|&slot| slot.saturating_add(size) <= PRIVATE.end && taken.range(slot..slot + size).next().is_none());
        free.ok_or_else(|| DialogueError::Encode { reason: "the text uses all private characters".into() })
    }

    fn is_control(&self, id: u32) -> bool {
        self.controls.binary_search_by_key(&id, |(id, _)| *id).is_ok()
    }

    /// The control token that begins at byte `at` and ends before `end`, the longest if there are several.
    fn control_at(&self, text: &str, at: usize, end: usize) -> Option<(usize, &AddedToken)> {
        let fits = |token: &AddedToken| {
            let stop = at + token.content.len();
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            stop <= end
                && text.as_bytes()[at..stop] == *token.content.as_bytes()
                && !(token.single_word && (is_word(text[..at].chars().next_back()) || is_word(text[stop..].chars().next())))
        };
        let fitting = self.controls.iter().enumerate().filter(|(_, (_, token))| fits(token));
        fitting.max_by_key(|(_, (_, token))| token.content.len()).map(|(i, (_, token))| (i, token))
    }
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// A tokenizer to which control tokens are text, and stand-ins are control tokens.
struct Sealed {
    tokenizer: Tokenizer,
    /// Stand-ins in the order of the control tokens, then the one that breaks a spelling up.
    first: u32,
    /// The control token that a stand-in's id means, `None` for the breaker.
    meaning: BTreeMap<u32, Option<u32>>,
}

impl Sealed {
    fn new(encoder: &Encoder, first: u32) -> Result<Self, DialogueError> {
        let mut tokenizer = encoder.tokenizer.clone();
        tokenizer.set_encode_special_tokens(true);
        let like = |(i, token): (usize, &AddedToken)| {
            AddedToken::from(stand_in(first, i), false).lstrip(token.lstrip).rstrip(token.rstrip).normalized(false)
        };
        let breaker = AddedToken::from(stand_in(first, encoder.controls.len()), false).normalized(false);
        let stand_ins: Vec<AddedToken> = encoder.controls.iter().map(|(_, token)| token).enumerate().map(like).chain([breaker]).collect();
        tokenizer.add_tokens(&stand_ins);
        let ids = stand_ins.iter().map(|token| tokenizer.token_to_id(&token.content));
        let meanings = encoder.controls.iter().map(|(id, _)| Some(*id)).chain([None]);
        let meaning = ids.zip(meanings).filter_map(|(id, meaning)| Some((id?, meaning))).collect();
        Ok(Self { tokenizer, first, meaning })
    }

    fn encode(&self, encoder: &Encoder, rendering: &Rendering) -> Result<Vec<Token>, DialogueError> {
        let mut text = self.replaced(encoder, rendering);
        loop {
            let pieces = encoded(&self.tokenizer, &text.sealed)?;
            let forged: Vec<&Piece> = pieces.iter().filter(|piece| encoder.is_control(piece.id)).collect();
            if forged.is_empty() {
                return Ok(self.tokens(&text, &pieces));
            }
            // The vocabulary itself holds the spelling as a piece.
            for piece in forged.into_iter().rev() {
                let spelling = &text.sealed[piece.range.clone()];
                let width = spelling.chars().next().map_or(0, char::len_utf8);
                if width == 0 || width == spelling.len() {
                    return Err(DialogueError::Forged { token: spelling.to_owned() });
                }
                text.insert(piece.range.start + width, &stand_in(self.first, encoder.controls.len()));
            }
        }
    }

    /// The rendering with stand-ins for the control tokens that the template wrote.
    fn replaced(&self, encoder: &Encoder, rendering: &Rendering) -> Replaced {
        let mut replaced = Replaced { sealed: String::with_capacity(rendering.text.len()), places: vec![(0, 0)] };
        let mut at = 0;
        let end = rendering.text.len();
        for data in rendering.interpolated.iter().cloned().chain(std::iter::once(end..end)) {
            while at < data.start {
                if let Some((i, token)) = encoder.control_at(&rendering.text, at, data.start) {
                    at += token.content.len();
                    replaced.sealed.push_str(&stand_in(self.first, i));
                    replaced.places.push((replaced.sealed.len(), at));
                } else {
                    let c = rendering.text[at..].chars().next().unwrap_or_default();
                    at += c.len_utf8();
                    replaced.sealed.push(c);
                }
            }
            replaced.sealed.push_str(&rendering.text[data.clone()]);
            at = data.end;
        }
        replaced
    }

    fn tokens(&self, text: &Replaced, pieces: &[Piece]) -> Vec<Token> {
        let meant = pieces.iter().filter_map(|piece| {
            let id = self.meaning.get(&piece.id).copied().unwrap_or(Some(piece.id))?;
            Some(Token { id, start: text.original(piece.range.start) })
        });
        meant.collect()
    }
}

/// A rendering with stand-ins in it.
struct Replaced {
    sealed: String,
    /// Bytes of the sealed text and of the original that correspond: from each on both run in step.
    places: Vec<(usize, usize)>,
}

impl Replaced {
    fn original(&self, at: usize) -> usize {
        let (sealed, original) = self.places[self.places.partition_point(|(sealed, _)| *sealed <= at).saturating_sub(1)];
        // Inside a stand-in its own beginning counts.
        let end = self.places.get(self.places.partition_point(|(sealed, _)| *sealed <= at)).map_or(usize::MAX, |(_, end)| *end);
        (original + (at - sealed)).min(end)
    }

    fn insert(&mut self, at: usize, stand_in: &str) {
        let original = self.original(at);
        self.sealed.insert_str(at, stand_in);
        let behind = self.places.partition_point(|(sealed, _)| *sealed <= at);
        self.places[behind..].iter_mut().for_each(|(sealed, _)| *sealed += stand_in.len());
        self.places.insert(behind, (at + stand_in.len(), original));
    }
}

fn stand_in(first: u32, i: usize) -> String {
    let code = u32::try_from(i).unwrap_or(u32::MAX).saturating_add(first);
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
}

struct Piece {
    id: u32,
    /// Bytes of the text.
    range: Range<usize>,
}

fn encoded(tokenizer: &Tokenizer, text: &str) -> Result<Vec<Piece>, DialogueError> {
    let encoding = tokenizer.encode(text, false).map_err(|e| failed(&e))?;
    Ok(encoding.get_ids().iter().zip(encoding.get_offsets()).map(|(&id, &(start, end))| Piece { id, range: start..end }).collect())
}

fn failed(error: &tokenizers::Error) -> DialogueError {
    DialogueError::Encode { reason: error.to_string() }
}
