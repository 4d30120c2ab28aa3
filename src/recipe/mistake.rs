//! Everything the checker refuses, with the data each message needs.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::syntax::span::Span;

use super::types::{Row, Type};

type Names = Vec<Arc<str>>;

/// A mistake in a recipe.
#[derive(Clone, Debug)]
pub enum Mistake {
    // files and items
    UseCycle { files: Vec<String>, span: Span },
    UnreadableUse { path: String, error: String, span: Span },
    UnknownModule { name: Arc<str>, span: Span },
    UnknownImport { name: Arc<str>, span: Span, known: Names },
    PrivateItem { name: Arc<str>, span: Span },
    DefinedTwice { name: Arc<str>, span: Span, first: Span },
    // the command line
    UnknownParam { name: String, known: Names },
    BadParam { name: Arc<str>, text: String, ty: Type, span: Span },
    UnsetParam { name: Arc<str>, span: Span },
    UnknownProfile { name: String, known: Names },
    UnknownSetting { name: Arc<str>, known: Names, span: Span },
    UnknownRecipe { name: String, known: Names },
    WhichRecipe { known: Names },
    NoRecipe,
    NothingToEvaluate { name: String, known: Names },
    // names
    UnknownName { name: Arc<str>, span: Span, known: Names },
    UnknownFunction { name: Arc<str>, span: Span, known: Names, module: Option<&'static str>, std: Names },
    UnknownType { name: Arc<str>, span: Span, known: Names },
    UnknownWord { name: Arc<str>, words: Names, span: Span },
    UnknownColumn { name: Arc<str>, row: Row, span: Span },
    UnknownMember { name: Arc<str>, of: Type, known: Names, span: Span },
    UnknownMetric { name: Arc<str>, known: Names, span: Span },
    NoEval { metric: Arc<str>, span: Span, made: Span },
    ColumnWithoutDot { name: Arc<str>, span: Span },
    ItemWithoutCall { name: Arc<str>, span: Span },
    NotCallable { name: Arc<str>, span: Span },
    Shadowed { name: Arc<str>, span: Span },
    NoRow { column: Arc<str>, span: Span },
    // arguments
    UnknownArgument { name: Arc<str>, callee: Arc<str>, known: Names, span: Span },
    RepeatedArgument { name: Arc<str>, span: Span, first: Span },
    MissingArgument { name: Arc<str>, callee: Arc<str>, doc: String, span: Span, declared: Span },
    TooManyArguments { callee: Arc<str>, taken: usize, span: Span, declared: Span },
    FieldWithoutName { span: Span },
    OptionsWithoutType { span: Span },
    NoColumns { stage: Arc<str>, span: Span },
    OutOfRange { name: Arc<str>, value: f64, range: String, span: Span, declared: Span },
    NotConstant { name: Arc<str>, span: Span },
    IdleOption { name: Arc<str>, of: Arc<str>, span: Span },
    // types
    Mismatch { param: Option<Arc<str>>, found: Type, wanted: Type, span: Span },
    MissingColumns { missing: Names, row: Row, wanted: Row, span: Span },
    TypeArguments { name: Arc<str>, expected: usize, found: usize, span: Span },
    NotARow { found: Type, span: Span },
    NotAList { found: Type, span: Span },
    NotARecord { found: Type, span: Span },
    NotARange { found: Type, span: Span },
    NotText { found: Type, span: Span },
    NotAFormula { found: Type, span: Span },
    NotAnAxis { span: Span },
    MixedList { first: Type, first_span: Span, other: Type, span: Span },
    Branches { then: Type, then_span: Span, otherwise: Type, span: Span },
    NeverEqual { left: Type, left_span: Span, right: Type, span: Span },
    TextSum { span: Span },
    OneNumberARow { word: Arc<str>, found: Type, span: Span },
    NoPrompt { span: Span },
    NothingToScore { span: Span },
    IndexRange { place: i64, length: usize, span: Span },
    LateChoice { span: Span },
    // stages, objectives, rounds
    StageInFormula { name: Arc<str>, span: Span },
    StageCycle { chain: Names, span: Span, begun: Span },
    Recursion { name: Arc<str>, span: Span },
    MissingExtra { name: Arc<str>, stage: Arc<str>, span: Span },
    NoLoss { name: Arc<str>, span: Span },
    ObjectiveArithmetic { span: Span },
    WrongNetwork { found: Type, wanted: Type, span: Span },
    TrainsNetwork { stage: Arc<str>, span: Span },
    WordWithoutRust { name: Arc<str>, span: Span },
    Misplaced { what: &'static str, place: &'static str, span: Span },
    RoundCount { most: i64, span: Span },
    KeepForm { span: Span },
    NotExportable { found: Type, span: Span },
    ExportTwice { path: String, span: Span, first: Span },
    ExportForm { reason: FormReason, span: Span },
}

/// Why what is exported cannot have the form that is asked for.
#[derive(Clone, PartialEq, Debug)]
pub enum FormReason {
    NoModel(Type),
    NoNetwork(Type),
    OnlyGguf(Arc<str>),
}

/// Every code of this phase.
pub const CODES: &[&str] = &[
    "align::recipe::use_cycle",
    "align::recipe::unreadable_use",
    "align::recipe::unknown_module",
    "align::recipe::unknown_import",
    "align::recipe::private_item",
    "align::recipe::defined_twice",
    "align::recipe::unknown_param",
    "align::recipe::bad_param",
    "align::recipe::unset_param",
    "align::recipe::unknown_profile",
    "align::recipe::unknown_setting",
    "align::recipe::unknown_recipe",
    "align::recipe::which_recipe",
    "align::recipe::no_recipe",
    "align::recipe::nothing_to_evaluate",
    "align::recipe::unknown_name",
    "align::recipe::unknown_function",
    "align::recipe::unknown_type",
    "align::recipe::unknown_word",
    "align::recipe::unknown_column",
    "align::recipe::unknown_member",
    "align::recipe::unknown_metric",
    "align::recipe::no_eval",
    "align::recipe::column_without_dot",
    "align::recipe::item_without_call",
    "align::recipe::not_callable",
    "align::recipe::shadowed",
    "align::recipe::no_row",
    "align::recipe::unknown_argument",
    "align::recipe::repeated_argument",
    "align::recipe::missing_argument",
    "align::recipe::too_many_arguments",
    "align::recipe::field_without_name",
    "align::recipe::options_without_type",
    "align::recipe::no_columns",
    "align::recipe::out_of_range",
    "align::recipe::not_constant",
    "align::recipe::idle_option",
    "align::recipe::type_mismatch",
    "align::recipe::missing_column",
    "align::recipe::type_arguments",
    "align::recipe::not_a_row",
    "align::recipe::not_a_list",
    "align::recipe::not_a_record",
    "align::recipe::not_a_range",
    "align::recipe::not_text",
    "align::recipe::not_a_formula",
    "align::recipe::not_an_axis",
    "align::recipe::mixed_list",
    "align::recipe::different_branches",
    "align::recipe::never_equal",
    "align::recipe::text_sum",
    "align::recipe::one_number_a_row",
    "align::recipe::no_prompt",
    "align::recipe::nothing_to_score",
    "align::recipe::index_out_of_range",
    "align::recipe::late_choice",
    "align::recipe::stage_in_formula",
    "align::recipe::stage_cycle",
    "align::recipe::recursion",
    "align::recipe::missing_extra",
    "align::recipe::no_loss",
    "align::recipe::objective_arithmetic",
    "align::recipe::wrong_network",
    "align::recipe::trains_network",
    "align::recipe::word_without_rust",
    "align::recipe::misplaced",
    "align::recipe::round_count",
    "align::recipe::keep_form",
    "align::recipe::not_exportable",
    "align::recipe::export_twice",
    "align::recipe::export_form",
];

impl Mistake {
    /// A value of the wrong type; rows that lack columns say which.
    pub fn mismatch(param: Option<&str>, found: Type, wanted: Type, span: Span) -> Self {
        let rows = match (&found, &wanted) {
            (Type::Data(a), Type::Data(b)) | (Type::Record(a), Type::Record(b)) => Some((a.clone(), b.clone())),
            _ => None,
        };
        if let Some((row, wanted)) = rows {
            let missing: Names =
                wanted.iter().filter(|(n, t)| !row.contains_key(*n) && !matches!(t, Type::Optional(_))).map(|(n, _)| n.clone()).collect();
            if !missing.is_empty() {
                return Self::MissingColumns { missing, row, wanted, span };
            }
        }
        Self::Mismatch { param: param.map(Arc::from), found, wanted, span }
    }

