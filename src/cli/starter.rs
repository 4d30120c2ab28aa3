//! `align new`, and what shells and manual pages want to know of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::builder::PossibleValue;

use crate::diagnostic::reason;
use crate::durable;

use super::Exit;
use super::args::{Arguments, CompletionsArgs, ManArgs, NewArgs};
use super::out;

/// A recipe to start from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Starter {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

const STARTERS: &[Starter] = &[
    Starter {
        name: "harmless",
        about: "A chat model that turns harmful requests down",
        text: include_str!("../../recipes/starters/harmless.align"),
    },
    Starter {
        name: "sentiment",
        about: "A model that writes more cheerfully, rewarded by a lexicon",
        text: include_str!("../../recipes/starters/sentiment.align"),
    },
    Starter {
        name: "constitution",
        about: "A model that learns from its own revisions",
        text: include_str!("../../recipes/starters/constitution.align"),
    },
    Starter {
        name: "red-team",
        about: "How often a model does what it should not",
        text: include_str!("../../recipes/starters/red-team.align"),
    },
    Starter { name: "own-loss", about: "A preference loss of your own", text: include_str!("../../recipes/starters/own-loss.align") },
];

impl clap::ValueEnum for Starter {
    fn value_variants<'a>() -> &'a [Self] {
        STARTERS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name).help(self.about))
    }
}

/// Writes a starter where nothing is yet, and says what to edit.
pub(super) fn new(args: &NewArgs) -> Exit {
    let starter = args.starter;
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{}.align", starter.name)));
    if path.exists() {
        out::error(&format!("`{}` exists; name another file", path.display()));
        return Exit::Failed;
    }
    let made = fs::create_dir_all(durable::parent(&path)).and_then(|()| durable::write(&path, starter.text.as_bytes()));
    if let Err(error) = made {
        out::error(&format!("`{}` cannot be written: {}", path.display(), reason(&error)));
        return Exit::Failed;
    }
    out::line(&format!("wrote {}: {}", path.display(), starter.about.to_lowercase()));
    for line in starter.text.lines().filter_map(|line| line.strip_prefix("// Edit: ")) {
        out::line(&format!("  edit {line}"));
    }
    out::line(&format!("then `align check {0}`, and `align watch {0} --profile smoke` while you write", path.display()));
    Exit::Done
}

/// Writes what a shell wants to know to complete a command line.
pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "align", &mut text);
    out::print(&String::from_utf8_lossy(&text));
    Exit::Done
}

/// Writes manual pages: the program's to standard output, or all of them into a folder.
pub(super) fn man(args: &ManArgs) -> Exit {
    let written = match &args.folder {
        None => page(&Arguments::command()).map(|text| out::print(&text)),
        Some(folder) => pages(folder),
    };
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            out::error(&format!("the manual cannot be written: {}", reason(&error)));
            Exit::Failed
        }
    }
}

fn page(command: &clap::Command) -> io::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    text.flush()?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut all = Arguments::command();
    all.build();
    durable::write(&folder.join("align.1"), page(&all)?.as_bytes())?;
    for command in all.get_subcommands() {
        let name = format!("align-{}", command.get_name());
        // clap keeps names for as long as the program runs, and there are few
        let own = command.clone().name(&*name.clone().leak());
        durable::write(&folder.join(format!("{name}.1")), page(&own)?.as_bytes())?;
    }
    Ok(())
}
