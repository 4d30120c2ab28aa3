//! What a formula means, as data for fingerprints: no spans, no sharing, no names that a person could change freely.
//!
//! Artifacts are replaced by what the caller says about them (their fingerprints), `trained` parameters and states by
//! their place in the objective. Metrics keep their names: those are part of what a stage produces.

use serde_json::{Value, json};

use crate::value::{Cell, Role, Turn};

use super::expr::{Formula, ObjectiveDef, Output, Trained};
use super::program::{Along, Network, Node, Op, Program, When};

/// What an artifact is, for a fingerprint.
pub type Named<'a> = &'a mut dyn FnMut(&Output) -> String;

/// The meaning of a formula outside objectives. One that cannot be lowered, and so never runs, means its mistake.
pub fn meaning(formula: &Formula, artifact: Named<'_>) -> Value {
    tape(std::slice::from_ref(formula), &[], artifact)
}

/// The meaning of an objective: all its lines on one tape.
pub fn objective_meaning(def: &ObjectiveDef, artifact: Named<'_>) -> Value {
    let mut names: Vec<String> = def.trained.iter().map(|t| name_of(t).to_owned()).collect();
    names.extend(def.states.iter().map(|s| s.name.to_string()));
    let (mut roots, mut lines) = (Vec::new(), Vec::new());
    for loss in &def.losses {
        roots.extend([loss.value.clone(), loss.scale.clone()]);
        roots.extend(loss.weight.clone());
        lines.push(json!({ "loss": { "weighted": loss.weight.is_some(), "on": loss.on.as_ref().map(&mut *artifact) } }));
    }
    for (name, formula) in &def.metrics {
        roots.push(formula.clone());
        lines.push(json!({ "metric": **name }));
    }
    for state in &def.states {
        roots.extend([state.start.clone(), state.next.clone()]);
        lines.push(json!("state"));
    }
    for trained in &def.trained {
        lines.push(match trained {
            Trained::Network { start, .. } => json!({ "network": artifact(start) }),
            Trained::Number { start, .. } => {
                roots.push(start.clone());
                json!("number")
            }
        });
    }
    json!({ "lines": lines, "tape": tape(&roots, &names, artifact) })
}

fn name_of(trained: &Trained) -> &str {
    match trained {
        Trained::Network { name, .. } | Trained::Number { name, .. } => name,
    }
}

fn tape(roots: &[Formula], names: &[String], artifact: Named<'_>) -> Value {
    let program = match Program::lower(roots) {
        Ok(program) => program,
        Err(mistake) => return json!({ "mistake": mistake.to_string() }),
    };
    let nodes: Vec<Value> = program.nodes.iter().map(|n| node(n, names, artifact)).collect();
    json!({ "nodes": nodes, "roots": program.roots })
}

fn node(node: &Node, names: &[String], artifact: Named<'_>) -> Value {
    let place = |name: &str| names.iter().position(|n| n == name).map_or_else(|| json!(name), |i| json!(i));
    let time = |when: When| if when == When::Sampled { "old" } else { "now" };
    let mut parts = match &node.op {
        Op::Const(cell) => vec![json!("const"), constant(cell)],
        Op::Column(name) => vec![json!("column"), json!(**name)],
        Op::Artifact(output) => vec![json!("artifact"), json!(artifact(output))],
        Op::Trained { name, when } => vec![json!("trained"), place(name), json!(time(*when))],
        Op::State(name) => vec![json!("state"), place(name)],
        Op::Call { word, network, other, when } => {
            let mut named = |network: &Network| match network {
                Network::Model => json!("model"),
                Network::Trained(name) => json!({ "trained": place(name) }),
                Network::Artifact(output) => json!({ "artifact": artifact(output) }),
            };
            let mut parts = vec![json!("call"), json!(word.name), named(network), json!(time(*when))];
            parts.extend(other.as_ref().map(named));
            parts
        }
        Op::Word(word) => vec![json!(word.name)],
        Op::Over { word, along } => vec![json!(word.name), json!({ "over": axis(along) })],
        Op::If => vec![json!("if")],
        Op::List => vec![json!("list")],
        Op::Record(names) => vec![json!("record"), json!(names)],
        Op::Field(name) => vec![json!("field"), json!(**name)],
        Op::Index => vec![json!("index")],
        Op::Template => vec![json!("template")],
    };
    parts.push(json!(node.args));
    Value::Array(parts)
}

fn axis(along: &Along) -> Value {
    match along {
        Along::Tokens => json!("tokens"),
        Along::Row => json!("row"),
        Along::Batch => json!("batch"),
        Along::All => json!("all"),
        Along::Columns(columns) => json!(columns),
    }
}

/// A cell as JSON that says its type.
pub fn constant(cell: &Cell) -> Value {
    let turns = |turns: &[Turn]| -> Value { turns.iter().map(|t| json!([role(t.role), *t.text])).collect() };
    match cell {
        Cell::None => Value::Null,
        Cell::Bool(b) => json!(b),
        Cell::Int(i) => json!({ "int": i }),
        Cell::Float(x) if x.is_finite() => json!(x),
        Cell::Float(x) => json!({ "float": x.to_string() }),
        Cell::Text(text) => json!(**text),
        Cell::List(items) => items.iter().map(constant).collect(),
        Cell::Record(fields) => {
            let fields: Value = fields.iter().map(|(name, value)| json!([**name, constant(value)])).collect();
            json!({ "record": fields })
        }
        Cell::Dialogue(d) => json!({ "dialogue": turns(d) }),
        Cell::Completion(c) => json!({ "completion": [*c.text, c.tokens, c.finished] }),
        Cell::Sequence(s) => {
            json!({ "sequence": [turns(&s.prompt), s.completion.as_ref().map(|c| json!([*c.text, c.tokens, c.finished]))] })
        }
        Cell::Tokens(xs) => json!({ "tokens": xs }),
        Cell::Estimate(e) => json!({ "estimate": e }),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