    /// The mistake as it is shown.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::UseCycle { files, span } => error("use_cycle", format!("`use` goes round in a circle: {}", circle(files)))
                .at(*span, "this closes the circle")
                .help("move what both files need into a third file that uses neither"),
            Self::UnreadableUse { path, error: why, span } => error("unreadable_use", format!("cannot read `{path}`"))
                .at(*span, why.clone())
                .help("the path is relative to the file that says `use`"),
            Self::UnknownModule { name, span } => {
                error("unknown_module", format!("unknown library `{name}`")).at(*span, "not a file of the standard library").help(format!(
                    "the standard library is `std`, with {}; a file of yours is used as `use \"file.align\".{{name}}`",
                    listed(super::library::STDLIB.iter().skip(1).map(|(n, _)| *n))
                ))
            }
            Self::UnknownImport { name, span, known } => {
                suggest(error("unknown_import", format!("there is no `{name}` to use")).at(*span, "not defined there"), name, known)
            }
            Self::PrivateItem { name, span } => {
                error("private_item", format!("`{name}` is private")).at(*span, "names that begin with `_` stay in their file")
            }
            Self::DefinedTwice { name, span, first } => error("defined_twice", format!("`{name}` is defined twice"))
                .at(*span, "again here")
                .at(*first, "first here")
                .help("give one of them another name"),

