//! `align watch` on a terminal: what a person sees on a real one, and which keys do what.

mod folder;

use std::fs;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

const RECIPE: &str = r#"use std.sft

recipe r "Teach it" {
    base = load_model("m/model.safetensors")
    rows = load_data("rows.jsonl") as { prompt: Text, completion: Text, x: Float }
    picked = rows.filter(.x > 3)
    slow = sft(base, rows, epochs: 300, steps: 2000, batch: 1, lr: 1e-5)
    export slow to "out/slow"
}
"#;

struct Terminal {
    folder: tempfile::TempDir,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    fn new() -> Self {
        let folder = folder::holding(RECIPE);
        let size = PtySize { rows: 36, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_align"));
        command.args(["watch", "r.align", "--device", "cpu"]);
        command.cwd(folder.path());
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut out = pair.master.try_clone_reader().expect("it can be read");
        let keys = pair.master.take_writer().expect("it can be written to");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(36, 120, 0)));
        let theirs = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                theirs.lock().expect("nobody panicked").process(&bytes[..length]);
            }
        });
        Self { folder, child, keys, screen, _master: pair.master }
    }

    fn text(&self) -> String {
        self.screen.lock().expect("nobody panicked").screen().contents()
    }

    /// Waits until all of these stand on the screen at once.
    fn until(&self, wanted: &[&str]) -> String {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            let text = self.text();
            if wanted.iter().all(|wanted| text.contains(wanted)) {
                return text;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{wanted:?} never stood on the screen:\n{}", self.text());
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("it listens");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_terminal_shows_stages_a_curve_mistakes_and_obeys_keys() {
    let mut terminal = Terminal::new();
    let text = terminal.until(&["Teach it", "▶", "slow  running", "step ", "loss", "q quit", "✓  picked"]);
    assert!(text.contains("on cpu (--device cpu)"), "{text}");
    // a curve needs two points, and has its range beside it
    let drawn = terminal.until(&["⡀"]).chars().filter(|c| ('\u{2800}'..='\u{28ff}').contains(c)).count();
    assert!(drawn > 3, "{drawn} cells of a curve");
    // a mistake, and the way back
    fs::write(terminal.folder.path().join("r.align"), RECIPE.replace(".x > 3", ".y > 3")).expect("written");
    let text = terminal.until(&["mistakes", "saved r.align: 1 mistake", "slow  running"]);
    assert!(text.contains(".y > 3") && text.contains("they have"), "{text}");
    fs::write(terminal.folder.path().join("r.align"), RECIPE).expect("written");
    terminal.until(&["nothing is wrong", "slow  running"]);
    assert!(!terminal.text().contains("mistakes"));
    // rows of the stage in focus
    terminal.press("kk");
    terminal.until(&["rows ", "prompt: Once"]);
    terminal.press("f");
    terminal.press("p");
    terminal.until(&["paused; p goes on", "slow  stopped"]);
    terminal.press("p");
    terminal.until(&["running slow", "slow  running"]);
    terminal.press("q");
    let status = terminal.child.wait().expect("it ends");
    assert_eq!(status.exit_code(), 130, "a stage was stopped");
    let screen = terminal.screen.lock().expect("nobody panicked");
    assert!(!screen.screen().alternate_screen(), "the terminal is given back");
}
