//! Who is answered by `align ui`, and who is not.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use align::ui::Server;

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
        let server = Server::asking(&folder.path().join(".align"), 0, sheets, "ann".into()).expect("a port");
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
