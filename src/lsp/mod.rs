//! A language server over standard input and output: what the checker knows, while a recipe is being written.
//!
//! Comes in: open texts and questions about places in them. Goes out: diagnostics and answers. **Invariant:** the server
//! knows no rule of the language by itself; every answer is read off the checker's [`crate::recipe::Index`], the tree, or the
//! diagnostics.

mod actions;
mod around;
mod complete;
mod describe;
mod hints;
mod navigate;
mod place;
mod state;
mod tokens;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::Numerics;

use place::{Lines, Units, path_of, uri_of};
use state::{Analysis, Document, State};

/// A server talking to one editor.
struct Server<'a> {
    connection: Connection,
    state: State,
    /// Files whose diagnostics are to be sent once nothing else waits.
    stale: BTreeSet<PathBuf>,
    /// Which device plans are for, once it has been looked for.
    numerics: &'a OnceLock<Numerics>,
}

/// Serves until the editor says that it is done. `numerics` is what a run's results are comparable with; it is looked for
/// beside the work, and always to its end: a process that leaves while a driver is being loaded can crash in it.
///
/// # Errors
/// When the editor goes away without a word, or speaks another protocol.
pub fn serve(numerics: impl FnOnce() -> Numerics + Send) -> io::Result<()> {
    let found = OnceLock::new();
    std::thread::scope(|scope| {
        scope.spawn(|| found.set(numerics()));
        talk(&found)
    })
}

fn talk(numerics: &OnceLock<Numerics>) -> io::Result<()> {
    let (connection, threads) = Connection::stdio();
    let (id, asked) = connection.initialize_start().map_err(io::Error::other)?;
    let encodings = asked.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
    let bytes = encodings.is_some_and(|known| known.iter().any(|name| name == "utf-8"));
    let units = if bytes { Units::Bytes } else { Units::Utf16 };
    connection.initialize_finish(id, capabilities(units)).map_err(io::Error::other)?;
    let mut server = Server { connection, state: State::new(units, folders(&asked)), stale: BTreeSet::new(), numerics };
    server.serve()?;
    drop(server);
    threads.join()
}

fn folders(asked: &Value) -> Vec<PathBuf> {
    let several = asked["workspaceFolders"].as_array();
    let mut found: Vec<PathBuf> = several.into_iter().flatten().filter_map(|folder| path_of(folder["uri"].as_str()?)).collect();
    if found.is_empty() {
        found.extend(asked["rootUri"].as_str().and_then(path_of));
    }
    found
}

