//! A lowered formula as a person would write it, for messages and for the names of leaves.

use super::expr::Output;
use super::program::{Along, Network, Op, Program, Slot, When};
use super::text;
use crate::value::Cell;

/// Parts nested deeper than this are shown as `…`.
const DEPTH: usize = 12;

/// Writes formulas of one program; artifacts get their names from `artifact`.
pub struct Show<'a> {
    program: &'a Program,
    artifact: &'a dyn Fn(&Output) -> String,
}

impl std::fmt::Debug for Show<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Show").finish_non_exhaustive()
    }
}

/// `.margin + 1`, with artifacts as `…`.
pub fn show(program: &Program, slot: Slot) -> String {
    Show::new(program, &|_| "…".to_owned()).slot(slot)
}

impl<'a> Show<'a> {
    /// A writer for `program`.
    pub fn new(program: &'a Program, artifact: &'a dyn Fn(&Output) -> String) -> Self {
        Self { program, artifact }
    }

    /// The formula that ends in `slot`.
    pub fn slot(&self, slot: Slot) -> String {
        self.at(slot, 0)
    }

    fn at(&self, slot: Slot, depth: usize) -> String {
        if depth > DEPTH {
            return "…".to_owned();
        }
        let node = &self.program.nodes[slot];
        let args: Vec<String> = node.args.iter().map(|&a| self.at(a, depth + 1)).collect();
        match &node.op {
            Op::Const(cell) => constant(cell),
            Op::Column(name) => format!(".{name}"),
            Op::Artifact(output) => (self.artifact)(output),
            Op::Trained { name, when } => sampled(*when, name.to_string()),
            Op::State(name) => name.to_string(),
            Op::Call { word, network, other, when } => {
                let asked: Vec<String> = other.iter().map(|other| self.network(other)).chain(args).collect();
                sampled(*when, format!("{}.{}({})", self.network(network), word.name, asked.join(", ")))
            }
            // A completion after the row's own prompt is how everybody writes it: `.chosen`.
            Op::Word(word) if word.name == "after" && args[0] == ".prompt" => args[1].clone(),
            Op::Word(word) if word.is_operator() => operator(word.name, &args),
            Op::Word(word) => format!("{}({})", word.name, args.join(", ")),
            Op::Over { word, along } => self.over(word.name, args, along, depth),
            Op::If => format!("(if {} then {} else {})", args[0], args[1], args[2]),
            Op::List => format!("[{}]", args.join(", ")),
            Op::Record(names) => {
                let fields: Vec<String> = names.iter().zip(&args).map(|(n, a)| format!("{n}: {a}")).collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Op::Field(name) => format!("{}.{name}", args[0]),
            Op::Index => format!("{}[{}]", args[0], args[1]),
            Op::Template => template(self.program, &node.args, &args),
        }
    }

    /// `model`, a trained parameter's name, or what the artifact is called.
    pub fn network(&self, network: &Network) -> String {
        match network {
            Network::Model => "model".to_owned(),
            Network::Trained(name) => name.to_string(),
            Network::Artifact(output) => (self.artifact)(output),
        }
    }

    fn over(&self, word: &str, mut args: Vec<String>, along: &Along, depth: usize) -> String {
        if let (Some(ddof), "var" | "std") = (args.get(1), word) {
            args[1] = format!("ddof: {ddof}");
        }
        match along {
            Along::Tokens => {}
            Along::Row => args.push("over: row".to_owned()),
            Along::Batch => args.push("over: batch".to_owned()),
            Along::All => args.push("over: all".to_owned()),
            Along::Columns(columns) => {
                let columns: Vec<String> = columns.iter().map(|&c| self.at(c, depth + 1)).collect();
                let one = columns.len() == 1;
                args.push(if one { format!("over: {}", columns[0]) } else { format!("over: [{}]", columns.join(", ")) });
            }
        }
        format!("{word}({})", args.join(", "))
    }
}

fn sampled(when: When, shown: String) -> String {
    match when {
        When::Now => shown,
        When::Sampled => format!("old({shown})"),
    }
}

fn operator(name: &str, args: &[String]) -> String {
    match (name, args) {
        ("negate", [a]) => format!("-{a}"),
        (name, [a]) => format!("{name} {a}"),
        (name, args) => format!("({})", args.join(&format!(" {name} "))),
    }
}

fn constant(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => format!("{text:?}"),
        Cell::List(items) => format!("[{}]", items.iter().map(constant).collect::<Vec<_>>().join(", ")),
        other => text::in_template(other).unwrap_or_else(|_| text::describe(other)),
    }
}

fn template(program: &Program, slots: &[Slot], args: &[String]) -> String {
    let part = |(&slot, arg): (&Slot, &String)| match &program.nodes[slot].op {
        Op::Const(Cell::Text(text)) => text.to_string(),
        _ => format!("{{{arg}}}"),
    };
    format!("{:?}", slots.iter().zip(args).map(part).collect::<String>())
}
