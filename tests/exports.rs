//! Networks as files that other programs load: folders, shards, GGUF. What is written is read again; `exchange.py`
//! does the same with other people's readers.

mod toy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use align::model::gguf::{Draft, Gguf, Outline, Reading, Value, format};
use align::model::{Container, Form, Head, ModelError, Network, Numbers, RopeScaling, write_tensors};
use align::value::{Role, Turn};
use half::{bf16, f16};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use toy::Shape;

const TEXTS: [&str; 8] =
    ["Once upon a time", " two  spaces ", "naïve café ☃", "1234 + 5", "Lily's dog\n\nran", "", "<s> no token </s>", "\tTabs"];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn story() -> Network {
    Network::open(Path::new("recipes/quickstart")).expect("the story model opens")
}

fn numbers(network: &Network) -> Vec<(String, Vec<f32>)> {
    let all = network.parameters().into_iter().enumerate();
    all.map(|(at, p)| (p.name.clone(), network.tensor(at, &p).expect("it can be read").into_owned())).collect()
}

fn gguf_form(numbers: Numbers) -> Form {
    Form { container: Container::Gguf, numbers }
}

/// Exported to a file and opened again.
fn through_gguf(network: &Network, numbers: Numbers, place: &TempDir) -> Network {
    let path = place.path().join(format!("{}.gguf", numbers.word()));
    network.export(&path, gguf_form(numbers), Some("test")).expect("it has a place in a file");
    Network::open(&path).expect("what was written opens")
}

fn same_reading(a: &Network, b: &Network) {
    for text in TEXTS {
        assert_eq!(a.tokenizer.encode(text).expect("ids"), b.tokenizer.encode(text).expect("ids"), "{text:?}");
    }
    assert_eq!((a.tokenizer.start(), a.tokenizer.end()), (b.tokenizer.start(), b.tokenizer.end()));
}

fn edit(path: &Path, change: impl FnOnce(&mut Json)) {
    let mut json = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    change(&mut json);
    fs::write(path, json.to_string()).expect("written");
}

// ── Folders in ──────────────────────────────────────────────────────────────

/// The story model in two files and their index.
fn sharded() -> TempDir {
    let place = folder();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(Path::new("recipes/quickstart").join(file), place.path().join(file)).expect("copied");
    }
    let network = story();
    let (all, parameters) = (numbers(&network), network.parameters());
    let mut map = serde_json::Map::new();
    for (shard, name) in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].into_iter().enumerate() {
        let mine = || all.iter().zip(&parameters).enumerate().filter(move |(at, _)| at % 2 == shard);
        write_tensors(&place.path().join(name), mine().map(|(_, ((n, x), p))| (n.as_str(), &p.shape[..], &x[..]))).expect("written");
        map.extend(mine().map(|(_, ((n, _), _))| (n.clone(), json!(name))));
    }
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    fs::write(place.path().join("model.safetensors.index.json"), index.to_string()).expect("written");
    place
}

fn complaint(place: &TempDir) -> (&'static str, String) {
    let error = Network::open(place.path()).expect_err("it should be refused");
    (error.code(), error.to_string().replace(&place.path().display().to_string(), "…"))
}

#[test]
fn shards_are_one_network() {
    let place = sharded();
    let network = Network::open(place.path()).expect("shards open");
    assert_eq!(numbers(&network), numbers(&story()));
}

