//! Rotary frequencies: the table every query and key is turned by.

use serde_json::Value;

use super::ModelError;
use super::config::Config;

/// How rotary frequencies are made from a base.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RopeScaling {
    /// 1 / base^(2i/D).
    Default,
    /// Every frequency divided by `factor`.
    Linear { factor: f64 },
    /// Llama 3.1: long waves are stretched by `factor`, short ones stay, those between are blended.
    Llama3 { factor: f64, low: f64, high: f64, original_positions: f64 },
}

/// The rotary base and its scaling.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rope {
    pub base: f64,
    pub scaling: RopeScaling,
}

impl Rope {
    /// Reads both spellings: `rope_theta` with `rope_scaling`, and the newer `rope_parameters` that holds everything.
    pub(super) fn from_config(config: &Config) -> Result<Self, ModelError> {
        let newer = config.field("rope_parameters").and_then(Value::as_object);
        let older = config.field("rope_scaling").and_then(Value::as_object);
        let scaling = config.inside(newer.or(older));
        let base = match (scaling.optional_positive("rope_theta")?, config.optional_positive("rope_theta")?) {
            (Some(base), _) | (None, Some(base)) => base,
            (None, None) => 10_000.0,
        };
        let kind = scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default");
        Ok(Self { base, scaling: RopeScaling::from_config(kind, &scaling)? })
    }

    /// The head_dim / 2 frequencies, in radians per position.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain = |i: usize| self.base.powf(-((2 * i) as f64) / head_dim as f64);
        (0..head_dim / 2).map(|i| self.scaling.apply(plain(i)) as f32).collect()
    }

    /// Cosines and sines of the angles of `positions` positions, (P, D): cos | sin. Angles are rounded to f32 first, as
    /// networks are trained with.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub(super) fn table(&self, head_dim: usize, positions: usize) -> Vec<f32> {
        let frequencies = self.frequencies(head_dim);
        let row = |position: usize| {
            let angles = frequencies.iter().map(move |f| f64::from(f * position as f32));
            angles.clone().map(f64::cos).chain(angles.map(f64::sin)).map(|x| x as f32)
        };
        (0..positions).flat_map(row).collect()
    }
}

impl RopeScaling {
    fn from_config(kind: &str, scaling: &Config) -> Result<Self, ModelError> {
        match kind {
            "default" => Ok(Self::Default),
            "linear" => Ok(Self::Linear { factor: scaling.positive("factor")? }),
            "llama3" => Ok(Self::Llama3 {
                factor: scaling.positive("factor")?,
                low: scaling.positive("low_freq_factor")?,
                high: scaling.positive("high_freq_factor")?,
                original_positions: scaling.positive("original_max_position_embeddings")?,
            }),
            other => Err(ModelError::UnsupportedFeature { path: scaling.path().to_owned(), feature: format!("rotary scaling `{other}`") }),
        }
    }

    pub(super) fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::Default => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, original_positions } => {
                let turns = original_positions * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            }
        }
    }
}
