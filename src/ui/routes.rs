//! Who may ask, and what is answered.

use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::report::{self, Folder, ReportError, compare};

use super::Site;
use super::chat::{Asked, Silent};
use super::http::{Request, events, whole};
use super::label::Refused;

/// The cookie that holds the token. Its name has the port: several servers of one machine share their cookies.
fn cookie(site: &Site) -> String {
    format!("align-{}", site.address.port())
}

/// Reads one request and answers it.
pub(super) fn answer(site: &Site, mut stream: TcpStream, stop: &AtomicBool) -> io::Result<()> {
    let Some(request) = Request::read(&mut stream)? else { return refuse(&mut stream, "400 Bad Request", "this is no request") };
    if let Err((status, why)) = admitted(site, &request) {
        return refuse(&mut stream, status, why);
    }
    if parameter(&request.query, "token").is_some() {
        // the address bar and the history are no place for a token
        let more =
            format!("Set-Cookie: {}={}; HttpOnly; SameSite=Strict; Path=/\r\nLocation: {}\r\n", cookie(site), site.token, request.path);
        return whole(&mut stream, "303 See Other", "text/plain", &more, b"");
    }
    if request.method == "POST" {
        return match request.path.split('/').skip(1).collect::<Vec<_>>()[..] {
            ["api", "chat", run, stage] => match spoken_to(site, run, stage, &request.body) {
                Ok(asked) => site.chat.answer(&asked, &mut stream, stop),
                Err(silent) => wrong(&mut stream, silent.status(), &silent),
            },
            _ => told(&mut stream, taken(site, &request)),
        };
    }
    match route(site, &request.path) {
        Ok(Answer::Page) => whole(&mut stream, "200 OK", "text/html", "", report::live(&json!({ "path": request.path })).as_bytes()),
        Ok(Answer::Data(data)) => whole(&mut stream, "200 OK", "application/json", "", data.to_string().as_bytes()),
        Ok(Answer::Follow(run)) => follow(site, &mut stream, run.as_deref(), stop),
        Ok(Answer::Asked(asked)) => told(&mut stream, asked),
        Ok(Answer::Chat(Ok(data))) => whole(&mut stream, "200 OK", "application/json", "", data.to_string().as_bytes()),
        Ok(Answer::Chat(Err(silent))) => wrong(&mut stream, silent.status(), &silent),
        Ok(Answer::Nothing) => refuse(&mut stream, "404 Not Found", "there is nothing here"),
        Err(error) => {
            let status = if matches!(error, ReportError::NoRun { .. }) { "404 Not Found" } else { "500 Internal Server Error" };
            wrong(&mut stream, status, &error)
        }
    }
}

/// What the desk says.
fn told(stream: &mut TcpStream, said: Result<Value, Refused>) -> io::Result<()> {
    match said {
        Ok(data) => whole(stream, "200 OK", "application/json", "", data.to_string().as_bytes()),
        Err(refused) => wrong(stream, refused.status(), &refused),
    }
}

fn wrong(stream: &mut TcpStream, status: &str, error: &dyn std::error::Error) -> io::Result<()> {
    whole(stream, status, "application/json", "", json!({ "error": error.to_string() }).to_string().as_bytes())
}

/// A dialogue, and the network that is to answer it.
fn spoken_to(site: &Site, run: &str, stage: &str, body: &[u8]) -> Result<Asked, Silent> {
    site.chat.asked(&folder(site, run)?, stage, body)
}

/// An answer to a question, written to its sheet.
fn taken(site: &Site, request: &Request) -> Result<Value, Refused> {
    let at = request.path.strip_prefix("/api/ask/").ok_or(Refused::NoSheet)?;
    site.desk.take(at, &request.body)
}

/// What takes more than a question: answers for a sheet, dialogues for a network.
fn is_taken(path: &str) -> bool {
    path.starts_with("/api/ask/") || path.starts_with("/api/chat/")
}

/// Whether a request may write or set to work: one of our own pages says so, and not the browser alone (a form, a link,
/// an image).
fn may_write(request: &Request) -> bool {
    let kind = request.header("content-type").is_some_and(|kind| kind == "application/json");
    let from = request.header("sec-fetch-site").is_none_or(|from| from == "same-origin");
    request.method == "POST" && is_taken(&request.path) && request.has("origin") && kind && from
}

fn refuse(stream: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
    whole(stream, status, "text/plain", "", why.as_bytes())
}

