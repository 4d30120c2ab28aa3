//! What a device is: memory that holds 32-bit words, and something that runs a [`Recording`] over it.

use std::fmt;

use super::recording::Recording;

/// Names a buffer of one device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BufferId(pub u32);

/// A row-major matrix (rows, cols) of 32-bit words, f32 or u32, inside a buffer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct View {
    pub buffer: BufferId,
    /// In words. A view that starts at a multiple of [`View::ALIGN`] can be bound by any graphics driver.
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
}

impl View {
    /// 256 bytes: no driver asks for more.
    pub const ALIGN: usize = 64;

    /// The (rows, cols) matrix at the start of `buffer`.
    pub fn new(buffer: BufferId, rows: usize, cols: usize) -> Self {
        Self { buffer, offset: 0, rows, cols }
    }

    /// How many words it covers.
    pub fn words(self) -> usize {
        self.rows * self.cols
    }

    /// The words of the buffer that it covers.
    pub fn range(self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.words()
    }

    /// Whether a word is covered by both.
    pub fn overlaps(self, other: Self) -> bool {
        let (x, y) = (self.range(), other.range());
        self.buffer == other.buffer && x.start < y.end && y.start < x.end
    }

    /// Rows `begin..end` of this view.
    ///
    /// # Panics
    /// When there are fewer rows.
    #[must_use]
    pub fn row_range(self, begin: usize, end: usize) -> Self {
        assert!(begin <= end && end <= self.rows, "rows {begin}..{end} of {}", self.rows);
        Self { offset: self.offset + begin * self.cols, rows: end - begin, ..self }
    }

    /// The same words as (rows, cols).
    ///
    /// # Panics
    /// When that is another number of words.
    #[must_use]
    pub fn reshaped(self, rows: usize, cols: usize) -> Self {
        assert_eq!(rows * cols, self.words(), "a reshape keeps its words");
        Self { rows, cols, ..self }
    }
}

/// How exactly a copy of a weight is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// f32: the weight itself.
    Single,
    /// f16: what a checkpoint of 16-bit numbers holds, to 5e-4 relative for others.
    Half,
}

impl Precision {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Single => 4,
            Self::Half => 2,
        }
    }
}

/// What kind of processor a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    Cpu,
    Gpu,
    /// A graphics driver that runs on the processor: a test bed.
    SoftwareGpu,
}

/// What a device says about itself.
#[derive(Clone, PartialEq, Debug)]
pub struct DeviceInfo {
    pub kind: DeviceKind,
    /// As its maker calls it.
    pub name: String,
    /// How it is driven: `native`, `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// What it can use of its processor: `2 threads, avx512`.
    pub features: String,
    /// Bytes of memory, where that is known.
    pub memory: Option<u64>,
}

/// Bytes held on a device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemoryUse {
    pub in_use: u64,
    pub peak: u64,
}

impl MemoryUse {
    /// Counts an allocation.
    pub fn grow(&mut self, bytes: u64) {
        self.in_use += bytes;
        self.peak = self.peak.max(self.in_use);
    }

    /// Counts a release.
    pub fn shrink(&mut self, bytes: u64) {
        self.in_use -= bytes;
    }
}

/// Why a device could not do what it was told.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EngineError {
    #[error("no room for {requested} bytes on the device: {in_use} are in use")]
    OutOfMemory { requested: u64, in_use: u64 },
    #[error("the {device} device has no {pass} kernel for `{op}`")]
    MissingKernel { op: &'static str, pass: super::recording::Pass, device: &'static str },
    #[error("no {wanted} device was found: {reason}")]
    NoDevice { wanted: &'static str, reason: String },
    #[error("the device was lost: {reason}")]
    Lost { reason: String },
    #[error("the kernel of `{op}` failed: {reason}")]
    Kernel { op: &'static str, reason: String },
}

/// Memory and execution. Calls take effect in the order they are made; a read waits for all runs before it.
pub trait Device: Send + fmt::Debug {
    /// What it is.
    fn describe(&self) -> DeviceInfo;

    /// A new buffer of `words` zeros.
    ///
    /// # Errors
    /// When memory is short or the device is lost.
    fn alloc(&mut self, words: usize) -> Result<BufferId, EngineError>;

    /// Gives a buffer back. Its views are void.
    fn free(&mut self, buffer: BufferId);

    /// Overwrites a view of f32 with `data`, as many words.
    ///
    /// # Errors
    /// When the device is lost.
    fn write_f32(&mut self, view: View, data: &[f32]) -> Result<(), EngineError>;

    /// Overwrites a view of u32 with `data`, as many words.
    ///
    /// # Errors
    /// When the device is lost.
    fn write_u32(&mut self, view: View, data: &[u32]) -> Result<(), EngineError>;

    /// The numbers of a view.
    ///
    /// # Errors
    /// When the device is lost.
    fn read_f32(&mut self, view: View) -> Result<Vec<f32>, EngineError>;

    /// The words of a view.
    ///
    /// # Errors
    /// When the device is lost.
    fn read_u32(&mut self, view: View) -> Result<Vec<u32>, EngineError>;

    /// Runs every step in order.
    ///
    /// # Errors
    /// When a kernel is missing or fails, or the device is lost. Buffers that were written are then undefined.
    fn run(&mut self, recording: &Recording) -> Result<(), EngineError>;

    /// Says that these weights of `linear` stay as they are until [`Device::thaw`]: a device may read a copy that suits
    /// products of few rows, no less exact than `precision`.
    ///
    /// # Errors
    /// When memory is short.
    fn freeze(&mut self, _weights: &[View], _precision: Precision) -> Result<(), EngineError> {
        Ok(())
    }

    /// Ends what [`Device::freeze`] began.
    fn thaw(&mut self) {}

    /// Bytes in use, and the most there ever were.
    fn memory(&self) -> MemoryUse;

    /// A new buffer that holds `data` as (rows, cols).
    ///
    /// # Errors
    /// As [`Device::alloc`].
    fn load(&mut self, data: &[f32], rows: usize, cols: usize) -> Result<View, EngineError> {
        let view = View::new(self.alloc(rows * cols)?, rows, cols);
        self.write_f32(view, data)?;
        Ok(view)
    }

    /// The same of words.
    ///
    /// # Errors
    /// As [`Device::alloc`].
    fn load_words(&mut self, data: &[u32], rows: usize, cols: usize) -> Result<View, EngineError> {
        let view = View::new(self.alloc(rows * cols)?, rows, cols);
        self.write_u32(view, data)?;
        Ok(view)
    }
}
