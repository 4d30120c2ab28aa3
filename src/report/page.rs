//! The page: markup, style and script in one file, the data beside them as text that no browser runs.

use serde_json::Value;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: &[&str] = &[
    include_str!("page/tools.js"),
    include_str!("page/plot.js"),
    include_str!("page/sections.js"),
    include_str!("page/loops.js"),
    include_str!("page/samples.js"),
    include_str!("page/redteam.js"),
    include_str!("page/main.js"),
];
const LIVE: &str = concat!(include_str!("page/chat.js"), "\n", include_str!("page/live.js"));

/// No address is ever asked for anything.
const CLOSED: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page that stands by itself.
pub fn page(data: &Value) -> String {
    let title = data["run"]["recipe"].as_str().unwrap_or("report");
    assemble(title, CLOSED, &format!("<script type=\"application/json\" id=\"data\">{}</script>", inert(data)), "")
}

/// The page that a server fills: `security` goes into its headers instead.
pub fn live(settings: &Value) -> String {
    assemble("align", "", &format!("<script type=\"application/json\" id=\"settings\">{}</script>", inert(settings)), LIVE)
}

fn assemble(title: &str, policy: &str, data: &str, more: &str) -> String {
    let policy =
        if policy.is_empty() { String::new() } else { format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">") };
    let script: String = SCRIPTS.iter().copied().chain([more]).collect::<Vec<_>>().join("\n");
    let parts = [
        ("{{title}}", title_text(title)),
        ("{{policy}}", policy),
        ("{{style}}", STYLE.to_owned()),
        ("{{data}}", data.to_owned()),
        ("{{script}}", script),
    ];
    let mut page = String::with_capacity(HTML.len() + STYLE.len() + data.len() + 100_000);
    let mut rest = HTML;
    // in one pass: what is filled in is never looked at again
    while let Some((at, (mark, text))) = parts.iter().filter_map(|part| Some((rest.find(part.0)?, part))).min_by_key(|(at, _)| *at) {
        page.push_str(&rest[..at]);
        page.push_str(text);
        rest = &rest[at + mark.len()..];
    }
    page + rest
}

fn title_text(title: &str) -> String {
    title.replace('&', "&amp;").replace('<', "&lt;")
}

/// JSON that cannot end the element it stands in.
fn inert(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_never_becomes_markup() {
        let text = "</script><script>alert(1)</script><!--{{script}}";
        let page = page(&serde_json::json!({ "run": { "recipe": text } }));
        assert!(!page.contains("alert(1)</script>"), "the data ends its element");
        assert_eq!(page.matches("</script>").count(), 2);
        // what was filled in is data, whatever it looks like
        assert_eq!(page.matches("{{").count(), page.matches("{{script}}").count(), "a mark was left");
        assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count());
    }
}