            Self::UnknownParam { name, known } => suggest(error("unknown_param", format!("the file has no `param {name}`")), name, known),
            Self::BadParam { name, text, ty, span } => {
                error("bad_param", format!("`{text}` is no value for `{name}`")).at(*span, format!("expected {ty}"))
            }
            Self::UnsetParam { name, span } => error("unset_param", format!("`{name}` has no value"))
                .at(*span, "no default here")
                .help(format!("pass `-p {name}=…`, or give it a default: `= …`")),
            Self::UnknownProfile { name, known } => {
                suggest(error("unknown_profile", format!("the file has no `profile {name}`")), name, known)
            }
            Self::UnknownSetting { name, known, span } => suggest(
                error("unknown_setting", format!("a profile sets params, and `{name}` is none")).at(*span, "not a `param` of this file"),
                name,
                known,
            ),
            Self::UnknownRecipe { name, known } => {
                suggest(error("unknown_recipe", format!("the file has no recipe `{name}`")), name, known)
            }
            Self::WhichRecipe { known } => {
                error("which_recipe", "the file has several recipes").help(format!("name one: {}", listed(known.iter().map(|n| &**n))))
            }
            Self::NoRecipe => error("no_recipe", "the file has no recipe").help("write `recipe name { … }`"),

            Self::NothingToEvaluate { name, known } => {
                suggest(error("nothing_to_evaluate", format!("no objective or function is called `{name}`")), name, known)
            }

