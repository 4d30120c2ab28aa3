//! Rotary frequencies: the table every query and key is turned by.

use serde_json::Value;

use super::ModelError;
use super::config::Config;
use super::family::Family;
use super::switches::unsupported;

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

/// The rotary base, its scaling, and how much of a head is turned.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rope {
    pub base: f64,
    pub scaling: RopeScaling,
    /// R, even: dimensions of a head from its first on.
    pub turned: usize,
}

impl Rope {
    /// Of blocks without a window, and with one. Reads all spellings: `rope_theta` with `rope_scaling`, and the newer
    /// `rope_parameters` that holds everything, by type of block where they differ.
    pub(super) fn from_config(config: &Config, family: &Family, head_dim: usize) -> Result<[Self; 2], ModelError> {
        let newer = config.field("rope_parameters").and_then(Value::as_object);
        let older = config.field("rope_scaling").and_then(Value::as_object);
        let of_type = |name: &str| newer.and_then(|newer| newer.get(name)).and_then(Value::as_object);
        let read = |object, base| Self::read(config, &config.inside(object), base, family, head_dim);
        let (full, Some(base)) = (read(of_type("full_attention").or(newer).or(older), None)?, family.window_rope_base) else {
            if of_type("full_attention").is_some() {
                return Err(unsupported(config, "rotary positions by type of block".into()));
            }
            let one = read(newer.or(older), None)?;
            return Ok([one; 2]);
        };
        let base = config.optional_positive("rope_local_base_freq")?.unwrap_or(base);
        Ok([full, read(of_type("sliding_attention"), Some(base))?])
    }

    /// One rope, of what `scaling` says of it. Without a base there, `base` or else the file's own is taken.
    fn read(config: &Config, scaling: &Config, base: Option<f64>, family: &Family, head_dim: usize) -> Result<Self, ModelError> {
        let first = |fields: &[&str]| -> Result<Option<f64>, ModelError> {
            let found = fields.iter().map(|field| config.optional_positive(field)).collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().flatten().next())
        };
        let said = match (scaling.optional_positive("rope_theta")?, base) {
            (None, None) => first(&["rope_theta", "rotary_emb_base"])?,
            (said, base) => said.or(base),
        };
        let share = match scaling.optional_positive("partial_rotary_factor")? {
            Some(share) => Some(share),
            None => first(&["partial_rotary_factor", "rotary_pct"])?,
        };
        if let (None, Some(share)) = (family.turned, share.filter(|share| *share != 1.0)) {
            return Err(unsupported(config, format!("rotary positions of {share} of a head")));
        }
        let share = share.or(family.turned).unwrap_or(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a head")]
        let turned = (head_dim as f64 * share) as usize;
        if share > 1.0 || turned == 0 || !turned.is_multiple_of(2) && share != 1.0 {
            return Err(config.wrong("partial_rotary_factor", format!("{turned} of {head_dim} dimensions cannot be turned in pairs")));
        }
        let kind = scaling.text("rope_type").or_else(|| scaling.text("type")).unwrap_or("default");
        Ok(Self { base: said.unwrap_or(family.defaults.rope_base), scaling: RopeScaling::from_config(kind, scaling)?, turned })
    }

    /// The R / 2 frequencies, in radians per position.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub fn frequencies(&self) -> Vec<f32> {
        let plain = |i: usize| self.base.powf(-((2 * i) as f64) / self.turned as f64);
        (0..self.turned / 2).map(|i| self.scaling.apply(plain(i)) as f32).collect()
    }

    /// Cosines and sines of the angles of `positions` positions, (P, R): cos | sin. Angles are rounded to f32 first, as
    /// networks are trained with.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub(super) fn table(&self, positions: usize) -> Vec<f32> {
        let frequencies = self.frequencies();
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
            other => Err(unsupported(scaling, format!("rotary scaling `{other}`"))),
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