/// Whether a request comes from who was given the token, through this address, and from none but our own pages.
fn admitted(site: &Site, request: &Request) -> Result<(), (&'static str, &'static str)> {
    let port = site.address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    // a name that was made to point here (DNS rebinding) is not ours
    if !request.header("host").is_some_and(|host| hosts.iter().any(|own| own == host)) {
        return Err(("421 Misdirected Request", "this server has another name"));
    }
    if request.has("origin") && !request.header("origin").is_some_and(|o| hosts.iter().any(|own| o.strip_prefix("http://") == Some(own))) {
        return Err(("403 Forbidden", "pages of other origins may not ask"));
    }
    let token = parameter(&request.query, "token").or_else(|| kept(request, &cookie(site)));
    // a link from elsewhere may open the page with its token, and nothing else may come from elsewhere
    let site_of = request.header("sec-fetch-site").unwrap_or("none");
    let navigates = request.header("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    if request.has("sec-fetch-site") && !matches!(site_of, "same-origin" | "none") && !navigates {
        return Err(("403 Forbidden", "pages of other origins may not ask"));
    }
    // hashes compare in the same time whatever they are
    if !token.is_some_and(|token| blake3::hash(token.as_bytes()) == blake3::hash(site.token.as_bytes())) {
        return Err(("401 Unauthorized", "open the address that `align ui` printed: it has the token"));
    }
    match request.method.as_str() {
        "GET" => Ok(()),
        "POST" if may_write(request) => Ok(()),
        "POST" if is_taken(&request.path) => Err(("403 Forbidden", "this comes from our own page, or not at all")),
        _ => Err(("405 Method Not Allowed", "everything here is only read")),
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn kept<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let cookies = request.header("cookie")?.split(';').filter_map(|part| part.trim().split_once('='));
    cookies.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

enum Answer {
    Page,
    Data(Value),
    Follow(Option<String>),
    Asked(Result<Value, Refused>),
    Chat(Result<Value, Silent>),
    Nothing,
}

fn route(site: &Site, path: &str) -> Result<Answer, ReportError> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let gathered = |name: &str| report::gather(&site.store, &folder(site, name)?);
    Ok(match parts[..] {
        [""] | ["run", _] | ["compare", _, _] | ["ask", _] | ["chat", _, _] => Answer::Page,
        ["api", "ask"] => Answer::Asked(site.desk.list()),
        ["api", "ask", at] => Answer::Asked(site.desk.show(at)),
        ["api", "chat", run] => Answer::Chat(site.chat.list(&folder(site, run)?)),
        ["api", "chat", run, stage] => Answer::Chat(site.chat.show(&folder(site, run)?, stage)),
        ["api", "runs"] => Answer::Data(list(&site.store)?),
        ["api", "run", name] => Answer::Data(gathered(name)?),
        ["api", "compare", before, now] => {
            let (before, now) = (gathered(before)?, gathered(now)?);
            let differences = compare::json(&compare::compare(&before, &now));
            Answer::Data(json!({ "before": before, "now": now, "differences": differences }))
        }
        ["api", "follow"] => Answer::Follow(None),
        ["api", "follow", name] => {
            folder(site, name)?;
            Answer::Follow(Some(name.to_owned()))
        }
        _ => Answer::Nothing,
    })
}

/// The folder of a run, by its whole name: names are compared with those of the store and never become paths.
fn folder(site: &Site, name: &str) -> Result<std::path::PathBuf, ReportError> {
    let all = report::runs(&site.store)?;
    match all.iter().find(|run| *run == name) {
        Some(run) => Ok(site.store.join("runs").join(run)),
        None => Err(ReportError::NoRun { name: name.chars().take(80).collect(), near: None }),
    }
}

/// Every run in a line, the newest first.
fn list(store: &Path) -> Result<Value, ReportError> {
    let mut found = Vec::new();
    for name in report::runs(store)?.iter().rev() {
        let Ok(run) = Folder::told(&store.join("runs").join(name)) else { continue };
        let last = run.events.last().cloned().unwrap_or_default();
        let kept = run.events.iter().filter(|e| e["event"] == "judged" && e["expectation"]["holds"] == true).count();
        let stage = run.events.iter().rev().find(|e| e["event"] == "running").map(|e| e["stage"].clone());
        found.push(json!({
            "id": name, "recipe": run.recipe(), "title": run.started()["title"], "device": run.started()["device"],
            "stages": run.started()["stages"], "live": run.summary.is_null(), "exit": run.summary["exit"],
            "tally": run.summary["tally"], "seconds": last["time"], "kept": kept,
            "expected": run.plan["expectations"].as_array().map_or(0, Vec::len), "stage": stage, "started": name.get(..20),
        }));
    }
    Ok(Value::Array(found))
}

/// Says so whenever the files of a run (or the list of runs) have grown.
fn follow(site: &Site, stream: &mut TcpStream, run: Option<&str>, stop: &AtomicBool) -> io::Result<()> {
    events(stream)?;
    let mut known = None;
    let mut quiet = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = state(&site.store, run);
        quiet += 1;
        if known.as_ref() != Some(&now) {
            stream.write_all(format!("data: {}\n\n", json!({ "ended": now.1, "size": now.0 })).as_bytes())?;
            stream.flush()?;
            (known, quiet) = (Some(now), 0);
        } else if quiet % 25 == 0 {
            // a browser that went away is noticed by writing to it
            stream.write_all(b": still here\n\n")?;
        }
        std::thread::sleep(site.every);
    }
    Ok(())
}

/// Bytes written so far, and whether the run has ended.
fn state(store: &Path, run: Option<&str>) -> (u64, bool) {
    let size = |path: std::path::PathBuf| path.metadata().map_or(0, |meta| meta.len());
    let of = |name: &str| {
        let folder = store.join("runs").join(name);
        let written: u64 = ["events.jsonl", "metrics.jsonl", "summary.json"].iter().map(|file| size(folder.join(file))).sum();
        (written, folder.join("summary.json").exists())
    };
    match run {
        Some(name) => of(name),
        None => report::runs(store)
            .unwrap_or_default()
            .iter()
            .rev()
            .take(20)
            .map(|name| of(name))
            .fold((0, true), |a, b| (a.0 + b.0, a.1 && b.1)),
    }
}
