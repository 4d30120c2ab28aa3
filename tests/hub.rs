//! Models and data of a hub, through the program: against a server on this machine that says what the real one says.

mod hub_server;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use align::durable::files_under;
use align::model::{Container, Form, Network, Numbers};
use hub_server::{Asked, Faults, Hub, files_of, git_sha1, sha256};
use serde_json::Value;

/// A recipe's folder, and a home whose cache is empty at first.
struct Place {
    folder: tempfile::TempDir,
    home: tempfile::TempDir,
    endpoint: String,
    variables: BTreeMap<&'static str, String>,
}

const RECIPE: &str = "recipe r {\n    base = load_model(\"hf:tiny/story\")\n    rows = load_data(\"rows.jsonl\") as { prompt: Text, completion: Text }\n    x = rows.with(y: sum(base.logp(.completion)))\n    export x to \"out/x\"\n}\n";

impl Place {
    fn new(hub: &Hub) -> Self {
        let folder = || tempfile::tempdir().expect("a temporary folder");
        let place = Self { folder: folder(), home: folder(), endpoint: hub.address.clone(), variables: BTreeMap::new() };
        place.write("a.align", RECIPE);
        place.write("rows.jsonl", "{\"prompt\": \"Once upon\", \"completion\": \" a time\"}\n");
        place
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The same recipe's folder on a machine that has fetched nothing.
    fn elsewhere(self) -> Self {
        fs::remove_dir_all(self.folder.path().join(".align")).ok();
        fs::remove_file(self.folder.path().join("out/x")).ok();
        Self { home: tempfile::tempdir().expect("a temporary folder"), ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
        for name in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        ] {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path()).env("HF_HOME", self.home.path()).env("HF_ENDPOINT", &self.endpoint);
        command.envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// Exit code and everything that is read.
    fn align(&self, arguments: &[&str]) -> (i32, String) {
        said(&self.command(arguments).output().expect("it starts"))
    }

    fn run(&self, more: &[&str]) -> (i32, String) {
        self.align(&[&["run", "a.align", "--device", "cpu"], more].concat())
    }

    /// A run without a mistake.
    fn runs(&self) -> String {
        let (code, said) = self.run(&[]);
        assert_eq!(code, 0, "{said}");
        said
    }

    fn cache(&self, path: &str) -> PathBuf {
        self.home.path().join("hub").join(path)
    }

    /// Every file of the cache.
    fn cached(&self) -> Vec<String> {
        files_under(&self.cache("")).unwrap_or_default()
    }

    fn snapshot(&self, repository: &str, commit: &str) -> Vec<String> {
        files_under(&self.cache(&format!("models--{repository}/snapshots/{commit}"))).unwrap_or_default()
    }
}

fn said(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code().expect("it was not killed"), said)
}

/// A network that is read, with what else a repository of such holds.
fn story() -> Vec<(String, Vec<u8>)> {
    let mut files = files_of(Path::new("recipes/quickstart"));
    files.retain(|(name, _)| ["config.json", "model.safetensors", "tokenizer.json"].contains(&name.as_str()));
    let more: [(&str, &[u8]); 5] = [
        ("README.md", b"---\nlicense: mit\n---\n# Stories\n"),
        ("tokenizer_config.json", b"{}"),
        ("pytorch_model.bin", b"pickled"),
        ("consolidated.safetensors", b"the same again"),
        ("notes.txt", b"not read"),
    ];
    files.extend(more.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    files
}

fn put(hub: &Hub, repository: &str, branch: &str, files: &[(String, Vec<u8>)]) -> String {
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    hub.put(repository, branch, &files)
}

/// The same network with other weights.
fn other_weights(files: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut files = files.to_vec();
    let weights = &mut files.iter_mut().find(|(name, _)| name == "model.safetensors").expect("weights").1;
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&0.25_f32.to_le_bytes());
    files
}

fn hub() -> (Hub, String) {
    let hub = Hub::new();
    let commit = put(&hub, "tiny/story", "main", &story());
    (hub, commit)
}

fn of_weights(asked: &[Asked]) -> Vec<&Asked> {
    asked.iter().filter(|asked| asked.content).collect()
}

/// An address where nobody answers.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[test]
fn a_model_is_fetched_once_and_then_nothing_is_asked() {
    let (hub, commit) = hub();
    let place = Place::new(&hub);
    // looking fetches what is small, and says the rest
    let size = story().iter().find(|(name, _)| name == "model.safetensors").expect("weights").1.len();
    for command in ["check", "plan"] {
        let (code, said) = place.align(&[command, "a.align"]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("to fetch: hf:tiny/story: model.safetensors, 512.6 KiB (commit {})", &commit[..10])), "{said}");
    }
    let (_, planned) = place.align(&["plan", "a.align", "--json"]);
    let planned: Value = serde_json::from_str(planned.lines().next().expect("a line")).expect("JSON");
    assert_eq!((planned["fetch"][0]["bytes"].as_u64(), planned["fetch"][0]["commit"].as_str()), (Some(size as u64), Some(&*commit)));
    assert_eq!(place.read("align.lock"), "", "looking pins nothing");
    assert_eq!(of_weights(&hub.asked()), Vec::<&Asked>::new());

