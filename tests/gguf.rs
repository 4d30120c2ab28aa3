//! GGUF files: against numbers of `gguf-py`, ids of `transformers` and SentencePiece, and everything that can be wrong.

#[path = "gguf/writer.rs"]
mod writer;

use std::path::{Path, PathBuf};

use align::model::gguf::{Gguf, GgufError, Value, format};
use align::model::{Head, ModelSpec, TensorFile, Tensors};
use serde_json::Value as Json;
use writer::{ARRAY, BOOL, F32, I32, TEXT, U32, Writer, array, file, numbers, text, texts};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("gguf").join(name)
}

fn read_json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).expect("the fixture is there")).expect("the fixture is JSON")
}

fn bytes_of(hex: &Json) -> Vec<u8> {
    let hex = hex.as_str().expect("hexadecimal");
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal")).collect()
}

/// Numbers written as the bits of f32.
fn bits_of(list: &Json) -> Vec<u32> {
    list.as_array().expect("a list").iter().map(|n| u32::try_from(n.as_u64().expect("bits")).expect("32 bits")).collect()
}

fn checksum(numbers: &[f32]) -> String {
    let sum = (1_u64..).zip(numbers).fold(0_u64, |sum, (i, x)| sum.wrapping_add(i.wrapping_mul(x.to_bits().into())));
    sum.to_string()
}

fn open(writer: &Writer) -> Result<Gguf, GgufError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Gguf::open(&file(&folder, &writer.bytes()))
}

/// What is said about a file; the path is left out.
fn complaint<T>(result: Result<T, GgufError>) -> String {
    result.err().expect("it should be refused").to_string()
}

/// Every tensor of a file is there with the checksum that the fixture gives.
fn check_tensors(gguf: &Gguf, expected: &Json) {
    let expected = expected.as_object().expect("tensors");
    let mut names: Vec<&str> = expected.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(gguf.names().collect::<Vec<_>>(), names);
    for (name, tensor) in expected {
        assert_eq!(serde_json::json!(gguf.shape(name)), tensor["shape"], "{name}");
        let numbers = gguf.read(name).expect("it can be read");
        assert_eq!(checksum(&numbers), tensor["checksum"].as_str().expect("a checksum"), "{name}");
    }
}

#[test]
fn blocks_decode_as_gguf_py_does() {
    for (name, case) in read_json(&fixture("blocks.json"))["decode"].as_object().expect("formats") {
        let format = format(name).expect("a known format");
        let numbers = format.decode(&bytes_of(&case["bytes"])).expect("a format that can be read");
        assert_eq!(numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), bits_of(&case["numbers"]), "{name}");
    }
}

#[test]
fn blocks_encode_as_gguf_py_does() {
    let case = &read_json(&fixture("blocks.json"))["encode"];
    let numbers: Vec<f32> = bits_of(&case["numbers"]).into_iter().map(f32::from_bits).collect();
    for name in ["Q8_0", "F16"] {
        let bytes = format(name).expect("a known format").encode(&numbers).expect("numbers that fit");
        assert_eq!(bytes, bytes_of(&case[name]), "{name}");
    }
    let plain = format("F32").expect("a known format");
    assert_eq!(plain.decode(&plain.encode(&numbers).expect("numbers that fit")).expect("f32"), numbers);
}

#[test]
fn numbers_that_do_not_fit_a_format_are_refused() {
    let encode = |name: &str, numbers: &[f32]| complaint(format(name).expect("a known format").encode(numbers));
    assert_eq!(encode("F16", &[1.0, 70_000.0]), "numbers cannot be written as F16: number 1 is 70000");
    assert_eq!(encode("F32", &[f32::NAN]), "numbers cannot be written as F32: number 0 is NaN");
    assert_eq!(encode("Q8_0", &[0.0; 33]), "numbers cannot be written as Q8_0: 33 numbers do not fill blocks of 32");
    assert_eq!(encode("Q8_0", &[1e30; 32]), "numbers cannot be written as Q8_0: number 0 is 1000000000000000000000000000000");
    assert_eq!(encode("Q4_K", &[0.0; 256]), "numbers cannot be written as Q4_K: only F32, F16, BF16 and Q8_0 can be written");
}

/// Two files by gguf-py: `llama`, whose rotary rows are interleaved, and `qwen2`, whose rows are not.
#[test]
fn small_networks_are_read_as_they_were_written() {
    for (architecture, tensors) in read_json(&fixture("tiny.json")).as_object().expect("architectures") {
        let gguf = Gguf::open(&fixture(&format!("tiny-{architecture}.gguf"))).expect("a good file");
        check_tensors(&gguf, tensors);
        assert_eq!(gguf.block_format("model.layers.0.mlp.down_proj.weight").map(|f| f.name), Some("Q8_0"));
        let config = gguf.config().expect("a complete configuration");
        let expected = serde_json::json!({
            "architectures": [if architecture == "llama" { "LlamaForCausalLM" } else { "Qwen2ForCausalLM" }],
            "model_type": architecture, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 4, "max_position_embeddings": 128, "num_key_value_heads": 2, "head_dim": 16,
            "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "rope_scaling": null, "vocab_size": 6,
            "tie_word_embeddings": true, "attention_bias": true, "mlp_bias": false, "bos_token_id": null,
            "eos_token_id": null, "pad_token_id": null,
        });
        assert_eq!(Json::Object(config), expected);
    }
}

