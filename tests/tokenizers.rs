//! Text to ids and back, against the `tokenizers` library's own answers and on the story model.

use std::path::{Path, PathBuf};

use align::model::guide::{Guide, Guides};
use align::model::{ModelSpec, Network, Tokenizer};
use align::value::{Completion, Role, Sequence, Turn};
use serde_json::Value;

/// A golden of this name: in the folder that `ALIGN_GOLDEN` names, or else the project's own.
fn golden_file(name: &str) -> PathBuf {
    let asked = std::env::var_os("ALIGN_GOLDEN").map(|folder| PathBuf::from(folder).join(name));
    asked.filter(|path| path.exists()).unwrap_or_else(|| Path::new("tests/golden").join(name))
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|x| u32::try_from(x.as_u64().expect("an id")).expect("small")).collect()
}

/// A tokenizer file beside the configuration of some network.
fn open(file: &Path) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(file, folder.path().join("tokenizer.json")).expect("a tokenizer");
    let spec = ModelSpec::read(&golden_file("models/tiny-llama/config.json")).expect("a configuration");
    Tokenizer::read(folder.path(), &spec).expect("a tokenizer")
}

#[test]
fn every_kind_of_tokenizer() {
    let golden = read_json(&golden_file("tokenizers.json"));
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let tokenizer = open(&golden_file(case["file"].as_str().expect("a file")));
        for row in case["rows"].as_array().expect("rows") {
            let text = row["text"].as_str().expect("a text");
            let found = tokenizer.encode(text).expect("ids");
            if text.contains("<|im_start|>") {
                // The library would make special tokens of it; text never becomes one.
                assert_ne!(found, ids(&row["ids"]).as_slice()[..1], "{name}");
                assert!(tokenizer.decode(&found).contains("start"), "{name}: {text:?}");
                continue;
            }
            assert_eq!(found, ids(&row["ids"]), "{name}: {text:?}");
        }
    }
}

fn story() -> std::sync::Arc<Tokenizer> {
    Network::open(Path::new("recipes/quickstart")).expect("the story model opens").tokenizer
}

fn user(text: &str) -> Vec<Turn> {
    vec![Turn { role: Role::User, text: text.into() }]
}

fn written(text: &str) -> Completion {
    Completion { text: text.into(), tokens: None, finished: true }
}

#[test]
fn a_completion_continues_its_prompt() {
    let tokenizer = story();
    for (prompt, completion) in [
        ("Once upon a time", ", there was a girl."),
        ("Once upon a time", " there was"),
        ("Lily was sad bec", "ause it rained"),
        ("", "Once upon"),
        ("One day", ""),
        ("One day ", " two spaces"),
        ("One day\n", "\nnew lines"),
        ("Tim saw a b", "<s>ig dog</s>"),
        ("Zürich 🙂", "🙂 ü"),
    ] {
        let before = tokenizer.encode_prompt(&user(prompt)).expect("a prompt");
        assert_eq!(before[0], 1);
        let ids = tokenizer.encode_completion(&user(prompt), &written(completion)).expect("a completion");
        assert_eq!(ids.last(), Some(&2), "finished text ends with the end token");
        assert!(ids[..ids.len() - 1].iter().all(|id| *id > 2), "text never becomes a special token");
        assert_eq!(tokenizer.decode(&[&before[..], &ids].concat()), format!("{prompt}{completion}"));
        assert_eq!(tokenizer.decode_completion(&before, &ids), completion);
    }
}

#[test]
fn a_sampled_completion_keeps_its_tokens() {
    let tokenizer = story();
    let sampled = Completion { text: "whatever".into(), tokens: Some([300, 301].into()), finished: false };
    assert_eq!(tokenizer.encode_completion(&user("Once"), &sampled).expect("ids"), [300, 301]);
    let open_end = Completion { finished: false, ..written(" there") };
    assert_ne!(tokenizer.encode_completion(&user("Once"), &open_end).expect("ids").last(), Some(&2));
}

