//! The files beside the weights that say how text is read: they travel with every copy of the network.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::config::Config;
use super::{ModelError, ModelSpec, Tokenizer};

/// Read where they are there, and written again.
const FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// A file's name and bytes.
pub(super) type SideFile = (&'static str, Arc<[u8]>);

/// The files of a folder.
pub(super) fn side_files(folder: &Path) -> Result<Vec<SideFile>, ModelError> {
    let mut files = Vec::new();
    for name in FILES {
        match std::fs::read(folder.join(name)) {
            Ok(bytes) => files.push((name, bytes.into())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(ModelError::unreadable(&folder.join(name), &e)),
        }
    }
    Ok(files)
}

/// A JSON file beside the weights, if it is there.
pub(super) fn side_config(files: &[SideFile], name: &str, folder: &Path) -> Result<Option<Config>, ModelError> {
    let found = files.iter().find(|(known, _)| *known == name);
    found.map(|(_, bytes)| Config::parse(&folder.join(name), bytes)).transpose()
}

/// Chat templates by name, the usual one as `default`: the file of its own, or else what `tokenizer_config.json` holds.
pub(super) fn templates(files: &[SideFile]) -> Vec<(String, String)> {
    let bytes = |name: &str| files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes);
    let usual = |text: String| vec![("default".to_owned(), text)];
    if let Some(template) = bytes("chat_template.jinja") {
        return usual(String::from_utf8_lossy(template).into_owned());
    }
    let config = bytes("tokenizer_config.json").and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()).unwrap_or_default();
    match &config["chat_template"] {
        Value::String(template) => usual(template.clone()),
        Value::Array(named) => {
            let text = |one: &Value, field: &str| one[field].as_str().map(str::to_owned);
            let mut named: Vec<_> = named.iter().filter_map(|one| Some((text(one, "name")?, text(one, "template")?))).collect();
            let has_usual = named.iter().any(|(name, _)| name == "default");
            if let Some(first) = named.first_mut().filter(|_| !has_usual) {
                "default".clone_into(&mut first.0);
            }
            named
        }
        _ => Vec::new(),
    }
}

/// The files to write: those that were read, and those without which `transformers` would read text otherwise.
pub(super) fn outgoing(tokenizer: &Tokenizer, spec: &ModelSpec) -> Vec<SideFile> {
    let mut files = tokenizer.files().to_vec();
    let has = |files: &[SideFile], name| files.iter().any(|(n, _)| *n == name);
    if !has(&files, "generation_config.json") {
        files.push(("generation_config.json", bytes(&generation_config(tokenizer, spec))));
    }
    if !has(&files, "tokenizer_config.json") {
        let json = files.iter_mut().find(|(name, _)| *name == "tokenizer.json");
        if let (Some((_, json)), Some(start)) = (json, tokenizer.start()) {
            *json = with_start(json, start, &tokenizer.piece(start).unwrap_or_default());
        }
        files.push(("tokenizer_config.json", bytes(&tokenizer_config(tokenizer, spec))));
    }
    files
}

/// A JSON file's bytes.
pub(super) fn bytes(value: &Value) -> Arc<[u8]> {
    let mut text = serde_json::to_string_pretty(value).expect("JSON values can be written");
    text.push('\n');
    text.into_bytes().into()
}

/// `tokenizer.json` with a post-processor that puts the start token in front, if it has none: nothing else would tell
/// `transformers` that this network wants one.
fn with_start(file: &Arc<[u8]>, id: u32, piece: &str) -> Arc<[u8]> {
    let Ok(Value::Object(mut json)) = serde_json::from_slice(file) else { return file.clone() };
    if json.get("post_processor").is_some_and(|p| !p.is_null()) {
        return file.clone();
    }
    let start = json!({ "SpecialToken": { "id": piece, "type_id": 0 } });
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let processor = json!({
        "type": "TemplateProcessing",
        "single": [start, text("A")],
        "pair": [start, text("A"), text("B")],
        "special_tokens": { piece: { "id": piece, "ids": [id], "tokens": [piece] } },
    });
    json.insert("post_processor".into(), processor);
    bytes(&Value::Object(json))
}

/// What ends a text here ends it there too.
fn generation_config(tokenizer: &Tokenizer, spec: &ModelSpec) -> Value {
    let mut config = Map::from_iter([("_from_model_config".to_owned(), json!(true))]);
    let end = match tokenizer.end() {
        [one] => json!(one),
        several => json!(several),
    };
    let ids = [("bos_token_id", spec.bos.map(Value::from)), ("pad_token_id", spec.pad.map(Value::from))];
    for (name, id) in ids.into_iter().chain([("eos_token_id", (!tokenizer.end().is_empty()).then_some(end))]) {
        id.map(|id| config.insert(name.into(), id));
    }
    Value::Object(config)
}

fn tokenizer_config(tokenizer: &Tokenizer, spec: &ModelSpec) -> Value {
    let mut config = Map::from_iter([("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"))]);
    config.insert("add_bos_token".into(), json!(tokenizer.start().is_some()));
    for (name, id) in [("bos_token", spec.bos), ("eos_token", spec.eos.first().copied()), ("pad_token", spec.pad)] {
        if let Some(piece) = id.and_then(|id| tokenizer.piece(id)) {
            config.insert(name.into(), json!(piece));
        }
    }
    Value::Object(config)
}
