//! Layouts that data sets are published in: which columns they have, how a recipe reads them, and what that makes of
//! a row. The recipe's side is text (`stdlib/data.align`); `tests/data.rs` holds the two against each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::recipe::types::Type;
use crate::value::dialogue::{exchanges, from_transcript, is_transcript, shared_text};
use crate::value::{Cell, Dialogue, Role, Turn};

use super::fit::is_turns;
use super::json::{self, Node, NodeKind};

/// What a column's values look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    /// `Human: … Assistant: …`
    Transcript,
    /// One turn, alone or in a list.
    Turn,
    Turns,
    Bool,
    Number,
    Other,
}

impl Kind {
    /// What one value looks like; `None` if there is none.
    pub fn of(node: &Node) -> Option<Self> {
        Some(match &node.kind {
            NodeKind::Null => return None,
            NodeKind::Bool(_) => Self::Bool,
            NodeKind::Int(_) | NodeKind::Float(_) => Self::Number,
            NodeKind::Text(text) if is_transcript(text) => Self::Transcript,
            NodeKind::Text(_) => Self::Text,
            NodeKind::Bare(text) if text.is_empty() => return None,
            NodeKind::Bare(text) if is_transcript(text) => Self::Transcript,
            NodeKind::Bare(text) if ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => Self::Bool,
            NodeKind::Bare(text) => match json::parse(text) {
                Ok(node) if !matches!(node.kind, NodeKind::Text(_) | NodeKind::Null) => Self::of(&node)?,
                _ => Self::Text,
            },
            NodeKind::List(items) if is_turns(node) => {
                if items.len() == 1 {
                    Self::Turn
                } else {
                    Self::Turns
                }
            }
            NodeKind::Object(_) if is_turns(&Node { at: 0, kind: NodeKind::List(vec![node.clone()]) }) => Self::Turn,
            NodeKind::List(_) | NodeKind::Object(_) => Self::Other,
        })
    }

    /// What a column of both looks like.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            // a text is a turn where turns are
            (Self::Turns, Self::Turn | Self::Text | Self::Transcript) | (Self::Turn | Self::Text | Self::Transcript, Self::Turns) => {
                Self::Turns
            }
            (Self::Turn, Self::Text | Self::Transcript) | (Self::Text | Self::Transcript, Self::Turn) => Self::Turn,
            (Self::Text | Self::Transcript | Self::Number, Self::Text | Self::Transcript | Self::Number) => Self::Text,
            _ => Self::Other,
        }
    }
}

/// A prompt and the answers to it that one row holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    pub prompt: Arc<Dialogue>,
    pub answers: Vec<Answer>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The column it is in once it is read: `chosen`, `rejected`, `completion`.
    pub name: &'static str,
    pub text: Arc<str>,
    /// Whether people should like it, where the file says so.
    pub desirable: Option<bool>,
}

/// A column of a layout: its name, what it may look like, the type it is read as, and whether a file may lack it.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    looks: &'static [Kind],
    reads: Reads,
    optional: bool,
}

/// Types of columns.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Text,
    Dialogue,
    Completion,
    Bool,
}

impl Column {
    /// The type that the column is read as.
    pub fn ty(&self) -> Type {
        let ty = match self.reads {
            Reads::Text => Type::Text,
            Reads::Dialogue => Type::Dialogue,
            Reads::Completion => Type::Completion,
            Reads::Bool => Type::Bool,
        };
        if self.optional { Type::Optional(Box::new(ty)) } else { ty }
    }
}

/// One layout.
#[derive(Debug)]
pub struct Layout {
    pub name: &'static str,
    /// What a row holds.
    pub says: &'static str,
    pub columns: &'static [Column],
    /// The row type of the standard library that the columns are already, if they are one.
    row: Option<&'static str>,
    /// What is made of the loaded file, `…`.
    then: &'static str,
    /// Items of the standard library that `then` names.
    pub uses: &'static [&'static str],
    /// Why rows without an example are left out.
    pub leaves_out: &'static str,
    examples: fn(&[Cell]) -> Vec<Example>,
}

const fn column(name: &'static str, looks: &'static [Kind], reads: Reads) -> Column {
    Column { name, looks, reads, optional: false }
}

const TEXT: &[Kind] = &[Kind::Text, Kind::Transcript];
const PROMPT: &[Kind] = &[Kind::Text, Kind::Transcript, Kind::Turn, Kind::Turns];
const ANSWER: &[Kind] = &[Kind::Text, Kind::Transcript, Kind::Turn];
const CHAT: &[Kind] = &[Kind::Turn, Kind::Turns];
const BOOL: &[Kind] = &[Kind::Bool];

const PARTS_EARLIER: &str = "the two dialogues do not part at a last turn of the assistant";

