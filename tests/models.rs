//! Networks on the processor and on the oracles against numbers of `transformers` and TRL, and the sampler's filters.

mod model_check;

use align::engine::Device;
use align::engine::cpu::CpuDevice;
use align::engine::oracle::OracleDevice;
use align::model::Sampling;
use model_check::{Tolerance, ban_repeats, close, floats, golden_file, ids, read_json, rows};

const CPU: Tolerance = Tolerance { logits: 2e-5, loss: 1e-5, gradient: 1e-4 };

fn processor() -> Box<dyn Device> {
    Box::new(CpuDevice::new(None).expect("threads start"))
}

fn oracles() -> Box<dyn Device> {
    Box::new(OracleDevice::<f32>::new())
}

#[test]
fn goldens() {
    model_check::golden(processor, CPU);
    model_check::golden(oracles, CPU);
}

#[test]
fn adapters() {
    model_check::check_adapters(processor, CPU);
    model_check::check_adapters(oracles, CPU);
}

#[test]
fn curves() {
    model_check::check_curves(processor);
    model_check::check_curves(oracles);
}

#[test]
fn stories() {
    model_check::check_stories(processor());
    model_check::check_stories(oracles());
}

#[test]
fn what_was_left_in_memory_stays_there() {
    model_check::check_remains(processor());
}

/// Penalty, temperature and filters against the logits processors of `transformers`.
#[test]
fn filters() {
    let golden = read_json(&golden_file("sampling.json"));
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let plain = Sampling::default();
        let sampling = match name.as_str() {
            "temperature0.7" => Sampling { temperature: 0.7, ..plain },
            "top_k5" => Sampling { top_k: Some(5), ..plain },
            "top_p0.8" => Sampling { top_p: Some(0.8), ..plain },
            "min_p0.1" => Sampling { min_p: Some(0.1), ..plain },
            "repetition_penalty1.3" => Sampling { repetition_penalty: Some(1.3), ..plain },
            "no_repeat_ngram2" => plain,
            "temperature0.7_then_top_k8_then_top_p0.9" => Sampling { temperature: 0.7, top_k: Some(8), top_p: Some(0.9), ..plain },
            // Not offered.
            "typical_p0.5" => continue,
            other => panic!("unknown case `{other}`"),
        };
        for (row, expected) in rows(&case["probs"]).iter().enumerate() {
            let mut logits: Vec<f32> = floats(&golden["logits"][row]).into_iter().map(|x| x as f32).collect();
            let previous = ids(&golden["previous_ids"][row]);
            if name == "no_repeat_ngram2" {
                ban_repeats(&previous, 2, &mut logits);
            }
            let found = sampling.distribution(&logits, &previous);
            for (v, (found, expected)) in found.iter().zip(floats(expected)).enumerate() {
                close(&format!("{name} [{row}, {v}]"), *found, expected, 1e-6);
                assert_eq!(*found == 0.0, expected == 0.0, "{name} [{row}, {v}]");
            }
        }
    }
}

#[test]
#[ignore = "needs SmolLM2-135M-Instruct.Q4_1.gguf; SMOLLM2_GGUF says where it is"]
fn smollm2_through_its_gguf() {
    let path = std::env::var_os("SMOLLM2_GGUF").expect("SMOLLM2_GGUF is set");
    model_check::check_smollm2(processor(), std::path::Path::new(&path));
}
