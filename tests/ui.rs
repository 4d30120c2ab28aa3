//! Who is answered by `align ui`, and who is not.

mod spoken;
mod toy;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use align::ui::{Raters, Server};
use serde_json::{Value, json};

struct Site {
    folder: tempfile::TempDir,
    host: String,
    token: String,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join(".align/runs/2026-01-01T00-00-00Z-a");
        fs::create_dir_all(&run).expect("made");
        fs::write(run.join("events.jsonl"), "{\"event\":\"started\",\"recipe\":\"a\"}\n").expect("written");
        fs::write(folder.path().join("secret.txt"), "secret").expect("written");
        fs::write(folder.path().join(".align/hashes.json"), "secret").expect("written");
        let queue = r#"{"answers": ["yes", "no"], "raters": 2, "questions": ["kind?\na", "kind?\nb", "kind?\nc"]}"#;
        fs::write(folder.path().join("people.jsonl.queue"), queue).expect("written");
        fs::write(folder.path().join("other.jsonl.queue"), queue).expect("written");
        let sheets = ["people.jsonl", "later.jsonl"].map(|sheet| folder.path().join(sheet)).to_vec();
        Self::over(folder, Raters { sheets, name: "ann".into() })
    }

    /// Serves the store in a folder.
    fn over(folder: tempfile::TempDir, raters: Raters) -> Self {
        let server = Server::new(&folder.path().join(".align"), 0, spoken::engine(), raters).expect("a port");
        let address = server.address();
        let (host, token) = address.strip_prefix("http://").and_then(|a| a.split_once("/?token=")).expect("an address");
        let (host, token, stop) = (host.to_owned(), token.to_owned(), server.stopper());
        let serving = Some(std::thread::spawn(move || server.serve()));
        Self { folder, host, token, stop, serving }
    }

    /// The whole answer to a request: a target and headers beside `Host`.
    fn ask(&self, request: &str, headers: &str) -> String {
        self.raw(&format!("{request} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host))
    }

    fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        // a server that has refused a head may close before it has all of it
        stream.write_all(text.as_bytes()).ok();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).ok();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn cookie(&self) -> String {
        format!("Cookie: align-{}={}\r\n", self.host.rsplit(':').next().expect("a port"), self.token)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.serving.take().map(JoinHandle::join);
    }
}

fn status(answer: &str) -> u16 {
    answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[test]
fn only_the_token_opens_it() {
    let site = Site::new();
    assert!(site.host.starts_with("127.0.0.1:"), "{}", site.host);
    assert_eq!(site.token.len(), 48);
    assert_ne!(site.token, Site::new().token);
    for request in ["GET /", "GET /api/runs", "GET /api/follow", "GET /?token=0", "GET /?token="] {
        let answer = site.ask(request, "");
        assert_eq!(status(&answer), 401, "{request}: {answer}");
        assert!(!answer.contains(&site.token));
    }
    let opened = site.ask(&format!("GET /?token={}", site.token), "");
    assert_eq!(status(&opened), 303);
    assert!(opened.contains("HttpOnly; SameSite=Strict") && opened.contains("Location: /\r\n"), "{opened}");
    let page = site.ask("GET /", &site.cookie());
    assert_eq!(status(&page), 200);
    assert!(page.contains("default-src 'none'") && page.contains("frame-ancestors 'none'") && page.contains("nosniff"), "{page}");
    assert!(site.ask("GET /api/runs", &site.cookie()).contains("2026-01-01T00-00-00Z-a"));
    assert!(site.ask("GET /api/run/2026-01-01T00-00-00Z-a", &site.cookie()).contains("\"recipe\":\"a\""));
}

#[test]
fn other_names_origins_and_methods_are_refused() {
    let site = Site::new();
    let cookie = site.cookie();
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80"] {
        let answer = site.raw(&format!("GET /api/runs HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n"));
        assert_eq!(status(&answer), 421, "{host}: {answer}");
    }
    assert_eq!(status(&site.raw(&format!("GET / HTTP/1.1\r\n{cookie}\r\n"))), 421, "no host");
    assert_eq!(status(&site.raw(&format!("GET / HTTP/1.1\r\nHost: {0}\r\nHost: {0}\r\n{cookie}\r\n", site.host))), 421, "two hosts");
    for origin in ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"] {
        let answer = site.ask("GET /api/runs", &format!("{cookie}Origin: {origin}\r\n"));
        assert_eq!(status(&answer), 403, "{origin}: {answer}");
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
    assert_eq!(status(&site.ask("GET /api/runs", &format!("{cookie}Origin: http://{}\r\n", site.host))), 200);
    assert_eq!(status(&site.ask("GET /api/runs", &format!("{cookie}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"))), 403);
    assert_eq!(status(&site.ask("GET /api/runs", &format!("{cookie}Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"))), 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(status(&site.ask(&format!("{method} /api/runs"), &cookie)), 405, "{method}");
    }
}

