//! A network on disk: a folder with `config.json`, `model.safetensors` and `tokenizer.json` as `transformers` has it,
//! and an `align.json` that names the head where it is not the language head, and the blocks in which weights are held.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::chance::{halves, uniform, unit};
use crate::diagnostic::reason;

use super::config::Config;
use super::gguf::Gguf;
use super::shards::Index;
use super::tensorfile::{TensorFile, write_fetched};
use super::tokenizer_files::{bytes, outgoing};
use crate::engine::BlockFormat;

use super::{Adapter, Head, ModelError, ModelSpec, Numbers, Parameter, Stored, Tensors, Tokenizer};

/// Where a network's numbers are.
#[derive(Clone, Debug)]
pub enum Weights {
    /// In files, read one tensor at a time.
    OnDisk(Arc<dyn Tensors>),
    /// In memory, in the order of [`ModelSpec::parameters`].
    InMemory(Vec<Arc<[f32]>>),
}

/// A network outside the engine: what it is, its numbers, and how it reads text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    pub spec: ModelSpec,
    pub head: Head,
    pub weights: Weights,
    pub tokenizer: Arc<Tokenizer>,
    /// Beside the weights, when there are any. What is written has them merged in.
    pub adapter: Option<Arc<Adapter>>,
    /// How the engine holds the weights of the blocks' projections, which are numbers of this format and stay as they are:
    /// see [`Network::quantised`].
    pub blocks: Option<BlockFormat>,
    /// `config.json` as it was read, to be written again.
    pub(super) config: Arc<Map<String, Value>>,
}

/// How the numbers of a new score or value head come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadStart {
    /// All zero: the first scores and values are 0.
    Zero,
    /// Normal with standard deviation 1 / √(C + 1), as in summarize-from-feedback's descendants.
    Normal { seed: u64 },
    /// The numbers of the score or value head the network has: a critic that begins as the reward model.
    Kept,
}