/// Every layout that is known; of several that fit, the first is meant.
pub static LAYOUTS: &[Layout] = &[
    Layout {
        name: "preference pairs",
        says: "a prompt, its chosen and its rejected completion",
        columns: &[
            column("prompt", PROMPT, Reads::Dialogue),
            column("chosen", ANSWER, Reads::Completion),
            column("rejected", ANSWER, Reads::Completion),
        ],
        row: Some("Preference"),
        then: "…",
        uses: &[],
        leaves_out: "",
        examples: pair,
    },
    Layout {
        name: "ranked chats",
        says: "a chat, its chosen and its rejected next turn",
        columns: &[
            column("conversations", CHAT, Reads::Dialogue),
            column("chosen", ANSWER, Reads::Completion),
            column("rejected", ANSWER, Reads::Completion),
        ],
        row: None,
        then: "(…).select(prompt: .conversations, chosen: .chosen, rejected: .rejected)",
        uses: &[],
        leaves_out: "",
        examples: pair,
    },
    Layout {
        name: "hh-rlhf",
        says: "two whole transcripts that part at the last answer",
        columns: &[column("chosen", &[Kind::Transcript], Reads::Text), column("rejected", &[Kind::Transcript], Reads::Text)],
        row: None,
        then: "hh_pairs(…)",
        uses: &["hh_pairs"],
        leaves_out: PARTS_EARLIER,
        examples: |cells| parted(from_transcript(text(&cells[0])), from_transcript(text(&cells[1]))),
    },
    Layout {
        name: "paired chats",
        says: "two whole chats that part at the last answer",
        columns: &[column("chosen", CHAT, Reads::Dialogue), column("rejected", CHAT, Reads::Dialogue)],
        row: None,
        then: "dialogue_pairs(…)",
        uses: &["dialogue_pairs"],
        leaves_out: PARTS_EARLIER,
        examples: |cells| parted(turns(&cells[0]).to_vec(), turns(&cells[1]).to_vec()),
    },
    Layout {
        name: "paired texts",
        says: "two whole texts that begin with the same prompt",
        columns: &[column("chosen", TEXT, Reads::Text), column("rejected", TEXT, Reads::Text)],
        row: None,
        then: "text_pairs(…)",
        uses: &["text_pairs"],
        leaves_out: "the two texts are equal",
        examples: texts,
    },
    Layout {
        name: "paired answers",
        says: "a question with a better and a worse answer",
        columns: &[
            column("question", TEXT, Reads::Dialogue),
            column("response_j", TEXT, Reads::Completion),
            column("response_k", TEXT, Reads::Completion),
        ],
        row: None,
        then: "(…).select(prompt: .question, chosen: .response_j, rejected: .response_k)",
        uses: &[],
        leaves_out: "",
        examples: pair,
    },
    Layout {
        name: "judged completions",
        says: "a prompt, a completion, and whether that is desirable",
        columns: &[
            column("prompt", PROMPT, Reads::Dialogue),
            column("completion", ANSWER, Reads::Completion),
            column("label", BOOL, Reads::Bool),
        ],
        row: None,
        then: "judged(…)",
        uses: &["judged"],
        leaves_out: "",
        examples: |cells| vec![answered(turns(&cells[0]), text(&cells[1]), truth(&cells[2]))],
    },
    Layout {
        name: "judged chats",
        says: "a chat, and whether its last turn is desirable",
        columns: &[column("messages", CHAT, Reads::Dialogue), column("label", BOOL, Reads::Bool)],
        row: None,
        then: "judged_chats(…)",
        uses: &["judged_chats"],
        leaves_out: "the chat does not end with a turn of the assistant",
        examples: |cells| ended(turns(&cells[0]), truth(&cells[1])).into_iter().collect(),
    },
    Layout {
        name: "demonstrations",
        says: "a prompt and its completion",
        columns: &[column("prompt", PROMPT, Reads::Dialogue), column("completion", ANSWER, Reads::Completion)],
        row: Some("Demonstration"),
        then: "…",
        uses: &[],
        leaves_out: "",
        examples: |cells| vec![answered(turns(&cells[0]), text(&cells[1]), None)],
    },
    Layout {
        name: "chats",
        says: "turns, each of the assistant's an answer to those before it",
        columns: &[column("messages", CHAT, Reads::Dialogue)],
        row: None,
        then: "chats(…)",
        uses: &["chats"],
        leaves_out: "the assistant has no turn",
        examples: |cells| chats(&turns(&cells[0])),
    },
    Layout {
        name: "ShareGPT",
        says: "turns, each of the assistant's an answer to those before it",
        columns: &[column("conversations", CHAT, Reads::Dialogue)],
        row: None,
        then: "chats((…).select(messages: .conversations))",
        uses: &["chats"],
        leaves_out: "the assistant has no turn",
        examples: |cells| chats(&turns(&cells[0])),
    },
    Layout {
        name: "Alpaca",
        says: "an instruction, what it is about, and the answer",
        columns: &[
            column("instruction", TEXT, Reads::Text),
            Column { name: "input", looks: TEXT, reads: Reads::Text, optional: true },
            column("output", TEXT, Reads::Text),
        ],
        row: None,
        then: "alpaca(…)",
        uses: &["alpaca"],
        leaves_out: "",
        examples: alpaca,
    },
    Layout {
        name: "prompts",
        says: "prompts alone",
        columns: &[column("prompt", PROMPT, Reads::Dialogue)],
        row: Some("Prompt"),
        then: "…",
        uses: &[],
        leaves_out: "",
        examples: |cells| vec![Example { prompt: turns(&cells[0]), answers: Vec::new() }],
    },
];

