//! Nothing that is put into a template ends the program.

use std::collections::BTreeMap;

use align::chat::{ChatTemplate, Options, TemplateError};
use serde_json::{Value, json};

fn templates() -> Vec<String> {
    let read = |name: &str| -> Value {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).expect("the golden file is there")).expect("it is JSON")
    };
    let (whole, small) = (read("chat_templates.json"), read("chat_semantics.json"));
    let text = |template: &Value| template.as_str().expect("text").to_owned();
    let small = small["cases"].as_array().expect("cases").iter().map(|case| text(&case["template"]));
    whole["templates"].as_object().expect("templates").values().map(text).chain(small).collect()
}

fn render(source: &str, messages: &[Value]) -> Result<String, TemplateError> {
    let options = Options { add_generation_prompt: true, now: Some(0), ..Options::default() };
    Ok(ChatTemplate::new(source, BTreeMap::new())?.render(messages, &options)?.text)
}

fn messages() -> Vec<Value> {
    vec![
        json!({ "role": "system", "content": "s" }),
        json!({ "role": "user", "content": "é\u{1f642}" }),
        json!({ "role": "assistant", "content": "a" }),
    ]
}

#[test]
fn every_prefix_of_every_template_is_read_or_refused() {
    for template in templates() {
        for (at, _) in template.char_indices() {
            _ = render(&template[..at], &messages());
        }
    }
}

#[test]
fn a_template_without_one_of_its_characters_is_read_or_refused() {
    for template in templates().iter().filter(|template| template.len() < 500) {
        for (at, c) in template.char_indices() {
            _ = render(&format!("{}{}", &template[..at], &template[at + c.len_utf8()..]), &messages());
        }
    }
}

#[test]
fn odd_messages_are_rendered_or_refused() {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("\u{0}\u{ffff}<|im_end|>\r\n"),
        json!([]),
        json!([[], {}, null, "x", { "type": "text" }, { "type": "text", "text": null }, { "type": "image", "text": "t" }]),
        json!({}),
        json!({ "": { "": [] } }),
    ];
    for template in templates() {
        for value in &odd {
            let fields = json!({ "role": "user", "content": value, "tool_calls": value, "reasoning": value });
            let conversations = [
                vec![],
                vec![value.clone()],
                vec![json!({ "role": value, "content": "x" }), json!({ "content": value })],
                vec![
                    fields.clone(),
                    json!({ "role": "assistant", "tool_calls": [{ "function": value }, value] }),
                    json!({ "role": "tool", "content": value }),
                ],
            ];
            for messages in &conversations {
                _ = render(&template, messages);
                let options = Options {
                    continue_final_message: Some("content".into()),
                    tools: Some(vec![value.clone()]),
                    documents: Some(vec![value.clone()]),
                    ..Options::default()
                };
                _ = ChatTemplate::new(&template, BTreeMap::new()).and_then(|template| template.render(messages, &options));
            }
        }
    }
}

#[test]
fn what_nests_without_end_is_refused() {
    let many = |open: &str, inner: &str, close: &str, n| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
    let n = 50_000;
    for source in [
        format!("{{{{ {} }}}}", many("(", "1", ")", n)),
        format!("{{{{ {} }}}}", many("[", "1", "]", n)),
        format!("{{{{ {}1 }}}}", "-".repeat(n)),
        format!("{{{{ {}1 }}}}", "not ".repeat(n)),
        format!("{{{{ 1{} }}}}", "+1".repeat(n)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(n)),
        format!("{{{{ x{} }}}}", ".y".repeat(n)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(n)),
        many("{% if 1 %}", "", "{% endif %}", n),
        format!("{{% set {} = 1 %}}", many("(", "x", ")", n)),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".into(),
        "{% macro f() %}{% for i in [1] %}{% if 1 %}{{ (((f()))) ~ 1 }}{% endif %}{% endfor %}{% endmacro %}{{ f() }}".into(),
        "{% macro f(x) %}{% call f(x) %}{% endcall %}{{ caller() }}{% endmacro %}{{ f(1) }}".into(),
        "{{ 'x' * 10 ** 12 }}{{ range(10 ** 12) }}".into(),
        "{{ '%99999999999s' % 1 }}{{ 'a'.center(10 ** 12) }}".into(),
        "{{ -(-170141183460469231731687303715884105727 - 1) }}".into(),
        "{{ (-170141183460469231731687303715884105727 - 1)|abs }}{{ range(-170141183460469231731687303715884105727, 5, 7) }}".into(),
    ] {
        assert!(render(&source, &messages()).is_err(), "{}", &source[..source.len().min(80)]);
    }
}

#[test]
fn slices_are_those_of_python() {
    let numbers = |text: &str| render(&format!("{{{{ [0, 1, 2, 3]{text} | list }}}}"), &[]).expect(text);
    assert_eq!(numbers("[::-1]"), "[3, 2, 1, 0]");
    assert_eq!(numbers("[3:0:-1]"), "[3, 2, 1]");
    assert_eq!(numbers("[-1:-9:-2]"), "[3, 1]");
    assert_eq!(numbers("[0:2:-1]"), "[]");
    assert_eq!(numbers("[::-1][1::2][::-1]"), "[0, 2]");
    assert_eq!(render("{{ messages[::-1] | list }}{{ ''[::-1] }}|{{ 'abc'[::-1][:2] }}", &[]).as_deref(), Ok("[]|cb"));
}

#[test]
fn dates_are_written_as_python_writes_them() {
    // 2024-02-29 13:05:09 and 1969-12-31 23:59:59, from a calendar.
    let options = |now| Options { now: Some(now), ..Options::default() };
    let template =
        ChatTemplate::new("{{ strftime_now('%d %b %Y|%A %B %-d|%Y-%m-%d %H:%M:%S|%I %p|%j') }}", BTreeMap::new()).expect("a template");
    let text = |now| template.render(&[], &options(now)).expect("a date").text;
    assert_eq!(text(1_709_211_909), "29 Feb 2024|Thursday February 29|2024-02-29 13:05:09|01 PM|060");
    assert_eq!(text(-1), "31 Dec 1969|Wednesday December 31|1969-12-31 23:59:59|11 PM|365");
    assert_eq!(render("{{ strftime_now is defined }}", &[]).as_deref(), Ok("True"));
    let without = ChatTemplate::new("{{ strftime_now is defined }}", BTreeMap::new()).expect("a template");
    assert_eq!(without.render(&[], &Options::default()).expect("text").text, "False");
}

#[test]
fn syntax_errors_name_line_and_column() {
    let error = ChatTemplate::new("a\n  {{ b c }}", BTreeMap::new()).expect_err("two names");
    assert_eq!(error, TemplateError::Syntax { line: 2, column: 8, reason: "unexpected identifier, expected end of variable block".into() });
    let error = ChatTemplate::new("{% generation %}{% endgeneration %}{{ x[::-1] }}{{ b c }}", BTreeMap::new()).expect_err("two names");
    assert!(matches!(error, TemplateError::Syntax { line: 1, column: 54, .. }), "{error}");
}
