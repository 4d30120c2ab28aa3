//! `align lsp`

use crate::lsp;

use super::Exit;
use super::device::{Chosen, Wanted};
use super::out;

pub(super) fn serve() -> Exit {
    // looking for devices takes longer than an editor likes to wait, so the server looks beside its work
    let numerics = || Chosen::new(Wanted::Auto).unwrap_or_else(|_| Chosen::new(Wanted::Cpu).expect("always there")).numerics();
    match lsp::serve(numerics) {
        Ok(()) => Exit::Done,
        Err(error) => {
            out::error(&format!("the editor's connection broke: {error}"));
            Exit::Failed
        }
    }
}
