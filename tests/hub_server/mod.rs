//! A hub on this machine: it speaks to `align` and to Python's `huggingface_hub` as the real one does. Small files are
//! answered at once; weights are redirected to a second server, as to a content network.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use ring::digest;
use serde_json::{Value, json};

/// A repository: commits by branch or tag, files by commit.
#[derive(Clone, Default)]
pub struct Repository {
    pub revisions: BTreeMap<String, String>,
    pub commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// The token that opens it.
    pub gated: Option<String>,
    /// Where it went.
    pub moved: Option<String>,
}

/// One request as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub token: Option<String>,
    pub range: Option<String>,
    /// Of the second server.
    pub content: bool,
}

/// What the server does wrong.
#[derive(Clone, Default)]
pub struct Faults {
    /// So many of the next answers of weights end after so many bytes.
    pub cut: Option<(usize, usize)>,
    /// Weights have another last byte.
    pub lie: bool,
    /// Every answer has this status.
    pub status: Option<u16>,
    /// Ranges are not honoured.
    pub whole: bool,
}

#[derive(Default)]
struct Site {
    repositories: BTreeMap<String, Repository>,
    faults: Faults,
    asked: Vec<Asked>,
}

pub struct Hub {
    pub address: String,
    site: Arc<Mutex<Site>>,
}

impl Hub {
    pub fn new() -> Self {
        let (hub, content) = (TcpListener::bind("127.0.0.1:0").expect("a port"), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let addresses = [&hub, &content].map(|listener| format!("http://{}", listener.local_addr().expect("bound")));
        let site = Arc::new(Mutex::new(Site::default()));
        for (listener, is_content) in [(hub, false), (content, true)] {
            let (site, addresses) = (site.clone(), addresses.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (site, addresses) = (site.clone(), addresses.clone());
                    // who asked may be gone
                    std::thread::spawn(move || answer(&stream, &site, &addresses, is_content).ok());
                }
            });
        }
        Self { address: addresses[0].clone(), site }
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().expect("no thread of the server panics")
    }

    /// Puts files at a commit, and a branch on it. Returns the commit.
    pub fn put(&self, repository: &str, branch: &str, files: &[(&str, Vec<u8>)]) -> String {
        let files: BTreeMap<String, Vec<u8>> = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let all: Vec<u8> = files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes].concat()).collect();
        let commit = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &all).as_ref());
        let mut site = self.site();
        let repository = site.repositories.entry(repository.to_owned()).or_default();
        repository.revisions.insert(branch.to_owned(), commit.clone());
        repository.commits.insert(commit.clone(), files);
        commit
    }

    pub fn change(&self, repository: &str, change: impl FnOnce(&mut Repository)) {
        change(self.site().repositories.entry(repository.to_owned()).or_default());
    }

    pub fn faults(&self, faults: Faults) {
        self.site().faults = faults;
    }

    /// What was asked since this was last looked at.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.site().asked)
    }
}

/// The files of a folder that a repository would hold.
pub fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    entries.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("read"))).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The name that git gives a file.
pub fn git_sha1(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()).as_ref())
}

fn is_large(file: &str) -> bool {
    [".safetensors", ".gguf", ".bin", ".parquet"].iter().any(|end| file.ends_with(end))
}

fn unquoted(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| more.get(..2))
            .flatten()
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(stream: &TcpStream, site: &Mutex<Site>, addresses: &[String; 2], is_content: bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (mut token, mut range) = (None, None);
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = Some(value.trim().to_owned()),
            "range" => range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut site = site.lock().expect("no thread of the server panics");
    site.asked.push(Asked {
        method: method.clone(),
        target: target.clone(),
        token: token.clone(),
        range: range.clone(),
        content: is_content,
    });
    let answer = match site.faults.status {
        Some(status) => Answer::status(status),
        None if is_content => content(&mut site, &target, range.as_deref()),
        None => hub(&site, &target, token.as_deref(), addresses),
    };
    drop(site);
    let Answer { status, headers, body, cut } = answer;
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let mut stream = stream;
    stream.write_all((head + "\r\n").as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&body[..cut.unwrap_or(body.len()).min(body.len())])?;
    }
    stream.flush()
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::status(status).with("X-Error-Code", code)
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn json(value: &Value) -> Self {
        Self { body: value.to_string().into_bytes(), ..Self::status(200) }.with("Content-Type", "application/json")
    }
}