#[test]
fn every_type_of_value_is_read() {
    let gguf = Gguf::open(&fixture("tiny-llama.gguf")).expect("a good file");
    let expected = [
        ("u8", Value::Unsigned(200)),
        ("i8", Value::Signed(-100)),
        ("u16", Value::Unsigned(60_000)),
        ("i16", Value::Signed(-30_000)),
        ("u32", Value::Unsigned(4_000_000_000)),
        ("i32", Value::Signed(-2_000_000_000)),
        ("f32", Value::F32(0.1)),
        ("bool", Value::Bool(true)),
        ("text", Value::Text("grüße".into())),
        ("u64", Value::Unsigned(1 << 63)),
        ("i64", Value::Signed(-(1 << 62))),
        ("f64", Value::F64(0.1)),
    ];
    for (name, value) in expected {
        assert_eq!(gguf.value(&format!("test.{name}")), Some(&value), "{name}");
    }
    for (name, count) in [("array", 3), ("texts", 3), ("nested", 2)] {
        let Some(Value::Array(array)) = gguf.value(&format!("test.{name}")) else { panic!("{name} is an array") };
        assert_eq!(array.count, count, "{name}");
    }
}

/// A network of `transformers` under the names that llama.cpp's converter gives its tensors computes what it did.
#[test]
fn other_architectures_are_rows_of_names() {
    let renamed: [(&str, &str, &[(&str, &str)]); 2] = [
        ("tiny-qwen3", "qwen3", &[("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")]),
        ("tiny-olmo2", "olmo2", &[("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")]),
    ];
    let always = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    for (model, architecture, own) in renamed {
        let folder = Path::new("tests/golden/models").join(model);
        let spec = ModelSpec::read(&folder.join("config.json")).expect("a configuration");
        let tensors = TensorFile::open(&[folder.join("model.safetensors")]).expect("weights");
        let key = |name: &str| format!("{architecture}.{name}");
        let size = |n: usize| u32::try_from(n).expect("small");
        let mut writer = Writer::new()
            .without("general.architecture")
            .text("general.architecture", architecture)
            .u32(&key("block_count"), size(spec.layers))
            .u32(&key("context_length"), size(spec.max_positions))
            .u32(&key("embedding_length"), size(spec.width))
            .u32(&key("feed_forward_length"), size(spec.mlp))
            .u32(&key("attention.head_count"), size(spec.heads))
            .u32(&key("attention.head_count_kv"), size(spec.kv_heads))
            .u32(&key("attention.key_length"), size(spec.head_dim))
            .f32(&key("attention.layer_norm_rms_epsilon"), spec.norm_epsilon);
        for parameter in spec.parameters(Head::Language) {
            let name = always.iter().chain(own).fold(parameter.name.clone(), |name, (theirs, ours)| name.replace(theirs, ours));
            let shape: Vec<u64> = parameter.shape.iter().map(|n| *n as u64).collect();
            writer = writer.tensor(&name, &shape, &tensors.read(&parameter.name).expect("numbers"));
        }
        let gguf = open(&writer).expect("a good file");
        let config = gguf.config().expect("a complete configuration");
        assert_eq!(config["model_type"], architecture);
        let place = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(place.path().join("config.json"), serde_json::to_string(&config).expect("JSON")).expect("a file");
        let found = ModelSpec::read(&place.path().join("config.json")).expect("a configuration");
        assert_eq!(found.parameters(Head::Language), spec.parameters(Head::Language));
        assert_eq!((found.norm_epsilon, found.rope, found.head_dim), (spec.norm_epsilon, spec.rope, spec.head_dim));
        for parameter in found.parameters(Head::Language) {
            Tensors::check(&gguf, &parameter.name, &parameter.shape).expect("it is there");
            assert_eq!(gguf.read(&parameter.name).expect("numbers"), tensors.read(&parameter.name).expect("numbers"));
        }
        assert_eq!(gguf.names().count(), found.parameters(Head::Language).len(), "nothing else");
    }
}

