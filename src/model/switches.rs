//! How a family's switches are read from `config.json`.
//!
//! A field that would change what is computed and that the family does not know is refused, never left out in silence.

use serde_json::{Value, json};

use super::ModelError;
use super::config::Config;
use super::family::{ACTIVATIONS, Activation, Bias, Family, Sliding};

/// Fields that change what a network computes, and the value at which they do not.
pub const NEUTRAL: &[(&str, fn() -> Value)] = &[
    ("attn_logit_softcapping", || Value::Null),
    ("final_logit_softcapping", || Value::Null),
    ("use_bidirectional_attention", || json!(false)),
    ("quantization_config", || Value::Null),
    ("num_local_experts", || Value::Null),
    ("num_experts", || Value::Null),
    ("clip_qkv", || Value::Null),
    ("embedding_multiplier", || json!(1.0)),
    ("residual_multiplier", || json!(1.0)),
    ("attention_multiplier", || Value::Null),
    ("logits_scaling", || json!(1.0)),
    ("logit_scale", || json!(1.0)),
    ("scale_attn_weights", || json!(true)),
    ("scale_attn_by_inverse_layer_idx", || json!(false)),
    ("add_cross_attention", || json!(false)),
];

/// Refuses fields that ask for what the family does not compute.
pub(super) fn check_neutral(config: &Config, family: &Family) -> Result<(), ModelError> {
    for (field, neutral) in NEUTRAL.iter().filter(|(field, _)| !family.knows.contains(field)) {
        let neutral = neutral();
        let same = |found: &Value| *found == neutral || found.as_f64().is_some_and(|x| neutral.as_f64() == Some(x));
        if let Some(found) = config.field(field).filter(|found| !same(found)) {
            return Err(unsupported(config, format!("`{field}` = {found}")));
        }
    }
    Ok(())
}

pub(super) fn unsupported(config: &Config, feature: String) -> ModelError {
    ModelError::UnsupportedFeature { path: config.path().to_owned(), feature }
}

/// Whether a projection has a bias.
pub(super) fn biased(config: &Config, bias: Bias) -> Result<bool, ModelError> {
    match bias {
        Bias::Never => Ok(false),
        Bias::Always => Ok(true),
        Bias::Config(field, absent) => config.flag_or(field, absent),
    }
}

/// The activation of the MLP.
pub(super) fn activation(config: &Config, family: &Family) -> Result<Activation, ModelError> {
    let Some(name) = config.text(family.fields.activation) else { return Ok(family.defaults.activation) };
    let found = ACTIVATIONS.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation);
    let computed = found.filter(|found| family.names.gate.is_some() || *found != Activation::Silu);
    computed.ok_or_else(|| unsupported(config, format!("activation `{name}`")))
}

/// A soft cap, 0 for none. An explicit `null` is none; only an absent field takes the family's value.
#[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
pub(super) fn cap(config: &Config, family: &Family, field: &str, absent: Option<f64>) -> Result<f32, ModelError> {
    if !family.knows.contains(&field) {
        return Ok(0.0);
    }
    let said = config.optional_positive(field)?;
    Ok(if config.object.contains_key(field) { said } else { absent }.unwrap_or(0.0) as f32)
}

/// The window, and which blocks have it.
pub(super) fn windows(config: &Config, family: &Family, layers: usize) -> Result<(Option<usize>, Vec<bool>), ModelError> {
    let said = config.optional_size("sliding_window")?;
    let said = if config.object.contains_key("sliding_window") { said } else { family.defaults.window };
    let window = match family.sliding {
        Sliding::None => None,
        Sliding::Upper => said.filter(|_| config.field("use_sliding_window") == Some(&Value::Bool(true))),
        Sliding::All | Sliding::AllBut(_) => said,
    };
    let sliding: Vec<bool> = match (family.sliding, layer_types(config, layers)?) {
        (Sliding::All, _) => vec![window.is_some(); layers],
        (_, Some(types)) => types,
        (Sliding::None, None) => vec![false; layers],
        (Sliding::AllBut(every), None) => {
            let said = ["sliding_window_pattern", "_sliding_window_pattern"].map(|field| config.optional_size(field));
            let [said, older] = said;
            let every = said?.or(older?).unwrap_or(every);
            (0..layers).map(|i| window.is_some() && !(i + 1).is_multiple_of(every)).collect()
        }
        (Sliding::Upper, None) => {
            let from = config.optional_size("max_window_layers")?.unwrap_or(28);
            (0..layers).map(|i| window.is_some() && i >= from).collect()
        }
    };
    match sliding.contains(&true) {
        true if family.sliding == Sliding::None => Err(unsupported(config, "a sliding window".into())),
        true if window.is_none() => Err(config.wrong("sliding_window", "blocks with a window need its length")),
        slides => Ok((window.filter(|_| slides), sliding)),
    }
}

/// What `layer_types` says of each block: whether it has a window.
fn layer_types(config: &Config, layers: usize) -> Result<Option<Vec<bool>>, ModelError> {
    let Some(types) = config.field("layer_types").and_then(Value::as_array) else { return Ok(None) };
    if types.len() != layers {
        return Err(config.wrong("layer_types", format!("{} types for {layers} blocks", types.len())));
    }
    let one = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(unsupported(config, format!("a block of type {kind}"))),
    };
    types.iter().map(one).collect::<Result<_, _>>().map(Some)
}
