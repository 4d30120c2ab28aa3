//! What is asked of a hub, over HTTP: which files a revision has, what a file is, and its bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::RootCerts;
use ureq::{Agent, Body};

use super::error::HubError;
use super::reference::{Kind, Reference, is_commit, is_part};
use super::settings::Settings;

/// A redirect leads to a redirect at most so often.
const HOPS: usize = 8;

/// A server that is busy or out of order is asked again, after a while that doubles.
const AGAIN: u32 = 2;
const WHILE: Duration = Duration::from_millis(400);

/// A longer list of files is not read.
const LONGEST_LIST: u64 = 64 << 20;

/// A connection on which nothing came for so long is given up.
const SILENCE: Duration = Duration::from_secs(20);

/// The files of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    /// With their sizes, where the hub says them.
    pub(super) files: BTreeMap<String, Option<u64>>,
}

/// What a hub says of a file before it is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Metadata {
    pub(super) commit: String,
    pub(super) etag: String,
    pub(super) size: Option<u64>,
    /// Where its bytes are.
    pub(super) location: String,
}

/// The agents of one command.
#[derive(Debug)]
pub(super) struct Client<'s> {
    settings: &'s Settings,
    agent: Agent,
    /// For systems without certificates of their own.
    bare: Agent,
}

enum Method {
    Head,
    Get,
}

