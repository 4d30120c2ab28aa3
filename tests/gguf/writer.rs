//! Writes GGUF files as they should be, and as they should not.

use std::path::PathBuf;

/// Types of metadata values.
pub const U32: u32 = 4;
pub const I32: u32 = 5;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const TEXT: u32 = 8;
pub const ARRAY: u32 = 9;

/// A file in the making.
#[derive(Clone)]
pub struct Writer {
    pub magic: [u8; 4],
    pub version: u32,
    pub entries: Vec<Vec<u8>>,
    pub tensors: Vec<Vec<u8>>,
    pub data: Vec<u8>,
    /// What the header claims beyond what there is.
    pub more_entries: u64,
    pub more_tensors: u64,
}

pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

pub fn array(element: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    [&element.to_le_bytes()[..], &(elements.len() as u64).to_le_bytes(), &elements.concat()].concat()
}

pub fn texts<T: AsRef<[u8]>>(elements: impl IntoIterator<Item = T>) -> Vec<u8> {
    array(TEXT, &elements.into_iter().map(text).collect::<Vec<_>>())
}

pub fn numbers<const N: usize>(element: u32, elements: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    array(element, &elements.into_iter().map(|x| x.to_vec()).collect::<Vec<_>>())
}

impl Writer {
    /// A file of architecture `llama` that holds nothing else.
    pub fn new() -> Self {
        let empty = Self { magic: *b"GGUF", version: 3, entries: vec![], tensors: vec![], data: vec![], more_entries: 0, more_tensors: 0 };
        empty.text("general.architecture", "llama")
    }

    pub fn entry(mut self, key: impl AsRef<[u8]>, value_type: u32, value: &[u8]) -> Self {
        self.entries.push([&text(key)[..], &value_type.to_le_bytes(), value].concat());
        self
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.entry(key, TEXT, &text(value))
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.entry(key, U32, &value.to_le_bytes())
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.entry(key, F32, &value.to_le_bytes())
    }

    pub fn bool(self, key: &str, value: bool) -> Self {
        self.entry(key, BOOL, &[value.into()])
    }

    pub fn without(mut self, key: &str) -> Self {
        let begin = text(key);
        self.entries.retain(|entry| !entry.starts_with(&begin));
        self
    }

    /// A line of the table; dimensions in the order of the file.
    pub fn line(mut self, name: impl AsRef<[u8]>, dimensions: &[u64], format: u32, offset: u64) -> Self {
        let sizes: Vec<u8> = dimensions.iter().flat_map(|n| n.to_le_bytes()).collect();
        let count = u32::try_from(dimensions.len()).expect("few").to_le_bytes();
        self.tensors.push([&text(name)[..], &count, &sizes, &format.to_le_bytes(), &offset.to_le_bytes()].concat());
        self
    }

    /// An f32 tensor, row-major shape.
    pub fn tensor(mut self, name: &str, shape: &[u64], numbers: &[f32]) -> Self {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        let offset = self.data.len() as u64;
        self.data.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
        self.line(name, &shape.iter().rev().copied().collect::<Vec<_>>(), 0, offset)
    }

    pub fn data(mut self, bytes: usize) -> Self {
        self.data = vec![0; bytes];
        self
    }

    /// A small network: width 4, two heads of 2, one layer, six words.
    pub fn tiny() -> Self {
        let numbers: Vec<f32> = (0..64_u8).map(f32::from).collect();
        Self::new()
            .u32("llama.block_count", 1)
            .u32("llama.context_length", 16)
            .u32("llama.embedding_length", 4)
            .u32("llama.feed_forward_length", 8)
            .u32("llama.attention.head_count", 2)
            .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
            .tensor("token_embd.weight", &[6, 4], &numbers[..24])
            .tensor("blk.0.attn_q.weight", &[4, 4], &numbers[..16])
            .tensor("output_norm.weight", &[4], &numbers[..4])
    }

    pub fn bytes(&self) -> Vec<u8> {
        let counts = [self.tensors.len() as u64 + self.more_tensors, self.entries.len() as u64 + self.more_entries];
        let mut bytes = [&self.magic[..], &self.version.to_le_bytes()].concat();
        bytes.extend(counts.iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(self.entries.concat());
        bytes.extend(self.tensors.concat());
        if !self.data.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(&self.data);
        }
        bytes
    }
}

/// A file with these bytes, which lives as long as the folder.
pub fn file(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("model.gguf");
    // A new file each time: the one before may still be mapped.
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    path
}