#[test]
fn broken_shards_are_refused_by_name() {
    let index = "model.safetensors.index.json";
    let second = "model-00002-of-00002.safetensors";
    let place = sharded();
    fs::remove_file(place.path().join(second)).expect("removed");
    let (code, said) = complaint(&place);
    assert_eq!(code, "align::model::damaged");
    assert!(said.contains(index) && said.contains(&format!("`{second}`, which is not beside it")), "{said}");

    let place = sharded();
    let text = fs::read_to_string(place.path().join(index)).expect("a text");
    let twice = text.replace("\"weight_map\":{", "\"weight_map\":{\"model.norm.weight\":\"model-00001-of-00002.safetensors\",");
    fs::write(place.path().join(index), twice).expect("written");
    assert!(complaint(&place).1.contains("names tensor `model.norm.weight` twice"));

    let place = sharded();
    let whole = fs::read(place.path().join(second)).expect("bytes");
    fs::write(place.path().join(second), &whole[..whole.len() / 2]).expect("written");
    let (code, said) = complaint(&place);
    assert_eq!(code, "align::model::damaged");
    assert!(said.contains(second) && said.contains("the file ends at byte"), "{said}");

    let place = sharded();
    edit(&place.path().join(index), |json| {
        let at = &mut json["weight_map"]["model.norm.weight"];
        *at = json!(if *at == json!(second) { "model-00001-of-00002.safetensors" } else { second });
    });
    assert!(complaint(&place).1.contains("says that tensor `model.norm.weight` is in"));

    let place = sharded();
    edit(&place.path().join(index), |json| json["weight_map"]["model.norm.weight"] = json!("../elsewhere.safetensors"));
    assert!(complaint(&place).1.contains("not in the same folder"));

    let place = sharded();
    write_tensors(&place.path().join(second), [("model.embed_tokens.weight", &[512, 64][..], &vec![0.0; 512 * 64][..])]).expect("written");
    assert!(complaint(&place).1.contains("tensor `model.embed_tokens.weight` is in"));
}

// ── Folders out ─────────────────────────────────────────────────────────────

#[test]
fn a_folder_holds_the_form_of_numbers_that_is_asked_for() {
    let (place, network) = (folder(), story());
    let f16_of = |x: f32| f16::from_f32(x).to_f32();
    let bf16_of = |x: f32| bf16::from_f32(x).to_f32();
    let same: fn(f32) -> f32 = |x| x;
    for (form, dtype, rounded) in [
        (Numbers::F32, "float32", same),
        (Numbers::F16, "float16", f16_of as fn(f32) -> f32),
        (Numbers::Bf16, "bfloat16", bf16_of as fn(f32) -> f32),
    ] {
        let to = place.path().join(form.word());
        network.export(&to, Form { container: Container::Folder, numbers: form }, None).expect("written");
        let again = Network::open(&to).expect("it opens");
        let expected: Vec<_> = numbers(&network).into_iter().map(|(n, x)| (n, x.into_iter().map(rounded).collect::<Vec<_>>())).collect();
        assert_eq!(numbers(&again), expected, "{dtype}");
        same_reading(&network, &again);
        let config: Json = serde_json::from_slice(&fs::read(to.join("config.json")).expect("a file")).expect("JSON");
        assert_eq!(config["torch_dtype"], dtype);
    }
    assert!(!Container::Folder.holds(Numbers::Q8_0));
}

// ── GGUF out ────────────────────────────────────────────────────────────────

#[test]
fn a_gguf_gives_the_network_back() {
    let (place, network) = (folder(), story());
    let again = through_gguf(&network, Numbers::F32, &place);
    let (before, after) = (numbers(&network), numbers(&again));
    assert_eq!(before, after);
    same_reading(&network, &again);
    assert_eq!(network.spec.rope, again.spec.rope);
    assert_eq!((network.spec.tied, network.spec.max_positions), (again.spec.tied, again.spec.max_positions));

    let again = through_gguf(&network, Numbers::F16, &place);
    for ((name, x), (_, y)) in before.iter().zip(numbers(&again)) {
        let is_norm = name.contains("norm");
        let expected: Vec<f32> = x.iter().map(|x| if is_norm { *x } else { f16::from_f32(*x).to_f32() }).collect();
        assert_eq!(expected, y, "{name}");
    }
}

#[test]
fn matrices_are_blocks_where_rows_fill_them() {
    let (place, network) = (folder(), story());
    let path = place.path().join("story.gguf");
    network.export(&path, gguf_form(Numbers::Q8_0), Some("story")).expect("written");
    let gguf = Gguf::open(&path).expect("it opens");
    for (name, x) in numbers(&network) {
        // the story model's MLP is 172 wide, which is no multiple of 32
        let stored = match name.as_str() {
            norm if norm.contains("norm") => "F32",
            down if down.contains("down_proj") => "F16",
            _ => "Q8_0",
        };
        assert_eq!(gguf.block_format(&name).expect("it is there").name, stored, "{name}");
        let format = format(stored).expect("a known format");
        let rounded = format.decode(&format.encode(&x).expect("it fits")).expect("it can be read");
        // rows are reordered whole, and a block never reaches into the next row
        assert_eq!(gguf.read(&name).expect("it can be read"), rounded, "{name}");
    }
    let said = |key: &str| gguf.value(key).cloned();
    assert_eq!(said("general.file_type"), Some(Value::Unsigned(7)));
    assert_eq!(said("general.name"), Some(Value::Text("story".into())));
    assert_eq!(said("llama.rope.dimension_count"), Some(Value::Unsigned(8)));
    assert_eq!(gguf.shape("lm_head.weight"), None, "the head is the embedding");
}

