//! Networks of any shape with random numbers, as files: for tests and benches.

use std::path::Path;

use align::chance::{uniform, unit};
use align::model::{Head, ModelSpec, write_tensors};
use serde_json::json;

/// The sizes of a Llama.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub mlp: usize,
    pub vocabulary: usize,
    pub tied: bool,
}

impl Shape {
    /// Small enough for the oracles.
    #[allow(dead_code, reason = "benches use other shapes")]
    pub const TINY: Self = Self { layers: 2, width: 16, heads: 4, kv_heads: 2, mlp: 24, vocabulary: 40, tied: false };
}

/// Writes a network of this shape into `folder`: normal weights of deviation 1/√C, gains near 1, and a tokenizer of the
/// words `w3`, `w4` … behind `<pad>`, `<s>` and `</s>`.
pub fn write(folder: &Path, shape: Shape, head: Head) {
    let class = if head == Head::Language { "LlamaForCausalLM" } else { "LlamaForSequenceClassification" };
    let config = json!({
        "architectures": [class], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": shape.width, "intermediate_size": shape.mlp, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "torch_dtype": "float32",
        "id2label": { "0": "LABEL_0" }, "label2id": { "LABEL_0": 0 },
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("a temporary file");
    if head == Head::Value {
        std::fs::write(folder.join("align.json"), json!({ "head": "value" }).to_string()).expect("a temporary file");
    }
    std::fs::write(folder.join("tokenizer.json"), tokenizer(shape.vocabulary)).expect("a temporary file");
    let spec = ModelSpec::read(&folder.join("config.json")).expect("a valid configuration");
    let parameters = spec.parameters(head);
    let tensors: Vec<Vec<f32>> = (0..).zip(&parameters).map(|(i, p)| numbers(i, &p.shape, shape.width)).collect();
    let named = parameters.iter().zip(&tensors).map(|(p, t)| (p.name.as_str(), &p.shape[..], &t[..]));
    write_tensors(&folder.join("model.safetensors"), named).expect("a temporary file");
}

fn numbers(index: u32, shape: &[usize], width: usize) -> Vec<f32> {
    let (mean, scale) = if shape.len() == 1 { (1.0, 0.1) } else { (0.0, 1.0 / (width as f64).sqrt()) };
    let normal = |i: usize| {
        let words = uniform([7, index], [u32::try_from(i).expect("small"), 0, 0, 0]);
        let radius = (-2.0 * (1.0 - unit(words[0], words[1])).ln()).sqrt();
        mean + scale * radius * (std::f64::consts::TAU * unit(words[2], words[3])).cos()
    };
    (0..shape.iter().product()).map(|i| normal(i) as f32).collect()
}

fn tokenizer(vocabulary: usize) -> String {
    let special = ["<pad>", "<s>", "</s>"];
    let word = |i: usize| special.get(i).map_or_else(|| format!("w{i}"), |s| (*s).to_owned());
    let vocab: serde_json::Map<_, _> = (0..vocabulary).map(|i| (word(i), json!(i))).collect();
    let added: Vec<_> = (0..3)
        .map(|i| {
            json!({ "id": i, "content": special[i], "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<pad>" },
    })
    .to_string()
}