#[test]
fn nothing_outside_the_runs_is_served() {
    let site = Site::new();
    let cookie = site.cookie();
    let own = site.folder.path().display().to_string();
    for path in [
        "/secret.txt",
        "/api/run/..",
        "/api/run/../..",
        "/api/run/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/api/run/..%2f..%2fsecret.txt",
        "/api/run/../hashes.json",
        "/api/follow/../../x",
        "/api/compare/../..",
        "/api/run/",
        "/api/run/2026",
        "//api/runs",
        "/.align/hashes.json",
    ] {
        let answer = site.ask(&format!("GET {path}"), &cookie);
        assert_eq!(status(&answer), 404, "{path}: {answer}");
        assert!(!answer.contains("secret") || answer.contains("there is no run"), "{path}: {answer}");
        assert!(!answer.contains(&own), "{path} tells where it lies: {answer}");
    }
}

#[test]
fn what_is_no_request_ends_its_connection_alone() {
    let site = Site::new();
    assert_eq!(status(&site.raw("nonsense\r\n\r\n")), 400);
    assert!(matches!(status(&site.raw(&format!("GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", site.host, "x".repeat(1 << 20)))), 400 | 0));
    // one that says nothing keeps nobody waiting
    let _silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&site.host).expect("it listens")).collect();
    assert_eq!(status(&site.ask("GET /api/runs", &site.cookie())), 200);
}

impl Site {
    /// Sends an answer as our own page does, with other headers where `headers` says so.
    fn give(&self, path: &str, headers: &str, body: &str) -> String {
        let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}", self.host, body.len());
        self.raw(&request)
    }

    fn own(&self) -> String {
        format!("{}Origin: http://{}\r\nContent-Type: application/json\r\n", self.cookie(), self.host)
    }

    fn sheet(&self) -> String {
        fs::read_to_string(self.folder.path().join("people.jsonl")).unwrap_or_default()
    }
}

const YES: &str = r#"{"question": "kind?\na", "answer": "yes"}"#;