/// Files of `gguf-py`, of both orders of rows and with biases, written again from what was read of them.
#[test]
fn both_architectures_come_back_from_files_of_gguf_py() {
    let vocabulary = fs::read("recipes/quickstart/tokenizer.json").expect("a tokenizer");
    for architecture in ["llama", "qwen2"] {
        let gguf = Gguf::open(&Path::new("tests/gguf").join(format!("tiny-{architecture}.gguf"))).expect("it opens");
        let config = gguf.config().expect("a configuration");
        let size = |field: &str| usize::try_from(config[field].as_u64().expect("a size")).expect("small");
        let names: Vec<String> = gguf.names().map(str::to_owned).collect();
        let outline = Outline {
            name: None,
            model_type: config["model_type"].as_str().expect("a family"),
            layers: size("num_hidden_layers"),
            width: size("hidden_size"),
            mlp: size("intermediate_size"),
            heads: size("num_attention_heads"),
            kv_heads: size("num_key_value_heads"),
            head_dim: size("head_dim"),
            vocabulary: 512,
            max_positions: size("max_position_embeddings"),
            norm_epsilon: config["rms_norm_eps"].as_f64().expect("a number") as f32,
            rope_base: config["rope_theta"].as_f64().expect("a number"),
            rope_scaling: match &config["rope_scaling"] {
                Json::Null => RopeScaling::Default,
                scaling => panic!("another fixture: {scaling}"),
            },
            tensors: names.iter().map(|name| (name.clone(), gguf.shape(name).expect("it is there").to_vec())).collect(),
        };
        let reading = Reading { tokenizer: &vocabulary, starts: true, start: Some(1), ends: &[2], padding: None, templates: vec![] };
        let draft = Draft::new(&outline, &reading, format("F32").expect("known")).expect("it has a place");
        let place = folder();
        let path = place.path().join("again.gguf");
        draft.write::<ModelError>(&path, |at| Ok(gguf.read(&names[at])?.into())).expect("written");
        let again = Gguf::open(&path).expect("it opens");
        assert_eq!(again.names().collect::<Vec<_>>(), names);
        for name in &names {
            assert_eq!(again.read(name).expect("read"), gguf.read(name).expect("read"), "{architecture} {name}");
        }
        let ids = ["bos_token_id", "eos_token_id", "pad_token_id"];
        let plain = |gguf: &Gguf| {
            let mut config = gguf.config().expect("a configuration");
            ids.iter().for_each(|id| drop(config.remove(*id)));
            config
        };
        assert_eq!(plain(&again), plain(&gguf), "{architecture}");
    }
}

/// A toy network with another tokenizer, and what stands beside it.
fn with_tokenizer(tokenizer: &Path, change: impl FnOnce(&mut Json), config: &Json) -> TempDir {
    let place = folder();
    let mut json: Json = serde_json::from_slice(&fs::read(tokenizer).expect("a tokenizer")).expect("JSON");
    change(&mut json);
    let rows =
        json["model"]["vocab"].as_object().map_or(0, serde_json::Map::len).max(json["model"]["vocab"].as_array().map_or(0, Vec::len));
    // three rows more than tokens, as networks padded to a round number have them
    toy::write(place.path(), Shape { vocabulary: rows + 3, ..Shape::TINY }, Head::Language);
    fs::write(place.path().join("tokenizer.json"), json.to_string()).expect("written");
    fs::write(place.path().join("tokenizer_config.json"), config.to_string()).expect("written");
    place
}

fn golden(name: &str) -> PathBuf {
    Path::new("tests/golden/tokenizers").join(format!("{name}.json"))
}

fn texts_of(name: &str) -> Vec<String> {
    let all: Json = serde_json::from_slice(&fs::read("tests/golden/tokenizers.json").expect("a golden")).expect("JSON");
    let rows = all["cases"][name]["rows"].as_array().expect("rows").clone();
    rows.iter().map(|row| row["text"].as_str().expect("a text").to_owned()).collect()
}

