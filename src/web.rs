//! How this program asks other machines: one agent, with the system's certificates.
//!
//! Certificates are judged as the system judges them, so that a company's own authority and proxy count; the list that
//! is built in stands in only where the system has none, as in a bare container.

use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

/// Who asks.
const NAME: &str = concat!("align/", env!("CARGO_PKG_VERSION"));

/// An agent's settings: a status is no error, a proxy is taken from the environment.
pub fn settings(certificates: RootCerts) -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(NAME)
        .timeout_connect(Some(Duration::from_secs(10)))
        .tls_config(TlsConfig::builder().root_certs(certificates).build())
}
