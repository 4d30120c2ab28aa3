//! Which files of a repository are read, and whether they are there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::HubError;
use super::cache::Repository;
use super::reference::Reference;

/// What a reference is wanted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// A network: its configuration, its tokenizer, its weights.
    Model,
    /// Adapters as PEFT writes them.
    Adapter,
    /// One file.
    File,
}

/// What of it is on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// All that is read.
    Whole,
    /// All but the weights.
    Outline,
    Nothing,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Read beside the weights where a repository has them.
const BESIDE: &[&str] = &[
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "align.json",
];

/// Where it comes from and what it may be used for: fetched where it is listed, and never missed.
const NOTES: &[&str] = &["README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE", "NOTICE.txt", "USE_POLICY.md"];

/// What is worth a request before a run: configurations, vocabularies, the index of the weights.
const SMALL: &[&str] = &["json", "jinja", "md", "txt", ""];

/// What is to be fetched of a repository.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Choice {
    pub(super) files: Vec<String>,
    /// What was looked for and is not there.
    pub(super) absent: Vec<String>,
}

/// Why a repository cannot be used as what it is wanted.
struct Lacking {
    file: String,
    help: String,
}

impl Lacking {
    fn of(self, reference: &Reference) -> HubError {
        let (repository, revision) = (reference.repository.clone(), reference.revision.clone());
        HubError::NoFile { repository, revision, file: self.file, help: self.help }
    }
}

impl Want {
    /// Whether one file says everything, and which one.
    pub(super) fn single(self, reference: &Reference) -> Option<&str> {
        let file = reference.file.as_deref()?;
        let ending = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match self {
            Self::File => Some(file),
            Self::Adapter => None,
            Self::Model => ["gguf", "txt", "tsv"].contains(&ending.as_str()).then_some(file),
        }
    }

    /// The weights that a reference names itself, and the folder of the repository where the rest lies.
    fn place(reference: &Reference) -> (String, &str) {
        let file = reference.file.as_deref().unwrap_or_default();
        let (folder, weights) = if file.ends_with(".safetensors") { file.rsplit_once('/').unwrap_or(("", file)) } else { (file, WEIGHTS) };
        (if folder.is_empty() { String::new() } else { format!("{folder}/") }, weights)
    }

    /// What of it is in the cache at a commit. Looks at the disk only.
    pub fn state(self, reference: &Reference, repository: &Repository, commit: &str) -> State {
        let has = |file: &str| repository.has(commit, file);
        if let Some(file) = self.single(reference) {
            return if has(file) { State::Whole } else { State::Nothing };
        }
        let (folder, weights) = Self::place(reference);
        let at = |file: &str| has(&format!("{folder}{file}"));
        match self {
            Self::Adapter if at("adapter_config.json") => {
                if at("adapter_model.safetensors") {
                    State::Whole
                } else {
                    State::Outline
                }
            }
            Self::Model if at(CONFIG) && at("tokenizer.json") => {
                let shards = || {
                    let index = std::fs::read(repository.snapshot(commit).join(format!("{folder}{INDEX}"))).ok()?;
                    shards(&index).map(|shards| shards.iter().all(|shard| at(shard)))
                };
                if at(weights) || (weights == WEIGHTS && shards() == Some(true)) { State::Whole } else { State::Outline }
            }
            // a scorer that is one file, or a repository of one GGUF
            Self::Model if weights != WEIGHTS && repository.has_no(commit, &format!("{folder}{CONFIG}")) => {
                if at(weights) {
                    State::Whole
                } else {
                    State::Nothing
                }
            }
            Self::Model if repository.has_no(commit, &format!("{folder}{CONFIG}")) => {
                let found =
                    crate::durable::files_under(&repository.snapshot(commit).join(folder.trim_end_matches('/'))).unwrap_or_default();
                let is_gguf = |file: &&String| file.to_ascii_lowercase().ends_with(".gguf") && !file.contains('/');
                if found.iter().filter(is_gguf).count() == 1 { State::Whole } else { State::Nothing }
            }
            _ => State::Nothing,
        }
    }

    /// Whether a file beside others of a snapshot is read: others may lie there that another program fetched.
    pub fn reads(self, reference: &Reference, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if self.single(reference).is_some() || self == Self::Adapter {
            return true;
        }
        let (_, weights) = Self::place(reference);
        let whole = file.with_file_name(weights).is_file();
        match &*name {
            INDEX => !whole,
            name if name.ends_with(".safetensors") && whole => name == weights,
            name if name.ends_with(".safetensors") => {
                let index = std::fs::read(file.with_file_name(INDEX)).ok();
                index.and_then(|index| shards(&index)).is_some_and(|shards| shards.iter().any(|shard| shard == name))
            }
            _ => true,
        }
    }