/// Rows 0 1 2 3 of a head are pairs (0, 1) and (2, 3): first members first.
#[test]
fn rotary_rows_are_put_half_a_head_apart() {
    let rows = |order: [u8; 8]| order.iter().flat_map(|row| [f32::from(*row); 4]).collect::<Vec<_>>();
    let writer = Writer::tiny().without("llama.attention.head_count").without("llama.embedding_length");
    let writer = writer.u32("llama.embedding_length", 8).u32("llama.attention.head_count", 2);
    let writer = writer.tensor("blk.0.attn_k.weight", &[8, 4], &rows([0, 1, 2, 3, 4, 5, 6, 7]));
    let gguf = open(&writer).expect("a good file");
    assert_eq!(gguf.read("model.layers.0.self_attn.k_proj.weight").expect("a tensor"), rows([0, 2, 1, 3, 4, 6, 5, 7]));
    let wrong = complaint(gguf.read("model.layers.0.self_attn.q_proj.weight"));
    assert!(wrong.ends_with("has shape [4, 4], expected 2 heads of 4 rows"), "{wrong}");
}

#[test]
fn an_untied_head_is_a_tensor() {
    let gguf = open(&Writer::tiny().tensor("output.weight", &[6, 4], &[0.5; 24])).expect("a good file");
    assert_eq!(gguf.config().expect("a configuration")["tie_word_embeddings"], Json::Bool(false));
    assert_eq!(gguf.read("lm_head.weight").expect("a tensor"), [0.5; 24]);
    let tied = open(&Writer::tiny()).expect("a good file");
    assert_eq!(tied.shape("lm_head.weight"), None);
    assert!(complaint(tied.read("lm_head.weight")).ends_with("has no tensor `lm_head.weight`"));
}

#[test]
fn tensors_of_no_known_part_keep_their_names() {
    let gguf = open(&Writer::tiny().tensor("blk.00.attn_q.weight", &[4], &[0.0; 4])).expect("a good file");
    assert!(gguf.names().any(|name| name == "blk.00.attn_q.weight"));
    let both = complaint(open(&Writer::tiny().tensor("model.norm.weight", &[4], &[0.0; 4])));
    assert!(both.ends_with("tensors `model.norm.weight` and `output_norm.weight` are both `model.norm.weight`"), "{both}");
}

/// Factors of Llama 3.1 (base 500 000, head of 8, factor 8) by the equation of its scaling.
#[test]
fn factors_of_llama_3_become_its_scaling() {
    let factor = |i: i32| {
        let wave = std::f64::consts::TAU * 500_000_f64.powf(f64::from(i) / 4.0);
        match wave {
            _ if wave < 8192.0 / 4.0 => 1.0,
            _ if wave > 8192.0 => 8.0,
            _ => 1.0 / (((8192.0 / wave - 1.0) / 3.0) * (1.0 - 1.0 / 8.0) + 1.0 / 8.0),
        }
    };
    let factors: Vec<f32> = (0..4).map(|i| factor(i) as f32).collect();
    let writer = |factors: &[f32]| {
        let writer = Writer::tiny().u32("llama.attention.key_length", 8).f32("llama.rope.freq_base", 500_000.0);
        writer.tensor("rope_freqs.weight", &[factors.len() as u64], factors)
    };
    let gguf = open(&writer(&factors)).expect("a good file");
    let expected = serde_json::json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    assert_eq!(gguf.config().expect("a configuration")["rope_scaling"], expected);
    assert!(gguf.names().all(|name| !name.contains("rope")));
    let other = complaint(open(&writer(&[1.0, 1.5, 2.0, 8.0])).expect("a good file").config());
    assert!(other.contains("the frequency factors of tensor `rope_freqs.weight` is not supported"), "{other}");
    let shape = complaint(open(&writer(&[1.0, 8.0])).expect("a good file").config());
    assert!(shape.ends_with("has shape [2], expected [4]"), "{shape}");
}