/// The layout of a file with columns that look like this.
pub fn detect(columns: &BTreeMap<Arc<str>, Kind>) -> Option<&'static Layout> {
    let fits = |column: &Column| columns.get(column.name).map_or(column.optional, |kind| column.looks.contains(kind));
    LAYOUTS.iter().find(|layout| layout.columns.iter().all(fits))
}

impl Layout {
    /// What a recipe does with a file at `path`.
    pub fn line(&self, path: &str) -> String {
        let fields: Vec<String> = self.columns.iter().map(|column| format!("{}: {}", column.name, column.ty())).collect();
        let row = self.row.map_or_else(|| format!("{{ {} }}", fields.join(", ")), str::to_owned);
        self.then.replace('…', &format!("load_data({path:?}) as {row}"))
    }

    /// What the recipe makes of a row: `cells` are those of [`Layout::columns`]. Nothing, if it leaves the row out.
    pub fn examples(&self, cells: &[Cell]) -> Vec<Example> {
        (self.examples)(cells)
    }
}

// The columns' types have been seen to.

fn text(cell: &Cell) -> &Arc<str> {
    match cell {
        Cell::Text(text) => text,
        Cell::Completion(completion) => &completion.text,
        _ => unreachable!("the column is read as a text"),
    }
}

fn turns(cell: &Cell) -> Arc<Dialogue> {
    match cell {
        Cell::Dialogue(turns) => turns.clone(),
        _ => unreachable!("the column is read as a dialogue"),
    }
}

fn truth(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(b) => Some(*b),
        _ => None,
    }
}

fn user(text: Arc<str>) -> Arc<Dialogue> {
    Arc::new(vec![Turn { role: Role::User, text }])
}

fn answered(prompt: Arc<Dialogue>, text: &Arc<str>, desirable: Option<bool>) -> Example {
    Example { prompt, answers: vec![Answer { name: "completion", text: text.clone(), desirable }] }
}

fn compared(prompt: Arc<Dialogue>, chosen: Arc<str>, rejected: Arc<str>) -> Example {
    let answer = |name, text, desirable| Answer { name, text, desirable: Some(desirable) };
    Example { prompt, answers: vec![answer("chosen", chosen, true), answer("rejected", rejected, false)] }
}

fn pair(cells: &[Cell]) -> Vec<Example> {
    vec![compared(turns(&cells[0]), text(&cells[1]).clone(), text(&cells[2]).clone())]
}

/// Dialogues that are equal but for their last turns, which are the assistant's.
fn parted(chosen: Dialogue, rejected: Dialogue) -> Vec<Example> {
    match (chosen.split_last(), rejected.split_last()) {
        (Some((a, start)), Some((b, other))) if start == other && a != b && [a, b].iter().all(|turn| turn.role == Role::Assistant) => {
            vec![compared(Arc::new(start.to_vec()), a.text.clone(), b.text.clone())]
        }
        _ => Vec::new(),
    }
}

fn texts(cells: &[Cell]) -> Vec<Example> {
    let (a, b) = (text(&cells[0]), text(&cells[1]));
    if a == b {
        return Vec::new();
    }
    let start = shared_text(a, b);
    vec![compared(user(a[..start].into()), a[start..].into(), b[start..].into())]
}

fn ended(chat: Arc<Dialogue>, desirable: Option<bool>) -> Option<Example> {
    let (last, before) = chat.split_last().filter(|(last, _)| last.role == Role::Assistant)?;
    Some(answered(Arc::new(before.to_vec()), &last.text, desirable))
}

fn chats(chat: &Dialogue) -> Vec<Example> {
    exchanges(chat).map(|(prompt, completion)| answered(Arc::new(prompt), &completion.text, None)).collect()
}

fn alpaca(cells: &[Cell]) -> Vec<Example> {
    let prompt = match &cells[1] {
        Cell::Text(input) if !input.is_empty() => format!("{}\n{input}", text(&cells[0])).into(),
        _ => text(&cells[0]).clone(),
    };
    vec![answered(user(prompt), text(&cells[2]), None)]
}