    /// Whether nothing need be asked: every file that could be read is there, or is known not to be.
    pub(super) fn is_settled(self, reference: &Reference, repository: &Repository, commit: &str) -> bool {
        if self.state(reference, repository, commit) != State::Whole {
            return false;
        }
        let (folder, _) = Self::place(reference);
        let known = |file: &str| repository.has(commit, file) || repository.has_no(commit, file);
        self != Self::Model
            || self.single(reference).is_some()
            || repository.has_no(commit, &format!("{folder}{CONFIG}"))
            || BESIDE.iter().all(|file| known(&format!("{folder}{file}")))
    }

    /// What would be missed without a network, as far as it is known.
    pub(super) fn missed(self, reference: &Reference, repository: &Repository, commit: Option<&str>) -> Vec<String> {
        let (folder, weights) = Self::place(reference);
        let all: Vec<String> = match (self.single(reference), self) {
            (Some(file), _) => vec![file.to_owned()],
            (None, Self::Adapter) => ["adapter_config.json", "adapter_model.safetensors"].map(|file| format!("{folder}{file}")).into(),
            (None, _) => [CONFIG, "tokenizer.json", weights].map(|file| format!("{folder}{file}")).into(),
        };
        all.into_iter().filter(|file| commit.is_none_or(|commit| !repository.has(commit, file))).collect()
    }

    /// What to fetch of a repository that holds these files. `index` reads a file of it.
    ///
    /// # Errors
    /// When it lacks what cannot be done without.
    pub(super) fn choose(
        self,
        reference: &Reference,
        listed: &BTreeMap<String, Option<u64>>,
        index: &mut dyn FnMut(&str) -> Result<Vec<u8>, HubError>,
    ) -> Result<Choice, HubError> {
        let need = |file: &str| match listed.contains_key(file) {
            true => Ok(file.to_owned()),
            false => Err(lacking(file, listed).of(reference)),
        };
        let has = |file: &str| listed.contains_key(file);
        let mut choice = Choice::default();
        if let Some(file) = self.single(reference) {
            has(file).then_some(()).ok_or_else(|| lacking_file(file, listed).of(reference))?;
            choice.files.push(file.to_owned());
        } else {
            let (folder, weights) = Self::place(reference);
            let at = |file: &str| format!("{folder}{file}");
            if self == Self::Adapter {
                for file in ["adapter_config.json", "adapter_model.safetensors"].map(at) {
                    choice.files.push(need(&file)?);
                }
            } else if !has(&at(CONFIG)) {
                choice.absent.push(at(CONFIG));
                // a scorer that is one file
                if weights != WEIGHTS {
                    choice.files.push(need(&at(weights))?);
                } else {
                    choice.files.push(only_gguf(&folder, listed).map_err(|lacking| lacking.of(reference))?);
                }
            } else {
                for file in [at(CONFIG), at("tokenizer.json")] {
                    choice.files.push(need(&file)?);
                }
                if weights == WEIGHTS && !has(&at(WEIGHTS)) && has(&at(INDEX)) {
                    let text = index(&at(INDEX))?;
                    choice.files.push(at(INDEX));
                    let no_index = || Lacking { file: at(WEIGHTS), help: format!("its `{INDEX}` is no index of weights") }.of(reference);
                    for shard in shards(&text).ok_or_else(no_index)? {
                        choice.files.push(need(&at(&shard))?);
                    }
                } else {
                    choice.files.push(need(&at(weights))?);
                }
            }
            let (there, absent): (Vec<String>, Vec<String>) = BESIDE.iter().map(|file| at(file)).partition(|file| has(file));
            if self == Self::Model {
                choice.absent.extend(absent);
            }
            choice.files.extend(there);
        }
        let fits = |file: &&&str| listed.get(**file).is_some_and(|size| size.is_none_or(|size| size < 1 << 20));
        choice.files.extend(NOTES.iter().filter(fits).map(|file| (*file).to_owned()));
        Ok(choice)
    }
}

/// Whether a file is worth a request before a run.
pub(super) fn is_small(file: &str) -> bool {
    SMALL.contains(&Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default())
}

/// The files that an index names, each once. A name that leads out of the folder makes it none.
fn shards(index: &[u8]) -> Option<Vec<String>> {
    let index: Value = serde_json::from_slice(index).ok()?;
    let mut files: Vec<String> =
        index["weight_map"].as_object()?.values().map(|file| file.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    files.sort();
    files.dedup();
    let plain = |file: &String| file.ends_with(".safetensors") && !file.contains(['/', '\\', ':']) && !file.starts_with('.');
    (!files.is_empty() && files.iter().all(plain)).then_some(files)
}

fn only_gguf(folder: &str, listed: &BTreeMap<String, Option<u64>>) -> Result<String, Lacking> {
    let inside =
        |file: &&String| file.strip_prefix(folder).is_some_and(|rest| !rest.contains('/') && rest.to_ascii_lowercase().ends_with(".gguf"));
    let found: Vec<&String> = listed.keys().filter(inside).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(lacking(&format!("{folder}{CONFIG}"), listed)),
        _ => {
            let names: Vec<&str> = found.iter().take(6).map(|file| file.as_str()).collect();
            let more = found.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(Lacking {
                file: format!("{folder}{CONFIG}"),
                help: format!("it holds several GGUF files, name one, `hf:owner/name/FILE.gguf`: {}{more}", names.join(", ")),
            })
        }
    }
}

