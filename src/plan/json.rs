//! A plan as JSON, for programs.

use serde_json::{Value, json};

use super::{Node, Plan, State};

impl Plan {
    /// Stages with state, fingerprint, inputs and estimates, and the totals.
    pub fn to_json(&self) -> Value {
        json!({
            "recipe": *self.recipe,
            "numerics": self.numerics,
            "stages": self.nodes.iter().map(|node| self.node_json(node)).collect::<Vec<_>>(),
            "expectations": self.expectations.iter().map(|e| &e.text).collect::<Vec<_>>(),
            "exports": self.exports.iter().map(|e| json!({ "what": self.shown(&e.what), "path": e.path })).collect::<Vec<_>>(),
            "files": self.files,
            "warnings": self.warnings.iter().map(|w| json!({ "code": w.code, "message": w.message })).collect::<Vec<_>>(),
            "totals": self.totals(),
        })
    }

    fn node_json(&self, node: &Node) -> Value {
        let inputs: serde_json::Map<String, Value> =
            node.places.iter().map(|(place, output)| (place.clone(), json!(self.shown(output)))).collect();
        let (state, step) = match node.state {
            State::Resume(step) => ("resume".to_owned(), Some(step)),
            other => (other.to_string(), None),
        };
        json!({
            "name": node.call.name,
            "primitive": *node.call.primitive,
            "state": state,
            "step": step,
            "fingerprint": node.fingerprint,
            "inputs": inputs,
            "seconds": node.seconds,
            "tokens": node.cost.tokens,
            "memory": node.cost.memory,
            "disk": node.cost.disk,
        })
    }
}
