//! A run's parameters and numbers, sent to an MLflow tracking server through its REST API.

use std::time::Duration;

use serde_json::{Value, json};

use super::ReportError;
use super::tensorboard::parts;

/// What one request may hold (MLflow's REST documentation, `runs/log-batch`).
const METRICS: usize = 1000;
const PARAMS: usize = 100;
/// MLflow cuts or refuses longer values, depending on its version.
const LONGEST: usize = 250;

struct Server {
    address: String,
    agent: ureq::Agent,
}

/// Sends everything; returns where it can be looked at. `address` is `http://host:port`.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn send(data: &Value, address: &str) -> Result<String, ReportError> {
    let address = address.trim_end_matches('/').to_owned();
    if !address.starts_with("http://") {
        return Err(ReportError::Tracker {
            address,
            what: "is no `http://` address; send to a server or proxy on this machine".to_owned(),
        });
    }
    let agent = crate::web::settings(ureq::tls::RootCerts::PlatformVerifier).timeout_global(Some(Duration::from_secs(120))).build().into();
    let server = Server { address, agent };
    let experiment = server.experiment(data["run"]["recipe"].as_str().unwrap_or("align"))?;
    let began = super::folder::milliseconds(data["run"]["started"].as_str().unwrap_or_default());
    let tags = json!([
        { "key": "mlflow.source.name", "value": "align" },
        { "key": "align.run", "value": data["run"]["id"] },
        { "key": "align.device", "value": text(&data["run"]["device"]) },
        { "key": "align.version", "value": text(&data["plan"]["align"]) },
    ]);
    let created = server
        .post("runs/create", &json!({ "experiment_id": experiment, "run_name": data["run"]["id"], "start_time": began, "tags": tags }))?;
    let run = text(&created["run"]["info"]["run_id"]);
    for params in params(data).chunks(PARAMS) {
        server.post("runs/log-batch", &json!({ "run_id": run, "params": params }))?;
    }
    let metrics = metrics(data, began);
    for metrics in metrics.chunks(METRICS) {
        server.post("runs/log-batch", &json!({ "run_id": run, "metrics": metrics }))?;
    }
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a run")]
    let end = began + (data["run"]["seconds"].as_f64().unwrap_or(0.0) * 1e3) as i64;
    let status = if data["run"]["exit"] == 0 { "FINISHED" } else { "FAILED" };
    server.post("runs/update", &json!({ "run_id": run, "status": status, "end_time": end }))?;
    Ok(format!("{} numbers: {}/#/experiments/{experiment}/runs/{run}", metrics.len(), server.address))
}

impl Server {
    fn experiment(&self, name: &str) -> Result<String, ReportError> {
        let (status, found) =
            self.call("experiments/search", &json!({ "filter": format!("name = '{}'", name.replace('\'', "")), "max_results": 1 }))?;
        if let Some(id) = found["experiments"][0]["experiment_id"].as_str().filter(|_| status == 200) {
            return Ok(id.to_owned());
        }
        Ok(text(&self.post("experiments/create", &json!({ "name": name }))?["experiment_id"]))
    }

    fn post(&self, method: &str, body: &Value) -> Result<Value, ReportError> {
        let (status, answer) = self.call(method, body)?;
        if status == 200 {
            return Ok(answer);
        }
        let said = answer["message"].as_str().unwrap_or("without saying why").chars().take(300).collect::<String>();
        Err(ReportError::Tracker { address: self.address.clone(), what: format!("refused `{method}` with status {status}: {said}") })
    }

    fn call(&self, method: &str, body: &Value) -> Result<(u16, Value), ReportError> {
        let failed = |error: ureq::Error| ReportError::Tracker { address: self.address.clone(), what: format!("did not answer: {error}") };
        let request = self.agent.post(format!("{}/api/2.0/mlflow/{method}", self.address)).content_type("application/json");
        let mut response = request.send(body.to_string()).map_err(failed)?;
        let said = response.body_mut().read_to_string().map_err(failed)?;
        Ok((response.status().as_u16(), serde_json::from_str(&said).unwrap_or_else(|_| json!({ "message": said }))))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Arguments of the stages that train, and what was run.
fn params(data: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for stage in data["stages"].as_array().into_iter().flatten().filter(|s| s["network"].is_string()) {
        for (name, value) in stage["args"].as_object().into_iter().flatten() {
            let value = text(value);
            if value.chars().count() <= LONGEST && !value.contains('\n') {
                found.push(json!({ "key": key(&format!("{}.{name}", text(&stage["name"]))), "value": value }));
            }
        }
    }
    found
}

/// Every step of every stage, and the results at the last step.
fn metrics(data: &Value, began: i64) -> Vec<Value> {
    let mut found = Vec::new();
    let mut last = 0;
    for curve in data["curves"].as_array().into_iter().flatten().filter(|c| c["run"].is_null()) {
        let steps = curve["steps"].as_array().cloned().unwrap_or_default();
        last = steps.iter().filter_map(Value::as_i64).max().unwrap_or(0).max(last);
        for (name, values) in curve["series"].as_object().into_iter().flatten() {
            for (step, value) in steps.iter().zip(values.as_array().into_iter().flatten()) {
                if let Some(x) = value.as_f64() {
                    found.push(
                        json!({ "key": key(&format!("{}/{name}", text(&curve["stage"]))), "value": x, "step": step, "timestamp": began }),
                    );
                }
            }
        }
    }
    for stage in data["stages"].as_array().into_iter().flatten() {
        for (name, value) in stage["values"].as_object().into_iter().flatten() {
            for (suffix, x) in parts(value) {
                found.push(json!({ "key": key(&format!("results/{}.{name}{suffix}", text(&stage["name"]))), "value": x, "step": last, "timestamp": began }));
            }
        }
    }
    found
}

/// Letters, digits and `_-. /` are what a name may hold.
fn key(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-. /".contains(c) { c } else { '_' }).collect()
}