fn composed(json: &mut Json) {
    json["normalizer"] = json!({ "type": "NFC" });
    json["model"]["ignore_merges"] = json!(false);
}

fn digits(json: &mut Json) {
    let bytes = json["pre_tokenizer"].clone();
    json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [{ "type": "Digits", "individual_digits": true }, bytes] });
}

#[test]
fn vocabularies_give_the_same_ids_after_a_gguf() {
    let kinds: [(&str, &str, fn(&mut Json)); 4] = [
        ("gpt2-bytelevel", "gpt-2", |_| {}),
        ("gpt2-bytelevel", "smollm", digits),
        ("llama3-split-regex", "llama-bpe", |_| {}),
        ("qwen2-split-regex", "qwen2", composed),
    ];
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    for (name, pre, change) in kinds {
        let config = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false, "chat_template": template });
        let place = with_tokenizer(&golden(name), change, &config);
        let network = Network::open(place.path()).expect("it opens");
        let again = through_gguf(&network, Numbers::F32, &place);
        for text in texts_of(name).iter().map(String::as_str).chain(TEXTS) {
            let ids = |network: &Network| network.tokenizer.encode(text).expect("ids");
            assert_eq!(ids(&network), ids(&again), "{name} {text:?}");
        }
        same_reading(&network, &again);
        let said = [Turn { role: Role::User, text: "Hello <|im_end|>".into() }];
        let prompt = |network: &Network| network.tokenizer.encode_prompt(&said).expect("a prompt");
        assert!(again.tokenizer.has_template());
        assert_eq!(prompt(&network), prompt(&again), "{name}");
        assert_eq!(numbers(&network), numbers(&again), "{name}");
        let gguf = Gguf::open(&place.path().join("f32.gguf")).expect("it opens");
        assert_eq!(gguf.value("tokenizer.ggml.pre"), Some(&Value::Text(pre.into())));

        // and from the file to a folder
        let to = place.path().join("back");
        again.export(&to, Form { container: Container::Folder, numbers: Numbers::F32 }, None).expect("written");
        let back = Network::open(&to).expect("it opens");
        assert_eq!(prompt(&network), prompt(&back), "{name}");
        assert_eq!(numbers(&network), numbers(&back), "{name}");
    }
}

#[test]
fn what_llama_cpp_would_read_differently_has_no_place_in_a_gguf() {
    let cases: [(&str, fn(&mut Json), &str); 7] = [
        ("unigram", |_| {}, "kind Unigram"),
        ("wordpiece", |_| {}, "kind WordPiece"),
        ("qwen2-split-regex", |_| {}, "`qwen2`"),
        ("llama3-split-regex", |json| json["model"]["ignore_merges"] = json!(false), "`ignore_merges: false`"),
        ("gpt2-bytelevel", |json| json["pre_tokenizer"]["add_prefix_space"] = json!(true), "in its own way"),
        ("gpt2-bytelevel", |json| json["pre_tokenizer"] = json!({ "type": "WhitespaceSplit" }), "neither SentencePiece's nor on bytes"),
        // trained as BPE and not by SentencePiece: not every pair of pieces that makes a piece is a merge
        ("llama2-spm-bpe", |_| {}, "never joins"),
    ];
    for (name, change, expected) in cases {
        let place = with_tokenizer(&golden(name), change, &json!({ "add_bos_token": false }));
        let network = Network::open(place.path()).expect("it opens");
        let error = network.check_form(gguf_form(Numbers::F16)).expect_err("it should be refused");
        assert_eq!(error.code(), "align::model::no_gguf");
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(network.check_form(Form { container: Container::Folder, numbers: Numbers::F16 }).is_ok());
    }
    let apart = |json: &mut Json| {
        let merges = json["model"]["merges"].as_array_mut().expect("merges");
        let whole = |merge: &Json| [merge[0].as_str(), merge[1].as_str()].map(Option::unwrap_or_default).concat();
        let second = (1..merges.len()).find(|at| whole(&merges[at - 1]) == whole(&merges[*at])).expect("a piece that two merges make");
        let merge = merges.remove(second);
        merges.push(merge);
    };
    let place = with_tokenizer(Path::new("recipes/quickstart/tokenizer.json"), apart, &json!({}));
    let error = Network::open(place.path()).expect("it opens").check_form(gguf_form(Numbers::F16)).expect_err("it should be refused");
    assert!(error.to_string().contains("stand apart"), "{error}");

    let story = with_tokenizer(Path::new("recipes/quickstart/tokenizer.json"), |_| {}, &json!({}));
    fs::remove_file(story.path().join("tokenizer_config.json")).expect("removed");
    let network = Network::open(story.path()).expect("it opens");
    for head in [Head::Score, Head::Value] {
        let scorer = network.with_head(head, align::model::HeadStart::Zero).expect("a head");
        let error = scorer.check_form(gguf_form(Numbers::F16)).expect_err("it should be refused");
        assert!(error.to_string().contains(&format!("a {} head", head.word())), "{error}");
    }
}

