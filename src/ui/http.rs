//! Just enough of HTTP/1.1: one request a connection, its head parsed by `httparse`, its answer written whole or streamed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A longer head is refused.
const LONGEST: usize = 16 * 1024;

/// A longer body is refused: a question with its answer is shorter.
const LONGEST_BODY: usize = 1024 * 1024;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads a request. `Ok(None)`: it is none, or too long.
    pub fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            if let Some(found) = Self::parse(&bytes) {
                let Some((request, head)) = found else { return Ok(None) };
                return request.with_body(stream, bytes.split_off(head));
            }
            let count = stream.read(&mut buffer)?;
            if count == 0 || bytes.len() + count > LONGEST {
                return Ok(None);
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads as much behind the head as it announces; what has already come is `begun`.
    fn with_body(mut self, stream: &mut TcpStream, begun: Vec<u8>) -> io::Result<Option<Self>> {
        let Some(length) = self.body_length() else { return Ok(None) };
        self.body = begun;
        self.body.truncate(length);
        let mut rest = vec![0; length - self.body.len()];
        stream.read_exact(&mut rest)?;
        self.body.extend(rest);
        Ok(Some(self))
    }

    /// How long the body is; none if that is not said plainly, or too long.
    fn body_length(&self) -> Option<usize> {
        if self.has("transfer-encoding") {
            return None;
        }
        if !self.has("content-length") {
            return Some(0);
        }
        let digits = self.header("content-length").filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok().filter(|length| *length <= LONGEST_BODY)
    }

    /// The request without its body, and where that begins; `None` while more has to come.
    fn parse(bytes: &[u8]) -> Option<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) => None,
            Err(_) => Some(None),
            Ok(httparse::Status::Complete(head)) => {
                let target = request.path.unwrap_or_default();
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let headers =
                    request.headers.iter().map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).trim().to_owned()));
                let method = request.method.unwrap_or_default().to_owned();
                let (path, query) = (path.to_owned(), query.to_owned());
                Some(Some((Self { method, path, query, headers: headers.collect(), body: Vec::new() }, head)))
            }
        }
    }

    /// A header's value. One that comes twice has none: what reads the first and what reads the last would disagree.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        found.next().filter(|_| found.next().is_none())
    }

    /// Whether a header is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }
}

/// Headers of every answer. Scripts and styles stand in the page itself; nothing may be asked but this server.
const ALWAYS: &str = "\
Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\nX-Frame-Options: DENY\r\n\
Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\nConnection: close\r\n";

/// Writes a whole answer.
pub fn whole(stream: &mut TcpStream, status: &str, kind: &str, more: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{ALWAYS}{more}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

/// Begins a stream of events.
pub fn events(stream: &mut TcpStream) -> io::Result<()> {
    // events are short, and are to be seen when they happen
    stream.set_nodelay(true)?;
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{ALWAYS}Content-Type: text/event-stream\r\n\r\n").as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_a_header_that_comes_twice_is_none() {
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\nHost: a"), None);
        assert_eq!(Request::parse(b"nonsense \x00\r\n\r\n"), Some(None));
        let (read, _) =
            Request::parse(b"GET /run/x?token=1 HTTP/1.1\r\nHost: a\r\nCookie: b\r\ncookie: c\r\n\r\n").flatten().expect("whole");
        assert_eq!(
            (read.path.as_str(), read.query.as_str(), read.header("host"), read.header("cookie")),
            ("/run/x", "token=1", Some("a"), None)
        );
        assert!(read.has("cookie"));
    }

    #[test]
    fn the_length_of_a_body_is_said_once_and_plainly() {
        let length = |headers: &str| {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\nbody");
            let (read, head) = Request::parse(text.as_bytes()).flatten().expect("whole");
            assert_eq!(&text[head..], "body");
            read.body_length()
        };
        assert_eq!(length(""), Some(0));
        assert_eq!(length("Content-Length: 4\r\n"), Some(4));
        for wrong in ["-1", "+4", "4, 4", "9999999", "99999999999999999999999"] {
            assert_eq!(length(&format!("Content-Length: {wrong}\r\n")), None, "{wrong}");
        }
        assert_eq!(length("Content-Length: 4\r\nContent-Length: 4\r\n"), None);
        assert_eq!(length("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), None);
    }
}
