//! What can be written after `align`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::diagnostic::read_size;
use crate::engine::gpu::Choice;
use crate::plan::{DeviceClass, Room};

use super::device::Wanted;
use super::starter::Starter;

/// Alignment recipes: written in a small language, checked whole, run on any GPU or on the CPU.
#[derive(Parser, Debug)]
#[command(name = "align", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make everything that a recipe says, from what is there already
    Run(RunArgs),
    /// Check, plan and run on every save
    Watch(WatchArgs),
    /// Look for mistakes; nothing runs
    Check(CheckArgs),
    /// Show what a run would do, and what it would take
    Plan(PlanArgs),
    /// Show what a stage depends on, and what has changed since it last ran
    Explain(ExplainArgs),
    /// Draw a recipe's stages
    Graph(GraphArgs),
    /// Write a run's report, send its numbers on, or compare it with another run
    Report(ReportArgs),
    /// Show all runs in a browser, as they go
    Ui(UiArgs),
    /// Write recipes in their one canonical form
    Fmt(FmtArgs),
    /// Serve editors, over standard input and output
    Lsp,
    /// Evaluate an objective or `fn` at given numbers, with its derivatives
    Eval(EvalArgs),
    /// Talk with a network, or with several side by side
    Chat(ChatArgs),
    /// Let a network continue prompts
    Generate(GenerateArgs),
    /// Show what a network thinks of a text, token by token
    Score(ScoreArgs),
    /// Answer the questions that a run has for people
    Ask(AskArgs),
    /// Show what a data file holds, and how a recipe reads it
    Data(DataArgs),
    /// Start a recipe from one of a short list
    New(NewArgs),
    /// Write a shell's completions to standard output
    Completions(CompletionsArgs),
    /// Write the manual page to standard output, or every command's into a folder
    Man(ManArgs),
    /// List the devices and measure them
    Devices(DevicesArgs),
    /// Measure a network's products, attention, training step and sampling against what the device can do
    Bench(BenchArgs),
    /// Show a stage, objective, type or diagnostic code
    Help(HelpArgs),
}

/// Which recipe, with which parameters.
#[derive(Args, Clone, Debug)]
pub(super) struct RecipeArgs {
    /// The recipe's file
    pub(super) file: PathBuf,
    /// Which recipe of the file; may be left out when there is one
    pub(super) recipe: Option<String>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// What sets a recipe's params.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Set a `param`; may be repeated
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub(super) params: Vec<(String, String)>,
    /// Set params and caps as this `profile` says
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
}

/// Where the numbers are to be computed.
#[derive(Args, Clone, Debug)]
pub(super) struct DeviceArgs {
    /// auto, cpu, gpu, gpu:N (see `align devices`) or gpu:software
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(super) device: Wanted,
}

/// How much it may take.
#[derive(Args, Clone, Debug)]
pub(super) struct MemoryArgs {
    /// Memory that a stage may take, such as 12GiB: a plan that needs more is refused. Without it, on the processor, as much
    /// as the machine has left
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
}

impl MemoryArgs {
    /// What a plan must fit into, as far as that is known.
    pub(super) fn room(&self, device: DeviceClass) -> Option<Room> {
        self.memory.map(|bytes| Room { bytes, given: true }).or_else(|| Room::left(device))
    }
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    /// Read branches of `hf:owner/name@branch` as they are now, in place of the commits that align.lock pins
    #[arg(long)]
    pub(super) update: bool,
    /// One event a line, as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Seconds between checkpoints, at least
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(super) checkpoint_every: Duration,
}

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    /// One event a line, as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Lines also on a terminal
    #[arg(long)]
    pub(super) plain: bool,
    /// Look at the files every so many seconds: for folders whose system does not tell of changes
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "0.2", value_parser = seconds)]
    pub(super) poll: Option<Duration>,
    /// Seconds between checkpoints, at least
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(super) checkpoint_every: Duration,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    /// The diagnostics as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    /// The plan as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The stage, as it is called in the plan; then the recipe's file, which may be left out when the folder has one; then
    /// which recipe, when it has several
    #[arg(required = true, num_args = 1..=3, value_names = ["STAGE", "FILE"])]
    words: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// The key and the differences as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl ExplainArgs {
    /// The stage and the recipe. Every other command takes the file first, so that order is understood too.
    ///
    /// # Errors
    /// When no file is named and this folder does not hold exactly one recipe.
    pub(super) fn stage_and_recipe(&self) -> Result<(&str, RecipeArgs), String> {
        let is_file = |at: usize| self.words.get(at).is_some_and(|word| word.ends_with(".align"));
        let (stage, file) = if is_file(0) && !is_file(1) { (1, 0) } else { (0, 1) };
        let file = match self.words.get(file) {
            Some(file) => PathBuf::from(file),
            None => only_recipe(&super::open::recipes_in(Path::new(".")))?,
        };
        let stage = self.words.get(stage).ok_or("which stage? `align plan FILE` lists them")?;
        Ok((stage, RecipeArgs { file, recipe: self.words.get(2).cloned(), settings: self.settings.clone() }))
    }
}

