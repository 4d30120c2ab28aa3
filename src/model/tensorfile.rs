//! Tensors in `.safetensors` files: read one at a time as f32, written as f32, f16 or bf16.
//!
//! Files are read by position, not memory-mapped: every tensor is converted anyway, a mapped file would stay in the
//! process's resident memory beside the copy, and one that shrinks while mapped kills the process instead of failing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::slice::HalfFloatSliceExt;
use serde::Deserialize;

use super::family::Names;
use super::{ModelError, Numbers, Tensors};
use crate::diagnostic::grouped;

/// Longer headers than this are taken for damage; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    F32,
    F16,
    Bf16,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    format: String,
    shape: Vec<usize>,
    /// The first byte in its file.
    begin: u64,
}

#[derive(Deserialize)]
struct HeaderEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// The tensors of one or more files, opened but not read.
#[derive(Debug)]
pub struct TensorFile {
    files: Vec<(PathBuf, Mutex<File>)>,
    entries: BTreeMap<String, Entry>,
}

impl TensorFile {
    /// Opens `paths` and checks that every header is sound and every tensor lies inside its file.
    ///
    /// # Errors
    /// When a file cannot be read, is truncated, or its header contradicts itself.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ModelError> {
        let mut opened = Self { files: Vec::new(), entries: BTreeMap::new() };
        for path in paths {
            opened.add(path)?;
        }
        Ok(opened)
    }

    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let unreadable = |e: std::io::Error| ModelError::unreadable(path, &e);
        let damaged = |reason: String| ModelError::Damaged { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(|_| damaged(format!("it is only {length} bytes long")))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > LONGEST_HEADER || header_length + 8 > length {
            return Err(damaged(format!("its header claims {header_length} bytes and the file has {length}")));
        }
        let mut header = vec![0; usize::try_from(header_length).expect("checked against a limit")];
        file.read_exact(&mut header).map_err(unreadable)?;
        let header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|e| damaged(format!("its header is not valid JSON: {e}")))?;
        let data = 8 + header_length;
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry = HeaderEntry::deserialize(&value).map_err(|e| damaged(format!("tensor `{name}`: {e}")))?;
            let entry = place(entry, data, length, self.files.len()).map_err(|e| damaged(format!("tensor `{name}` {e}")))?;
            if let Some(first) = self.entries.insert(name.clone(), entry) {
                let other = self.files[first.file].0.display();
                return Err(damaged(format!("tensor `{name}` is in `{other}` too")));
            }
        }
        self.files.push((path.to_owned(), Mutex::new(file)));
        Ok(())
    }

    /// Puts the name of the decoder in front of all tensors of a file that was saved without a head: none has it there.
    pub(super) fn complete_names(&mut self, names: &Names) {
        let (decoder, _) = names.embedding.split_once('.').expect("a decoder's tensors begin with its name");
        let inside = |name: &str| name.strip_prefix(decoder).is_some_and(|rest| rest.starts_with('.'));
        let is_head = |name: &str| [names.language_head, names.score_head].iter().any(|head| name == format!("{head}.weight"));
        if !self.entries.keys().any(|name| inside(name)) {
            let entries = std::mem::take(&mut self.entries).into_iter();
            self.entries = entries.map(|(name, e)| (if is_head(&name) { name } else { format!("{decoder}.{name}") }, e)).collect();
        }
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| e.shape.as_slice())
    }

    fn read_entry(&self, entry: &Entry, format: Format) -> std::io::Result<Vec<f32>> {
        let mut file = self.files[entry.file].1.lock().expect("no reader panics while holding the file");
        file.seek(SeekFrom::Start(entry.begin))?;
        let count = entry.shape.iter().product();
        let mut numbers = vec![0.0_f32; count];
        match format {
            Format::F32 => {
                file.read_exact(bytemuck::cast_slice_mut(&mut numbers))?;
                numbers.iter_mut().for_each(|x| *x = f32::from_bits(u32::from_le(x.to_bits())));
            }
            Format::F16 => {
                let halves: Vec<half::f16> = read_u16(&mut file, count)?.into_iter().map(half::f16::from_bits).collect();
                halves.convert_to_f32_slice(&mut numbers);
            }
            Format::Bf16 => {
                let halves: Vec<half::bf16> = read_u16(&mut file, count)?.into_iter().map(half::bf16::from_bits).collect();
                halves.convert_to_f32_slice(&mut numbers);
            }
        }
        Ok(numbers)
    }
}