fn hub(site: &Site, target: &str, token: Option<&str>, addresses: &[String; 2]) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<String> = path.trim_start_matches('/').split('/').map(unquoted).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (api, parts) = if parts[0] == "api" { (true, &parts[1..]) } else { (false, &parts[..]) };
    let (kind, parts) = match parts {
        ["datasets", rest @ ..] => ("datasets/", rest),
        ["models", rest @ ..] => ("", rest),
        rest => ("", rest),
    };
    if api && parts.is_empty() {
        let owner = query.split('&').find_map(|pair| pair.strip_prefix("author=")).unwrap_or_default();
        let ids = site.repositories.keys().filter_map(|id| id.strip_prefix(kind)).filter(|id| id.split('/').next() == Some(owner));
        return Answer::json(&ids.map(|id| json!({ "id": id })).collect());
    }
    let [owner, name, rest @ ..] = parts else { return Answer::status(404) };
    let id = format!("{owner}/{name}");
    let Some(repository) = site.repositories.get(&format!("{kind}{id}")) else { return Answer::error(401, "RepoNotFound") };
    if let Some(moved) = &repository.moved {
        return Answer::status(307).with("Location", target.replacen(&id, moved, 1));
    }
    if repository.gated.as_ref().is_some_and(|wanted| token != Some(&format!("Bearer {wanted}"))) {
        return Answer::error(if token.is_some() { 403 } else { 401 }, "GatedRepo");
    }
    let commit = |revision: &str| match repository.commits.get_key_value(revision) {
        Some((commit, _)) => Some(commit),
        None => repository.revisions.get(revision),
    };
    match (api, rest) {
        (true, ["refs"]) => {
            let named: Vec<Value> = repository
                .revisions
                .iter()
                .map(|(name, at)| json!({ "name": name, "ref": format!("refs/heads/{name}"), "targetCommit": at }))
                .collect();
            Answer::json(&json!({ "branches": named, "tags": [], "converts": [] }))
        }
        (true, ["revision", revision]) => {
            let Some(commit) = commit(revision) else { return Answer::error(404, "RevisionNotFound") };
            let file = |(name, bytes): (&String, &Vec<u8>)| {
                let lfs = is_large(name).then(|| json!({ "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134 }));
                json!({ "rfilename": name, "size": bytes.len(), "blobId": git_sha1(bytes), "lfs": lfs })
            };
            let siblings: Vec<Value> = repository.commits[commit].iter().map(file).collect();
            Answer::json(
                &json!({ "_id": "1", "id": id, "modelId": id, "sha": commit, "private": false, "tags": [], "downloads": 0, "siblings": siblings }),
            )
        }
        (true, ["tree", revision]) => {
            let Some(commit) = commit(revision) else { return Answer::error(404, "RevisionNotFound") };
            let file = |(name, bytes): (&String, &Vec<u8>)| {
                let mut file = json!({ "type": "file", "path": name, "size": bytes.len(), "oid": git_sha1(bytes) });
                if is_large(name) {
                    file["lfs"] = json!({ "oid": sha256(bytes), "size": bytes.len(), "pointerSize": 134 });
                }
                file
            };
            Answer::json(&repository.commits[commit].iter().map(file).collect())
        }
        (false, ["resolve", revision, file @ ..]) => {
            let Some(commit) = commit(revision) else { return Answer::error(404, "RevisionNotFound") };
            let file = file.join("/");
            let Some(bytes) = repository.commits[commit].get(&file) else {
                return Answer::error(404, "EntryNotFound").with("X-Repo-Commit", commit);
            };
            let sha = sha256(bytes);
            if is_large(&file) {
                return Answer::status(302)
                    .with("X-Repo-Commit", commit)
                    .with("X-Linked-Etag", format!("\"{sha}\""))
                    .with("X-Linked-Size", bytes.len())
                    .with("ETag", "\"of-the-redirect\"")
                    .with("Location", format!("{}/{kind}{id}/{commit}/{file}?Signature=secret", addresses[1]));
            }
            Answer { body: bytes.clone(), ..Answer::status(200) }
                .with("X-Repo-Commit", commit)
                .with("ETag", format!("\"{}\"", git_sha1(bytes)))
        }
        _ => Answer::status(404),
    }
}

/// `/owner/name/commit/file?Signature=…`
fn content(site: &mut Site, target: &str, range: Option<&str>) -> Answer {
    let path = target.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    let found = site.repositories.iter().find_map(|(id, repository)| {
        let (commit, file) = path.strip_prefix(&format!("{id}/"))?.split_once('/')?;
        repository.commits.get(commit)?.get(file).cloned()
    });
    let (Some(mut bytes), true) = (found, target.ends_with("?Signature=secret")) else { return Answer::status(403) };
    if site.faults.lie {
        *bytes.last_mut().expect("weights have bytes") ^= 1;
    }
    let from: Option<usize> =
        range.filter(|_| !site.faults.whole).and_then(|range| range.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok());
    let cut = match &mut site.faults.cut {
        Some((times, after)) if *times > 0 => {
            *times -= 1;
            Some(*after)
        }
        _ => None,
    };
    let length = bytes.len();
    match from {
        Some(from) if from >= length => Answer::status(416),
        Some(from) => Answer { body: bytes.split_off(from), cut, ..Answer::status(206) }
            .with("Content-Range", format!("bytes {from}-{}/{length}", length - 1)),
        None => Answer { body: bytes, cut, ..Answer::status(200) },
    }
}
