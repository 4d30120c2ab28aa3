//! Reports over a loopback server: every run of a store in one list, each as it goes, two beside each other; and talking
//! with the networks that they made.
//!
//! It answers on this machine only, to who has its token, to no other page's requests, and with nothing but the runs of
//! one store. It changes nothing, but that answers to the questions of sheets it was given are written to those sheets.

mod chat;
mod http;
mod label;
mod routes;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::stage::LazyEngine;

/// Every code of this module, and what it means.
pub const CODES: &[(&str, &str)] =
    &[("align::ui::no_port", "The port is in use or not allowed. Without `--port` the system chooses one that is free.")];

/// Connections at once; a browser opens a handful.
const MOST: usize = 64;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
    stop: Arc<AtomicBool>,
}

/// What is served, to whom.
#[derive(Debug)]
struct Site {
    store: PathBuf,
    token: String,
    address: SocketAddr,
    /// Whose answers are taken, to which sheets.
    desk: label::Desk,
    chat: chat::Chat,
    /// How often a followed run is looked at.
    every: Duration,
}

/// People who answer what a run asks.
#[derive(Clone, Default, Debug)]
pub struct Raters {
    /// The sheets whose questions are asked.
    pub sheets: Vec<PathBuf>,
    /// Who answers.
    pub name: String,
}

impl Server {
    /// Listens on the loopback interface; port 0 is any that is free. Networks of the runs of `store` answer on `engine`,
    /// and `raters` may answer what the queues of their sheets ask.
    ///
    /// # Errors
    /// When the port cannot be had, or the system has no chance to give.
    pub fn new(store: &Path, port: u16, engine: LazyEngine, raters: Raters) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let address = listener.local_addr()?;
        let site = Arc::new(Site {
            store: store.to_owned(),
            token,
            address,
            desk: label::Desk::new(raters.sheets, raters.name),
            chat: chat::Chat::new(store, engine),
            every: Duration::from_millis(400),
        });
        Ok(Self { listener, site, stop: Arc::default() })
    }

    /// What to open in a browser: with the token, which the browser then keeps as a cookie of this address.
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.site.address, self.site.token)
    }

    /// Ends [`Server::serve`] when set, from another thread.
    pub fn stopper(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Answers requests until it is stopped.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn serve(&self) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let open = Arc::new(AtomicUsize::new(0));
        while !self.stop.load(Ordering::Relaxed) {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(15));
                    continue;
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => continue,
                Err(e) => return Err(e),
            };
            if open.fetch_add(1, Ordering::Relaxed) >= MOST {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (site, stop, open) = (self.site.clone(), self.stop.clone(), open.clone());
            std::thread::spawn(move || {
                // a browser that went away is no mistake
                routes::answer(&site, stream, &stop).ok();
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Ok(())
    }
}