#[test]
fn linear_scaling_is_read() {
    let writer = Writer::tiny().text("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 2.5);
    let config = open(&writer).expect("a good file").config().expect("a configuration");
    assert_eq!(config["rope_scaling"], serde_json::json!({ "rope_type": "linear", "factor": 2.5 }));
    assert_eq!(config["rope_theta"], serde_json::json!(10_000.0));
}

/// Files that open, and whose configuration is refused with a message that names the key.
#[test]
fn configurations_are_refused() {
    let tiny = Writer::tiny;
    let layers = numbers(U32, [1_u32, 2].map(u32::to_le_bytes));
    let cases = [
        (tiny().without("llama.block_count"), "has no metadata key `llama.block_count`"),
        (tiny().without("llama.context_length"), "has no metadata key `llama.context_length`"),
        (tiny().without("llama.embedding_length"), "has no metadata key `llama.embedding_length`"),
        (tiny().without("llama.feed_forward_length"), "has no metadata key `llama.feed_forward_length`"),
        (tiny().without("llama.attention.head_count"), "has no metadata key `llama.attention.head_count`"),
        (tiny().without("llama.attention.layer_norm_rms_epsilon"), "has no metadata key `llama.attention.layer_norm_rms_epsilon`"),
        (tiny().text("llama.rope.freq_base", "big"), "`llama.rope.freq_base`: expected a finite number, found a text"),
        (tiny().f32("llama.rope.freq_base", -1.0), "`llama.rope.freq_base`: expected a positive number, found -1"),
        (tiny().f32("llama.rope.freq_base", f32::NAN), "`llama.rope.freq_base`: expected a finite number, found NaN"),
        (tiny().u32("llama.expert_count", 8), "`llama.expert_count` = 8 is not supported; supported: 0"),
        (tiny().u32("llama.attention.sliding_window", 9), "`llama.attention.sliding_window` = 9 is not supported; supported: 0"),
        (tiny().bool("llama.attention.causal", false), "`llama.attention.causal` = false is not supported; supported: true"),
        (tiny().u32("llama.attention.key_length", 3), "= 3 is not supported; supported: an even number: rotary positions need pairs"),
        (
            tiny().u32("llama.rope.dimension_count", 1),
            "`llama.rope.dimension_count` = 1 is not supported; supported: the size of a head, 2",
        ),
        (tiny().text("llama.rope.scaling.type", "yarn"), "`llama.rope.scaling.type` = yarn is not supported"),
        (tiny().text("llama.rope.scaling.type", "linear"), "has no metadata key `llama.rope.scaling.factor`"),
        (
            tiny().without("llama.feed_forward_length").entry("llama.feed_forward_length", ARRAY, &layers),
            "`llama.feed_forward_length` that differs between layers is not supported",
        ),
        (tiny().u32("llama.attention.head_count_kv", 0), "expected a positive whole number, found 0"),
        (tiny().entry("tokenizer.ggml.eos_token_id", I32, &(-1_i32).to_le_bytes()), "expected a token id, found -1"),
    ];
    for (writer, expected) in cases {
        let said = complaint(open(&writer).expect("a good file").config());
        assert!(said.contains(expected), "{said:?} should say {expected:?}");
    }
}

/// A file whose every part is as wrong as it can be, one part at a time.
#[test]
fn damaged_files_are_refused() {
    let tiny = Writer::tiny;
    let deep = (0..9).fold(array(U32, &[]), |inner, _| array(ARRAY, &[inner]));
    let long = u64::MAX.to_le_bytes();
    let claim = |element: u32, count: u64| [&element.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let row = |name: &str, dimensions: &[u64], format: u32, offset: u64| Writer::new().data(256).line(name, dimensions, format, offset);
    let cases = [
        (Writer { magic: *b"GGML", ..tiny() }, "damaged at byte 0: the header: it should begin with `GGUF`, found `GGML`"),
        (
            Writer { version: 3_u32.swap_bytes(), ..tiny() },
            "a big-endian file is not supported; supported: versions 2 and 3, little-endian",
        ),
        (Writer { version: 1, ..tiny() }, "GGUF version 1 is not supported"),
        (Writer { version: 4, ..tiny() }, "GGUF version 4 is not supported"),
        (Writer { version: 0, ..tiny() }, "GGUF version 0 is not supported"),
        (Writer { more_tensors: 1 << 60, ..tiny() }, "damaged at byte 8: the header: the number of tensors is"),
        (Writer { more_tensors: u64::MAX - 9, ..tiny() }, "the number of tensors is"),
        (Writer { more_entries: 1 << 40, ..tiny() }, "damaged at byte 16: the header: the number of metadata keys is"),
        (Writer { more_entries: 1, ..tiny() }, "tensor 0: the name needs"),
        (Writer { more_tensors: 1, ..tiny() }, "tensor 3: "),
        (tiny().entry([0xff, 0xfe], BOOL, &[1]), "metadata key 7: the key is not UTF-8"),
        (tiny().entry("x", TEXT, &text([b'a', 0xc3])), "metadata key `x`: the text is not UTF-8"),
        (tiny().entry("x", TEXT, &long), "metadata key `x`: the text needs 18446744073709551615 bytes"),
        (tiny().entry("x", 13, &[]), "metadata key `x`: there is no value type 13"),
        (tiny().entry("x", u32::MAX, &[]), "metadata key `x`: there is no value type 4294967295"),
        (tiny().entry("x", BOOL, &[2]), "metadata key `x`: a boolean is 0 or 1, found 2"),
        (tiny().entry("x", ARRAY, &deep), "metadata key `x`: arrays are nested more than 4 deep"),
        (tiny().entry("x", ARRAY, &claim(U32, 1 << 61)), "metadata key `x`: the length of the array is 2305843009213693952"),
        (tiny().entry("x", ARRAY, &claim(TEXT, u64::MAX)), "metadata key `x`: the length of the array is 18446744073709551615"),
        (tiny().entry("x", ARRAY, &claim(77, 1)), "metadata key `x`: there is no value type 77"),
        (tiny().entry("x", ARRAY, &array(BOOL, &[vec![3]])), "metadata key `x`: a boolean is 0 or 1, found 3"),
        (tiny().entry("x", ARRAY, &texts([[0x80_u8]])), "metadata key `x`: a text of the array is not UTF-8"),
        (tiny().bool("x", true).f32("x", 1.0), "metadata key `x`: it is there twice"),
        (tiny().u32("general.alignment", 0), "`general.alignment`: expected a power of two, found 0"),
        (tiny().u32("general.alignment", 48), "`general.alignment`: expected a power of two, found 48"),
        (tiny().text("general.alignment", "32"), "`general.alignment`: expected a power of two, found a text"),
        (
            tiny().entry("general.alignment", 10, &(1_u64 << 63).to_le_bytes()),
            "should end at byte 9223372036854775904, the file has 720 bytes",
        ),
        (Writer::new().without("general.architecture"), "has no metadata key `general.architecture`"),
        (
            Writer::new().without("general.architecture").text("general.architecture", "mamba"),
            "architecture `mamba` is not supported; supported: llama, qwen2, qwen3, olmo2",
        ),
        (Writer::new().without("general.architecture").u32("general.architecture", 1), "`general.architecture`: expected a text, found 1"),
        (row("a", &[8], 0, 0).line("a", &[8], 0, 32), "the tensors: `a` is there twice"),
        (row("a", &[16], 0, 0).line("b", &[8], 0, 32), "the tensors: `b` overlaps `a` at byte"),
        (row("a", &[8], 0, 16), "the tensors: `a` has offset 16, which is not a multiple of the alignment 32"),
        (row("a", &[8], 0, 256), "the tensors: `a` should end at byte"),
        (row("a", &[65], 0, 0), "the tensors: `a` should end at byte"),
        (row("a", &[8], 0, u64::MAX - 31), "which is beyond any file"),
        (row("a", &[0], 0, 0), "tensor `a`: a dimension is 0 or too large"),
        (row("a", &[], 0, 0), "tensor `a`: it has 0 dimensions, expected 1 to 4"),
        (row("a", &[1; 5], 0, 0), "tensor `a`: it has 5 dimensions, expected 1 to 4"),
        (row("a", &[1 << 32, 1 << 32], 0, 0), "tensor `a`: the product of its dimensions [4294967296, 4294967296] overflows"),
        (row("a", &[1 << 62], 0, 0), "tensor `a`: the size of [4611686018427387904] in F32 overflows"),
        (row("a", &[33], 8, 0), "tensor `a`: rows of 33 numbers do not fill Q8_0 blocks of 32"),
        (row("a", &[8], 4, 0), "tensor `a`: there is no tensor format 4"),
        (row("a", &[8], u32::MAX, 0), "tensor `a`: there is no tensor format 4294967295"),
        (Writer::new().data(256).line([0xff], &[8], 0, 0), "tensor 0: the name is not UTF-8"),
    ];
    for (writer, expected) in cases {
        let said = complaint(open(&writer));
        assert!(said.contains(expected), "{said:?} should say {expected:?}");
    }
}

#[test]
fn formats_and_numbers_that_cannot_be_read_are_refused_by_name() {
    let known = Writer::tiny().data(1024).line("output.weight", &[256], 13, 192);
    let gguf = open(&known).expect("a format that is known");
    let format = gguf.block_format("lm_head.weight").expect("a tensor");
    assert_eq!((format.name, format.is_readable()), ("Q5_K", false));
    let said = complaint(gguf.read("lm_head.weight"));
    let expected = "Q5_K of tensor `lm_head.weight` is not supported; supported: F32, F16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K, BF16";
    assert!(said.contains(expected), "{said}");
    let infinite = open(&Writer::tiny().tensor("output.weight", &[2], &[0.0, f32::INFINITY])).expect("a good file");
    let said = complaint(infinite.read("lm_head.weight"));
    assert!(said.starts_with("number 1 of tensor `lm_head.weight` in `") && said.ends_with("` is not finite"), "{said}");
    assert!(complaint(Gguf::open(&fixture("nowhere.gguf"))).starts_with("cannot read `"));
}

#[test]
fn files_cut_anywhere_are_refused() {
    let whole = Writer::tiny().entry("x", ARRAY, &texts(["a", "b"])).bytes();
    let folder = tempfile::tempdir().expect("a temporary folder");
    Gguf::open(&file(&folder, &whole)).expect("the whole is a good file");
    for length in 0..whole.len() {
        let cut = Gguf::open(&file(&folder, &whole[..length]));
        assert!(matches!(cut, Err(GgufError::Damaged { .. })), "{length} bytes of {}: {cut:?}", whole.len());
    }
}

/// Whatever single bytes are changed, a file is read or refused.
#[test]
fn changed_bytes_do_no_harm() {
    let tiny = with_tokens(Writer::tiny(), &["a", "b", "ab"], "gpt2").text("tokenizer.ggml.pre", "gpt-2");
    let whole = tiny.entry("tokenizer.ggml.merges", ARRAY, &texts(["a b"])).bytes();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for at in 0..whole.len() {
        for change in [0xff, 0x80, 0x01] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            if let Ok(gguf) = Gguf::open(&file(&folder, &bytes)) {
                let _ = (gguf.config(), gguf.tokenizer());
                gguf.names().for_each(|name| drop(gguf.read(name)));
            }
        }
    }
}

fn with_tokens(writer: Writer, tokens: &[&str], model: &str) -> Writer {
    writer.text("tokenizer.ggml.model", model).entry("tokenizer.ggml.tokens", ARRAY, &texts(tokens))
}

/// A file with the vocabulary of a `tokenizer.json`, as converters write it.
fn converted(json: &Json, kind: &str, pre: &str) -> Writer {
    let mut pieces: Vec<(u64, &str)> = Vec::new();
    for (piece, id) in json["model"]["vocab"].as_object().expect("a vocabulary") {
        pieces.push((id.as_u64().expect("an id"), piece));
    }
    pieces.sort_unstable();
    let tokens: Vec<&str> = pieces.iter().map(|(_, piece)| *piece).collect();
    let special: Vec<&str> =
        json["added_tokens"].as_array().expect("a list").iter().map(|t| t["content"].as_str().expect("a text")).collect();
    let token_type = |piece: &&str| match *piece {
        "<unk>" => 2,
        piece if piece.starts_with("<0x") => 6,
        piece if special.contains(&piece) => 3,
        _ => 1_i32,
    };
    let merges = json["model"]["merges"].as_array().expect("merges").iter();
    let merges: Vec<[&str; 2]> = merges.map(|m| [0, 1].map(|i| m[i].as_str().expect("a text"))).collect();
    let writer = with_tokens(Writer::new(), &tokens, kind).text("tokenizer.ggml.pre", pre);
    let types = numbers(I32, tokens.iter().map(|piece| token_type(piece).to_le_bytes()));
    let writer = writer.entry("tokenizer.ggml.token_type", ARRAY, &types).u32("tokenizer.ggml.bos_token_id", 1);
    if kind == "gpt2" {
        return writer.entry("tokenizer.ggml.merges", ARRAY, &texts(merges.iter().map(|m| m.join(" "))));
    }
    // A piece's score is the rank of the first merge that makes it, as SentencePiece numbers its pieces.
    let made: Vec<String> = merges.iter().map(|m| m.concat()).collect();
    let score = |piece: &&str| made.iter().position(|m| m == piece).map_or(-1e6, |rank| -(rank as f32));
    writer.entry("tokenizer.ggml.scores", ARRAY, &numbers(F32, tokens.iter().map(|piece| score(piece).to_le_bytes())))
}

fn tokenizer(writer: &Writer) -> (tokenizers::Tokenizer, Json) {
    let texts = open(writer).expect("a good file").tokenizer().expect("a good vocabulary");
    let tokenizer = texts.tokenizer.parse().expect("the crate reads it");
    (tokenizer, serde_json::from_str(&texts.config).expect("JSON"))
}

fn ids(list: &Json) -> Vec<u32> {
    bits_of(list)
}

/// Ids and texts of `transformers` with the same vocabularies.
#[test]
fn vocabularies_read_as_in_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden");
    let cases = &read_json(&golden.join("tokenizers.json"))["cases"];
    let kinds = [
        ("gpt2-bytelevel", "gpt2", "gpt-2", false),
        ("llama3-split-regex", "gpt2", "llama-bpe", true),
        ("qwen2-split-regex", "gpt2", "qwen2", false),
        ("llama2-spm-bpe", "llama", "default", true),
    ];
    for (name, kind, pre, starts) in kinds {
        let json = read_json(&golden.join("tokenizers").join(format!("{name}.json")));
        let (tokenizer, config) = tokenizer(&converted(&json, kind, pre));
        assert_eq!(config["add_bos_token"], Json::Bool(starts), "{name}");
        for row in cases[name]["rows"].as_array().expect("rows") {
            let text = row["text"].as_str().expect("a text");
            // The golden vocabulary leaves characters decomposed; networks with this pre-tokenizer compose them.
            let decomposed = pre == "qwen2" && text.contains('\u{301}');
            let encoding = tokenizer.encode(text, false).expect("text has ids");
            assert_eq!(encoding.get_ids() == ids(&row["ids"]), !decomposed, "{name}: {text:?}");
            let decoded = tokenizer.decode(&ids(&row["ids"]), false).expect("ids have a text");
            assert_eq!(decoded, row["decoded"].as_str().expect("a text"), "{name}: {text:?}");
            if starts {
                let whole = tokenizer.encode(text, true).expect("text has ids");
                assert_eq!(whole.get_ids(), [&[1], encoding.get_ids()].concat(), "{name}: {text:?}");
            }
        }
    }
}

