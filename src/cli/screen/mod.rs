//! `align watch` on a terminal: one calm page that is drawn anew a few times a second.
//!
//! [`page`] is what is known, [`draw`] how it looks; this file owns the terminal and its keys.

mod draw;
mod page;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};

use crate::watch::{Command, Commands, Notice};

use page::{Move, Page};

/// Often enough to look alive, seldom enough to cost nothing.
const FRAME: Duration = Duration::from_millis(50);

/// A terminal that belongs to us until this is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    page: Page,
    keys: Receiver<Move>,
    drawn: Option<Instant>,
}

impl Screen {
    /// Takes the terminal over, and gives keys to `commands`.
    ///
    /// # Errors
    /// When this is no terminal that can be taken over.
    pub(super) fn open(commands: Commands, root: PathBuf) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (send, keys) = channel();
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                let gone = match event {
                    event::Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Command::Quit),
                        KeyCode::Char('q') => Some(Command::Quit),
                        KeyCode::Char('p' | ' ') => Some(Command::Pause),
                        KeyCode::Char('r') => Some(Command::Again),
                        KeyCode::Down | KeyCode::Char('j') => send.send(Move::Down).map_or(Some(Command::Quit), |()| None),
                        KeyCode::Up | KeyCode::Char('k') => send.send(Move::Up).map_or(Some(Command::Quit), |()| None),
                        KeyCode::Char('f') | KeyCode::Esc => send.send(Move::Follow).map_or(Some(Command::Quit), |()| None),
                        _ => None,
                    },
                    event::Event::Resize(..) => send.send(Move::Redraw).map_or(Some(Command::Quit), |()| None),
                    _ => None,
                };
                if let Some(command) = gone {
                    commands.send(command);
                }
            }
        });
        Ok(Self { terminal, page: Page::new(root), keys, drawn: None })
    }

    /// Hears of something, and shows it soon.
    pub(super) fn hear(&mut self, notice: &Notice<'_>) {
        let mut now = self.page.hear(notice);
        for key in self.keys.try_iter() {
            self.page.turn(key);
            now = true;
        }
        if now || self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            let page = &self.page;
            // a terminal that is gone is noticed by its keys
            self.terminal.draw(|frame| draw::draw(frame, page)).ok();
            self.drawn = Some(Instant::now());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
