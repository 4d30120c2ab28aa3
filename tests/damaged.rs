//! Files that somebody damaged or forged: thousands of mutants of a network's files, each of which is read whole or
//! refused, without a panic and without more memory than its size explains.
//!
//! `ALIGN_FUZZ=200000 cargo test --release --test damaged` looks at more of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use align::chance::{below, uniform};
use align::engine::cpu::CpuDevice;
use align::model::{Adapter, Engine, Network, TokenSequence, Want};
use align::score::FixedScorer;

/// The largest single request for memory so far.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "the trait is unsafe; every call goes straight to the system")]
// SAFETY: nothing is done but counting
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as the caller promised
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// No file of these tests is as large.
const MOST: usize = 64 << 20;

/// Numbers that counts and offsets are forged with.
const EXTREMES: [u64; 9] = [0, 1, 0x7f, 0xff, 1 << 31, u32::MAX as u64, 1 << 32, 1 << 61, u64::MAX];

/// What JSON is forged with.
const WORDS: [&str; 12] = ["-1", "0", "1e400", "18446744073709551616", "null", "\"\"", "[]", "{}", "true", "NaN", "0.5", "4294967296"];

struct Chance {
    key: u32,
    drawn: u32,
}

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        let words = uniform([self.key, 17], [self.drawn, 0, 0, 0]);
        usize::try_from(below(bound.max(1) as u64, words[0], words[1])).expect("below a usize")
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One to three changes, most of them near the beginning, where headers are.
fn mutated(original: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=chance.below(3) {
        let reach = if chance.below(3) == 0 { bytes.len() } else { bytes.len().min(4096) };
        let at = chance.below(reach);
        match chance.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).expect("a byte"),
            2 => {
                let forged = chance.of(&EXTREMES).to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&forged[..end - at]);
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + 1 + chance.below(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = chance.below(reach).min(bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => {
                let end = (at + 1 + chance.below(64)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            6 => forge_number(&mut bytes, at, chance),
            _ => {
                let deep = b"[".repeat(1 + chance.below(5000));
                bytes.splice(at..at, deep);
            }
        }
    }
    bytes
}

/// Puts another word where JSON has a number.
fn forge_number(bytes: &mut Vec<u8>, from: usize, chance: &mut Chance) {
    let Some(begin) = bytes.iter().skip(from).position(u8::is_ascii_digit).map(|at| at + from) else { return };
    let end = bytes.iter().skip(begin).position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |at| at + begin);
    let word = chance.of(&WORDS).as_bytes().to_vec();
    bytes.splice(begin..end, word);
}

/// A thing to damage: a folder of files, those of them that are changed, and what reads it.
struct Subject {
    name: &'static str,
    files: Vec<(PathBuf, &'static str)>,
    changed: &'static [&'static str],
    read: fn(&Path),
}

fn subjects() -> Vec<Subject> {
    let golden = |folder: &str, file: &'static str| (Path::new("tests/golden/models").join(folder).join(file), file);
    let own = |folder: &str, file: &'static str| (Path::new(folder).join(file), file);
    let (weights, config, tokenizer) = ("model.safetensors", "config.json", "tokenizer.json");
    vec![
        Subject {
            name: "folder",
            files: vec![golden("tiny-llama", weights), golden("tiny-llama", config), golden("word-tokenizer", tokenizer)],
            changed: &["model.safetensors", "config.json", "tokenizer.json"],
            read: network,
        },
        Subject {
            name: "other families",
            files: vec![golden("tiny-gemma3", weights), golden("tiny-gemma3", config), golden("word-tokenizer", tokenizer)],
            changed: &["config.json"],
            read: network,
        },
        Subject { name: "gguf", files: vec![own("tests/gguf", "tiny-llama.gguf")], changed: &["tiny-llama.gguf"], read: network },
        Subject { name: "gguf, qwen", files: vec![own("tests/gguf", "tiny-qwen2.gguf")], changed: &["tiny-qwen2.gguf"], read: network },
        Subject {
            name: "adapter",
            files: vec![golden("dora-qv-r4", "adapter_config.json"), golden("dora-qv-r4", "adapter_model.safetensors")],
            changed: &["adapter_config.json", "adapter_model.safetensors"],
            read: adapter,
        },
        Subject {
            name: "scorer",
            files: vec![own("recipes/quickstart", "profanity_linear.safetensors"), own("recipes/quickstart", "vocab.txt")],
            changed: &["profanity_linear.safetensors", "vocab.txt"],
            read: |folder| drop(FixedScorer::load(&folder.join("profanity_linear.safetensors")).map(|scorer| scorer.score("a damn text"))),
        },
        Subject {
            name: "lexicon",
            files: vec![own("recipes/quickstart", "vader_lexicon.txt")],
            changed: &["vader_lexicon.txt"],
            read: |folder| drop(FixedScorer::load(&folder.join("vader_lexicon.txt")).map(|scorer| scorer.score("a good day"))),
        },
    ]
}

/// Reads everything there is of a network and, where it holds together, lets it compute.
fn network(folder: &Path) {
    let gguf = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "gguf"));
    let Ok(network) = Network::open(gguf.as_deref().unwrap_or(folder)) else { return };
    let _ = network.tokenizer.encode("w5 w6 Once upon a time, \u{1F600} there was");
    let tensors: Result<Vec<_>, _> = network.parameters().iter().enumerate().map(|(at, p)| network.tensor(at, p)).collect();
    if tensors.is_err() {
        return;
    }
    let mut engine = Engine::new(Box::new(CpuDevice::new(Some(1)).expect("a thread")));
    let Ok(net) = engine.load(&network, false) else { return };
    let _ = engine.readout(net, &[TokenSequence::new([1, 5, 6], [7, 8, 2])], Want::LOGP, 1.0);
}

