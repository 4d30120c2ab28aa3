//! What a file holds, looked at as a whole: columns, the layout they are in, repeats, contradictions, lengths.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::recipe::types::{Row, Type};
use crate::value::statistics::quantile;
use crate::value::{Cell, Dialogue};

use super::error::ReadError;
use super::fault::{Fault, Faults};
use super::fit::{field, fit, natural};
use super::format::{self, Format, Record};
use super::json::NodeKind;
use super::layout::{self, Answer, Example, Kind, Layout};
use super::read::{missing, wrong_type};
use super::schema;
use super::unpack::Packing;

/// How many rows tell what the columns look like.
const LOOKED_AT: usize = 200;

/// A file as [`preview`] finds it.
#[derive(Clone, Debug)]
pub struct Preview {
    pub format: Format,
    pub packing: Option<Packing>,
    pub rows: usize,
    /// In the order in which they appear.
    pub columns: Vec<Column>,
    pub layout: Option<&'static Layout>,
    /// Rows of which the layout's reading makes nothing.
    pub left_out: usize,
    /// Examples that it makes: of a chat, one for every answer.
    pub examples: usize,
    /// The first rows, as they are read or, without a layout, as they are.
    pub first: Vec<First>,
    pub repeats: Repeats,
    /// Of prompts and answers, or without a layout of columns that are texts: in characters.
    pub lengths: Vec<(Arc<str>, Lengths)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    pub name: Arc<str>,
    /// In the first rows.
    pub ty: Type,
    /// Rows without a value.
    pub missing: usize,
    /// Whether the layout reads it.
    pub read: bool,
}

/// One of the first rows.
#[derive(Clone, PartialEq, Debug)]
pub enum First {
    Examples(Vec<Example>),
    Cells(Vec<(Arc<str>, Cell)>),
}

/// What is there more than once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Repeats {
    /// Rows that equal an earlier one.
    pub rows: usize,
    /// Rows whose prompt is that of an earlier one.
    pub prompts: usize,
    /// Pairs whose chosen is their rejected.
    pub undecided: usize,
    /// Rows that say the opposite of an earlier one: a pair the other way round, an answer with the other label.
    pub opposed: usize,
}

/// How long things are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lengths {
    pub median: f64,
    pub p95: f64,
    pub max: f64,
}

impl Lengths {
    /// The lengths of something that is there at least once.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "lengths stay far below 2^53")]
        let mut lengths: Vec<f64> = lengths.into_iter().map(|length| length as f64).collect();
        lengths.sort_by(f64::total_cmp);
        let max = *lengths.last()?;
        Some(Self { median: quantile(&lengths, 0.5), p95: quantile(&lengths, 0.95), max })
    }
}

/// Looks at a whole file; `rows` of its first rows are kept, and `each` gets every example.
///
/// # Errors
/// With every mistake in the file, when there is one: what does not fit its layout is one too.
pub fn preview(path: &Path, rows: usize, mut each: impl FnMut(&Example)) -> Result<Preview, ReadError> {
    let layout = layout::detect(&looks(path)?);
    let types = schema(path)?;
    let (format, packing) = Format::of(path).ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    let mut faults = Faults::default();
    let mut seen = Seen { layout, keep: rows, ..Seen::default() };
    format::rows(path, &Row::new(), &mut |record| {
        faults.rows += 1;
        let found = record.map_err(|fault| vec![fault]).and_then(|record| seen.row(&record, &mut each));
        found.err().into_iter().flatten().for_each(|fault| faults.add(fault));
        ControlFlow::Continue(())
    })?;
    if !faults.is_empty() {
        let asked = layout.map_or_else(Row::new, |layout| layout.columns.iter().map(|c| (c.name.into(), c.ty())).collect());
        return Err(ReadError::Faults { path: path.to_owned(), faults, asked });
    }
    Ok(seen.preview(format, packing, &types))
}

