//! The definition of staleness: one struct, [`Key`]. Equal keys are equal artifacts; whatever is not in it may change
//! without anything being made again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an artifact depends on, and nothing else.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Key {
    pub primitive: String,
    /// Of the primitive; see [`crate::stage::Primitive::version`].
    pub version: u32,
    /// The meaning of every argument, defaults filled in; inputs by place.
    pub arguments: BTreeMap<String, Value>,
    /// Place → fingerprint of what stands there, and which part of it.
    pub inputs: BTreeMap<String, String>,
    /// Argument → content of the outside files it names.
    pub files: BTreeMap<String, String>,
    pub seed: i64,
    /// Only where a network's numbers take part.
    pub numerics: Option<Numerics>,
    /// For `keep`: under which conditions each input exists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub presence: BTreeMap<String, Value>,
}

/// Devices of one class give equal results to within rounding; only one class's results are reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Numerics {
    pub device: DeviceClass,
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    Cpu,
    Gpu,
}

/// What weights and activations are held in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    F32,
}

impl Numerics {
    /// 32-bit floats on a class of device.
    pub fn f32(device: DeviceClass) -> Self {
        Self { device, format: Format::F32 }
    }
}

/// The first 128 bits of a key's BLAKE3 hash, in hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// As it names folders of the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A fingerprint from its text; `None` when it cannot be one.
    pub fn from_text(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| Self(text.into()))
    }

    /// The first 64 bits as a key for [`crate::chance`].
    pub fn words(&self) -> [u32; 2] {
        let word = |at: usize| u32::from_str_radix(&self.0[at..at + 8], 16).expect("fingerprints are hex");
        [word(0), word(8)]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Key {
    /// The key's hash.
    pub fn fingerprint(&self) -> Fingerprint {
        let text = serde_json::to_vec(self).expect("plain data becomes JSON");
        Fingerprint(blake3::hash(&text).to_hex()[..32].into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            primitive: "train".into(),
            version: 1,
            arguments: BTreeMap::from([("lr".into(), Value::from(1e-5))]),
            inputs: BTreeMap::from([("network".into(), "00".into())]),
            files: BTreeMap::new(),
            seed: 0,
            numerics: Some(Numerics::f32(DeviceClass::Cpu)),
            presence: BTreeMap::new(),
        }
    }

    #[test]
    fn every_field_counts() {
        let changes: Vec<fn(&mut Key)> = vec![
            |k| k.primitive = "rl".into(),
            |k| k.version = 2,
            |k| k.arguments = BTreeMap::from([("lr".into(), Value::from(2e-5))]),
            |k| k.inputs = BTreeMap::from([("network".into(), "01".into())]),
            |k| k.files = BTreeMap::from([("path".into(), "00".into())]),
            |k| k.seed = 1,
            |k| k.numerics = None,
            |k| k.numerics = Some(Numerics::f32(DeviceClass::Gpu)),
            |k| k.presence = BTreeMap::from([("candidates.0".into(), Value::Null)]),
        ];
        let mut seen = vec![key().fingerprint()];
        for change in changes {
            let mut other = key();
            change(&mut other);
            assert!(!seen.contains(&other.fingerprint()), "{other:?}");
            seen.push(other.fingerprint());
        }
    }

    #[test]
    fn a_key_survives_the_store() {
        let text = serde_json::to_string(&key()).expect("plain data");
        let back: Key = serde_json::from_str(&text).expect("the same data");
        assert_eq!(back.fingerprint(), key().fingerprint());
    }
}