impl Tensors for TensorFile {
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.entries.keys().map(String::as_str))
    }

    fn path_of(&self, name: &str) -> &Path {
        &self.files[self.entries.get(name).map_or(0, |e| e.file)].0
    }

    fn check(&self, name: &str, expected: &[usize]) -> Result<(), ModelError> {
        let path = || self.path_of(name).to_owned();
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| ModelError::MissingTensor { path: path(), tensor: name.into() })?;
        if entry.shape != expected {
            let (found, expected) = (entry.shape.clone(), expected.to_vec());
            return Err(ModelError::Shape { path: path(), tensor: name.into(), found, expected });
        }
        if format(&entry.format).is_none() {
            return Err(ModelError::Format { path: path(), tensor: name.into(), found: entry.format.clone() });
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let path = || self.path_of(name).to_owned();
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| ModelError::MissingTensor { path: path(), tensor: name.into() })?;
        let format =
            format(&entry.format).ok_or_else(|| ModelError::Format { path: path(), tensor: name.into(), found: entry.format.clone() })?;
        let numbers = self
            .read_entry(entry, format)
            .map_err(|e| ModelError::Damaged { path: path(), reason: format!("tensor `{name}` cannot be read: {e}") })?;
        match numbers.iter().all(|x| x.is_finite()) {
            true => Ok(numbers),
            false => Err(ModelError::NotFinite { path: path(), tensor: name.into() }),
        }
    }
}

fn read_u16(file: &mut File, count: usize) -> std::io::Result<Vec<u16>> {
    let mut words = vec![0_u16; count];
    file.read_exact(bytemuck::cast_slice_mut(&mut words))?;
    words.iter_mut().for_each(|x| *x = u16::from_le(*x));
    Ok(words)
}

fn format(name: &str) -> Option<Format> {
    match name {
        "F32" => Some(Format::F32),
        "F16" => Some(Format::F16),
        "BF16" => Some(Format::Bf16),
        _ => None,
    }
}

/// Where a tensor lies in its file, if that is possible.
fn place(entry: HeaderEntry, data: u64, length: u64, file: usize) -> Result<Entry, String> {
    let (begin, end) = entry.data_offsets;
    if begin > end || data.checked_add(end).is_none_or(|end| end > length) {
        let needed = data.saturating_add(end);
        return Err(format!("should end at byte {}, and the file ends at byte {}", grouped(needed), grouped(length)));
    }
    let width = match format(&entry.dtype) {
        Some(Format::F32) => 4,
        Some(Format::F16 | Format::Bf16) => 2,
        // A format that the network may not need: `check` and `read` refuse it where it is needed.
        None => 0,
    };
    let count = entry.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64));
    let bytes = count.and_then(|n| n.checked_mul(width));
    if width > 0 && bytes != Some(end - begin) {
        return Err(format!("has shape {:?}, which does not fill its {} bytes of {}", entry.shape, end - begin, entry.dtype));
    }
    Ok(Entry { file, format: entry.dtype, shape: entry.shape, begin: data + begin })
}

/// A tensor whose numbers are asked for when it is its turn.
struct Later<'a> {
    at: usize,
    shape: &'a [usize],
    dtype: safetensors::Dtype,
    bytes: &'a dyn Fn(usize) -> Vec<u8>,
}

impl safetensors::View for Later<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned((self.bytes)(self.at))
    }
    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Writes tensors (name, shape, numbers) as one f32 file that `transformers` reads; equal tensors give equal bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors<'a>(path: &Path, tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>) -> Result<(), ModelError> {
    let (named, numbers): (Vec<_>, Vec<_>) = tensors.into_iter().map(|(name, shape, numbers)| ((name, shape), numbers)).unzip();
    write_fetched(path, &named, Numbers::F32, |at| Ok(numbers[at].into()))
}

/// Writes tensors of given names and shapes, each fetched by its place when it is its turn: one is in memory at a time.
/// Numbers take a form that such a file can hold, rounded to nearest, ties to even.
///
/// # Errors
/// When one cannot be fetched or is too large for the form, or the file cannot be written.
pub(super) fn write_fetched<'a>(
    path: &Path,
    tensors: &[(&str, &[usize])],
    form: Numbers,
    fetch: impl FnMut(usize) -> Result<Cow<'a, [f32]>, ModelError>,
) -> Result<(), ModelError> {
    let unwritable = |reason: String| ModelError::Unwritable { path: path.to_owned(), reason };
    let dtype = match form {
        Numbers::F32 => safetensors::Dtype::F32,
        Numbers::F16 => safetensors::Dtype::F16,
        Numbers::Bf16 => safetensors::Dtype::BF16,
        Numbers::Q8_0 => return Err(unwritable("a folder cannot hold q8_0".into())),
    };
    let (fetch, failed) = (RefCell::new(fetch), RefCell::new(None));
    let encoded = |at: usize| {
        let numbers = (fetch.borrow_mut())(at)?;
        match form {
            Numbers::F32 => Ok(bytemuck::cast_slice(&numbers).to_vec()),
            _ => form.encode(&numbers).map_err(|error| error.of(tensors[at].0).into()),
        }
    };
    // what cannot be fetched makes the file worthless: its size stays right so that the writer ends, and the error is told
    let bytes = |at: usize| {
        encoded(at).unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            vec![0; tensors[at].1.iter().product::<usize>() * dtype.bitsize() / 8]
        })
    };
    let later = tensors.iter().enumerate().map(|(at, (name, shape))| (name, Later { at, shape, dtype, bytes: &bytes }));
    let note = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(later, Some(note), path).map_err(|e| unwritable(e.to_string()))?;
    if let Some(error) = failed.take() {
        return Err(error);
    }
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| unwritable(e.to_string()))
}
