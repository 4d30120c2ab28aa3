//! `align ui`

use std::sync::atomic::Ordering;

use crate::diagnostic::{Diagnostic, reason};
use crate::run::Store;
use crate::ui::{Raters, Server};

use super::Exit;
use super::args::UiArgs;
use super::device::Chosen;
use super::network::refuse;
use super::out;

pub(super) fn ui(args: &UiArgs) -> Exit {
    let device = match Chosen::new(args.device.device) {
        Ok(device) => device,
        Err(wrong) => {
            refuse(&wrong);
            return Exit::Failed;
        }
    };
    let raters = Raters { sheets: args.ask.clone(), name: args.rater.clone() };
    let server = match Server::new(Store::new(&args.folder).root(), args.port, device.engine(), raters) {
        Ok(server) => server,
        Err(error) => {
            let wrong = format!("port {} cannot be listened on: {}", args.port, reason(&error));
            refuse(&Diagnostic::error("align::ui::no_port", wrong).help("leave `--port` out, and a free one is found"));
            return Exit::Failed;
        }
    };
    out::line(&server.address());
    let stop = server.stopper();
    if let Err(error) = ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed)) {
        out::error(&format!("Ctrl-C ends it without a word: {error}"));
    }
    match server.serve() {
        Ok(()) => Exit::Done,
        Err(error) => {
            refuse(&Diagnostic::error("align::ui::no_port", format!("the server ended: {}", reason(&error))));
            Exit::Failed
        }
    }
}