    let said = place.runs();
    assert!(said.contains("fetched hf:tiny/story: 1 file, 512.6 KiB"), "{said}");
    assert_eq!(of_weights(&hub.asked()).len(), 1);
    assert_eq!(
        place.snapshot("tiny--story", &commit),
        ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    );
    assert_eq!(fs::read_to_string(place.cache("models--tiny--story/refs/main")).expect("a ref"), commit);
    for (name, bytes) in story().iter().filter(|(name, _)| place.snapshot("tiny--story", &commit).contains(name)) {
        let etag = if name == "model.safetensors" { sha256(bytes) } else { git_sha1(bytes) };
        assert_eq!(&fs::read(place.cache(&format!("models--tiny--story/blobs/{etag}"))).expect("a blob"), bytes);
        #[cfg(unix)]
        {
            let link = fs::read_link(place.cache(&format!("models--tiny--story/snapshots/{commit}/{name}"))).expect("a link");
            assert_eq!(link, Path::new("../../blobs").join(etag));
        }
    }
    assert!(place.read("align.lock").contains(&format!("\ncommit {commit} hf:tiny/story\n")), "{}", place.read("align.lock"));
    assert!(place.read("align.lock").contains(" hf:tiny/story\n"));

    let again = place.runs();
    assert!(again.contains("cached") && !again.contains("fetched"), "{again}");
    let (code, said) = place.align(&["check", "a.align"]);
    assert!(code == 0 && !said.contains("to fetch"), "{said}");
    assert_eq!(hub.asked(), []);
}

#[test]
fn a_run_tells_programs_how_far_it_is() {
    let (hub, commit) = hub();
    let place = Place::new(&hub);
    let output = place.command(&["run", "a.align", "--device", "cpu", "--json"]).output().expect("it starts");
    let events: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let fetch: Vec<&Value> = events.iter().filter(|event| event["event"] == "fetch").collect();
    assert!(fetch.iter().all(|event| event["what"] == "hf:tiny/story" && event["done"].as_u64() <= event["total"].as_u64()), "{fetch:?}");
    assert_eq!(fetch.last().expect("progress")["done"], fetch.last().expect("progress")["total"]);
    let fetched = events.iter().find(|event| event["event"] == "fetched").expect("an end");
    assert_eq!((fetched["commit"].as_str(), fetched["files"].as_u64()), (Some(&*commit), Some(5)));
    assert_eq!(fetched["bytes"], fetch.last().expect("progress")["total"]);
}