            Self::UnknownName { name, span, known } => {
                suggest(error("unknown_name", format!("unknown name `{name}`")).at(*span, "not defined here"), name, known)
            }
            Self::UnknownFunction { name, span, known, module, std } => unknown_function(name, *span, known, *module, std),
            Self::UnknownType { name, span, known } => {
                suggest(error("unknown_type", format!("unknown type `{name}`")).at(*span, "no type of this name"), name, known)
            }
            Self::UnknownWord { name, words, span } => {
                let found = error("unknown_word", format!("`{name}` is none of {}", listed(words.iter().map(|w| &**w))))
                    .at(*span, "expected one of these words");
                suggest(found, name, words)
            }
            Self::UnknownColumn { name, row, span } => {
                let known: Names = row.keys().cloned().collect();
                let found =
                    error("unknown_column", format!("the rows have no column `.{name}`")).at(*span, format!("they have {}", columns(row)));
                match did_you_mean(name, known.iter().map(|k| &**k)) {
                    Some(near) => found.help(format!("did you mean `.{near}`?")),
                    None => found,
                }
            }
            Self::UnknownMember { name, of, known, span } => {
                suggest(error("unknown_member", format!("`{name}` is no part of {}", short(of))).at(*span, has(known)), name, known)
            }
            Self::UnknownMetric { name, known, span } => {
                suggest(error("unknown_metric", format!("this stage has no metric `{name}`")).at(*span, has(known)), name, known)
            }
            Self::NoEval { metric, span, made } => error("no_eval", format!("`{metric}` was not measured"))
                .at(*span, "measured on `eval:` rows")
                .at(*made, "called without `eval:`")
                .help("add `eval:` with rows that the stage does not train on"),
            Self::ColumnWithoutDot { name, span } => error("column_without_dot", format!("unknown name `{name}`"))
                .at(*span, "the rows have a column of this name")
                .help(format!("columns are written with a dot: `.{name}`")),
            Self::ItemWithoutCall { name, span } => error("item_without_call", format!("`{name}` is not a value"))
                .at(*span, "a function, stage or objective")
                .help(format!("call it: `{name}(…)`")),
            Self::NotCallable { name, span } => {
                error("not_callable", format!("`{name}` cannot be called")).at(*span, "not a function, stage or objective")
            }
            Self::Shadowed { name, span } => error("shadowed", format!("`{name}` already has a value here"))
                .at(*span, "bound again")
                .help("a name is bound once: choose another"),
            Self::NoRow { column, span } => error("no_row", format!("there is no row here to take `.{column}` from"))
                .at(*span, "outside of a formula over rows")
                .help(format!("columns are read inside `with`, `filter`, `measure` and objectives: `rows.with(x: .{column})`")),

            Self::UnknownArgument { name, callee, known, span } => suggest(
                error("unknown_argument", format!("`{callee}` takes no argument `{name}`")).at(*span, "not a parameter"),
                name,
                known,
            ),
            Self::RepeatedArgument { name, span, first } => {
                error("repeated_argument", format!("`{name}` is given twice")).at(*span, "again here").at(*first, "first here")
            }
            Self::MissingArgument { name, callee, doc, span, declared } => {
                let found = error("missing_argument", format!("`{callee}` needs `{name}`"))
                    .at(*span, format!("no `{name}` here"))
                    .at(*declared, "asked for here");
                if doc.is_empty() { found } else { found.help(doc.clone()) }
            }
            Self::TooManyArguments { callee, taken, span, .. } => {
                error("too_many_arguments", format!("`{callee}` takes {taken} argument{} by position", plural(*taken)))
                    .at(*span, "one too many")
                    .help("options are given by name: `name: value`")
            }
            Self::FieldWithoutName { span } => {
                error("field_without_name", "a record's field needs a name").at(*span, "write `name: value`")
            }
            Self::OptionsWithoutType { span } => {
                error("options_without_type", "this parameter needs a type").at(*span, "write `name: Type`")
            }
            Self::NoColumns { stage, span } => error("no_columns", format!("`{stage}` was given no columns"))
                .at(*span, "nothing to work out")
                .help(format!("name what it should give: `{stage}(name: formula)`")),
            Self::OutOfRange { name, value, range, span, declared } => {
                error("out_of_range", format!("`{name}` is {value}, outside of {range}"))
                    .at(*span, "out of range")
                    .at(*declared, "the range is declared here")
            }
            Self::IdleOption { name, of, span } => error("idle_option", format!("`{name}` does nothing without `{of}`"))
                .at(*span, format!("`{of}` is `none` here"))
                .help(format!("give `{of}` too, or leave `{name}` out")),
            Self::NotConstant { name, span } => error("not_constant", format!("{name} must be known before anything runs"))
                .at(*span, "depends on what a stage will produce"),