impl Network {
    /// Reads the headers of a network: a folder, a `.safetensors` file with `config.json` and `tokenizer.json` beside
    /// it, or a `.gguf` file. The numbers stay on disk until the engine asks for them.
    ///
    /// # Errors
    /// When a file is missing, damaged, of an unsupported family, or the tensors are not those of the configuration.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        if let Some(file) = gguf_at(path) {
            return Self::from_gguf(&file);
        }
        let (folder, files, index) = locate(path)?;
        let config = Config::read(&folder.join("config.json"))?;
        let mut spec = ModelSpec::from_config(&config)?;
        let (head, blocks);
        (head, spec.scores, blocks) = said_of(&folder, &config, &spec)?;
        let mut tensors = TensorFile::open(&files)?;
        index.iter().try_for_each(|index| index.check(&tensors))?;
        tensors.complete_names(&spec.family.names);
        check_tensors(&spec, head, &tensors)?;
        let tokenizer = Arc::new(Tokenizer::read(&folder, &spec)?);
        let weights = Weights::OnDisk(Arc::new(tensors));
        Ok(Self { spec, head, weights, tokenizer, adapter: None, blocks, config: Arc::new(config.object) })
    }

    /// The same of a folder whose weights need not be there: what the network is and how it reads text, no numbers.
    ///
    /// # Errors
    /// As [`Network::open`], but for the weights.
    pub fn described(folder: &Path) -> Result<Self, ModelError> {
        need(folder, "config.json")?;
        let config = Config::read(&folder.join("config.json"))?;
        let mut spec = ModelSpec::from_config(&config)?;
        let (head, blocks);
        (head, spec.scores, blocks) = said_of(folder, &config, &spec)?;
        let tokenizer = Arc::new(Tokenizer::read(folder, &spec)?);
        let weights = Weights::InMemory(Vec::new());
        Ok(Self { spec, head, weights, tokenizer, adapter: None, blocks, config: Arc::new(config.object) })
    }

    /// The head of the network at a path, without reading its tokenizer or weights.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub fn head_at(path: &Path) -> Result<Head, ModelError> {
        if gguf_at(path).is_some() {
            return Ok(Head::Language);
        }
        let (folder, ..) = locate(path)?;
        let config = Config::read(&folder.join("config.json"))?;
        said_of(&folder, &config, &ModelSpec::from_config(&config)?).map(|(head, ..)| head)
    }

    fn from_gguf(path: &Path) -> Result<Self, ModelError> {
        fs::metadata(path).map_err(|e| ModelError::unreadable(path, &e))?;
        let gguf = Gguf::open(path)?;
        let config = Config::new(path, gguf.config()?);
        let spec = ModelSpec::from_config(&config)?;
        check_tensors(&spec, Head::Language, &gguf)?;
        let texts = gguf.tokenizer()?;
        let files = [("tokenizer.json", texts.tokenizer), ("tokenizer_config.json", texts.config)];
        let tokenizer = Tokenizer::from_files(files.map(|(name, text)| (name, text.into_bytes().into())).to_vec(), path, &spec)?;
        let weights = Weights::OnDisk(Arc::new(gguf));
        let (tokenizer, config) = (Arc::new(tokenizer), Arc::new(config.object));
        Ok(Self { spec, head: Head::Language, weights, tokenizer, adapter: None, blocks: None, config })
    }

    /// Every tensor of the network, in the order in which the engine holds them.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.spec.parameters(self.head)
    }

    /// The numbers of tensor `index` of `parameter`.
    ///
    /// # Errors
    /// When the file cannot be read (any more), or a number in it is not finite.
    pub fn tensor(&self, index: usize, parameter: &Parameter) -> Result<Cow<'_, [f32]>, ModelError> {
        match &self.weights {
            Weights::InMemory(tensors) => Ok(Cow::Borrowed(&tensors[index])),
            Weights::OnDisk(file) => {
                let numbers = file.read(&parameter.stored)?;
                let stored = self.spec.stored(self.head).into_iter().find(|stored| stored.parts.contains(&index));
                let stored = stored.expect("every parameter is stored");
                let place = stored.parts.iter().position(|part| *part == index).expect("it is one of the parts");
                Ok(Cow::Owned(stored.split(numbers).swap_remove(place)))
            }
        }
    }

    /// Hands out the numbers of every tensor with its index among the parameters; a tensor of a file is read once.
    ///
    /// # Errors
    /// As [`Network::tensor`], and what `take` gives.
    pub(super) fn each_tensor(&self, mut take: impl FnMut(usize, &[f32]) -> Result<(), ModelError>) -> Result<(), ModelError> {
        match &self.weights {
            Weights::InMemory(tensors) => tensors.iter().enumerate().try_for_each(|(index, numbers)| take(index, numbers)),
            Weights::OnDisk(file) => self.spec.stored(self.head).iter().try_for_each(|stored| {
                let parts = stored.split(file.read(&stored.name)?);
                stored.parts.iter().zip(parts).try_for_each(|(index, numbers)| take(*index, &numbers))
            }),
        }
    }

    /// The numbers of a tensor as files hold it, adapters merged in.
    fn stored(&self, stored: &Stored) -> Result<Cow<'_, [f32]>, ModelError> {
        if let (Weights::OnDisk(file), None) = (&self.weights, &self.adapter) {
            return file.read(&stored.name).map(Cow::Owned);
        }
        let parameters = self.parameters();
        let part = |part: &usize| self.merged_tensor(*part, &parameters[*part]);
        let parts = stored.parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        Ok(Cow::Owned(stored.join(&parts.iter().map(|part| &part[..]).collect::<Vec<_>>())))
    }

    /// The same network with other numbers, one vector a parameter.
    #[must_use]
    pub fn with_weights(&self, weights: Vec<Arc<[f32]>>) -> Self {
        debug_assert_eq!(weights.len(), self.parameters().len(), "one vector a parameter");
        Self { weights: Weights::InMemory(weights), ..self.clone() }
    }

    /// What the network is, without its numbers.
    pub(super) fn without_weights(&self) -> Self {
        Self { weights: Weights::InMemory(Vec::new()), ..self.clone() }
    }

    /// The same decoder under another head, adapters merged in.
    ///
    /// # Errors
    /// When the numbers cannot be read, or a head is to be kept that is not there.
    pub fn with_head(&self, head: Head, start: HeadStart) -> Result<Self, ModelError> {
        self.with_heads(head, start, 1)
    }

    /// The same with so many scores a sequence: an ensemble's.
    ///
    /// # Errors
    /// As [`Network::with_head`].
    pub fn with_heads(&self, head: Head, start: HeadStart, scores: usize) -> Result<Self, ModelError> {
        if head == self.head && (head == Head::Language || scores == self.spec.scores) {
            return Ok(self.clone());
        }
        let wrong = || ModelError::WrongHead { expected: "score", found: self.head.word() };
        let all = self.parameters();
        let mut weights: Vec<Arc<[f32]>> = vec![Arc::from([]); all.len()];
        self.each_tensor(|index, numbers| {
            weights[index] = self.merged(index, &all[index], numbers.into()).into();
            Ok(())
        })?;
        let old = all.last().filter(|last| self.is_head(last)).and_then(|_| weights.pop());
        match (head, start) {
            (Head::Language, _) if !self.spec.tied => return Err(wrong()),
            (Head::Language, _) => {}
            (_, HeadStart::Zero) => weights.push(vec![0.0; scores * self.spec.width].into()),
            (_, HeadStart::Normal { seed }) => weights.push(normal_head(self.spec.width, scores, seed)),
            (_, HeadStart::Kept) if self.head == Head::Language || self.spec.scores != scores => return Err(wrong()),
            (_, HeadStart::Kept) => weights.extend(old),
        }
        let spec = ModelSpec { scores, ..self.spec.clone() };
        Ok(Self { spec, head, weights: Weights::InMemory(weights), adapter: None, blocks: self.lasting_blocks(), ..self.clone() })
    }

    /// The format that the numbers still have once adapters are merged in.
    fn lasting_blocks(&self) -> Option<BlockFormat> {
        self.blocks.filter(|_| self.adapter.is_none())
    }

    pub(super) fn is_head(&self, parameter: &Parameter) -> bool {
        let names = &self.spec.family.names;
        [names.language_head, names.score_head].iter().any(|name| parameter.name == format!("{name}.weight"))
    }

    /// Writes the network's files into `folder`, which must exist, adapters merged in. Equal networks give equal bytes.
    ///
    /// # Errors
    /// When the numbers cannot be read or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ModelError> {
        self.write_numbers(folder, Numbers::F32)
    }

    /// The same with numbers of a form that a folder can hold.
    pub(super) fn write_numbers(&self, folder: &Path, form: Numbers) -> Result<(), ModelError> {
        let write = |name: &str, bytes: &[u8]| write_file(folder, name, bytes);
        write("config.json", &bytes(&self.outgoing_config(form)))?;
        for (name, bytes) in outgoing(&self.tokenizer, &self.spec) {
            write(name, &bytes)?;
        }
        let blocks = self.lasting_blocks().filter(|_| form == Numbers::F32);
        if self.head != Head::Language || blocks.is_some() {
            let mut said = json!({ "head": self.head.word() });
            if self.spec.scores > 1 {
                said["members"] = json!(self.spec.scores);
            }
            if let Some(format) = blocks {
                said["blocks"] = json!(format.word());
            }
            write("align.json", &bytes(&said))?;
        }
        let stored = self.spec.stored(self.head);
        let named: Vec<(&str, &[usize])> = stored.iter().map(|stored| (stored.name.as_str(), &stored.shape[..])).collect();
        write_fetched(&folder.join("model.safetensors"), &named, form, |at| self.stored(&stored[at]))
    }

    /// Writes the network as a new folder: complete or not at all.
    ///
    /// # Errors
    /// When `folder` exists, or something cannot be read or written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        if folder.exists() {
            return Err(ModelError::Exists { path: folder.to_owned() });
        }
        let name = folder.file_name().map_or_else(Default::default, |n| n.to_string_lossy().into_owned());
        let partial = folder.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        let unwritable = |e: std::io::Error| ModelError::Unwritable { path: folder.to_owned(), reason: reason(&e) };
        fs::create_dir_all(&partial).map_err(unwritable)?;
        let written = self.write(&partial).and_then(|()| fs::rename(&partial, folder).map_err(unwritable));
        if written.is_err() {
            // The first error is the one to report; a leftover folder is hidden and harmless.
            let _ = fs::remove_dir_all(&partial);
        }
        written
    }

    /// `config.json` for what is written: the form of the numbers, and the class that goes with the head.
    fn outgoing_config(&self, form: Numbers) -> Value {
        let mut config = (*self.config).clone();
        let class = match self.head {
            Head::Language => self.spec.family.language_class,
            Head::Score | Head::Value => self.spec.family.score_class,
        };
        config.insert("architectures".into(), json!([class]));
        config.insert("model_type".into(), json!(self.spec.family.model_type));
        let dtype = if config.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        config.insert(dtype.into(), json!(form.dtype()));
        if self.head == Head::Language {
            config.shift_remove("id2label");
            config.shift_remove("label2id");
        } else {
            let label = |at: usize| format!("LABEL_{at}");
            let (ids, labels): (Map<_, _>, Map<_, _>) =
                (0..self.spec.scores).map(|at| ((at.to_string(), json!(label(at))), (label(at), json!(at)))).unzip();
            config.insert("id2label".into(), Value::Object(ids));
            config.insert("label2id".into(), Value::Object(labels));
        }
        Value::Object(config)
    }
}