/// A golden network with the story model's tokenizer in front: 128 rows do not hold its tokens.
#[test]
fn a_tokenizer_with_more_tokens_than_rows_is_refused() {
    let place = folder();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(Path::new("tests/golden/models/tiny-llama").join(file), place.path().join(file)).expect("copied");
    }
    fs::copy("recipes/quickstart/tokenizer.json", place.path().join("tokenizer.json")).expect("copied");
    let error = Network::open(place.path()).expect("it opens").check_form(gguf_form(Numbers::F16)).expect_err("refused");
    assert!(error.to_string().contains("of a network with 128 embeddings"), "{error}");
}

/// Scaled rotary positions become a tensor of factors, or two keys.
#[test]
fn rotary_scaling_is_written() {
    let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
    for scaling in [llama3, json!({ "rope_type": "linear", "factor": 4.0 })] {
        let place = with_tokenizer(Path::new("recipes/quickstart/tokenizer.json"), |_| {}, &json!({ "add_bos_token": true }));
        edit(&place.path().join("config.json"), |json| {
            json["rope_scaling"] = scaling.clone();
            // heads of 4 have two frequencies: one short wave, and one longer than all that is blended
            json["rope_theta"] = json!(1e9);
        });
        let network = Network::open(place.path()).expect("it opens");
        let again = through_gguf(&network, Numbers::F16, &place);
        assert_eq!(network.spec.rope, again.spec.rope);
    }
}

/// Constants that nobody published still make factors: 1 for short waves, 8 for long ones.
#[test]
fn rotary_factors_are_those_of_the_configuration() {
    let place = with_tokenizer(Path::new("recipes/quickstart/tokenizer.json"), |_| {}, &json!({ "add_bos_token": true }));
    let scaling = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16 });
    edit(&place.path().join("config.json"), |json| json["rope_scaling"] = scaling);
    let path = place.path().join("odd.gguf");
    Network::open(place.path()).expect("it opens").export(&path, gguf_form(Numbers::F32), None).expect("written");
    // two frequencies of heads of 4: 1 turns 16 / 2π = 2.55 times, 1/100 hardly at all
    let kept = (16.0 / std::f64::consts::TAU - 1.0) / 3.0;
    let expected = [(1.0 / ((1.0 - kept) / 8.0 + kept)) as f32, 8.0];
    let bytes = fs::read(&path).expect("bytes");
    let found: Vec<u8> = expected.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(bytes.windows(8).any(|window| window == found), "{expected:?}");
}

// ── Recipes ─────────────────────────────────────────────────────────────────

fn run(place: &Path, exports: &str) -> (i32, String) {
    let recipe = format!("recipe r {{\n    base = load_model(\"model\")\n{exports}\n}}\n");
    fs::write(place.join("r.align"), recipe).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    let out = command.args(["run", "r.align", "--device", "cpu"]).current_dir(place).output().expect("it runs");
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().expect("an exit code"), String::from_utf8(text).expect("UTF-8"))
}