#[test]
fn a_network_of_a_hub_is_the_one_of_a_folder() {
    let (hub, _) = hub();
    let place = Place::new(&hub);
    place.runs();
    let exported = place.read("out/x/rows.jsonl") + &place.read("out/x");
    fs::create_dir(place.folder.path().join("model")).expect("made");
    for (name, bytes) in story()
        .iter()
        .filter(|(name, _)| ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].contains(&name.as_str()))
    {
        place.write(&format!("model/{name}"), bytes);
    }
    place.write("a.align", RECIPE.replace("hf:tiny/story", "model"));
    let said = place.runs();
    assert!(said.contains("0 made, 3 cached") || said.contains("done: 3 cached"), "equal files are equal artifacts:\n{said}");
    assert_eq!(place.read("out/x/rows.jsonl") + &place.read("out/x"), exported);
}

#[test]
fn without_a_network_it_is_said_what_is_missing_and_where_it_goes() {
    let (hub, commit) = hub();
    let mut place = Place::new(&hub);
    place.variables.insert("HF_HUB_OFFLINE", "1".into());
    let (code, said) = place.run(&[]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "align::hub::offline",
        "missing: config.json, tokenizer.json, model.safetensors",
        "hf download tiny/story --revision main",
        "models--tiny--story",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    // looking goes on without
    let (code, said) = place.align(&["check", "a.align"]);
    assert!(code == 0 && said.contains("align::hub::offline") && said.contains("r is right"), "{said}");
    assert_eq!(hub.asked(), [], "offline is offline");
    assert_eq!(place.cached(), Vec::<String>::new());

    place.variables.clear();
    place.endpoint = nobody();
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("align::hub::no_network") && said.contains("missing: config.json"), "{said}");

    place.endpoint.clone_from(&hub.address);
    place.runs();
    place.variables.insert("HF_HUB_OFFLINE", "1".into());
    place.endpoint = nobody();
    place.runs();
    // what is missing of what is pinned is named at its commit
    fs::remove_file(place.cache(&format!("models--tiny--story/snapshots/{commit}/model.safetensors"))).expect("removed");
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("missing: model.safetensors\n") && said.contains(&commit), "{said}");
}

#[test]
fn a_branch_that_moves_changes_nothing_until_it_is_asked_for() {
    let (hub, first) = hub();
    let place = Place::new(&hub);
    place.runs();
    let second = put(&hub, "tiny/story", "main", &other_weights(&story()));
    assert_ne!(first, second);
    // as if another program had fetched the newer one
    fs::write(place.cache("models--tiny--story/refs/main"), &second).expect("written");
    hub.asked();
    let said = place.runs();
    assert!(said.contains("cached") && !said.contains(" made"), "{said}");
    assert_eq!(hub.asked(), []);

    // a machine that has nothing gets the pinned commit
    let place = place.elsewhere();
    place.runs();
    assert!(place.read("align.lock").contains(&first) && !place.read("align.lock").contains(&second));
    assert!(place.snapshot("tiny--story", &second).is_empty() && !place.snapshot("tiny--story", &first).is_empty());

    let (code, said) = place.run(&["--update"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("align::hub::moved") && said.contains(&second[..10]) && said.contains("made"), "{said}");
    assert!(!said.contains("align::plan::changed_file"), "it is said once:\n{said}");
    assert!(place.read("align.lock").contains(&second) && !place.read("align.lock").contains(&first));
    let (_, said) = place.run(&["--update"]);
    assert!(!said.contains("align::hub::moved") && said.contains("cached"), "{said}");

    // a commit that is written is never asked about
    place.write("a.align", RECIPE.replace("hf:tiny/story", &format!("hf:tiny/story@{first}")));
    place.runs();
    hub.asked();
    let (code, said) = place.run(&["--update"]);
    assert!(code == 0 && !said.contains("align::hub::moved"), "{said}");
    assert_eq!(hub.asked(), []);
}

#[test]
fn a_token_opens_what_is_gated_and_goes_to_the_hub_only() {
    let (hub, _) = hub();
    hub.change("tiny/story", |repository| repository.gated = Some("hf_secret".into()));
    let mut place = Place::new(&hub);
    let (code, said) = place.run(&[]);
    assert!(
        code == 1 && said.contains("align::hub::no_access") && said.contains("accept its conditions") && said.contains("HF_TOKEN"),
        "{said}"
    );
    place.variables.insert("HF_TOKEN", "hf_wrong".into());
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("is not open to this token") && !said.contains("hf_wrong"), "{said}");
    assert_eq!(place.cached(), Vec::<String>::new());
    place.variables.clear();
    fs::write(place.home.path().join("token"), "hf_secret\n").expect("written");
    hub.asked();
    let said = place.runs();
    let asked = hub.asked();
    assert!(asked.iter().all(|asked| asked.content == asked.token.is_none()), "{asked:?}");
    assert!(!said.contains("hf_secret"), "{said}");
    for folder in [place.folder.path(), &place.cache("")] {
        for file in files_under(folder).expect("files") {
            assert!(!String::from_utf8_lossy(&fs::read(folder.join(&file)).expect("read")).contains("hf_secret"), "{file}");
        }
    }
}

