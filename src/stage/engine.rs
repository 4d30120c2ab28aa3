//! The engine that a run's stages share: made when the first stage asks for it, so a cached run starts no device.

use std::cell::{RefCell, RefMut};
use std::fmt;

use crate::model::Engine;

use super::failure::Failure;

type Make = Box<dyn Fn() -> Result<Engine, Failure> + Send>;

/// An engine that may not exist yet.
pub struct LazyEngine {
    make: Make,
    engine: RefCell<Option<Engine>>,
}

impl LazyEngine {
    /// An engine that `make` will open on first use.
    pub fn new(make: impl Fn() -> Result<Engine, Failure> + Send + 'static) -> Self {
        Self { make: Box::new(make), engine: RefCell::new(None) }
    }

    /// The engine, for as long as the guard lives. One guard at a time.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub fn get(&self) -> Result<RefMut<'_, Engine>, Failure> {
        let mut slot = self.engine.borrow_mut();
        if slot.is_none() {
            *slot = Some((self.make)()?);
        }
        Ok(RefMut::map(slot, |engine| engine.as_mut().expect("made above")))
    }
}

impl fmt::Debug for LazyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyEngine").field("made", &self.engine.try_borrow().is_ok_and(|e| e.is_some())).finish_non_exhaustive()
    }
}
