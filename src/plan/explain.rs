//! Why a stage runs again: what its key says, and which fields differ from the last run of that name.

use serde_json::Value;

use crate::formula::expr::StageId;

use super::fingerprint::Key;
use super::shelf::{Past, Shelf};
use super::{Plan, State};

/// One field of the key that is not what it was.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// `arguments.beta`, `inputs.policy`, `files.path`, `seed`, `numerics.device`.
    pub field: String,
    pub before: Option<Value>,
    pub now: Option<Value>,
    /// For an input: the stage that stands there now, and the one that stood there.
    pub stage: Option<(String, Option<String>)>,
}

/// Everything there is to say about a stage's staleness.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub stage: StageId,
    pub past: Option<Past>,
    pub differences: Vec<Difference>,
    /// Where the change began: the stages above it with a difference of their own that is no input, and what it is.
    pub roots: Vec<(StageId, Vec<Difference>)>,
}

impl Plan {
    /// Explains a stage.
    pub fn explain(&self, stage: StageId, shelf: &dyn Shelf) -> Explanation {
        let (past, differences) = self.differences(stage, shelf);
        let mut roots = Vec::new();
        let mut seen = vec![stage];
        let mut open = vec![(stage, differences.clone())];
        while let Some((at, differences)) = open.pop() {
            let own: Vec<Difference> = differences.iter().filter(|d| d.stage.is_none()).cloned().collect();
            if at != stage && !own.is_empty() {
                roots.push((at, own));
            }
            for place in differences.iter().filter_map(|d| d.field.strip_prefix("inputs.")) {
                let Some(above) = self.node(at).places.get(place).map(|output| output.stage) else { continue };
                if !seen.contains(&above) {
                    seen.push(above);
                    open.push((above, self.differences(above, shelf).1));
                }
            }
        }
        roots.sort_by_key(|(at, _)| *at);
        Explanation { stage, past, differences, roots }
    }

    fn differences(&self, stage: StageId, shelf: &dyn Shelf) -> (Option<Past>, Vec<Difference>) {
        let node = self.node(stage);
        let past = shelf.past(&self.recipe, &node.call.name);
        let differences = past.as_ref().map_or_else(Vec::new, |past| self.compare(stage, past));
        (past, differences)
    }

    fn compare(&self, stage: StageId, past: &Past) -> Vec<Difference> {
        let node = self.node(stage);
        let mut differences = compare_keys(&past.key, &node.key);
        for difference in &mut differences {
            if let Some(place) = difference.field.strip_prefix("inputs.") {
                let now = node.places.get(place).map_or_else(|| "nothing".to_owned(), |output| self.shown(output));
                difference.stage = Some((now, past.names.get(place).cloned()));
            }
        }
        differences
    }
}

/// The fields in which two keys differ, named from the outside in; arguments, inputs and files one by one.
pub fn compare_keys(before: &Key, now: &Key) -> Vec<Difference> {
    let json = |key: &Key| serde_json::to_value(key).expect("plain data becomes JSON");
    let mut found = Vec::new();
    compare(String::new(), Some(&json(before)), Some(&json(now)), 2, &mut found);
    found
}

fn compare(field: String, before: Option<&Value>, now: Option<&Value>, depth: usize, found: &mut Vec<Difference>) {
    if before == now {
        return;
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b)), true) = (before, now, depth > 0) {
        let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))).collect();
        names.dedup();
        for name in names {
            let inner = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
            compare(inner, a.get(name), b.get(name), depth - 1, found);
        }
        return;
    }
    found.push(Difference { field, before: before.cloned(), now: now.cloned(), stage: None });
}

impl Difference {
    /// In one line, for people: `argument `beta`: 0.1 → 0.2`.
    pub fn sentence(&self) -> String {
        let (kind, name) = self.field.split_once('.').unwrap_or((&self.field, ""));
        let change = || format!("{} → {}", short(self.before.as_ref()), short(self.now.as_ref()));
        match (kind, &self.stage) {
            ("inputs", Some((now, Some(before)))) if now != before => {
                format!("input `{name}`: `{now}` is another artifact than `{before}` was")
            }
            ("inputs", Some((now, _))) => format!("input `{name}`: `{now}` is another artifact now"),
            ("arguments", _) if is_plain(self.before.as_ref()) && is_plain(self.now.as_ref()) => format!("argument `{name}`: {}", change()),
            ("arguments", _) => format!("argument `{name}` means something else now"),
            ("files", _) => format!("the file that `{name}` names has other content"),
            ("numerics", _) => format!("device or number format: {}", change()),
            ("presence", _) => format!("the conditions under which `{name}` is made"),
            ("version", _) => format!("this build makes it another way (version {})", change()),
            _ => format!("`{}`: {}", self.field, change()),
        }
    }
}

/// A value without structure: what can be shown in a line.
fn is_plain(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
        Some(Value::Object(o)) => o.len() == 1 && o.keys().all(|k| k == "int" || k == "float"),
        Some(Value::Array(items)) => items.len() < 9 && items.iter().all(|item| !item.is_array() && is_plain(Some(item))),
    }
}

fn short(value: Option<&Value>) -> String {
    match value {
        None => "not there".to_owned(),
        Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => format!("\"{text}\""),
        Some(Value::Object(o)) if o.len() == 1 => {
            o.values().next().map_or_else(String::new, |v| v.to_string().trim_matches('"').to_owned())
        }
        Some(Value::Array(items)) => format!("[{}]", items.iter().map(|v| short(Some(v))).collect::<Vec<_>>().join(", ")),
        Some(other) => other.to_string(),
    }
}

impl Explanation {
    /// For people: the verdict first, then the key.
    pub fn text(&self, plan: &Plan) -> String {
        let node = plan.node(self.stage);
        let mut text = format!("{} = {}(…): {}\n", node.call.name, node.call.primitive, node.state);
        match &self.past {
            None if node.state == State::Cached => text += "  cached: another stage or run made the same artifact\n",
            None => text += "  no stage of this name has finished in this recipe yet\n",
            Some(past) if self.differences.is_empty() => text += &format!("  unchanged since the run that finished {}\n", past.finished),
            Some(past) => {
                text += &format!("  differs from the run that finished {} in:\n", past.finished);
                for difference in &self.differences {
                    text += &format!("    {}\n", difference.sentence());
                }
                for (root, differences) in &self.roots {
                    for difference in differences {
                        text += &format!("      because of `{}`: {}\n", plan.node(*root).call.name, difference.sentence());
                    }
                }
            }
        }
        let key = serde_json::to_string_pretty(&node.key).expect("plain data becomes JSON");
        text + &format!("\nfingerprint {}\n{key}\n", node.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(beta: f64, seed: i64) -> Key {
        Key {
            primitive: "train".into(),
            version: 1,
            arguments: BTreeMap::from([("beta".into(), Value::from(beta)), ("lr".into(), Value::from(1e-5))]),
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            seed,
            numerics: None,
            presence: BTreeMap::new(),
        }
    }

    #[test]
    fn a_difference_is_named_down_to_the_argument() {
        let sentences: Vec<String> = compare_keys(&key(0.1, 0), &key(0.2, 1)).iter().map(Difference::sentence).collect();
        assert_eq!(sentences, ["argument `beta`: 0.1 → 0.2", "`seed`: 0 → 1"]);
        assert_eq!(compare_keys(&key(0.1, 0), &key(0.1, 0)), []);
    }
}
