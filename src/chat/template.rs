//! A chat template: Jinja source that turns a conversation into the text a network was trained to read.
//!
//! Rendered as `transformers` does it (`utils/chat_template_utils.py`): Jinja with `trim_blocks`, `lstrip_blocks`,
//! `break` and `continue`, its own `tojson`, `raise_exception`, `strftime_now` and `{% generation %}`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use serde_json::{Map, Value as Json, json};

use super::dialect;
use super::error::{TemplateError, request};
use super::origin::{self, Origins};
use super::python;

/// A template that was read, and the special tokens it may name.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    environment: Environment<'static>,
    marks_generation: bool,
    /// What it spells in quotes.
    quoted: BTreeSet<String>,
    /// `bos_token` and the like. Their text is the template's own: it may become control tokens.
    specials: BTreeMap<String, String>,
}

/// What a conversation is rendered with.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Whether the text that opens an assistant turn is added.
    pub add_generation_prompt: bool,
    /// The field of the last message to leave open, usually `content`.
    pub continue_final_message: Option<String>,
    pub tools: Option<Vec<Json>>,
    pub documents: Option<Vec<Json>>,
    /// Further names, as `enable_thinking` or `date_string`.
    pub variables: Map<String, Json>,
    /// Local time in seconds since 1970. Without it `strftime_now` is undefined, and renderings do not depend on the day.
    pub now: Option<i64>,
}

/// A rendered conversation. All ranges are in bytes of `text` and lie on characters' boundaries.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rendering {
    pub text: String,
    /// What stands between `{% generation %}` and `{% endgeneration %}`, in the order it was printed.
    pub assistant: Vec<Range<usize>>,
    /// What is known to have come from messages, tools, documents and variables, in order: text that never becomes
    /// control tokens.
    pub interpolated: Vec<Range<usize>>,
    /// Stretches of those that could not be followed through the template. A control token that one of them spells is
    /// nobody's.
    pub untraced: BTreeSet<String>,
}

/// Where a message's reasoning may stand; templates read the first, or the second.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Stands behind the text to continue while the template runs, and shows where the rendering is to be cut.
const CONTINUE: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The name of the one template of an environment.
const NAME: &str = "chat";

/// Steps of the engine that a rendering may take, and bytes that it may have. How long a text in a variable grows is not
/// limited: a template that doubles one over and over uses up the memory.
const FUEL: u64 = 20_000_000;
const LONGEST: usize = 1 << 28;

/// What all templates have in common.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("the delimiters are Jinja's"));
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    python::install(&mut environment);
    environment
});

/// Unicode promises that these mean nothing; two of them stand around what `{% generation %}` prints.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