fn capabilities(units: Units) -> Value {
    json!({
        "capabilities": {
            "positionEncoding": if units == Units::Bytes { "utf-8" } else { "utf-16" },
            "textDocumentSync": { "openClose": true, "change": 1, "save": true },
            "hoverProvider": true,
            "completionProvider": { "triggerCharacters": [".", "(", ",", ":", "\"", "/", "{"] },
            "signatureHelpProvider": { "triggerCharacters": ["(", ","] },
            "definitionProvider": true,
            "referencesProvider": true,
            "documentHighlightProvider": true,
            "renameProvider": { "prepareProvider": true },
            "documentSymbolProvider": true,
            "semanticTokensProvider": { "legend": tokens::legend(), "full": true },
            "documentFormattingProvider": true,
            "inlayHintProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
            "codeLensProvider": {},
        },
        "serverInfo": { "name": "align", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// What a request is refused with.
type Refusal = (ErrorCode, String);

impl Server<'_> {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let message = match self.connection.receiver.try_recv() {
                Ok(message) => message,
                Err(_) => {
                    // nobody waits for an answer: say what is wrong
                    self.publish();
                    match self.connection.receiver.recv() {
                        Ok(message) => message,
                        Err(_) => return Ok(()),
                    }
                }
            };
            match message {
                Message::Request(request) => {
                    if self.connection.handle_shutdown(&request).map_err(io::Error::other)? {
                        return Ok(());
                    }
                    self.answer(request);
                }
                Message::Notification(notification) => self.note(&notification),
                Message::Response(_) => {}
            }
        }
    }

    fn send(&self, message: impl Into<Message>) {
        // an editor that has gone away is noticed where its messages are read
        self.connection.sender.send(message.into()).ok();
    }

    fn answer(&mut self, request: Request) {
        let Request { id, method, params } = request;
        let response = match self.result(&method, &params) {
            Ok(value) => Response::new_ok(id, value),
            Err((code, message)) => Response::new_err(id, code as i32, message),
        };
        self.send(response);
    }

    fn result(&mut self, method: &str, params: &Value) -> Result<Value, Refusal> {
        let state = &mut self.state;
        let Some(path) = params.pointer("/textDocument/uri").and_then(Value::as_str).and_then(path_of) else {
            return Err((ErrorCode::MethodNotFound, format!("`{method}` is not answered here")));
        };
        let byte = |state: &mut State| -> Option<usize> {
            let analysis = state.analysis(&path)?;
            Lines::new(analysis.text(), state.units).byte(params.get("position")?)
        };
        let at = params.get("position").and_then(|_| byte(state));
        let found = match (method, at) {
            ("textDocument/hover", Some(byte)) => state.hover(&path, byte),
            ("textDocument/completion", Some(byte)) => state.complete(&path, byte),
            ("textDocument/signatureHelp", Some(byte)) => state.signature(&path, byte),
            ("textDocument/definition", Some(byte)) => state.definition(&path, byte),
            ("textDocument/references", Some(byte)) => state.references(&path, byte),
            ("textDocument/documentHighlight", Some(byte)) => state.highlights(&path, byte),
            ("textDocument/prepareRename", Some(byte)) => state.may_rename(&path, byte).map_err(|why| (ErrorCode::RequestFailed, why))?,
            ("textDocument/rename", Some(byte)) => {
                let name = params["newName"].as_str().unwrap_or_default();
                Some(state.rename(&path, byte, name).map_err(|why| (ErrorCode::RequestFailed, why))?)
            }
            ("textDocument/documentSymbol", _) => state.symbols(&path),
            ("textDocument/semanticTokens/full", _) => state.tokens(&path),
            ("textDocument/formatting", _) => state.format(&path),
            ("textDocument/inlayHint", _) => state.hints(&path, self.numerics.get().copied()),
            ("textDocument/codeAction", _) => state.actions(&path, params),
            ("textDocument/codeLens", _) => state.lenses(&path),
            _ if at.is_none() && params.get("position").is_some() => None,
            _ => return Err((ErrorCode::MethodNotFound, format!("`{method}` is not answered here"))),
        };
        Ok(found.unwrap_or(Value::Null))
    }

    // ── Texts ───────────────────────────────────────────────────────────────

    fn note(&mut self, notification: &Notification) {
        let params = &notification.params;
        let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
        let Some(path) = uri.and_then(path_of) else { return };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(Arc::from);
        let version = params.pointer("/textDocument/version").and_then(Value::as_i64).unwrap_or_default();
        match notification.method.as_str() {
            "textDocument/didOpen" => {
                if let Some(text) = text(params.pointer("/textDocument/text")) {
                    self.state.open.insert(path, Document { text, version });
                }
            }
            "textDocument/didChange" => {
                let last = params["contentChanges"].as_array().and_then(|changes| changes.last());
                if let Some(text) = text(last.and_then(|change| change.get("text"))) {
                    self.state.open.insert(path, Document { text, version });
                }
            }
            "textDocument/didClose" => {
                self.state.open.remove(&path);
                let nothing = json!({ "uri": uri_of(&path), "diagnostics": [] });
                self.send(Notification::new("textDocument/publishDiagnostics".into(), nothing));
            }
            "textDocument/didSave" => {}
            _ => return,
        }
        self.state.forget();
        // what one file says may be wrong in another that uses it
        self.stale = self.state.open.keys().cloned().collect();
    }

    fn publish(&mut self) {
        for path in std::mem::take(&mut self.stale) {
            let Some(document) = self.state.open.get(&path).cloned() else { continue };
            let Some(analysis) = self.state.analysis(&path) else { continue };
            let lines = Lines::new(analysis.text(), self.state.units);
            let found: Vec<Value> =
                analysis.diagnostics.iter().filter_map(|diagnostic| shown(diagnostic, &analysis, &lines, &self.state)).collect();
            let message = json!({ "uri": uri_of(&path), "version": document.version, "diagnostics": found });
            self.send(Notification::new("textDocument/publishDiagnostics".into(), message));
        }
    }
}

/// A diagnostic as an editor shows it; `None` when nothing of it is in this file.
fn shown(diagnostic: &Diagnostic, analysis: &Analysis, lines: &Lines<'_>, state: &State) -> Option<Value> {
    let here = match diagnostic.labels.iter().find(|label| label.span.file == analysis.file) {
        Some(label) => lines.range(label.span.range()),
        None if diagnostic.labels.is_empty() => lines.range(0..0),
        None => return None,
    };
    let first = diagnostic.labels.iter().position(|label| label.span.file == analysis.file);
    let others = diagnostic.labels.iter().enumerate().filter(|(at, _)| Some(*at) != first);
    let related: Vec<Value> = others
        .filter_map(|(_, label)| {
            let path = state.path_of(&analysis.sources, label.span.file)?;
            let lines = Lines::new(&analysis.sources.get(label.span.file).text, state.units);
            Some(json!({ "location": { "uri": uri_of(&path), "range": lines.range(label.span.range()) }, "message": label.text }))
        })
        .collect();
    let help = diagnostic.help.as_ref().map_or(String::new(), |help| format!("\nhelp: {help}"));
    let said = first.map(|at| &diagnostic.labels[at].text).filter(|text| !text.is_empty());
    let said = said.map_or(String::new(), |text| format!("\n{text}"));
    Some(json!({
        "range": here,
        "severity": if diagnostic.severity == Severity::Error { 1 } else { 2 },
        "code": diagnostic.code,
        "source": "align",
        "message": format!("{}{said}{help}", diagnostic.message),
        "relatedInformation": related,
    }))
}

/// The canonical form of a path, so that one file has one name.
fn same(a: &Path, b: &Path) -> bool {
    a == b || (a.file_name() == b.file_name() && a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a)))
}