            Self::Mismatch { param, found, wanted, span } => {
                let place = param.as_ref().map_or(String::new(), |p| format!("`{p}`: "));
                let shown = error("type_mismatch", format!("{place}expected {}, found {}", short(wanted), short(found)))
                    .at(*span, format!("this is {}", short(found)));
                match hint(found, wanted).map(str::to_owned).or_else(|| other_column(found, wanted)) {
                    Some(help) => shown.help(help),
                    None => shown,
                }
            }
            Self::MissingColumns { missing, row, wanted, span } => missing_columns(missing, row, wanted, *span),
            Self::TypeArguments { name, expected, found, span } => {
                error("type_arguments", format!("`{name}` takes {expected} type argument{}, found {found}", plural(*expected)))
                    .at(*span, "here")
            }
            Self::NotARow { found, span } => {
                error("not_a_row", format!("expected a row type, found {}", short(found))).at(*span, "write `{ column: Type, … }`")
            }
            Self::NotAList { found, span } => {
                error("not_a_list", format!("expected a list, found {}", short(found))).at(*span, "not a list")
            }
            Self::NotARecord { found, span } => {
                error("not_a_record", format!("`...` spreads a record, found {}", short(found))).at(*span, "not a record")
            }
            Self::NotARange { found, span } => {
                error("not_a_range", format!("expected a range, found {}", short(found))).at(*span, "write `1..=3`")
            }
            Self::NotText { found, span } => error("not_text", format!("{} cannot stand in a text", short(found))).at(*span, "not a value"),
            Self::NotAFormula { found, span } => {
                error("not_a_formula", format!("{} cannot be used in a formula", short(found))).at(*span, "not a value")
            }
            Self::NotAnAxis { span } => error("not_an_axis", "`over:` takes `tokens`, `batch`, `all`, a column or a list of columns")
                .at(*span, "not one of these")
                .help("for example `over: .prompt`"),
            Self::MixedList { first, first_span, other, span } => {
                error("mixed_list", format!("a list holds one type, found {} and {}", short(first), short(other)))
                    .at(*span, format!("this is {}", short(other)))
                    .at(*first_span, format!("this is {}", short(first)))
            }
            Self::Branches { then, then_span, otherwise, span } => {
                error("different_branches", format!("`then` gives {} and `else` gives {}", short(then), short(otherwise)))
                    .at(*span, short(otherwise))
                    .at(*then_span, short(then))
            }
            Self::NeverEqual { left, left_span, right, span } => {
                error("never_equal", format!("{} and {} are never equal", short(left), short(right)))
                    .at(*span, short(right))
                    .at(*left_span, short(left))
            }
            Self::TextSum { span } => {
                error("text_sum", "texts are joined by a template, not by `+`").at(*span, "here").help("write `\"{a}{b}\"`")
            }
            Self::OneNumberARow { word, found, span } => {
                error("one_number_a_row", format!("`{word}` has nothing to run over: this is {} for each row", short(found)))
                    .at(*span, "already one value a row")
                    .help("say what to run over: `over: .prompt`, `over: batch` or `over: all`")
            }
            Self::NoPrompt { span } => error("no_prompt", "a completion is read after its row's `.prompt`, and these rows have none")
                .at(*span, "after which prompt?")
                .help("use `after(dialogue, completion)`"),
            Self::NothingToScore { span } => {
                error("nothing_to_score", "a scorer alone means `score(.completion)`, and these rows have no `.completion`")
                    .at(*span, "score what?")
                    .help("write `scorer.score(.column)`")
            }
            Self::IndexRange { place, length, span } => {
                error("index_out_of_range", format!("item {place} of a list of {length}")).at(*span, "the first item is 0")
            }
            Self::LateChoice { span } => {
                error("late_choice", "`if` chooses between numbers, texts and rows' values; what to run must be known beforehand")
                    .at(*span, "here")
            }