#[test]
fn assistant_turns_of_a_dialogue_are_scored() {
    let tokenizer = story();
    let turn = |role, text: &str| Turn { role, text: text.into() };
    let dialogue = vec![
        turn(Role::User, "Who is there?"),
        turn(Role::Assistant, " Lily."),
        turn(Role::User, " Who else?"),
        turn(Role::Assistant, " Tim."),
    ];
    let whole = Sequence { prompt: dialogue.clone().into(), completion: None };
    let sequence = tokenizer.encode_sequence(&whole).expect("a sequence");
    let text = |ids: &[u32]| tokenizer.decode_completion(sequence.prompt(), ids);
    assert_eq!(tokenizer.decode(sequence.prompt()), "Who is there?");
    assert_eq!(text(sequence.completion()), " Lily. Who else? Tim.");
    let scored: Vec<u32> = (0..sequence.completion().len()).filter(|i| sequence.is_scored(*i)).map(|i| sequence.completion()[i]).collect();
    assert_eq!(text(&scored), " Lily. Tim.");
    assert_eq!(scored.last(), Some(&2));
    let ends = Sequence { prompt: dialogue[..3].to_vec().into(), completion: Some(written(" Tim.").into()) };
    let ends = tokenizer.encode_sequence(&ends).expect("a sequence");
    assert_eq!(ends.scored_len(), ends.completion().len());
    assert_eq!(ends.len(), sequence.len());
}

#[test]
fn equal_tokenizers_have_equal_hashes() {
    let folder = golden_file("tokenizers");
    let first = open(&folder.join("gpt2-bytelevel.json"));
    let pretty = tempfile::tempdir().expect("a temporary folder");
    let json = read_json(&folder.join("gpt2-bytelevel.json"));
    let path = pretty.path().join("other.json");
    std::fs::write(&path, serde_json::to_string_pretty(&json).expect("JSON")).expect("a file");
    assert_eq!(first.hash(), open(&path).hash(), "the layout of the file does not matter");
    assert_ne!(first.hash(), open(&folder.join("unigram.json")).hash());
}

#[test]
fn a_guide_knows_every_token_of_a_vocabulary_of_bytes() {
    let text = "Once, the naïve 日本 café 🙂\n\tsaid \"no\" / yes.";
    let form: std::sync::Arc<str> = format!("({})", Value::from(text)).into();
    for file in ["gpt2-bytelevel", "llama2-spm-bpe", "llama3-split-regex", "qwen2-split-regex"] {
        let tokenizer = open(&golden_file(&format!("tokenizers/{file}.json")));
        let ids = tokenizer.encode_completion(&user("So:"), &Completion { finished: false, ..written(text) }).expect("ids");
        let size = (0..).take_while(|id| tokenizer.piece(*id).is_some()).count();
        let guides = Guides::new(&tokenizer, size).expect("a vocabulary of bytes");
        let mut guide = Guide::new(form.clone());
        let mut allowed = |said: &[u32]| {
            let mut logits = vec![0.0; size];
            guide.allow(&guides, said, &mut logits).unwrap_or_else(|e| panic!("{file}: {e} after {said:?}"));
            logits
        };
        for (at, id) in ids.iter().enumerate() {
            let logits = allowed(&ids[..at]);
            assert_eq!(logits[*id as usize], 0.0, "{file}: `{}` at {at}", tokenizer.piece(*id).unwrap_or_default());
            assert!(logits.contains(&f32::NEG_INFINITY), "{file}: not everything may follow {at} tokens {:?}", &ids[..at]);
        }
        let logits = allowed(&ids);
        let ends: Vec<u32> = (0..).zip(&logits).filter(|(_, logit)| **logit == 0.0).map(|(id, _)| id).collect();
        assert!(!ends.is_empty() && ends.iter().all(|id| tokenizer.end().contains(id)), "{file}: {ends:?}");
    }
    for file in ["unigram", "wordpiece"] {
        let tokenizer = open(&golden_file(&format!("tokenizers/{file}.json")));
        let error = Guides::new(&tokenizer, 100).expect_err("pieces that are no bytes");
        assert!(matches!(error, align::model::ModelError::Form { .. }), "{file}: {error}");
    }
}

#[test]
fn a_form_that_cannot_go_on_is_an_error() {
    let tokenizer = story();
    let says = |form: &str, size: usize| {
        let guides = Guides::new(&tokenizer, size).expect("a vocabulary of bytes");
        Guide::new(form.into()).allow(&guides, &[], &mut vec![0.0; size])
    };
    assert!(says("(\"a\")", 512).is_ok());
    assert!(says("(\"a\")", 4).is_err(), "the first four tokens say nothing");
    assert!(says("(/(?<=a)b/)", 512).is_err(), "no form");
}