fn adapter(folder: &Path) {
    let base = tempfile::tempdir().expect("a temporary folder");
    let from = Path::new("tests/golden/models");
    for (model, file) in [("tiny-llama", "config.json"), ("tiny-llama", "model.safetensors"), ("word-tokenizer", "tokenizer.json")] {
        fs::copy(from.join(model).join(file), base.path().join(file)).expect("a file");
    }
    let base = Network::open(base.path()).expect("it opens");
    let Ok(adapted) = Adapter::open(folder, &base) else { return };
    let _ = Adapter::check_base(folder, &base);
    for (at, parameter) in base.parameters().iter().enumerate() {
        let _ = adapted.merged_tensor(at, parameter);
    }
}

#[test]
fn mutants_are_read_or_refused() {
    let rounds = std::env::var("ALIGN_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(2500_usize);
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut refused = Vec::new();
    std::panic::set_hook(Box::new(|_| {}));
    for (key, subject) in (0..).zip(subjects()) {
        let originals: Vec<Vec<u8>> = subject.files.iter().map(|(path, _)| fs::read(path).expect("a file of the repository")).collect();
        let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).expect("written");
        subject.files.iter().zip(&originals).for_each(|((_, name), bytes)| write(name, bytes));
        (subject.read)(place.path());
        for round in 0..rounds / subjects().len() {
            let mut chance = Chance { key, drawn: u32::try_from(round).expect("few rounds") << 6 };
            let name = *chance.of(subject.changed);
            let at = subject.files.iter().position(|(_, file)| *file == name).expect("one of its files");
            write(name, &mutated(&originals[at], &mut chance));
            LARGEST.store(0, Ordering::Relaxed);
            let held = catch_unwind(AssertUnwindSafe(|| (subject.read)(place.path()))).is_ok();
            let largest = LARGEST.load(Ordering::Relaxed);
            if !held || largest > MOST {
                let kept = std::env::temp_dir().join(format!("align-mutant-{key}-{round}-{name}"));
                fs::copy(place.path().join(name), &kept).expect("kept");
                refused.push(format!("{} {round}: panic {}, {largest} bytes at once, {}", subject.name, !held, kept.display()));
            }
            write(name, &originals[at]);
        }
        fs::read_dir(place.path()).expect("a folder").flatten().for_each(|file| fs::remove_file(file.path()).expect("removed"));
    }
    let _ = std::panic::take_hook();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// At such a text the `tokenizers` library panics, and where ids are nobody's it prints.
#[test]
fn what_the_library_does_not_bear_is_seen_before() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let from = Path::new("tests/golden/models");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(from.join("tiny-llama").join(file), place.path().join(file)).expect("a file");
    }
    let text = fs::read_to_string(from.join("word-tokenizer/tokenizer.json")).expect("a file");
    let open = |text: &str| {
        fs::write(place.path().join("tokenizer.json"), text).expect("written");
        Network::open(place.path())
    };
    let broken = open(&text.replace("\"decoder\": null", "\"decoder\": ?ull")).expect_err("it is no JSON");
    assert_eq!(broken.code(), "align::model::tokenizer");

    fs::write(place.path().join("tokenizer.json"), text.replace("\"t32\": 32,", "")).expect("written");
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_align"))
        .arg("generate")
        .arg(place.path())
        .args(["t31 t33", "--max-tokens", "2", "--device", "cpu", "--json"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.lines().all(|line| line.starts_with('{')), "{said}{}", String::from_utf8_lossy(&out.stderr));
}