/// What every column looks like in the first rows.
fn looks(path: &Path) -> Result<BTreeMap<Arc<str>, Kind>, ReadError> {
    let mut found: BTreeMap<Arc<str>, Kind> = BTreeMap::new();
    let mut rows = 0;
    format::rows(path, &Row::new(), &mut |record| {
        for (name, node) in record.iter().flat_map(|record| &record.fields) {
            if let Some(kind) = Kind::of(node) {
                found.entry(name.clone()).and_modify(|known| *known = known.join(kind)).or_insert(kind);
            }
        }
        rows += 1;
        if rows < LOOKED_AT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// A value's fingerprint, so that no row needs to be kept.
type Key = [u8; 16];

fn key(parts: &[&str]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

fn prompt_text(prompt: &Arc<Dialogue>) -> String {
    Cell::Dialogue(prompt.clone()).to_json().to_string()
}

/// What has been seen of a file so far.
#[derive(Default)]
struct Seen {
    layout: Option<&'static Layout>,
    keep: usize,
    rows: usize,
    /// Columns with the number of their values.
    columns: Vec<(Arc<str>, usize)>,
    left_out: usize,
    examples: usize,
    first: Vec<First>,
    repeats: Repeats,
    lengths: Vec<(Arc<str>, Vec<usize>)>,
    row_keys: HashSet<Key>,
    prompt_keys: HashSet<Key>,
    verdicts: HashMap<Key, bool>,
}

impl Seen {
    fn row(&mut self, record: &Record<'_>, each: &mut impl FnMut(&Example)) -> Result<(), Vec<Fault>> {
        let cells = self.layout.map(|layout| cells(record, layout)).transpose()?;
        self.rows += 1;
        for (name, node) in &record.fields {
            let there =
                usize::from(!matches!(&node.kind, NodeKind::Null) && !matches!(&node.kind, NodeKind::Bare(text) if text.is_empty()));
            match self.columns.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += there,
                None => self.columns.push((name.clone(), there)),
            }
        }
        let mut row: Vec<(Arc<str>, Cell)> = record.fields.iter().map(|(name, node)| (name.clone(), natural(node))).collect();
        if self.first.len() < self.keep && cells.is_none() {
            self.first.push(First::Cells(row.clone()));
        }
        if cells.is_none() {
            for (name, cell) in &row {
                if let Cell::Text(text) = cell {
                    self.length(name, text.chars().count());
                }
            }
        }
        row.sort_by(|(a, _), (b, _)| a.cmp(b));
        let written: Vec<String> = row.iter().flat_map(|(name, cell)| [name.to_string(), cell.to_json().to_string()]).collect();
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        self.repeats.rows += usize::from(!self.row_keys.insert(key(&written)));
        if let (Some(layout), Some(cells)) = (self.layout, cells) {
            let examples = layout.examples(&cells);
            // what a recipe leaves out for this reason is a finding all the same
            self.repeats.undecided += usize::from(examples.is_empty() && matches!(&cells[..], [a, b] if a == b));
            self.read(examples, each);
        }
        Ok(())
    }

    fn read(&mut self, examples: Vec<Example>, each: &mut impl FnMut(&Example)) {
        self.examples += examples.len();
        self.left_out += usize::from(examples.is_empty());
        for (at, example) in examples.iter().enumerate() {
            each(example);
            let prompt = prompt_text(&example.prompt);
            if at == 0 {
                self.repeats.prompts += usize::from(!self.prompt_keys.insert(key(&[&prompt])));
            }
            self.verdict(&prompt, &example.answers);
            self.length("prompt", example.prompt.iter().map(|turn| turn.text.chars().count()).sum());
            for answer in &example.answers {
                self.length(answer.name, answer.text.chars().count());
            }
        }
        if self.first.len() < self.keep && !examples.is_empty() {
            self.first.push(First::Examples(examples));
        }
    }

    /// Whether the file has said the opposite before.
    fn verdict(&mut self, prompt: &str, answers: &[Answer]) {
        let (key, verdict) = match answers {
            [chosen, rejected] if chosen.text == rejected.text => {
                self.repeats.undecided += 1;
                return;
            }
            [chosen, rejected] => {
                let upright = chosen.text < rejected.text;
                let (a, b) = if upright { (chosen, rejected) } else { (rejected, chosen) };
                (key(&[prompt, &a.text, &b.text]), upright)
            }
            [Answer { text, desirable: Some(desirable), .. }] => (key(&[prompt, text]), *desirable),
            _ => return,
        };
        let known = *self.verdicts.entry(key).or_insert(verdict);
        self.repeats.opposed += usize::from(known != verdict);
    }

    fn length(&mut self, name: &str, characters: usize) {
        match self.lengths.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, lengths)) => lengths.push(characters),
            None => self.lengths.push((name.into(), vec![characters])),
        }
    }

    fn preview(self, format: Format, packing: Option<Packing>, types: &Row) -> Preview {
        let is_read = |name: &str| self.layout.is_some_and(|layout| layout.columns.iter().any(|column| column.name == name));
        let column = |(name, count): &(Arc<str>, usize)| Column {
            name: name.clone(),
            ty: optional(types.get(name).cloned().unwrap_or(Type::Unknown), self.rows > *count),
            missing: self.rows - count,
            read: is_read(name),
        };
        Preview {
            format,
            packing,
            rows: self.rows,
            columns: self.columns.iter().map(column).collect(),
            layout: self.layout,
            left_out: self.left_out,
            examples: self.examples,
            first: self.first,
            repeats: self.repeats,
            lengths: self.lengths.into_iter().filter_map(|(name, lengths)| Some((name, Lengths::of(lengths)?))).collect(),
        }
    }
}

/// A type of a column that rows may lack.
fn optional(ty: Type, missing: bool) -> Type {
    if missing && !matches!(ty, Type::Optional(_)) { Type::Optional(Box::new(ty)) } else { ty }
}

/// The cells of a layout's columns, or everything that is wrong with them.
fn cells(record: &Record<'_>, layout: &Layout) -> Result<Vec<Cell>, Vec<Fault>> {
    let (mut cells, mut faults) = (Vec::new(), Vec::new());
    for column in layout.columns {
        let (name, ty) = (Arc::from(column.name), column.ty());
        match field(&record.fields, &name).map(|node| fit(node, &ty)) {
            Some(Ok(cell)) => cells.push(cell),
            Some(Err(mismatch)) => faults.push(wrong_type(record, &name, mismatch)),
            None if matches!(ty, Type::Optional(_)) => cells.push(Cell::None),
            None => faults.push(missing(record, &name)),
        }
    }
    if faults.is_empty() { Ok(cells) } else { Err(faults) }
}