impl ChatTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`], with line and column.
    pub fn new(source: &str, specials: BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let dialect = dialect::rewrite(source)?;
        let mut environment = ENVIRONMENT.clone();
        environment.add_template_owned(NAME, dialect.source.clone()).map_err(|error| {
            let found = error.range().map(|range| dialect.column(range.start));
            match (TemplateError::from(error), found) {
                (TemplateError::Syntax { line, reason, .. }, Some(column)) => TemplateError::Syntax { line, column, reason },
                (other, _) => other,
            }
        })?;
        Ok(Self { source: source.to_owned(), environment, marks_generation: dialect.marks_generation, quoted: dialect.quoted, specials })
    }

    /// Whether it says with `{% generation %}` what the assistant says.
    pub fn marks_generation(&self) -> bool {
        self.marks_generation
    }

    /// The text of a conversation.
    ///
    /// # Errors
    /// When the template refuses the conversation, when Python would raise, or when the options do not fit.
    pub fn render(&self, messages: &[Json], options: &Options) -> Result<Rendering, TemplateError> {
        let mut messages = messages.iter().map(with_reasoning).collect::<Result<Vec<_>, _>>()?;
        let last = match &options.continue_final_message {
            Some(_) if options.add_generation_prompt => {
                return Err(request("a final message cannot be continued behind a generation prompt"));
            }
            Some(field) => Some(self.leave_open(&mut messages, field)?),
            None => None,
        };
        let data = data(messages, options);
        let marks = self.marks(&data)?;
        let marked = self.print(&data, options, marks)?;
        let origins = origin::trace(&data, &self.quoted, &marked, |twin| self.print(twin, options, marks).ok());
        let mut rendering = assemble(&marked, &origins, marks);
        rendering.untraced = origins.untraced;
        match last {
            Some(last) => cut(rendering, &last),
            None => Ok(rendering),
        }
    }

    /// What the engine prints.
    fn print(&self, data: &Map<String, Json>, options: &Options, marks: [char; 2]) -> Result<String, TemplateError> {
        let mut names: BTreeMap<&str, Value> = self.specials.iter().map(|(name, token)| (name.as_str(), Value::from(token))).collect();
        names.extend(data.iter().map(|(name, field)| (name.as_str(), Value::from(Serde(field)))));
        names.insert("add_generation_prompt", Value::from(options.add_generation_prompt));
        names.insert(python::MARKS, marks.iter().map(|mark| Value::from(mark.to_string())).collect());
        if let Some(now) = options.now {
            names.insert("strftime_now", Value::from_function(move |format: &str| python::strftime(now, format)));
        }
        let mut out = Limited(Vec::new());
        let names = Value::from_pairs(names);
        self.environment.get_template(NAME)?.render_captured_to(names, &mut out)?;
        String::from_utf8(out.0).map_err(|_| request("the chat template does not print text"))
    }

    /// Two characters that nobody uses.
    fn marks(&self, data: &Map<String, Json>) -> Result<[char; 2], TemplateError> {
        let mut texts = Vec::new();
        data.values().for_each(|value| origin::collect(value, &mut texts));
        texts.extend(self.specials.values().map(String::as_str).chain([self.source.as_str()]));
        let mut free = MARKS.filter(|mark| !texts.iter().any(|text| text.contains(*mark)));
        match (free.next(), free.next()) {
            (Some(start), Some(end)) => Ok([start, end]),
            _ => Err(request("the conversation uses all non-characters")),
        }
    }

    /// Puts [`CONTINUE`] behind the text to continue, and returns that text.
    fn leave_open(&self, messages: &mut [Map<String, Json>], field: &str) -> Result<String, TemplateError> {
        let last = messages.last_mut().ok_or_else(|| request("there is no message to continue"))?;
        let content = match last.get(field) {
            None | Some(Json::Null) => return Err(request(format!("the last message has no `{field}` to continue"))),
            Some(content) => content.clone(),
        };
        let copies: Vec<&str> = match REASONING.contains(&field) {
            true => REASONING.into_iter().filter(|name| last.get(*name) == Some(&content)).collect(),
            false => vec![field],
        };
        if !copies.iter().any(|name| self.source.contains(name)) {
            return Err(request(format!("the chat template does not read `{field}`")));
        }
        let is_block = |block: &Json| block.get("text").is_some();
        match content {
            Json::String(text) => {
                for name in copies {
                    last.insert(name.to_owned(), format!("{text}{CONTINUE}").into());
                }
                Ok(text)
            }
            Json::Array(mut blocks) => {
                let block = blocks.iter_mut().rev().find(|block| is_block(block));
                let text = block.and_then(|block| block.get_mut("text")).filter(|text| text.is_string());
                let Some(Json::String(text)) = text else { return Err(request("the last message has no text to continue")) };
                let before = std::mem::replace(text, format!("{text}{CONTINUE}"));
                last.insert(field.to_owned(), Json::Array(blocks));
                Ok(before)
            }
            _ => Err(request(format!("`{field}` of the last message is no text to continue"))),
        }
    }
}

/// A message with its reasoning under all names that templates read.
fn with_reasoning(message: &Json) -> Result<Map<String, Json>, TemplateError> {
    let Json::Object(fields) = message else { return Err(request("a message must be an object")) };
    let reasoning = REASONING.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()));
    let Some(reasoning) = reasoning else { return Ok(fields.clone()) };
    let mut aliased = Map::new();
    aliased.insert(REASONING[1].into(), reasoning.clone());
    aliased.extend(fields.clone());
    aliased.insert(REASONING[0].into(), reasoning.clone());
    Ok(aliased)
}

/// What the template is given from outside.
fn data(messages: Vec<Map<String, Json>>, options: &Options) -> Map<String, Json> {
    let mut data = options.variables.clone();
    data.insert("messages".into(), messages.into_iter().map(Json::Object).collect());
    for (name, list) in [("tools", &options.tools), ("documents", &options.documents)] {
        if list.is_some() || !data.contains_key(name) {
            data.insert(name.into(), json!(list));
        }
    }
    data
}

/// Takes the marks out of what was printed.
fn assemble(marked: &str, origins: &Origins, [start, end]: [char; 2]) -> Rendering {
    let mut rendering = Rendering::default();
    let mut open = Vec::new();
    for (c, &is_data) in marked.chars().zip(&origins.data) {
        let at = rendering.text.len();
        if c == start {
            open.push(at);
        } else if c == end {
            rendering.assistant.extend(open.pop().map(|start| start..at));
        } else {
            rendering.text.push(c);
            match rendering.interpolated.last_mut() {
                Some(last) if is_data && last.end == at => last.end = rendering.text.len(),
                _ if is_data => rendering.interpolated.push(at..rendering.text.len()),
                _ => {}
            }
        }
    }
    rendering
}

/// The rendering up to the text to continue, without the white space that the template trimmed behind it.
fn cut(mut rendering: Rendering, last: &str) -> Result<Rendering, TemplateError> {
    let whole = &rendering.text;
    let found = whole.rfind(CONTINUE.trim_end()).filter(|_| whole.contains(last.trim()));
    let at = found.ok_or_else(|| request("the chat template changes the message to continue, or leaves it out"))?;
    let end = if whole[at..].starts_with(CONTINUE) { at } else { whole[..at].trim_end().len() };
    rendering.text.truncate(end);
    for ranges in [&mut rendering.assistant, &mut rendering.interpolated] {
        ranges.iter_mut().for_each(|range| *range = range.start.min(end)..range.end.min(end));
        ranges.retain(|range| !range.is_empty());
    }
    Ok(rendering)
}

/// A buffer with an end.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the rendering is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
