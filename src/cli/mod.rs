//! The command line: the only place that prints, and where mistakes become exit codes.
//!
//! 0 done; 1 the recipe is wrong, or a stage or an expectation failed; 2 usage; 130 interrupted, with a checkpoint.

mod args;
mod ask;
mod bench;
mod check;
mod data;
mod device;
mod devices;
mod eval;
mod fetch;
mod format;
pub mod help;
mod interrupt;
mod mask;
mod network;
mod open;
mod out;
mod plan;
mod progress;
pub mod render;
mod report;
mod run;
mod score;
mod screen;
mod serve;
mod starter;
mod talk;
mod tune;
mod ui;
mod view;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

/// What a command came to, before it is an exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Done,
    /// What is wrong has been shown.
    Failed,
    /// A run's own code.
    Code(u8),
}

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // help and version are no mistakes, and go where output goes
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let exit = match arguments.command {
        Command::Run(args) => run::run(&args),
        Command::Watch(args) => watch::watch(&args),
        Command::Check(args) => check::check(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Explain(args) => plan::explain(&args),
        Command::Graph(args) => plan::graph(&args),
        Command::Report(args) => report::report(&args),
        Command::Ui(args) => ui::ui(&args),
        Command::Lsp => serve::serve(),
        Command::Fmt(args) => format::format(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Chat(args) => talk::chat(&args),
        Command::Generate(args) => talk::generate(&args),
        Command::Score(args) => score::score(&args),
        Command::Ask(args) => ask::ask(&args),
        Command::Data(args) => data::data(&args),
        Command::New(args) => starter::new(&args),
        Command::Completions(args) => starter::completions(&args),
        Command::Man(args) => starter::man(&args),
        Command::Devices(args) => devices::devices(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Help(args) => help::help(&args),
    };
    match exit {
        Exit::Done => ExitCode::SUCCESS,
        Exit::Failed => ExitCode::from(1),
        Exit::Code(code) => ExitCode::from(code),
    }
}