            Self::StageInFormula { name, span } => error("stage_in_formula", format!("`{name}` is a stage: it cannot run once per row"))
                .at(*span, "inside a formula")
                .help("bind its result to a name first and use that"),
            Self::StageCycle { chain, span, begun } => error(
                "stage_cycle",
                format!("these depend on each other: {}", circle(&chain.iter().map(ToString::to_string).collect::<Vec<_>>())),
            )
            .at(*span, "needs itself")
            .at(*begun, "defined here")
            .help("a loop is written with `repeat … carrying`"),
            Self::Recursion { name, span } => error("recursion", format!("`{name}` calls itself without end")).at(*span, "here"),
            Self::MissingExtra { name, stage, span } => error("missing_extra", format!("`{stage}` promises `{name}` and does not make it"))
                .at(*span, "promised here")
                .help(format!("bind `{name} = …` in the stage's body")),
            Self::NoLoss { name, span } => error("no_loss", format!("`{name}` has no `loss`"))
                .at(*span, "an objective needs at least one")
                .help("add a line `loss = …`"),
            Self::ObjectiveArithmetic { span } => error("objective_arithmetic", "objectives add up (`a + b`) and scale (`0.1 * a`)")
                .at(*span, "not possible with an objective"),
            Self::WrongNetwork { found, wanted, span } => {
                error("wrong_network", format!("this objective trains a {}, and was given a {}", short(wanted), short(found)))
                    .at(*span, format!("reads what only a {} gives", short(wanted)))
                    .help(if *wanted == Type::Scorer { "make one with `scorer(model)`" } else { "check the first argument" })
            }
            Self::TrainsNetwork { stage, span } => {
                error("trains_network", format!("`{stage}` fits numbers, and this objective trains a network"))
                    .at(*span, "reads `model` or trains a critic")
                    .help("use `train(…)`, or ask a finished network given as a parameter")
            }
            Self::WordWithoutRust { name, span } => {
                error("word_without_rust", format!("`{name}` is declared and not built in")).at(*span, "no such word")
            }
            Self::Misplaced { what, place, span } => error("misplaced", format!("{what} cannot stand in {place}")).at(*span, "here"),
            Self::RoundCount { most, span } => error("round_count", format!("a range of rounds has 1 to {most}")).at(*span, "here"),
            Self::KeepForm { span } => error("keep_form", "`keep` takes `max(number)` or `min(number)`").at(*span, "here"),
            Self::NotExportable { found, span } => {
                error("not_exportable", format!("{} cannot be exported", short(found))).at(*span, "export a model, a scorer or rows")
            }
            Self::ExportTwice { path, span, first } => {
                error("export_twice", format!("`{path}` is exported twice")).at(*span, "again here").at(*first, "first here")
            }
            Self::ExportForm { reason, span } => reason.diagnostic(*span),
        }
    }
}

impl FormReason {
    fn diagnostic(&self, span: Span) -> Diagnostic {
        match self {
            Self::NoModel(found) => error("export_form", format!("a GGUF file holds a language model, and this is {}", short(found)))
                .at(span, "exported to a path that ends in `.gguf`")
                .help("end the path otherwise"),
            Self::NoNetwork(found) => {
                error("export_form", format!("only the numbers of networks have a form, and this is {}", short(found)))
                    .at(span, "a form of numbers")
                    .help("leave `as …` out")
            }
            Self::OnlyGguf(word) => error("export_form", format!("`{word}` is a form of GGUF files"))
                .at(span, "the path names a folder")
                .help("end the path in `.gguf`"),
        }
    }
}

fn error(reason: &str, message: impl Into<String>) -> Diagnostic {
    let code = CODES.iter().find(|c| c.strip_prefix("align::recipe::") == Some(reason)).expect("every reason is listed in CODES");
    Diagnostic::error(code, message)
}

fn suggest(diagnostic: Diagnostic, name: &str, known: &[Arc<str>]) -> Diagnostic {
    match did_you_mean(name, known.iter().map(|k| &**k)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if known.is_empty() || known.len() > 24 => diagnostic,
        None => diagnostic.help(format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, listed(known.iter().map(|k| &**k)))),
    }
}

