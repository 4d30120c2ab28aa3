//! Event files as TensorBoard loads them: records of length, checksum and a protocol-buffer `Event`.
//!
//! Format: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto. Checksums are CRC-32C (Castagnoli),
//! masked by rotation.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::durable;

use super::ReportError;
use super::folder::Folder;

/// Writes a run's numbers as `<folder>/<run>/events.out.tfevents…`; returns how many.
///
/// # Errors
/// When the disk refuses.
pub fn write(run: &Folder, folder: &Path) -> Result<usize, ReportError> {
    let began = run.started_at();
    let mut bytes = record(&event(began, 0, &text(3, "brain.Event:2")));
    let mut written = 0;
    for line in &run.metrics {
        let (Some(fields), Some(stage)) = (line.as_object(), line["stage"].as_str()) else { continue };
        let time = began + line["time"].as_f64().unwrap_or(0.0);
        let mut summary = Vec::new();
        for (name, value) in fields.iter().filter(|(name, _)| !matches!(name.as_str(), "stage" | "step" | "time")) {
            let Some(x) = value.as_f64() else { continue };
            summary.extend(message(1, &scalar(&format!("{stage}/{name}"), x)));
            written += 1;
        }
        bytes.extend(record(&event(time, line["step"].as_u64().unwrap_or(0), &message(5, &summary))));
    }
    // what came out at the end stands at the last step
    let last = run.metrics.iter().filter_map(|line| line["step"].as_u64()).max().unwrap_or(0);
    let mut summary = Vec::new();
    for stage in run.summary["stages"].as_array().into_iter().flatten() {
        for (name, value) in stage["values"].as_object().into_iter().flatten() {
            for (suffix, x) in parts(value) {
                let tag = format!("results/{}.{name}{suffix}", stage["name"].as_str().unwrap_or_default());
                summary.extend(message(1, &scalar(&tag, x)));
                written += 1;
            }
        }
    }
    if !summary.is_empty() {
        bytes.extend(record(&event(began + run.summary["seconds"].as_f64().unwrap_or(0.0), last, &message(5, &summary))));
    }
    let path = folder.join(&run.name).join(format!("events.out.tfevents.{began:.0}.align"));
    let disk = |error| ReportError::Disk { path: path.clone(), error };
    fs::create_dir_all(durable::parent(&path)).map_err(disk)?;
    durable::write(&path, &bytes).map_err(disk)?;
    Ok(written)
}

/// A number, or an estimate with its interval.
pub(super) fn parts(value: &Value) -> Vec<(&'static str, f64)> {
    match value.as_f64() {
        Some(x) => vec![("", x)],
        None => [("", "mean"), (".lower95", "lower95"), (".upper95", "upper95")]
            .into_iter()
            .filter_map(|(suffix, field)| Some((suffix, value[field].as_f64()?)))
            .collect(),
    }
}

fn scalar(tag: &str, x: f64) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "the format has 32 bits")]
    let narrow = (x as f32).to_le_bytes();
    [text(1, tag), vec![2 << 3 | 5], narrow.to_vec()].concat()
}

fn event(time: f64, step: u64, rest: &[u8]) -> Vec<u8> {
    [&[1 << 3 | 1][..], &time.to_le_bytes(), &[2 << 3], &varint(step), rest].concat()
}

fn text(field: u8, text: &str) -> Vec<u8> {
    message(field, text.as_bytes())
}

fn message(field: u8, inner: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(inner.len() as u64), inner].concat()
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C, bit by bit: files are small.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_numbers_are_those_of_the_formats() {
        // the check value of CRC-32C (RFC 3720, B.4) and the varint of the protocol buffers guide
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(varint(150), [0x96, 0x01]);
    }
}
