//! A headless Chromium, spoken to over its debugging pipe: file descriptors 3 and 4, messages ended by a zero byte.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The browser's program, if there is one: `ALIGN_BROWSER`, or what systems call it.
pub fn browser() -> Option<String> {
    let known =
        std::env::var("ALIGN_BROWSER").into_iter().chain(["chromium", "chromium-browser", "google-chrome", "chrome"].map(str::to_owned));
    known.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success()))
}

/// A browser with one page open.
pub struct Page {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    read: Vec<u8>,
    last: u64,
    session: Option<String>,
    /// Exceptions, console errors and refused requests.
    pub wrong: Vec<String>,
    /// Addresses that were asked for.
    pub asked: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Starts a browser whose window is `width` × `height`.
    pub fn open(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1", "sh", &browser().expect("a browser")])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut page =
            Self { child, to, from, read: Vec::new(), last: 0, session: None, wrong: Vec::new(), asked: Vec::new(), _profile: profile };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        page.session =
            page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.size(width, height);
        page
    }

    /// Another size of the window.
    pub fn size(&mut self, width: u32, height: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
    }

    /// Light or dark.
    pub fn scheme(&mut self, scheme: &str) {
        self.call("Emulation.setEmulatedMedia", json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }));
    }

    /// Goes to an address and waits until `ready` holds. Returns the time that took.
    pub fn go(&mut self, address: &str, ready: &str) -> Duration {
        let begun = Instant::now();
        self.call("Page.navigate", json!({ "url": address }));
        self.until(&format!("document.readyState === 'complete' && ({ready})"));
        begun.elapsed()
    }

    /// Waits until an expression holds.
    pub fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.eval(&format!("Boolean({expression})")) != true {
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {expression}\n{:?}", self.wrong);
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// The value of an expression.
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Presses and releases a key.
    pub fn key(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": key, "text": text }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }

    /// Presses and releases Enter, as a keyboard does: with the character it types.
    pub fn enter(&mut self) {
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": "Enter", "text": "\r" }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": "Enter" }));
    }

    /// Clicks in the middle of the first element that a selector finds.
    pub fn click(&mut self, selector: &str) {
        let quoted = json!(selector);
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{ block: 'center', inline: 'center' }}); const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            self.call("Input.dispatchMouseEvent", json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 }));
        }
    }

    /// Types into the element that has the focus.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Calls a method of the protocol and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let said = self.hear();
            if said["id"] == self.last {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].clone();
            }
            match said["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => self.wrong.push(said["params"]["exceptionDetails"]["exception"]["description"].to_string()),
                "Log.entryAdded" if said["params"]["entry"]["level"] == "error" => self.wrong.push(said["params"]["entry"].to_string()),
                "Runtime.consoleAPICalled" if said["params"]["type"] == "error" => self.wrong.push(said["params"]["args"].to_string()),
                "Network.requestWillBeSent" => self.asked.push(said["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()),
                _ => {}
            }
        }
    }

    fn hear(&mut self) -> Value {
        let mut buffer = [0; 1 << 16];
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let rest = self.read.split_off(end + 1);
                let message = std::mem::replace(&mut self.read, rest);
                return serde_json::from_slice(&message[..end]).expect("a message");
            }
            let count = self.from.read(&mut buffer).expect("the browser speaks");
            assert!(count > 0, "the browser ended");
            self.read.extend_from_slice(&buffer[..count]);
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