/// Ids of SentencePiece itself, from its pieces and scores alone.
#[test]
fn scores_merge_as_in_sentence_piece() {
    let fixture = read_json(&fixture("sentence_piece.json"));
    let list = |name: &str| fixture[name].as_array().expect("a list").clone();
    let tokens: Vec<String> = list("tokens").iter().map(|t| t.as_str().expect("a text").to_owned()).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let scores = list("scores").into_iter().map(|x| (x.as_f64().expect("a score") as f32).to_le_bytes());
    let types = list("types").into_iter().map(|x| i32::try_from(x.as_i64().expect("a type")).expect("small").to_le_bytes());
    let writer = with_tokens(Writer::new(), &tokens, "llama")
        .entry("tokenizer.ggml.scores", ARRAY, &numbers(F32, scores))
        .entry("tokenizer.ggml.token_type", ARRAY, &numbers(I32, types))
        .u32("tokenizer.ggml.bos_token_id", 1);
    let (tokenizer, _) = tokenizer(&writer);
    for case in list("cases") {
        let text = case["text"].as_str().expect("a text");
        // SentencePiece never reads a control token out of a text; this one is asked not to.
        let mut tokenizer = tokenizer.clone();
        tokenizer.set_encode_special_tokens(true);
        let encoding = tokenizer.encode(text, false).expect("text has ids");
        assert_eq!(encoding.get_ids(), ids(&case["ids"]), "{text:?}");
        assert_eq!(tokenizer.decode(encoding.get_ids(), false).expect("a text"), text);
    }
}