impl<'s> Client<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        let agent = |certificates| {
            let settings = crate::web::settings(certificates);
            let patient = settings.timeout_resolve(Some(SILENCE)).timeout_recv_response(Some(SILENCE)).timeout_per_read(Some(SILENCE));
            Agent::from(patient.max_redirects(0).max_redirects_will_error(false).build())
        };
        Self { settings, agent: agent(RootCerts::PlatformVerifier), bare: agent(RootCerts::WebPki) }
    }

    /// The hub's address.
    pub(super) fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// The files of a revision, and the commit that it is.
    ///
    /// # Errors
    /// When it cannot be reached, or has or shows no such revision.
    pub(super) fn list(&self, reference: &Reference, revision: &str) -> Result<Listing, HubError> {
        let address = format!("{}/{}?blobs=true", self.api(reference), format_args!("revision/{}", quoted(revision, false)));
        let (answer, at) = self.ask(&Method::Get, &address, None)?;
        self.accept(reference, revision, None, &answer, &at)?;
        let said = json(answer, &at)?;
        let wrong = |why: &str| HubError::Answer { address: at.clone(), why: why.to_owned() };
        let commit = said["sha"].as_str().filter(|sha| is_commit(sha)).ok_or_else(|| wrong("it names no commit"))?;
        let files = said["siblings"].as_array().ok_or_else(|| wrong("it lists no files"))?;
        let file = |file: &Value| Some((file["rfilename"].as_str()?.to_owned(), file["size"].as_u64()));
        // what leads out of its folder is no file of a repository
        let files = files.iter().filter_map(file).filter(|(name, _)| name.split('/').all(is_part)).collect();
        Ok(Listing { commit: commit.to_owned(), files })
    }

    /// What a file is at a revision.
    ///
    /// # Errors
    /// When it cannot be reached, or is not there or not shown.
    pub(super) fn metadata(&self, reference: &Reference, revision: &str, file: &str) -> Result<Metadata, HubError> {
        let kind = if reference.kind == Kind::Dataset { "datasets/" } else { "" };
        let address =
            format!("{}/{kind}{}/resolve/{}/{}", self.settings.endpoint, reference.repository, quoted(revision, false), quoted(file, true));
        let (answer, at) = self.ask(&Method::Head, &address, None)?;
        self.accept(reference, revision, Some(file), &answer, &at)?;
        let said = |name: &str| header(answer.headers(), name);
        let wrong = |what: &str| HubError::Answer { address: at.clone(), why: format!("its answer has no `{what}`") };
        let commit = said("x-repo-commit").filter(|sha| is_commit(sha)).ok_or_else(|| wrong("X-Repo-Commit"))?;
        let etag = said("x-linked-etag").or_else(|| said("etag")).ok_or_else(|| wrong("ETag"))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        // it becomes the name of a file
        let plain = !etag.is_empty() && etag.len() < 128 && etag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then_some(()).ok_or_else(|| wrong("ETag that could name a file"))?;
        let length = || said("content-length").filter(|_| !answer.status().is_redirection());
        let size = said("x-linked-size").or_else(length).and_then(|size| size.parse().ok());
        let location =
            said("location").filter(|_| answer.status().is_redirection()).map_or_else(|| Some(at.clone()), |to| joined(&at, &to));
        Ok(Metadata { commit, etag, size, location: location.ok_or_else(|| wrong("Location that can be read"))? })
    }

    /// The bytes of a file from one on: from which on they really come, and a reader.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(super) fn bytes(&self, location: &str, from: u64) -> Result<(u64, impl Read), HubError> {
        let (answer, at) = self.ask(&Method::Get, location, Some(from))?;
        let status = answer.status().as_u16();
        let begins = match status {
            200 => 0,
            206 => {
                let range = header(answer.headers(), "content-range");
                let begins = range.as_deref().and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                begins
                    .filter(|begins| *begins <= from)
                    .ok_or_else(|| HubError::Answer { address: bare(&at), why: "it sends another part".into() })?
            }
            // nothing lies behind what is here
            416 => return Err(HubError::Answer { address: bare(&at), why: "the file ends earlier".into() }),
            _ => return Err(HubError::Answer { address: bare(&at), why: format!("HTTP status {status}") }),
        };
        Ok((begins, answer.into_body().into_reader()))
    }

    /// Branches and tags.
    pub(super) fn revisions(&self, reference: &Reference) -> Vec<String> {
        let said = self.ask(&Method::Get, &format!("{}/refs", self.api(reference)), None).and_then(|(answer, at)| json(answer, &at));
        let said = said.unwrap_or_default();
        let names = |of: &str| said[of].as_array().cloned().unwrap_or_default();
        names("branches").iter().chain(&names("tags")).filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    }

    /// What else its owner has.
    pub(super) fn siblings(&self, reference: &Reference) -> Vec<String> {
        let kind = kind(reference.kind);
        let (owner, _) = reference.repository.split_once('/').unwrap_or_default();
        let address = format!("{}/api/{kind}?author={owner}&limit=200", self.settings.endpoint);
        let said = self.ask(&Method::Get, &address, None).and_then(|(answer, at)| json(answer, &at)).unwrap_or_default();
        said.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
    }

    fn api(&self, reference: &Reference) -> String {
        format!("{}/api/{}/{}", self.settings.endpoint, kind(reference.kind), reference.repository)
    }

    /// Asks, and follows redirects until one says what a file is. The token goes to the hub's own host only.
    fn ask(&self, method: &Method, address: &str, from: Option<u64>) -> Result<(Response<Body>, String), HubError> {
        let mut at = address.to_owned();
        for _ in 0..HOPS {
            let answer = self.patiently(method, &at, from).map_err(|error| self.unreachable(&at, &error))?;
            let says_what = matches!(method, Method::Head) && header(answer.headers(), "x-linked-etag").is_some();
            if !answer.status().is_redirection() || says_what {
                return Ok((answer, at));
            }
            let to = header(answer.headers(), "location").and_then(|to| joined(&at, &to));
            let to = to.ok_or_else(|| HubError::Answer { address: bare(&at), why: "it redirects to nowhere".into() })?;
            if at.starts_with("https://") && !to.starts_with("https://") {
                return Err(HubError::Answer { address: bare(&at), why: "it redirects to a connection that is not encrypted".into() });
            }
            at = to;
        }
        Err(HubError::Answer { address: bare(address), why: "it redirects in a circle".into() })
    }

    fn patiently(&self, method: &Method, at: &str, from: Option<u64>) -> Result<Response<Body>, ureq::Error> {
        let ask = || match self.once(&self.agent, method, at, from) {
            Err(error) if error.to_string().contains("CA certificates") => self.once(&self.bare, method, at, from),
            answer => answer,
        };
        for wait in 0..AGAIN {
            match ask() {
                Ok(answer) if matches!(answer.status().as_u16(), 429 | 500 | 502 | 503 | 504) => std::thread::sleep(WHILE * (1 << wait)),
                answer => return answer,
            }
        }
        ask()
    }

    fn once(&self, agent: &Agent, method: &Method, at: &str, from: Option<u64>) -> Result<Response<Body>, ureq::Error> {
        let request = match method {
            Method::Head => agent.head(at),
            Method::Get => agent.get(at),
        };
        // sizes and parts are of the file itself
        let request = request.header("Accept-Encoding", "identity");
        let request = match from.filter(|from| *from > 0) {
            Some(from) => request.header("Range", format!("bytes={from}-")),
            None => request,
        };
        let token = self.settings.token.as_ref().filter(|_| authority(at) == authority(&self.settings.endpoint));
        match token {
            Some(token) => request.header("Authorization", token.header()),
            None => request,
        }
        .call()
    }

    fn unreachable(&self, at: &str, error: &ureq::Error) -> HubError {
        let why = match error {
            ureq::Error::HostNotFound => "there is no such host".to_owned(),
            ureq::Error::ConnectionFailed => "it does not answer".to_owned(),
            ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => "it is no address".to_owned(),
            ureq::Error::Io(error) => crate::diagnostic::reason(error),
            other => other.to_string(),
        };
        let host = authority(at).map_or_else(|| self.settings.endpoint.clone(), |(scheme, host)| format!("{scheme}://{host}"));
        HubError::NoNetwork { endpoint: host, why, missing: None }
    }

    /// Refuses what is no success, by what the hub says is wrong.
    fn accept(&self, reference: &Reference, revision: &str, file: Option<&str>, answer: &Response<Body>, at: &str) -> Result<(), HubError> {
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        let repository = reference.repository.clone();
        let (endpoint, token) = (self.settings.endpoint.clone(), self.settings.has_token());
        let code = header(answer.headers(), "x-error-code").unwrap_or_default();
        let no_access = |gated| HubError::NoAccess {
            endpoint: endpoint.clone(),
            repository: repository.clone(),
            gated,
            token,
            token_file: self.settings.token_file.clone(),
        };
        let no_revision = || {
            let known = self.revisions(reference);
            let near = crate::diagnostic::did_you_mean(revision, known.iter().map(String::as_str)).map(str::to_owned);
            HubError::NoRevision { repository: repository.clone(), revision: revision.to_owned(), near, known }
        };
        Err(match (status.as_u16(), code.as_str(), file) {
            (_, "GatedRepo", _) => no_access(true),
            (_, "RevisionNotFound", _) => no_revision(),
            (_, "EntryNotFound", Some(file)) => HubError::NoFile {
                repository,
                revision: revision.to_owned(),
                file: file.to_owned(),
                help: self.instead(reference, revision, file),
            },
            // the hub says so of what it does not show, too
            (_, "RepoNotFound", _) | (404, _, _) => {
                let known = self.siblings(reference);
                let near = crate::diagnostic::did_you_mean(&repository, known.iter().map(String::as_str)).map(|near| format!("hf:{near}"));
                HubError::NoRepository { endpoint, near: near.filter(|near| *near != format!("hf:{repository}")), repository, token }
            }
            (401 | 403, _, _) => no_access(false),
            (status, _, _) => HubError::Answer { address: bare(at), why: format!("HTTP status {status}") },
        })
    }

    /// What there is in place of a file.
    fn instead(&self, reference: &Reference, revision: &str, file: &str) -> String {
        let Ok(listing) = self.list(reference, revision) else { return "check its name".to_owned() };
        let near = crate::diagnostic::did_you_mean(file, listing.files.keys().map(String::as_str));
        let shown = || listing.files.keys().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
        near.map_or_else(|| format!("it holds {}", shown()), |near| format!("did you mean `{near}`?"))
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Model => "models",
        Kind::Dataset => "datasets",
    }
}

