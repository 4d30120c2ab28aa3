//! Real templates over tools, reasoning, content blocks and malformed conversations, and the renderings of real models.

use std::collections::BTreeMap;

use align::chat::{ChatTemplate, Options, TemplateError};
use serde_json::{Value, json};

fn file(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the golden file is there")).expect("it is JSON")
}

fn outcome(source: &str, conversation: &Value, case: &Value) -> Value {
    let specials = BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())]);
    let mut variables = case["variables"].as_object().expect("variables").clone();
    variables.insert("date_string".into(), json!("26 Jul 2024"));
    let options = Options {
        add_generation_prompt: case["add_generation_prompt"].as_bool().expect("a flag"),
        tools: conversation["tools"].as_array().cloned(),
        variables,
        ..Options::default()
    };
    let messages = conversation["messages"].as_array().expect("messages");
    match ChatTemplate::new(source, specials).and_then(|template| template.render(messages, &options)) {
        Ok(rendering) => {
            let chars = |byte: usize| rendering.text[..byte].chars().count();
            let spans: Vec<_> = rendering.assistant.iter().map(|span| [chars(span.start), chars(span.end)]).collect();
            json!({ "text": rendering.text, "spans": spans })
        }
        Err(TemplateError::Raised { message }) => json!({ "error": "raised", "message": message }),
        Err(TemplateError::Failed { .. }) => json!({ "error": "failed" }),
        Err(other) => json!({ "error": other.to_string() }),
    }
}

#[test]
fn tools_and_reasoning_render_as_in_python() {
    let (wide, templates) = (file("chat_wide.json"), file("chat_templates.json"));
    let cases = wide["cases"].as_array().expect("cases");
    let mut failed = Vec::new();
    for case in cases {
        let name = |key: &str| case[key].as_str().expect("a name").to_owned();
        let source = templates["templates"][name("template")].as_str().expect("a template");
        let found = outcome(source, &wide["conversations"][name("conversation")], case);
        let differs = ["text", "spans", "error", "message"].iter().any(|key| found.get(key) != case.get(key));
        if differs {
            failed.push(format!("{case}\n  found {found}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn real_models_are_prompted_as_by_transformers() {
    // The template that SmolLM2-135M-Instruct is published with.
    let source = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    let template = ChatTemplate::new(source, BTreeMap::new()).expect("a template");
    let options = Options { add_generation_prompt: true, ..Options::default() };
    let mut compared = 0;
    for (model, cases) in file("real-models.json")["models"].as_object().expect("models") {
        for case in cases.as_array().expect("cases").iter().filter(|case| case["kind"] != "text") {
            assert_eq!((model.as_str(), case["kind"].as_str()), ("smollm2-135m-instruct", Some("chat")), "a case this test does not know");
            let rendering = template.render(case["input"].as_array().expect("messages"), &options).expect("text");
            assert_eq!(rendering.text, case["rendered"].as_str().expect("text"));
            compared += 1;
        }
    }
    assert!(compared > 0);
}