/// Converters that had no scores write the merges instead.
#[test]
fn merges_of_the_file_come_before_scores() {
    let scores = numbers(F32, [0.0_f32; 6].map(f32::to_le_bytes));
    let writer = with_tokens(Writer::new(), &["\u{2581}", "a", "b", "ab", "ba", "<s>"], "llama")
        .entry("tokenizer.ggml.scores", ARRAY, &scores)
        .u32("tokenizer.ggml.bos_token_id", 5);
    let ids = |merges: [&str; 2]| {
        let (tokenizer, _) = tokenizer(&writer.clone().entry("tokenizer.ggml.merges", ARRAY, &texts(merges)));
        tokenizer.encode("aba", true).expect("ids").get_ids().to_vec()
    };
    assert_eq!(ids(["a b", "b a"]), [5, 0, 3, 1]);
    assert_eq!(ids(["b a", "a b"]), [5, 0, 1, 4]);
}

#[test]
fn vocabularies_are_refused() {
    let three = || with_tokens(Writer::new(), &["a", "b", "ab"], "gpt2");
    let good = || three().text("tokenizer.ggml.pre", "gpt-2").entry("tokenizer.ggml.merges", ARRAY, &texts(["a b"]));
    open(&good()).expect("a good file").tokenizer().expect("a good vocabulary");
    let types = |list: &[i32]| numbers(I32, list.iter().map(|n| n.to_le_bytes()));
    let scores = |list: &[f32]| numbers(F32, list.iter().map(|x| x.to_le_bytes()));
    let pieces = || with_tokens(Writer::new(), &["a", "b", "ab"], "llama");
    let cases = [
        (Writer::new(), "has no metadata key `tokenizer.ggml.model`"),
        (Writer::new().text("tokenizer.ggml.model", "gpt2"), "has no metadata key `tokenizer.ggml.tokens`"),
        (with_tokens(Writer::new(), &["a"], "bert"), "vocabulary `bert` is not supported; supported: gpt2, llama"),
        (three(), "has no metadata key `tokenizer.ggml.pre`"),
        (three().text("tokenizer.ggml.pre", "gpt-2"), "has no metadata key `tokenizer.ggml.merges`"),
        (three().text("tokenizer.ggml.pre", "viking"), "pre-tokenizer `viking` is not supported; supported: gpt-2"),
        (with_tokens(Writer::new(), &["a", "b", "a"], "gpt2"), "tokens 0 and 2 are both \"a\""),
        (good().without("tokenizer.ggml.merges").entry("tokenizer.ggml.merges", ARRAY, &texts(["b a"])), "merge 0, \"b a\", does not join"),
        (good().without("tokenizer.ggml.merges").u32("tokenizer.ggml.merges", 1), "expected an array of texts, found 1"),
        (
            good().without("tokenizer.ggml.merges").entry("tokenizer.ggml.merges", ARRAY, &types(&[1])),
            "expected an array of texts, found one of i32",
        ),
        (good().entry("tokenizer.ggml.token_type", ARRAY, &types(&[1, 1])), "2 types for 3 tokens"),
        (good().entry("tokenizer.ggml.token_type", ARRAY, &types(&[1, 1, 7])), "expected an array of token types 0 to 6"),
        (good().u32("tokenizer.ggml.eos_token_id", 3), "`tokenizer.ggml.eos_token_id`: token 3 is outside the 3 tokens"),
        (good().bool("tokenizer.ggml.add_bos_token", true), "has no metadata key `tokenizer.ggml.bos_token_id`"),
        (good().entry("tokenizer.chat_templates", ARRAY, &texts(["tool"])), "has no metadata key `tokenizer.chat_template.tool`"),
        (pieces(), "has no metadata key `tokenizer.ggml.scores`"),
        (
            with_tokens(Writer::new(), &["a", "b", "ab", "ba"], "llama").entry("tokenizer.ggml.scores", ARRAY, &scores(&[0.0; 4])),
            "all scores are equal, and the file has no `tokenizer.ggml.merges`",
        ),
        (pieces().entry("tokenizer.ggml.scores", ARRAY, &scores(&[1.0])), "1 scores for 3 tokens"),
        (pieces().entry("tokenizer.ggml.scores", ARRAY, &scores(&[0.0, f32::NAN, 0.0])), "expected an array of scores"),
    ];
    for (writer, expected) in cases {
        let said = complaint(open(&writer).expect("a good file").tokenizer());
        assert!(said.contains(expected), "{said:?} should say {expected:?}");
    }
}