fn json(answer: Response<Body>, at: &str) -> Result<Value, HubError> {
    let wrong = |why: String| HubError::Answer { address: bare(at), why };
    if !answer.status().is_success() {
        return Err(wrong(format!("HTTP status {}", answer.status().as_u16())));
    }
    let bytes = answer.into_body().into_with_config().limit(LONGEST_LIST).read_to_vec().map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|_| wrong("it is no JSON".into()))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An address without what may be a secret in it: addresses of files are signed.
fn bare(address: &str) -> String {
    address.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn authority(address: &str) -> Option<(String, String)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().or(match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    Some((scheme, format!("{}:{port}", uri.host()?.to_ascii_lowercase())))
}

/// Where a `Location` leads from an address.
fn joined(at: &str, to: &str) -> Option<String> {
    if to.starts_with("http://") || to.starts_with("https://") {
        return Some(to.to_owned());
    }
    let scheme = &at[..at.find("://")? + 3];
    if let Some(rest) = to.strip_prefix("//") {
        return Some(format!("{scheme}{rest}"));
    }
    let rest = &at[scheme.len()..];
    let host = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if to.starts_with('/') {
        return Some(format!("{scheme}{host}{to}"));
    }
    let path = bare(rest);
    let folder = &path[..path.rfind('/').map_or(path.len(), |slash| slash + 1)];
    Some(format!("{scheme}{folder}{to}"))
}

/// Percent-encoded, `/` kept in the path of a file.
fn quoted(text: &str, path: bool) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') || (path && b == b'/');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let at = "https://hub.example:8443/a/b/resolve/main/x?y=1";
        assert_eq!(joined(at, "/c/d").as_deref(), Some("https://hub.example:8443/c/d"));
        assert_eq!(joined(at, "z").as_deref(), Some("https://hub.example:8443/a/b/resolve/main/z"));
        assert_eq!(joined(at, "//cdn.example/z").as_deref(), Some("https://cdn.example/z"));
        assert_eq!(joined(at, "http://cdn.example/z").as_deref(), Some("http://cdn.example/z"));
        assert_eq!(bare("https://cdn.example/z?Signature=secret"), "https://cdn.example/z");
    }

    #[test]
    fn a_token_s_host_is_told_by_scheme_host_and_port() {
        assert_eq!(authority("https://Hub.example/x"), authority("https://hub.example:443"));
        assert_ne!(authority("https://hub.example"), authority("http://hub.example"));
        assert_ne!(authority("http://hub.example:1"), authority("http://hub.example:2"));
        assert_eq!(authority("hub.example"), None);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(quoted("data/ä b.jsonl", true), "data/%C3%A4%20b.jsonl");
    }
}