fn bench() -> TempDir {
    let place = folder();
    fs::create_dir(place.path().join("model")).expect("a folder");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(Path::new("recipes/quickstart").join(file), place.path().join("model").join(file)).expect("copied");
    }
    place
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_recipe_exports_every_form() {
    let place = bench();
    let exports = "    export base to \"out/same\"\n    export base to \"out/half\" as bf16\n    export base to \"out/base.gguf\"\n    export base to \"out/small.gguf\" as q8_0";
    let (code, said) = run(place.path(), exports);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(&place.path().join("out")), ["base.gguf", "half", "same", "small.gguf"]);
    for (name, stored) in [("base.gguf", "F16"), ("small.gguf", "Q8_0")] {
        let gguf = Gguf::open(&place.path().join("out").join(name)).expect("it opens");
        assert_eq!(gguf.block_format("model.embed_tokens.weight").expect("it is there").name, stored);
        assert_eq!(gguf.value("general.name"), Some(&Value::Text(name.trim_end_matches(".gguf").into())));
    }
    let before = fs::read(place.path().join("out/small.gguf")).expect("bytes");
    let (code, said) = run(place.path(), exports);
    assert_eq!((code, said.matches("unchanged").count()), (0, 4), "{said}");
    assert_eq!(fs::read(place.path().join("out/small.gguf")).expect("bytes"), before);

    // another form of the same network replaces what was exported there
    let (code, said) = run(place.path(), &exports.replace("\"out/base.gguf\"", "\"out/base.gguf\" as f32"));
    assert_eq!(code, 0, "{said}");
    let gguf = Gguf::open(&place.path().join("out/base.gguf")).expect("it opens");
    assert_eq!(gguf.block_format("model.embed_tokens.weight").expect("it is there").name, "F32");

    // and what somebody changed since stays
    fs::write(place.path().join("out/base.gguf"), "mine").expect("written");
    let (code, said) = run(place.path(), exports);
    assert_eq!(code, 1);
    assert!(said.contains("align::run::export_exists"), "{said}");
    assert_eq!(fs::read(place.path().join("out/base.gguf")).expect("bytes"), b"mine");
}

/// A file and a GGUF become folders with all that belongs to a network.
#[test]
fn one_file_is_exported_as_a_whole_folder() {
    let place = bench();
    story().export(&place.path().join("story.gguf"), gguf_form(Numbers::F32), None).expect("written");
    for model in ["story.gguf", "model/model.safetensors"] {
        let exports = format!("    other = load_model(\"{model}\")\n    export other to \"out/{}\"", model.len());
        let (code, said) = run(place.path(), &exports);
        assert_eq!(code, 0, "{said}");
        let network = Network::open(&place.path().join(format!("out/{}", model.len()))).expect("it opens");
        assert_eq!(numbers(&network), numbers(&story()), "{model}");
        same_reading(&network, &story());
    }
}

/// Nothing that looks whole, and nothing hidden, is left of an export that breaks off.
#[test]
fn an_export_that_fails_leaves_nothing() {
    let place = bench();
    let (network, at) = (story(), place.path().join("model/model.safetensors"));
    let (mut all, parameters) = (numbers(&network), network.parameters());
    let last = all.last_mut().expect("tensors");
    assert!(last.0.contains("norm"));
    // a matrix near the end, so that most of the file is written by then
    let matrix = all.iter_mut().rev().find(|(name, _)| name.contains("down_proj")).expect("a matrix");
    matrix.1[7] = 70_000.0;
    write_tensors(&at, all.iter().zip(&parameters).map(|((n, x), p)| (n.as_str(), &p.shape[..], &x[..]))).expect("written");
    for (exports, kept) in [("\"out/base.gguf\"", "as f32"), ("\"out/base\" as f16", "as bf16")] {
        let (code, said) = run(place.path(), &format!("    export base to {exports}"));
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("align::model::unwritable") && said.contains("number 7 is 70000") && said.contains("down_proj")
                || said.contains("ffn_down"),
            "{said}"
        );
        assert!(said.contains(kept), "{said}");
        assert_eq!(names(&place.path().join("out")), [""; 0]);
    }
}

#[test]
fn a_form_that_cannot_be_is_refused_before_anything_runs() {
    let place = bench();
    edit(&place.path().join("model/tokenizer.json"), |json| {
        *json = serde_json::from_slice(&fs::read(golden("wordpiece")).expect("a tokenizer")).expect("JSON");
    });
    let (code, said) = run(place.path(), "    export base to \"out/base.gguf\"");
    assert_eq!(code, 1);
    assert!(said.contains("align::model::no_gguf") && said.contains("loaded here"), "{said}");
    assert!(!place.path().join("out").exists() && !place.path().join(".align/runs").exists());
}