#[test]
fn what_is_not_there_is_named_with_what_may_be_meant() {
    let (hub, _) = hub();
    put(&hub, "tiny/story", "french", &story());
    put(
        &hub,
        "tiny/old",
        "main",
        &[("config.json".into(), b"{}".to_vec()), ("tokenizer.json".into(), b"{}".to_vec()), ("pytorch_model.bin".into(), b"x".to_vec())],
    );
    let place = Place::new(&hub);
    let refused = |reference: &str, code: &str, help: &str| {
        place.write("a.align", RECIPE.replace("hf:tiny/story", reference));
        for command in ["check", "run"] {
            let (exit, said) = place.align(&[command, "a.align"]);
            assert!(exit == 1 && said.contains(&format!("align::hub::{code}\n")) && said.contains(help), "{command} {reference}:\n{said}");
        }
    };
    refused("hf:tiny/stroy", "no_repository", "did you mean `hf:tiny/story`?");
    refused("hf:tiny/story@fernch", "no_revision", "did you mean `french`?");
    refused("hf:tiny/old", "no_file", "only safetensors and GGUF are read");
    refused("hf:tiny/story/x.gguf", "no_file", "it holds");
    refused("hf:story", "reference", "hf:owner/name");
    hub.faults(Faults { status: Some(502), ..Faults::default() });
    place.write("a.align", RECIPE);
    let (exit, said) = place.run(&[]);
    assert!(exit == 1 && said.contains("align::hub::answer") && said.contains("502"), "{said}");
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (hub, commit) = hub();
    let place = Place::new(&hub);
    // once: the same run goes on
    hub.faults(Faults { cut: Some((1, 100_000)), ..Faults::default() });
    place.runs();
    let asked = hub.asked();
    let ranges: Vec<Option<&str>> = of_weights(&asked).iter().map(|asked| asked.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-")]);

    // again and again: nothing that looks whole, and the next run goes on
    let place = place.elsewhere();
    hub.faults(Faults { cut: Some((100, 0)), ..Faults::default() });
    hub.asked();
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("align::hub::no_network") && said.contains("broke off"), "{said}");
    assert!(!place.snapshot("tiny--story", &commit).contains(&"model.safetensors".to_owned()));
    let weights = story().iter().find(|(name, _)| name == "model.safetensors").expect("weights").1.clone();
    let partial = place.cache(&format!("models--tiny--story/blobs/{}.incomplete", sha256(&weights)));
    fs::write(&partial, &weights[..200_000]).expect("written");
    hub.faults(Faults::default());
    hub.asked();
    place.runs();
    let asked = hub.asked();
    assert_eq!(of_weights(&asked)[0].range.as_deref(), Some("bytes=200000-"));
    assert_eq!(fs::read(place.cache(&format!("models--tiny--story/snapshots/{commit}/model.safetensors"))).expect("read"), weights);
    assert!(!partial.exists());

    // what somebody left there is no part of it: its hash says so, and it is fetched anew
    let place = place.elsewhere();
    fs::create_dir_all(partial_folder(&place)).expect("made");
    fs::write(partial_folder(&place).join(partial.file_name().expect("a name")), vec![7; 300_000]).expect("written");
    place.runs();
    assert_eq!(fs::read(place.cache(&format!("models--tiny--story/snapshots/{commit}/model.safetensors"))).expect("read"), weights);

    // a server that sends all of it whatever is asked for
    let place = place.elsewhere();
    hub.faults(Faults { cut: Some((1, 100_000)), whole: true, ..Faults::default() });
    place.runs();
    assert_eq!(fs::read(place.cache(&format!("models--tiny--story/snapshots/{commit}/model.safetensors"))).expect("read"), weights);
}