/// Writes a file of `folder` and asks it of the disk.
pub(super) fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ModelError> {
    let path = folder.join(name);
    let file = fs::File::create(&path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    file.map_err(|e| ModelError::Unwritable { path, reason: reason(&e) })
}

/// Normal numbers of standard deviation 1 / √(C + 1), by Box and Muller.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
fn normal_head(width: usize, scores: usize, seed: u64) -> Arc<[f32]> {
    let scale = 1.0 / ((width + 1) as f64).sqrt();
    let normal = |i: usize| {
        let words = uniform(halves(seed), [0, 0, 0, u32::try_from(i).expect("widths fit 32 bits")]);
        let (radius, angle) = (1.0 - unit(words[0], words[1]), unit(words[2], words[3]));
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    };
    (0..scores * width).map(|i| (scale * normal(i)) as f32).collect()
}

/// The GGUF file at a path: itself, or the only one of a folder that holds no network in another format.
pub fn gguf_at(path: &Path) -> Option<PathBuf> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    if !path.is_dir() {
        return is_gguf(path).then(|| path.to_owned());
    }
    if path.join("config.json").exists() {
        return None;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut found = entries.map(|entry| entry.path()).filter(|path| is_gguf(path));
    found.next().filter(|_| found.next().is_none())
}

/// What the network at a path is, without its tokenizer and weights, and how its projections are held.
pub(super) fn described_at(path: &Path) -> Result<(ModelSpec, Option<BlockFormat>), ModelError> {
    if let Some(file) = gguf_at(path) {
        return Ok((ModelSpec::from_config(&Config::new(&file, Gguf::open(&file)?.config()?))?, None));
    }
    let folder = if path.is_dir() { path.to_owned() } else { locate(path)?.0 };
    let config = Config::read(&folder.join("config.json"))?;
    let spec = ModelSpec::from_config(&config)?;
    let (_, _, blocks) = said_of(&folder, &config, &spec)?;
    Ok((spec, blocks))
}

/// The folder of a network, the files that hold its tensors, and their index where they are several.
fn locate(path: &Path) -> Result<(PathBuf, Vec<PathBuf>, Option<Index>), ModelError> {
    let unreadable = |e: std::io::Error| ModelError::unreadable(path, &e);
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        need(&folder, "config.json")?;
        return Ok((folder, vec![path.to_owned()], None));
    }
    need(path, "config.json")?;
    let index = path.join("model.safetensors.index.json");
    if !path.join("model.safetensors").exists() && index.exists() {
        let index = Index::read(&index)?;
        return Ok((path.to_owned(), index.files(), Some(index)));
    }
    need(path, "model.safetensors")?;
    Ok((path.to_owned(), vec![path.join("model.safetensors")], None))
}

