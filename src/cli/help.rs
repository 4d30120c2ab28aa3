//! `align help`: the standard library as its authors wrote it, and diagnostic codes.

use clap::CommandFactory;

use crate::diagnostic::did_you_mean;
use crate::recipe::signature::{Documented, standard_items};

use super::Exit;
use super::args::{Arguments, HelpArgs};
use super::out;

pub(super) fn help(args: &HelpArgs) -> Exit {
    let Some(name) = &args.name else {
        out::print(&Arguments::command().render_long_help().to_string());
        out::line(
            "\n`align help NAME` shows a stage, objective, function or type of the standard library, a command, or a diagnostic code.",
        );
        return Exit::Done;
    };
    let items = standard_items();
    let text = item(name, &items).or_else(|| command(name)).or_else(|| code(name));
    let Some(text) = text else {
        let commands: Vec<String> = Arguments::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let known: Vec<&str> = items
            .iter()
            .map(|item| item.name.as_str())
            .chain(commands.iter().map(String::as_str))
            .chain(codes().map(|(code, _)| code))
            .collect();
        let near = did_you_mean(name, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        out::error(&format!("nothing is called `{name}`{near}"));
        return Exit::Failed;
    };
    out::print(&text);
    Exit::Done
}

/// Every item of that name: `sft`, `std.harm.attack_success`, or a module such as `std.harm`.
fn item(name: &str, items: &[Documented]) -> Option<String> {
    let full = |item: &Documented| format!("{}.{}", item.module, item.name);
    let found: Vec<&Documented> = items.iter().filter(|item| item.name == name || full(item) == name).collect();
    if !found.is_empty() {
        return Some(found.iter().map(|item| whole(item)).collect::<Vec<_>>().join("\n"));
    }
    let inside: Vec<String> =
        items.iter().filter(|item| item.module == name).map(|item| format!("  {:24}{}\n", item.name, first_line(&item.doc))).collect();
    if inside.is_empty() { None } else { Some(format!("{name}\n{}", inside.concat())) }
}

fn whole(item: &Documented) -> String {
    // the doc comment may be part of the item's own text
    let body: String = item.text.lines().filter(|line| !line.starts_with("///")).map(|line| format!("    {line}\n")).collect();
    let doc = if item.doc.is_empty() { String::new() } else { format!("{}\n\n", item.doc.trim()) };
    format!("{}.{}\n\n{doc}{body}", item.module, item.name)
}

fn first_line(doc: &str) -> &str {
    doc.lines().next().unwrap_or_default()
}

fn command(name: &str) -> Option<String> {
    let mut all = Arguments::command();
    let command = all.find_subcommand_mut(name)?;
    Some(command.render_long_help().to_string())
}

/// Every code that a diagnostic can have, and what it means where the code's phase says more than its message does.
pub fn codes() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let bare = crate::syntax::CODES.iter().chain(crate::recipe::mistake::CODES).map(|code| (*code, None));
    let explained = EXPLAINED.iter().flat_map(|codes| *codes).map(|(code, text)| (*code, Some(*text)));
    bare.chain(explained)
}

/// The phases' lists of codes with what they mean.
const EXPLAINED: &[&[(&str, &str)]] = &[
    crate::recipe::outside::CODES,
    crate::data::codes::FILES,
    crate::data::codes::ROWS,
    crate::score::CODES,
    crate::formula::CODES,
    crate::plan::CODES,
    crate::hub::CODES,
    crate::run::CODES,
    crate::report::CODES,
    crate::ui::CODES,
    crate::model::CODES,
    crate::engine::CODES,
];

fn code(name: &str) -> Option<String> {
    let (code, explained) = codes().find(|(code, _)| *code == name)?;
    let phase = match code.split("::").nth(1) {
        Some("syntax") => "the file does not read as the language",
        _ => "the recipe reads well, but what it says does not fit together",
    };
    Some(format!("{code}\n\n{}\n", explained.unwrap_or(phase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented(module: &str, name: &str) -> Documented {
        let text = "/// Says it.\nfn f(x: Float) = x".to_owned();
        Documented { module: module.into(), name: name.into(), doc: "Says it.".into(), text }
    }

    #[test]
    fn an_item_is_shown_with_its_comment_once() {
        let items = [documented("std.harm", "f"), documented("std.rl", "g")];
        assert_eq!(item("f", &items).as_deref(), Some("std.harm.f\n\nSays it.\n\n    fn f(x: Float) = x\n"));
        assert_eq!(item("std.harm", &items).as_deref(), Some("std.harm\n  f                       Says it.\n"));
        assert_eq!(item("h", &items), None);
    }
}