fn partial_folder(place: &Place) -> PathBuf {
    place.cache("models--tiny--story/blobs")
}

#[test]
fn what_is_not_what_was_promised_is_thrown_away() {
    let (hub, commit) = hub();
    let place = Place::new(&hub);
    hub.faults(Faults { lie: true, ..Faults::default() });
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("align::hub::damaged") && said.contains("another hash"), "{said}");
    assert!(!place.snapshot("tiny--story", &commit).contains(&"model.safetensors".to_owned()));
    assert!(place.cached().iter().all(|file| !file.ends_with(".incomplete")), "{:?}", place.cached());
    hub.faults(Faults::default());
    place.runs();
}

#[test]
fn two_at_once_fetch_once() {
    let (hub, _) = hub();
    let place = Place::new(&hub);
    let ask = || {
        let words = ["generate", "hf:tiny/story", "Once", "--max-tokens", "3", "--temperature", "0", "--device", "cpu"];
        place.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let answers: Vec<(i32, String)> = [ask(), ask(), ask()].map(|child| said(&child.wait_with_output().expect("it ends"))).to_vec();
    assert!(answers.iter().all(|(code, _)| *code == 0), "{answers:?}");
    assert_eq!(of_weights(&hub.asked()).len(), 1);
    assert!(place.cached().iter().all(|file| !file.contains("incomplete") && !file.contains(".part")));
}

/// The cache as `from_pretrained` and `snapshot_download` leave it, without a word of ours.
#[test]
#[cfg(unix)]
fn what_python_fetched_is_used() {
    let (hub, commit) = hub();
    let mut place = Place::new(&hub);
    let folder = place.cache("models--tiny--story");
    for inner in ["blobs", "refs", &format!("snapshots/{commit}")] {
        fs::create_dir_all(folder.join(inner)).expect("made");
    }
    fs::write(folder.join("refs/main"), &commit).expect("written");
    for (name, bytes) in story().iter().filter(|(name, _)| name != "pytorch_model.bin" && name != "tokenizer_config.json") {
        let etag = if name.ends_with(".safetensors") { sha256(bytes) } else { git_sha1(bytes) };
        fs::write(folder.join("blobs").join(&etag), bytes).expect("written");
        std::os::unix::fs::symlink(format!("../../blobs/{etag}"), folder.join(format!("snapshots/{commit}/{name}"))).expect("linked");
    }
    place.variables.insert("HF_HUB_OFFLINE", "1".into());
    place.runs();
    assert_eq!(hub.asked(), []);
    // with a network, what was left out is asked for once
    place.variables.clear();
    fs::remove_file(place.folder.path().join("align.lock")).expect("removed");
    let said = place.runs();
    assert!(said.contains("fetched hf:tiny/story: 1 file, 2 B"), "{said}");
    let asked = hub.asked();
    assert_eq!(of_weights(&asked), Vec::<&Asked>::new());
    assert_eq!(asked.iter().filter(|asked| asked.target.starts_with("/api/")).count(), 1);
    place.runs();
    assert_eq!(hub.asked(), []);
}

#[test]
fn only_what_a_run_reads_decides_what_it_makes() {
    let (hub, commit) = hub();
    let place = Place::new(&hub);
    place.runs();
    // other programs may fetch more of the same commit
    fs::write(place.cache(&format!("models--tiny--story/snapshots/{commit}/consolidated.safetensors")), "the same again").expect("written");
    fs::write(place.cache(&format!("models--tiny--story/snapshots/{commit}/model.safetensors.index.json")), "{}").expect("written");
    let said = place.runs();
    assert!(said.contains("cached") && !said.contains(" made") && !said.contains("changed_file"), "{said}");
}

#[test]
fn renamed_repositories_and_other_revisions_are_found() {
    let (hub, commit) = hub();
    hub.change("tiny/novel", |repository| repository.moved = Some("tiny/story".into()));
    let pull = put(&hub, "tiny/story", "refs/pr/1", &other_weights(&story()));
    let place = Place::new(&hub);
    for (reference, revision) in [
        ("hf:tiny/novel".to_owned(), &commit),
        ("hf:tiny/story@refs/pr/1".to_owned(), &pull),
        (format!("hf://tiny/story@{commit}"), &commit),
    ] {
        place.write("a.align", RECIPE.replace("hf:tiny/story", &reference));
        place.runs();
        let is_pinned = place.read("align.lock").contains(&format!("commit {revision} {reference}\n"));
        assert_eq!(is_pinned, !reference.contains(&commit), "{}", place.read("align.lock"));
    }
}

#[test]
fn weights_in_several_files_a_gguf_adapters_and_data_are_fetched() {
    let hub = Hub::new();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let network = Network::open(Path::new("recipes/quickstart")).expect("a network");
    let file = scratch.path().join("story-f16.gguf");
    network.export(&file, Form { container: Container::Gguf, numbers: Numbers::F16 }, None).expect("exported");
    let gguf = fs::read(&file).expect("read");
    put(&hub, "tiny/gguf", "main", &[("story-f16.gguf".into(), gguf.clone()), ("story-f16-copy.gguf".into(), gguf.clone())]);
    put(&hub, "tiny/one-gguf", "main", &[("story-f16.gguf".into(), gguf)]);
    put(
        &hub,
        "datasets/tiny/rows",
        "main",
        &[("data/rows.jsonl".into(), b"{\"prompt\": \"Once upon\", \"completion\": \" a time\"}\n".to_vec())],
    );
    put(&hub, "tiny/sharded", "main", &sharded());
    let golden = Path::new("tests/golden/models");
    let mut base = files_of(&golden.join("tiny-llama"));
    base.extend(files_of(&golden.join("word-tokenizer")));
    put(&hub, "tiny/llama", "main", &base);
    put(&hub, "tiny/lora", "main", &files_of(&golden.join("lora-all-r4")));
    let place = Place::new(&hub);
    let runs = |body: &str| {
        place.write(
            "a.align",
            format!("recipe r {{\n{body}\n    x = rows.with(y: sum(base.logp(.completion)))\n    export x to \"out/x\"\n}}\n"),
        );
        let (code, said) = place.align(&["check", "a.align"]);
        assert_eq!(code, 0, "{said}");
        place.runs()
    };
    let rows = "    rows = load_data(\"rows.jsonl\") as { prompt: Text, completion: Text }";
    runs(&format!("    base = load_model(\"hf:tiny/sharded\")\n{rows}"));
    runs(&format!("    base = load_model(\"hf:tiny/gguf/story-f16.gguf@main\")\n{rows}"));
    assert!(!place.cached().iter().any(|file| file.contains("copy")), "{:?}", place.cached());
    runs(&format!("    base = load_model(\"hf:tiny/one-gguf\")\n{rows}"));
    hub.asked();
    place.runs();
    assert_eq!(hub.asked(), []);
    runs(
        "    base = load_model(\"hf:tiny/sharded\")\n    rows = load_data(\"hf:datasets/tiny/rows@main/data/rows.jsonl\") as { prompt: Text, completion: Text }",
    );
    let words = "    rows = load_data(\"words.jsonl\") as { prompt: Text, completion: Text }";
    place.write("words.jsonl", "{\"prompt\": \"w1 w2\", \"completion\": \"w3\"}\n");
    runs(&format!("    plain = load_model(\"hf:tiny/llama\")\n    base = plain.load_adapter(\"hf:tiny/lora\")\n{words}"));
    place.write("a.align", RECIPE.replace("hf:tiny/story", "hf:tiny/gguf"));
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("story-f16-copy.gguf, story-f16.gguf"), "{said}");
    place.write("a.align", RECIPE.replace("hf:tiny/story", "hf:tiny/lora"));
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("load_adapter"), "{said}");
}

