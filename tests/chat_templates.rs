//! Renderings of the golden file: text, assistant spans and errors, case by case.

use std::collections::BTreeMap;
use std::path::PathBuf;

use align::chat::{ChatTemplate, Options, TemplateError};
use serde_json::{Map, Value};

const FIELDS: [&str; 9] =
    ["template", "conversation", "add_generation_prompt", "variables", "tools", "documents", "text", "assistant_char_spans", "error"];

/// The golden file: in the folder that `ALIGN_GOLDEN` names, or else the project's own.
fn golden() -> Value {
    let name = "chat_templates.json";
    let asked = std::env::var_os("ALIGN_GOLDEN").map(|folder| PathBuf::from(folder).join(name)).filter(|path| path.exists());
    let path = asked.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the golden file is there")).expect("it is JSON")
}

/// Names that end in `_token` are special tokens, others are variables.
fn split(variables: &Map<String, Value>) -> (BTreeMap<String, String>, Map<String, Value>) {
    let (mut specials, mut others) = (BTreeMap::new(), Map::new());
    for (name, value) in variables {
        match value.as_str() {
            Some(token) if name.ends_with("_token") => _ = specials.insert(name.clone(), token.to_owned()),
            _ => _ = others.insert(name.clone(), value.clone()),
        }
    }
    (specials, others)
}

fn check(golden: &Value, case: &Value) -> Result<(), String> {
    let fields = case.as_object().ok_or("a case is an object")?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("the case holds `{unknown}`, which this test does not know"));
    }
    let template = golden["templates"][case["template"].as_str().ok_or("no template")?].as_str().ok_or("unknown template")?;
    let messages =
        golden["conversations"][case["conversation"].as_str().ok_or("no conversation")?].as_array().ok_or("unknown conversation")?;
    let (specials, variables) = split(case["variables"].as_object().ok_or("no variables")?);
    let template = ChatTemplate::new(template, specials).map_err(|error| error.to_string())?;
    let add_generation_prompt = case["add_generation_prompt"].as_bool().ok_or("no add_generation_prompt")?;
    let list = |name: &str| case.get(name).and_then(Value::as_array).cloned();
    let options = Options { add_generation_prompt, variables, tools: list("tools"), documents: list("documents"), ..Options::default() };
    let rendering = template.render(messages, &options);
    if let Some(expected) = case.get("error") {
        // What templates raise is told word for word, what Python raises is not.
        let (kind, message) = expected.as_str().and_then(|error| error.split_once(": ")).ok_or("an unknown kind of error")?;
        return match rendering {
            Err(TemplateError::Raised { message: found }) if kind == "TemplateError" && message == found => Ok(()),
            Err(TemplateError::Failed { .. }) if kind != "TemplateError" => Ok(()),
            other => Err(format!("expected {expected}, found {other:?}")),
        };
    }
    let rendering = rendering.map_err(|error| error.to_string())?;
    let text = case["text"].as_str().ok_or("neither text nor error")?;
    if rendering.text != text {
        return Err(format!("expected {text:?}\n   found {:?}", rendering.text));
    }
    // The file counts characters.
    let chars = |byte: usize| rendering.text[..byte].chars().count() as u64;
    let spans: Vec<[u64; 2]> = rendering.assistant.iter().map(|span| [chars(span.start), chars(span.end)]).collect();
    match serde_json::to_value(&spans).expect("numbers are JSON") == case["assistant_char_spans"] {
        true => Ok(()),
        false => Err(format!("expected spans {}, found {spans:?}", case["assistant_char_spans"])),
    }
}

#[test]
fn every_rendering_is_that_of_transformers() {
    let golden = golden();
    let cases = golden["renderings"].as_array().expect("renderings are a list");
    assert!(!cases.is_empty());
    let mut failed = Vec::new();
    for case in cases {
        if let Err(reason) = check(&golden, case) {
            failed.push(format!("{} × {} ({}): {reason}", case["template"], case["conversation"], case["add_generation_prompt"]));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn an_unknown_case_fails() {
    let golden = golden();
    let mut case = golden["renderings"][0].clone();
    case["mood"] = Value::Null;
    assert!(check(&golden, &case).is_err());
    let mut case = golden["renderings"][0].clone();
    case["error"] = "UndefinedError: x".into();
    assert!(check(&golden, &case).is_err());
}