fn unknown_function(name: &str, span: Span, known: &[Arc<str>], module: Option<&'static str>, std: &[Arc<str>]) -> Diagnostic {
    let found = error("unknown_function", format!("unknown function or stage `{name}`")).at(span, "not defined here or in the prelude");
    if let Some(module) = module {
        return found.help(format!("it is in the standard library: add `use std.{module}.{name}`"));
    }
    match did_you_mean(name, known.iter().chain(std).map(|k| &**k)) {
        Some(near) => found.help(format!("did you mean `{near}`?")),
        None => found,
    }
}

fn missing_columns(missing: &[Arc<str>], row: &Row, wanted: &Row, span: Span) -> Diagnostic {
    let names: Vec<String> = missing.iter().map(|n| format!("`.{n}`")).collect();
    let found = error(
        "missing_column",
        format!("column{} {} {} missing", plural(missing.len()), names.join(", "), if missing.len() == 1 { "is" } else { "are" }),
    )
    .at(span, format!("these rows have {}", columns(row)));
    let extra: Vec<Arc<str>> = row.keys().filter(|n| !wanted.contains_key(*n)).cloned().collect();
    let moves: Vec<String> = wanted
        .keys()
        .map(|n| {
            let near = if row.contains_key(n) { Some(n) } else { crate::data::synonym::meant(n, &extra) };
            near.map_or_else(|| format!("{n}: …"), |near| format!("{n}: .{near}"))
        })
        .collect();
    found.help(format!("give the rows these columns: `.select({})`", moves.join(", ")))
}

fn hint(found: &Type, wanted: &Type) -> Option<&'static str> {
    match (found, wanted.unwrapped()) {
        (Type::Tokens, Type::Float) => Some("one number per token: reduce it with `sum(…)` or `mean(…)`"),
        (Type::Float | Type::Int, Type::Bool) => Some("compare it: `x > 0`"),
        (Type::Model, Type::Scorer) => Some("make one with `scorer(model)`, or train one with `reward_model`"),
        (Type::Text, Type::Model) => Some("load it: `load_model(\"…\")`"),
        (Type::Text, Type::Data(_)) => Some("load it: `load_data(\"…\") as Prompt`"),
        (Type::Text, Type::Scorer) => Some("load it: `load_scorer(\"…\")`"),
        (Type::Text, Type::Constraint) => Some("`literal(\"…\")` is the constraint of one text, `pattern(r\"…\")` of all that match"),
        (Type::Scorer, Type::Float) => Some("score something: `scorer.score(.completion)`"),
        (Type::Data(_), Type::Float) => Some("summarise the rows with `measure(…)`"),
        _ => None,
    }
}

/// The column that keeps rows from fitting, where they have it as something else.
fn other_column(found: &Type, wanted: &Type) -> Option<String> {
    let (Type::Data(found) | Type::Record(found), Type::Data(wanted) | Type::Record(wanted)) = (found, wanted.unwrapped()) else {
        return None;
    };
    let (name, ty, wanted) =
        wanted.iter().find_map(|(name, wanted)| found.get(name).filter(|ty| !ty.fits(wanted)).map(|ty| (name, ty, wanted)))?;
    Some(format!("`.{name}` is {} there, and should be {}", short(ty), short(wanted)))
}

/// A type as a person says it.
fn short(ty: &Type) -> String {
    match ty {
        Type::Data(row) => format!("data with {}", columns(row)),
        Type::Record(row) => format!("a record with {}", listed(row.keys().map(|k| &**k))),
        Type::Objective { .. } => "an objective".into(),
        Type::Formula { result, .. } => format!("a formula that gives {}", short(result)),
        Type::Unknown => "`none`".into(),
        Type::List(item) => format!("a list of {}", short(item)),
        Type::Optional(inner) => format!("{} or `none`", short(inner)),
        Type::Words(words) => listed(words.iter().map(|w| &**w)),
        plain => format!("{plain}"),
    }
}

fn columns(row: &Row) -> String {
    if row.is_empty() { "no columns".into() } else { row.keys().map(|n| format!("`.{n}`")).collect::<Vec<_>>().join(", ") }
}

fn has(known: &[Arc<str>]) -> String {
    if known.is_empty() { "it has no parts".into() } else { format!("it has {}", listed(known.iter().map(|k| &**k))) }
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn circle(names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(names.first().copied());
    names.join(" → ")
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