fn only_recipe(names: &[String]) -> Result<PathBuf, String> {
    match names {
        [one] => Ok(PathBuf::from(one)),
        [] => Err("which recipe? name its file after the stage".to_owned()),
        several => Err(format!("which recipe? name its file after the stage: here are {}", several.join(", "))),
    }
}

#[derive(Args, Debug)]
pub(super) struct GraphArgs {
    #[command(flatten)]
    pub(super) recipe: RecipeArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Left out: lines for the terminal
    #[arg(long, value_enum)]
    pub(super) format: Option<GraphFormat>,
    /// Also the stages that the library makes of a binding
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GraphFormat {
    Svg,
    Dot,
    Mermaid,
}

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// A recipe (its last run), a run's folder or name, or a part of its name; left out, the last run
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// The folder of the recipe, where the store is
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    pub(super) folder: PathBuf,
    /// List the runs of the store, the oldest first
    #[arg(long)]
    pub(super) list: bool,
    /// What the report shows, as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show what is better and worse than in an earlier run
    #[arg(long, value_name = "RUN")]
    pub(super) against: Option<String>,
    /// Exit with 1 when something is worse than in the run compared with
    #[arg(long, value_enum, requires = "against")]
    pub(super) fail_on: Option<FailOn>,
    /// Write event files for TensorBoard into a folder
    #[arg(long, value_name = "FOLDER")]
    pub(super) tensorboard: Option<PathBuf>,
    /// Send parameters and numbers to an MLflow server: http://localhost:5000
    #[arg(long, value_name = "ADDRESS")]
    pub(super) mlflow: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct UiArgs {
    /// The folder of the recipes, where the store is
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(super) folder: PathBuf,
    /// Where to listen, on this machine only; 0 is any port that is free
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// Answer a sheet's questions in the browser too; may be given several times
    #[arg(long, value_name = "SHEET")]
    pub(super) ask: Vec<PathBuf>,
    /// Who answers
    #[arg(long, value_name = "NAME", default_value = "me")]
    pub(super) rater: String,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FailOn {
    /// New failures of a red team, significantly worse numbers, expectations that held
    New,
}

#[derive(Args, Debug)]
pub(super) struct FmtArgs {
    /// Files and folders; `-` reads from standard input and writes to standard output
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
    /// Change nothing; exit with 1 if something would change
    #[arg(long)]
    pub(super) check: bool,
    /// Change nothing; show what would change
    #[arg(long)]
    pub(super) diff: bool,
}

#[derive(Args, Debug)]
pub(super) struct EvalArgs {
    /// An `objective` or `fn`, of the standard library or of the file given with --from
    pub(super) name: String,
    /// The numbers: rows with columns, log-probs, scores; see `align help eval`
    #[arg(long, value_name = "FILE.json")]
    pub(super) at: PathBuf,
    /// Where the objective is written, if not in the standard library
    #[arg(long, value_name = "FILE.align")]
    pub(super) from: Option<PathBuf>,
    /// Set a parameter; may be repeated
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub(super) params: Vec<(String, String)>,
    /// The answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which recipe a network's name is looked up in.
#[derive(Args, Clone, Debug)]
pub(super) struct FromArgs {
    /// The recipe whose stages may be named; left out, the only one of this folder
    #[arg(long, value_name = "FILE.align")]
    pub(super) from: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// How answers are drawn.
#[derive(Args, Clone, Debug)]
pub(super) struct SamplingArgs {
    /// Stop after so many tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) max_tokens: usize,
    /// 0 always takes the likeliest token
    #[arg(long, value_name = "T", value_parser = not_negative)]
    pub(super) temperature: Option<f64>,
    /// Draw among the likeliest tokens that have this probability together
    #[arg(long, value_name = "P", value_parser = share)]
    pub(super) top_p: Option<f64>,
    /// Draw among the K likeliest tokens
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    pub(super) top_k: Option<usize>,
    /// Draw among tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", value_parser = share)]
    pub(super) min_p: Option<f64>,
    /// Divide the logits of tokens that were there already
    #[arg(long, value_name = "R", value_parser = not_negative)]
    pub(super) repetition_penalty: Option<f64>,
    /// End an answer at this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(super) stop: Vec<String>,
    /// Equal seeds draw equal answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

#[derive(Args, Debug)]
pub(super) struct ChatArgs {
    /// A folder, a `.gguf` file, `hf:owner/name`, or a stage of a recipe; several answer side by side
    #[arg(required = true, value_name = "NETWORK")]
    pub(super) networks: Vec<String>,
    /// What stands before the first turn
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    #[command(flatten)]
    pub(super) from: FromArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(super) struct GenerateArgs {
    /// A folder, a `.gguf` file, `hf:owner/name`, or a stage of a recipe
    pub(super) network: String,
    /// What is to be continued; left out, lines of standard input
    #[arg(value_name = "PROMPT")]
    pub(super) prompts: Vec<String>,
    /// Prompts, one a line: text, or JSON with `prompt` or `messages` in a `.jsonl` file
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// What stands before every prompt
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// Answers to each prompt
    #[arg(short = 'n', long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(super) samples: usize,
    /// Leave the chat template out
    #[arg(long)]
    pub(super) raw: bool,
    /// One answer a line, as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    #[command(flatten)]
    pub(super) from: FromArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(super) struct ScoreArgs {
    /// A folder, a `.gguf` file, `hf:owner/name`, a scorer, or a stage of a recipe
    pub(super) network: String,
    /// A text, scored from its first token on
    pub(super) text: Option<String>,
    /// What comes before the completion
    #[arg(long, value_name = "TEXT", requires = "completion")]
    pub(super) prompt: Option<String>,
    /// What is scored behind the prompt
    #[arg(long, value_name = "TEXT", requires = "prompt")]
    pub(super) completion: Option<String>,
    /// A list of messages, of which the assistant's are scored
    #[arg(long, value_name = "FILE.json")]
    pub(super) dialogue: Option<PathBuf>,
    /// Tokens by number
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub(super) ids: Option<Vec<u32>>,
    /// Leave the chat template out
    #[arg(long)]
    pub(super) raw: bool,
    /// The numbers as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) from: FromArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(super) struct AskArgs {
    /// The sheet of answers that the recipe names
    pub(super) sheet: PathBuf,
    /// Who answers
    #[arg(long, value_name = "NAME", default_value = "me")]
    pub(super) rater: String,
}

#[derive(Args, Debug)]
pub(super) struct DataArgs {
    /// The data file, or `hf:datasets/owner/name/file.jsonl`
    pub(super) file: PathBuf,
    /// Count tokens as this model reads them: a folder, a `.safetensors` or a `.gguf` file, or `hf:owner/name`
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<PathBuf>,
    /// How many of the first rows to show
    #[arg(long, value_name = "N", default_value = "3")]
    pub(super) rows: usize,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct NewArgs {
    #[arg(value_enum)]
    pub(super) starter: Starter,
    /// The file to write; left out, the starter's name
    pub(super) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Where `align.1`, `align-run.1` … are written
    pub(super) folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// A folder, a `.gguf` file, `hf:owner/name`, or a stage of a recipe
    pub(super) network: String,
    /// Sequences of a step, and those that are sampled together
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    pub(super) batch: usize,
    /// Tokens of a prompt
    #[arg(long, value_name = "N", default_value = "64", value_parser = at_least_one)]
    pub(super) prompt: usize,
    /// Tokens that are scored or sampled behind it
    #[arg(long, value_name = "N", default_value = "64", value_parser = at_least_one)]
    pub(super) completion: usize,
    /// One measurement a line, as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) from: FromArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(super) struct DevicesArgs {
    /// Measure the choices between kernels on one graphics processor (gpu, gpu:N or gpu:software), show the table, and keep
    /// it for later runs
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "gpu", value_parser = adapter)]
    pub(super) tune: Option<Choice>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct HelpArgs {
    /// A name of the standard library, a command, or a code such as align::recipe::unknown_name
    pub(super) name: Option<String>,
}

fn adapter(text: &str) -> Result<Choice, String> {
    text.parse().map_err(|()| "expected gpu, gpu:N or gpu:software".to_owned())
}

fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number from 1 on".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0).ok_or_else(|| "expected a number from 0 on".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| (0.0..=1.0).contains(x)).ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    read_size(text).ok_or_else(|| "expected a number and KiB, MiB, GiB or TiB, such as 12GiB".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_reads_as_the_language_page_says() {
        let line = ["align", "run", "x.align", "small", "-p", "beta=0.2", "--profile", "smoke", "--device", "gpu:1", "--json"];
        let Command::Run(run) = Arguments::try_parse_from(line).expect("well written").command else { panic!("it says run") };
        assert_eq!(
            (run.recipe.recipe.as_deref(), run.recipe.settings.params),
            (Some("small"), vec![("beta".to_owned(), "0.2".to_owned())])
        );
        for line in [["align", "explain", "dpo", "x.align"], ["align", "explain", "x.align", "dpo"]] {
            let Command::Explain(explain) = Arguments::try_parse_from(line).expect("well written").command else {
                panic!("it says explain")
            };
            let (stage, recipe) = explain.stage_and_recipe().expect("a file is named");
            assert_eq!((stage, recipe.file), ("dpo", PathBuf::from("x.align")));
        }
        assert!(Arguments::try_parse_from(["align", "run", "x.align", "-p", "beta"]).is_err());
        assert!(Arguments::try_parse_from(["align", "run", "x.align", "--device", "tpu"]).is_err());
    }
}
