//! `align check`

use serde_json::json;

use crate::run::diagnostic_json;

use super::Exit;
use super::args::CheckArgs;
use super::fetch::{How, ToFetch};
use super::open::open;
use super::out;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let opened = match open(&args.recipe, How::LOOK) {
        Ok(opened) => opened,
        Err(message) => {
            out::error(&message);
            return Exit::Failed;
        }
    };
    if args.json {
        let diagnostics: Vec<_> = opened.diagnostics.iter().map(|d| diagnostic_json(d, &opened.sources)).collect();
        out::line(&json!({ "ok": opened.checked.is_some(), "diagnostics": diagnostics, "fetch": opened.to_fetch.iter().map(ToFetch::json).collect::<Vec<_>>() }).to_string());
    } else {
        out::diagnostics(&opened.diagnostics, &opened.sources);
        if let Some(checked) = &opened.checked {
            let title = checked.title.as_ref().map_or(String::new(), |title| format!(" \"{title}\""));
            let counts = [(checked.stages.len(), "stage"), (checked.expectations.len(), "expectation"), (checked.exports.len(), "export")];
            let counts = counts.map(|(n, what)| format!("{n} {what}{}", if n == 1 { "" } else { "s" }));
            out::line(&format!("{}{title} is right: {}", checked.name, counts.join(", ")));
            opened.to_fetch.iter().for_each(|left| out::line(&left.line()));
        }
    }
    if opened.checked.is_some() { Exit::Done } else { Exit::Failed }
}