fn lacking_file(file: &str, listed: &BTreeMap<String, Option<u64>>) -> Lacking {
    let near = crate::diagnostic::did_you_mean(file, listed.keys().map(String::as_str));
    let help = near.map_or_else(|| format!("it holds {}", some(listed)), |near| format!("did you mean `{near}`?"));
    Lacking { file: file.to_owned(), help }
}

/// What to do about a file without which nothing works.
fn lacking(file: &str, listed: &BTreeMap<String, Option<u64>>) -> Lacking {
    let any = |end: &str| listed.keys().any(|file| file.ends_with(end));
    let help = if file.ends_with(".safetensors") && (any(".bin") || any(".pt") || any(".pth")) {
        "its weights are pickled, which can hold programs, and only safetensors and GGUF are read: look for a `safetensors` branch or pull request \
         (`@refs/pr/1`), or convert it with `transformers`: `AutoModelForCausalLM.from_pretrained(…).save_pretrained(…)`"
            .to_owned()
    } else if file.ends_with("tokenizer.json") {
        "write it with `transformers`: `AutoTokenizer.from_pretrained(…).save_pretrained(…)`, and load the folder".to_owned()
    } else if any("adapter_config.json") && !file.ends_with("adapter_config.json") {
        "it holds adapters: `load_adapter(base, \"hf:…\")` puts them beside the model that they belong to".to_owned()
    } else {
        format!("it holds {}", some(listed))
    };
    Lacking { file: file.to_owned(), help }
}

/// A few of the files, and how many more.
fn some(listed: &BTreeMap<String, Option<u64>>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = listed.keys().take(SHOWN).map(String::as_str).collect();
    match listed.len() {
        0 => "no files".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names.join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(written: &str, want: Want, files: &[&str]) -> Result<Choice, HubError> {
        let reference = Reference::parse(written).expect("a reference").expect("well written");
        let listed = files.iter().map(|file| ((*file).to_owned(), Some(10))).collect();
        let index = br#"{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"}}"#;
        want.choose(&reference, &listed, &mut |_| Ok(index.to_vec()))
    }

    #[test]
    fn only_what_is_read_is_chosen() {
        let all = [
            "config.json",
            "tokenizer.json",
            "model.safetensors",
            "pytorch_model.bin",
            "chat_template.jinja",
            "README.md",
            "onnx/model.onnx",
        ];
        let choice = choose("hf:a/b", Want::Model, &all).expect("a model");
        assert_eq!(choice.files, ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "README.md"]);
        assert_eq!(choice.absent.len(), BESIDE.len() - 1);
        let sharded = ["config.json", "tokenizer.json", "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"];
        let choice = choose("hf:a/b", Want::Model, &sharded).expect("a model");
        assert_eq!(choice.files[2..], ["model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"]);
        assert_eq!(choose("hf:a/b", Want::Model, &["x.gguf", "notes.bin"]).expect("one GGUF").files, ["x.gguf"]);
        assert_eq!(choose("hf:a/b/y.gguf", Want::Model, &["x.gguf", "y.gguf", "config.json"]).expect("that GGUF").files, ["y.gguf"]);
        let inner = ["sub/config.json", "sub/tokenizer.json", "sub/model.safetensors"];
        assert_eq!(choose("hf:a/b/sub", Want::Model, &inner).expect("a folder").files, inner);
        let adapter = ["adapter_config.json", "adapter_model.safetensors"];
        assert_eq!(choose("hf:a/b", Want::Adapter, &adapter).expect("adapters").files, adapter);
    }

    #[test]
    fn what_is_lacking_is_named_with_a_way_out() {
        let why = |written: &str, files: &[&str]| match choose(written, Want::Model, files) {
            Err(HubError::NoFile { file, help, .. }) => Lacking { file, help },
            other => panic!("something is lacking: {other:?}"),
        };
        assert!(why("hf:a/b", &["config.json", "tokenizer.json", "pytorch_model.bin"]).help.contains("safetensors"));
        assert!(why("hf:a/b", &["config.json", "model.safetensors"]).help.contains("AutoTokenizer"));
        assert!(why("hf:a/b", &["x.gguf", "y.gguf"]).help.contains("x.gguf, y.gguf"));
        assert!(why("hf:a/b", &["adapter_config.json", "adapter_model.safetensors"]).help.contains("load_adapter"));
        assert_eq!(why("hf:a/b/q8.gguf", &["q8_0.gguf"]).help, "did you mean `q8_0.gguf`?");
        assert_eq!(why("hf:a/b", &[]).file, "config.json");
    }

    #[test]
    fn an_index_names_files_of_its_own_folder() {
        assert_eq!(shards(br#"{"weight_map": {"a": "../x.safetensors"}}"#), None);
        assert_eq!(shards(br#"{"weight_map": {}}"#), None);
        assert_eq!(shards(br#"{"weight_map": {"a": "x.safetensors"}}"#), Some(vec!["x.safetensors".into()]));
    }
}