/// The quickstart's network with its tensors in two files.
fn sharded() -> Vec<(String, Vec<u8>)> {
    let mut files = files_of(Path::new("recipes/quickstart"));
    let weights = files.iter().find(|(name, _)| name == "model.safetensors").expect("weights").1.clone();
    let tensors = safetensors::SafeTensors::deserialize(&weights).expect("safetensors");
    let (first, second): (Vec<_>, Vec<_>) = tensors.tensors().into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    files.retain(|(name, _)| ["config.json", "tokenizer.json"].contains(&name.as_str()));
    let mut index = serde_json::Map::new();
    for (name, part) in [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)] {
        let part: Vec<_> = part.into_iter().map(|(_, tensor)| tensor).collect();
        index.extend(part.iter().map(|(tensor, _)| (tensor.clone(), Value::from(name))));
        files.push((name.to_owned(), safetensors::serialize(part, None).expect("serialised")));
    }
    files
        .push(("model.safetensors.index.json".into(), serde_json::json!({ "metadata": {}, "weight_map": index }).to_string().into_bytes()));
    files
}

#[test]
fn words_of_the_command_line_may_be_of_a_hub() {
    let (hub, _) = hub();
    put(
        &hub,
        "datasets/tiny/rows",
        "main",
        &[("rows.jsonl".into(), b"{\"prompt\": \"Once upon\", \"completion\": \" a time\"}\n".to_vec())],
    );
    let place = Place::new(&hub);
    let answers = |arguments: &[&str]| {
        let (code, said) = place.align(arguments);
        assert_eq!(code, 0, "{arguments:?}:\n{said}");
        said
    };
    answers(&["score", "hf:tiny/story@main", "Once upon a time", "--device", "cpu"]);
    let said = answers(&["data", "hf:datasets/tiny/rows/rows.jsonl", "--model", "hf:tiny/story"]);
    assert!(said.contains("load_data(\"hf:datasets/tiny/rows/rows.jsonl\")") && said.contains("tokens"), "{said}");
    hub.asked();
    answers(&["generate", "hf:tiny/story", "Once", "--max-tokens", "3", "--device", "cpu"]);
    assert_eq!(hub.asked(), []);
    let (code, said) = place.align(&["generate", "hf:story", "Once"]);
    assert!(code == 1 && said.contains("align::hub::reference"), "{said}");
    let (code, said) = place.align(&["generate", "hf:tiny/none", "Once"]);
    assert!(code == 1 && said.contains("align::hub::no_repository"), "{said}");
}

#[test]
fn a_cache_that_cannot_be_written_to_is_said() {
    let (hub, _) = hub();
    let mut place = Place::new(&hub);
    place.write("taken", "a file");
    place.variables.insert("HF_HUB_CACHE", place.folder.path().join("taken").display().to_string());
    let (code, said) = place.run(&[]);
    assert!(code == 1 && said.contains("align::hub::disk"), "{said}");
}