#[test]
fn answers_are_written_to_the_sheets_that_were_named() {
    let site = Site::new();
    let cookie = site.cookie();
    assert_eq!(status(&site.ask("GET /ask/0", &cookie)), 200);
    let list = site.ask("GET /api/ask", &cookie);
    assert!(list.contains(r#"[{"sheet":"people.jsonl","open":3},{"sheet":"later.jsonl","open":0}]"#), "{list}");
    let given = site.give("/api/ask/0", &site.own(), YES);
    assert!(status(&given) == 200 && given.contains(r#"{"open":2}"#), "{given}");
    assert_eq!(site.sheet(), "{\"question\":\"kind?\\na\",\"answer\":\"yes\",\"rater\":\"ann\"}\n");
    let shown = site.ask("GET /api/ask/0", &cookie);
    assert!(shown.contains(r#""questions":["kind?\nb","kind?\nc"]"#) && shown.contains(r#""rater":"ann""#), "{shown}");

    // what another person said closes a question and is not shown
    let two = ["bob", "eve"].map(|rater| format!("{{\"question\":\"kind?\\nb\",\"answer\":\"no\",\"rater\":\"{rater}\"}}\n")).concat();
    fs::write(site.folder.path().join("people.jsonl"), site.sheet() + &two).expect("written");
    let shown = site.ask("GET /api/ask/0", &cookie);
    assert!(shown.contains(r#""questions":["kind?\nc"]"#) && !shown.contains("bob"), "{shown}");
    let given = site.give("/api/ask/0", &site.own(), r#"{"question": "kind?\nb", "answer": "no"}"#);
    assert_eq!(status(&given), 409, "{given}");
    assert_eq!(site.sheet().lines().count(), 3);
}

#[test]
fn nothing_but_our_own_page_writes_and_nothing_but_answers_is_written() {
    let site = Site::new();
    let (own, cookie) = (site.own(), site.cookie());
    let origin = format!("Origin: http://{}\r\n", site.host);
    let json = "Content-Type: application/json\r\n";
    let other = "Origin: http://evil.example\r\n";
    for (status_wanted, path, headers, body) in [
        (401, "/api/ask/0", format!("{origin}{json}"), YES),
        (403, "/api/ask/0", format!("{cookie}{json}"), YES),
        (403, "/api/ask/0", format!("{cookie}{other}{json}"), YES),
        (403, "/api/ask/0", format!("{cookie}{origin}Content-Type: text/plain\r\n"), YES),
        (403, "/api/ask/0", format!("{cookie}{origin}"), YES),
        (403, "/api/ask/0", format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"), YES),
        (403, "/api/ask/0", format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"), YES),
        (403, "/api/ask/0", format!("{own}Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n"), YES),
        (404, "/api/ask/2", own.clone(), YES),
        (404, "/api/ask/00", own.clone(), YES),
        (404, "/api/ask/+0", own.clone(), YES),
        (404, "/api/ask/../other.jsonl", own.clone(), YES),
        (409, "/api/ask/1", own.clone(), YES),
        (409, "/api/ask/0", own.clone(), r#"{"question": "what else?", "answer": "yes"}"#),
        (400, "/api/ask/0", own.clone(), r#"{"question": "kind?\na", "answer": "perhaps"}"#),
        (400, "/api/ask/0", own.clone(), r#"{"question": "kind?\na", "answer": "yes", "rater": "bob"}"#),
        (400, "/api/ask/0", own.clone(), "yes"),
        (400, "/api/ask/0", own.clone(), ""),
        (400, "/api/ask/0", format!("{own}Transfer-Encoding: chunked\r\n"), YES),
        (405, "/api/runs", own.clone(), YES),
        (405, "/", own.clone(), YES),
    ] {
        let answer = site.give(path, &headers, body);
        assert_eq!(status(&answer), status_wanted, "{path} {headers}{body}: {answer}");
    }
    let long = format!("POST /api/ask/0 HTTP/1.1\r\nHost: {}\r\n{own}Content-Length: 2000000\r\n\r\n", site.host);
    assert_eq!(status(&site.raw(&long)), 400);
    assert_eq!(site.sheet(), "", "something was written");
    assert!(!site.folder.path().join("later.jsonl").exists());
    assert_eq!(status(&site.give("/api/ask/0", &own, YES)), 200, "and the same with all that belongs to it is taken");
}

/// Two windows of one person: each question is answered once.
#[test]
fn answers_at_the_same_time_are_each_written_once() {
    let site = Site::new();
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..8).map(|_| scope.spawn(|| status(&site.give("/api/ask/0", &site.own(), YES)))).collect();
        each.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!((codes.iter().filter(|code| **code == 200).count(), codes.iter().filter(|code| **code == 409).count()), (1, 7), "{codes:?}");
    assert_eq!(site.sheet().lines().count(), 1);
}

/// A site over a run that made networks, and the run's name.
fn talking() -> (Site, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let run = spoken::made(folder.path());
    (Site::over(folder, Raters::default()), run)
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a head").1).expect("JSON")
}

/// What is asked of a network: the turns in order, the first one the user's.
fn saying(turns: &[&str], temperature: f64, max_tokens: usize) -> String {
    let roles = ["user", "assistant"].iter().cycle();
    let messages: Vec<Value> = turns.iter().zip(roles).map(|(text, role)| json!({ "role": role, "content": text })).collect();
    json!({ "messages": messages, "temperature": temperature, "max_tokens": max_tokens, "seed": 0 }).to_string()
}

impl Site {
    /// Every event of an answer.
    fn events(&self, run: &str, stage: &str, said: &str) -> Vec<Value> {
        let answer = self.give(&format!("/api/chat/{run}/{stage}"), &self.own(), said);
        assert!(status(&answer) == 200 && answer.contains("text/event-stream"), "{answer}");
        let (_, stream) = answer.split_once("\r\n\r\n").expect("a head");
        stream.split("\n\n").filter(|e| !e.is_empty()).map(|e| serde_json::from_str(&e["data: ".len()..]).expect("JSON")).collect()
    }
}

fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["text"].as_str()).collect()
}

#[test]
fn networks_answer_as_in_the_terminal_and_know_their_parents() {
    let (site, run) = talking();
    let listed = body(&site.ask(&format!("GET /api/chat/{run}"), &site.cookie()));
    let named: Vec<(&str, Option<&str>)> =
        listed.as_array().expect("a list").iter().map(|s| (s["name"].as_str().expect("a name"), s["parent"].as_str())).collect();
    let (base, tuned) = (Some("base"), Some("tuned"));
    let policies = [("rates.1.policy", tuned), ("rates.2.policy", tuned), ("rates.policy", tuned)];
    assert_eq!(
        named,
        [&[("base", None), ("chatty", None), ("slow", None), ("tuned", base)][..], &policies].concat(),
        "no scorer, no table"
    );

    let shown = body(&site.ask(&format!("GET /api/chat/{run}/tuned"), &site.cookie()));
    assert_eq!((&shown["parent"], &shown["template"], &shown["positions"]), (&json!("base"), &json!(false), &json!(512)));
    assert_eq!(body(&site.ask(&format!("GET /api/chat/{run}/chatty"), &site.cookie()))["template"], true);
    assert_eq!(status(&site.ask(&format!("GET /chat/{run}/tuned"), &site.cookie())), 200);

    let events = site.events(&run, "base", &saying(&["Once upon a time"], 0.0, 12));
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_align"))
        .args(["generate", "plain", "Once upon a time", "--temperature", "0", "--max-tokens", "12", "--device", "cpu"])
        .current_dir(site.folder.path())
        .output()
        .expect("the program runs");
    assert_eq!(text(&events), String::from_utf8_lossy(&out.stdout).trim_end_matches('\n'));
    assert_eq!(events[0], json!({ "state": "loads" }));
    assert!(events.iter().filter(|e| e["text"].is_string()).count() >= 12, "token by token: {events:?}");
    let done = &events.last().expect("an end")["done"];
    assert_eq!((&done["tokens"], &done["finished"], &done["full"]), (&json!(12), &json!(false), &json!(false)));
    // it is still there, and so is its parent; a third one makes room
    let again = site.events(&run, "base", &saying(&["Once upon a time"], 0.0, 12));
    assert_eq!((text(&again), again[0]["state"].is_null()), (text(&events), true));
    assert_ne!(text(&site.events(&run, "tuned", &saying(&["Once upon a time"], 0.0, 12))), "");
    assert!(site.events(&run, "base", &saying(&["Tim"], 0.0, 2))[0]["state"].is_null());
    site.events(&run, "chatty", &saying(&["Tim"], 0.0, 2));
    assert_eq!(site.events(&run, "tuned", &saying(&["Tim"], 0.0, 2))[0]["state"], "loads");
}

#[test]
fn a_dialogue_goes_through_the_template_and_seeds_draw_other_answers() {
    let (site, run) = talking();
    let said = |stage: &str, turns: &[&str]| text(&site.events(&run, stage, &saying(turns, 0.0, 8)));
    // the template ends every turn with its line, a network without one reads on
    assert_eq!(said("chatty", &["Once", "upon", "a time"]), said("chatty", &["Once\nupon\na time"]));
    assert_ne!(said("chatty", &["Once", " upon", " a time"]), said("chatty", &["Once upon a time"]));
    assert_eq!(said("base", &["Once", " upon", " a time"]), said("base", &["Once upon a time"]));
    let system = json!({ "messages": [{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "Tim" }], "temperature": 0, "max_tokens": 4, "seed": 0 });
    let refused = site.events(&run, "chatty", &system.to_string());
    assert!(refused.last().expect("an end")["error"].as_str().is_some_and(|e| e.contains("no system prompt")), "{refused:?}");
    let drawn = |seed: u64| {
        let said = json!({ "messages": "Once upon a time", "temperature": 1, "max_tokens": 12, "seed": seed });
        text(&site.events(&run, "base", &said.to_string()))
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn a_context_that_is_full_is_said_and_an_answer_ends_where_it_is() {
    let (site, run) = talking();
    let long = "Once upon a time there was a little cat. ".repeat(80);
    let events = site.events(&run, "base", &saying(&[&long], 0.0, 8));
    let error = events.last().expect("an end")["error"].as_str().expect("an error").to_owned();
    assert!(error.starts_with("the context is full: the dialogue has ") && error.ends_with("`base` was made for 512"), "{error}");
    let events = site.events(&run, "slow", &saying(&[&"w5 ".repeat(2040)], 0.0, 100));
    let done = &events.last().expect("an end")["done"];
    assert!(done["full"] == true && done["tokens"].as_u64().is_some_and(|n| n < 10), "{events:?}");
}

#[test]
fn only_our_own_page_talks_and_only_with_networks_of_the_store() {
    let (site, run) = talking();
    let (own, cookie) = (site.own(), site.cookie());
    let said = saying(&["Tim"], 0.0, 2);
    let (origin, json) = (format!("Origin: http://{}\r\n", site.host), "Content-Type: application/json\r\n");
    let base = format!("/api/chat/{run}/base");
    for (wanted, path, headers, body) in [
        (401, base.clone(), format!("{origin}{json}"), said.clone()),
        (403, base.clone(), format!("{cookie}{json}"), said.clone()),
        (403, base.clone(), format!("{cookie}Origin: http://evil.example\r\n{json}"), said.clone()),
        (403, base.clone(), format!("{cookie}{origin}Content-Type: text/plain\r\n"), said.clone()),
        (403, base.clone(), format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"), said.clone()),
        (404, "/api/chat/nowhere/base".into(), own.clone(), said.clone()),
        (404, format!("/api/chat/{run}/nothing"), own.clone(), said.clone()),
        (404, format!("/api/chat/{run}/plain"), own.clone(), said.clone()),
        (404, format!("/api/chat/{run}/..%2f..%2fplain"), own.clone(), said.clone()),
        (404, "/api/chat/../../plain".into(), own.clone(), said.clone()),
        (409, format!("/api/chat/{run}/rows"), own.clone(), said.clone()),
        (409, format!("/api/chat/{run}/judge"), own.clone(), said.clone()),
        (400, base.clone(), own.clone(), "Tim".into()),
        (400, base.clone(), own.clone(), saying(&["Tim", "was"], 0.0, 2)),
        (400, base.clone(), own.clone(), saying(&[], 0.0, 2)),
        (400, base.clone(), own.clone(), saying(&["Tim"], -1.0, 2)),
        (400, base.clone(), own.clone(), saying(&["Tim"], 0.0, 0)),
        (400, base.clone(), own.clone(), saying(&["Tim"], 0.0, 1_000_000)),
        (400, base.clone(), own.clone(), said.replace("seed", "path")),
    ] {
        let answer = site.give(&path, &headers, &body);
        assert_eq!(status(&answer), wanted, "{path} {headers}{body}: {answer}");
        assert!(!answer.contains(&site.folder.path().display().to_string()), "{path} tells where it lies: {answer}");
    }
    assert_eq!(status(&site.ask(&format!("DELETE {base}"), &cookie)), 405);
}

#[test]
fn networks_that_are_not_what_they_were_are_not_talked_to() {
    let (site, run) = talking();
    let folder = site.folder.path();
    let refused = |stage: &str| {
        let answer = site.give(&format!("/api/chat/{run}/{stage}"), &site.own(), &saying(&["Tim"], 0.0, 2));
        assert_eq!(status(&answer), 409, "{answer}");
        assert_eq!(status(&site.ask(&format!("GET /api/chat/{run}/{stage}"), &site.cookie())), 409, "it is said before anything is");
        body(&answer)["error"].as_str().expect("a sentence").to_owned()
    };
    // one byte of the weights
    let weights = spoken::artifact(folder, &run, "rates.1.policy").join("network/model.safetensors");
    let mut bytes = fs::read(&weights).expect("there");
    *bytes.last_mut().expect("numbers") ^= 1;
    fs::write(&weights, bytes).expect("written");
    assert!(refused("rates.1.policy").contains("is damaged"), "{}", refused("rates.1.policy"));
    // a model outside the store, changed and gone
    let config = folder.join("plain/config.json");
    fs::write(&config, fs::read_to_string(&config).expect("there") + " ").expect("written");
    assert_eq!(refused("base"), "`plain` has other content than when `base` read it");
    fs::remove_dir_all(folder.join("chat")).expect("removed");
    assert_eq!(refused("chatty"), "`chat`, which `chatty` read, cannot be read any more: it does not exist");
    // never made, and not yet
    fs::remove_dir_all(spoken::artifact(folder, &run, "tuned")).expect("removed");
    assert_eq!(refused("tuned"), "`tuned` has not been made");
    fs::remove_file(folder.join(".align/runs").join(&run).join("summary.json")).expect("removed");
    assert_eq!(refused("tuned"), "`tuned` is still training; it can be talked to when it has ended");
    let listed = body(&site.ask(&format!("GET /api/chat/{run}"), &site.cookie()));
    let tuned = listed.as_array().expect("a list").iter().find(|s| s["name"] == "tuned").expect("it is named");
    assert_eq!(tuned, &json!({ "name": "tuned", "parent": "base", "made": false }));
}

/// Who goes away ends the answer, and the next one has not to wait for it.
#[test]
fn whoever_goes_away_stops_the_answer() {
    let (site, run) = talking();
    let (long, short) = (saying(&["w5 w6"], 0.0, 1500), saying(&["w5 w6"], 0.0, 2));
    let begun = Instant::now();
    assert_eq!(site.events(&run, "slow", &long).last().expect("an end")["done"]["tokens"], 1500);
    let whole = begun.elapsed();
    let mut stream = TcpStream::connect(&site.host).expect("it listens");
    let head =
        format!("POST /api/chat/{run}/slow HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\n\r\n{long}", site.host, site.own(), long.len());
    stream.write_all(head.as_bytes()).expect("sent");
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.expect("a line").starts_with("data: {\"text\"")), "it speaks");
    // another one waits while it speaks
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| site.events(&run, "slow", &short));
        std::thread::sleep(Duration::from_millis(250));
        drop(lines);
        let events = other.join().expect("no panic");
        assert_eq!((&events[0]["state"], &events.last().expect("an end")["done"]["tokens"]), (&json!("waits"), &json!(2)));
    });
    assert!(begun.elapsed() < whole / 2, "{:?} of {whole:?}", begun.elapsed());
}