#[test]
fn special_tokens_and_templates_are_said() {
    let types = numbers(I32, [3_i32, 4, 1, 1].map(i32::to_le_bytes));
    let writer = with_tokens(Writer::new(), &["<s>", "<tool>", "</s>", "a"], "gpt2")
        .text("tokenizer.ggml.pre", "gpt-2")
        .entry("tokenizer.ggml.merges", ARRAY, &texts::<&str>([]))
        .entry("tokenizer.ggml.token_type", ARRAY, &types)
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .bool("tokenizer.ggml.add_bos_token", true)
        .bool("tokenizer.ggml.add_eos_token", true)
        .text("tokenizer.chat_template", "{{ messages }}");
    let (read, config) = tokenizer(&writer);
    let expected = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true, "add_eos_token": true,
        "clean_up_tokenization_spaces": false, "bos_token": "<s>", "eos_token": "</s>", "chat_template": "{{ messages }}",
    });
    assert_eq!(config, expected);
    assert_eq!(read.encode("a<tool></s>", true).expect("ids").get_ids(), [0, 3, 1, 2, 2]);
    assert_eq!(read.decode(&[0, 3, 1, 2], true).expect("a text"), "a<tool>");
    let named = writer.entry("tokenizer.chat_templates", ARRAY, &texts(["tool"])).text("tokenizer.chat_template.tool", "t");
    let expected = serde_json::json!([{ "name": "default", "template": "{{ messages }}" }, { "name": "tool", "template": "t" }]);
    assert_eq!(tokenizer(&named).1["chat_template"], expected);
}