fn need(folder: &Path, missing: &'static str) -> Result<(), ModelError> {
    match folder.join(missing).exists() {
        true => Ok(()),
        false => Err(ModelError::NotANetwork { path: folder.to_owned(), missing }),
    }
}

/// The head: `align.json` decides; without it, the class in `architectures`. How many scores there are, and the format in
/// which the engine holds projections.
fn said_of(folder: &Path, config: &Config, spec: &ModelSpec) -> Result<(Head, usize, Option<BlockFormat>), ModelError> {
    let path = folder.join("align.json");
    if path.exists() {
        let said = Config::read(&path)?;
        let members = match said.field("members") {
            None => 1,
            Some(members) => match members.as_u64().and_then(|members| usize::try_from(members).ok()).filter(|members| *members > 0) {
                Some(members) => members,
                None => return Err(said.wrong("members", "expected a count")),
            },
        };
        let blocks = match said.field("blocks") {
            None => None,
            Some(word) => match word.as_str().and_then(BlockFormat::of) {
                None => return Err(said.wrong("blocks", "expected `int8` or `nf4`")),
                format => format,
            },
        };
        return match said.text("head") {
            Some("language") => Ok((Head::Language, 1, blocks)),
            Some("score") => Ok((Head::Score, members, blocks)),
            Some("value") => Ok((Head::Value, 1, blocks)),
            _ => Err(said.wrong("head", "expected `language`, `score` or `value`")),
        };
    }
    let class = config.field("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    Ok((if class == Some(spec.family.score_class) { Head::Score } else { Head::Language }, 1, None))
}

/// Every parameter is there with its shape, and nothing else is that a network could need.
fn check_tensors(spec: &ModelSpec, head: Head, file: &dyn Tensors) -> Result<(), ModelError> {
    let stored = spec.stored(head);
    for tensor in &stored {
        file.check(&tensor.name, &tensor.shape)?;
    }
    let language_head = format!("{}.weight", spec.family.names.language_head);
    let unused_head = spec.tied || head != Head::Language;
    let known = |name: &str| {
        stored.iter().any(|tensor| tensor.name == name)
            || (unused_head && name == language_head)
            || spec.family.ignored.iter().any(|ending| name.ends_with(ending))
    };
    match file.names().find(|name| !known(name)) {
        None => Ok(()),
        Some(extra) => Err(ModelError::ExtraTensor { path: file.path_of(extra).to_owned(), tensor: extra.into() }),
    }
}