/// SmolLM2-135M-Instruct: every tensor against gguf-py, ids against `transformers`.
#[test]
#[ignore = "needs SmolLM2-135M-Instruct.Q4_1.gguf; SMOLLM2_GGUF says where it is"]
fn smollm2_is_read_as_by_others() {
    let path = std::env::var_os("SMOLLM2_GGUF").expect("SMOLLM2_GGUF is set");
    let gguf = Gguf::open(Path::new(&path)).expect("a good file");
    check_tensors(&gguf, &read_json(&fixture("smollm2.json")));
    let expected = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "max_position_embeddings": 8192, "num_key_value_heads": 3,
        "head_dim": 64, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "rope_scaling": null,
        "vocab_size": 49_152, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": 2,
    });
    assert_eq!(Json::Object(gguf.config().expect("a configuration")), expected);
    let texts = gguf.tokenizer().expect("a vocabulary");
    let tokenizer: tokenizers::Tokenizer = texts.tokenizer.parse().expect("the crate reads it");
    let config: Json = serde_json::from_str(&texts.config).expect("JSON");
    assert_eq!(config["bos_token"], "<|im_start|>");
    assert_eq!(config["eos_token"], "<|im_end|>");
    assert_eq!(config["add_bos_token"], false);
    assert!(config["chat_template"].as_str().expect("a template").contains("add_generation_prompt"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden").join("real-models.json");
    for case in read_json(&golden)["models"]["smollm2-135m-instruct"].as_array().expect("cases") {
        let rendered = case["rendered"].as_str().expect("a text");
        assert_eq!(tokenizer.encode(rendered, true).expect("ids").get_ids(), ids(&case["ids"]), "{rendered}");
        assert_eq!(tokenizer.decode(&ids(&case["ids"]), false).expect("a text"), rendered);
        let greedy = tokenizer.decode(&ids(&case["greedy_ids"]), false).expect("a text");
        assert_eq!(greedy, case["greedy_text"].as_str().expect("a text"));
    }
}
