//! Temporaries: device buffers that are taken and given back while steps are recorded, and kept between recordings,
//! so that a warm training step allocates nothing.

use std::collections::BTreeMap;

use super::device::{BufferId, Device, EngineError, View};

#[derive(Clone, Copy, Debug)]
struct Slot {
    words: usize,
    taken: bool,
    /// Whether a step of the recording at hand uses it: then it may be neither uploaded to nor freed before that step runs.
    touched: bool,
}

/// A pool of buffers of one device.
///
/// A buffer given back may be taken by a later step of the *same* recording: steps run in order.
#[derive(Debug, Default)]
pub struct Arena {
    slots: BTreeMap<BufferId, Slot>,
}

impl Arena {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every buffer free: a new training step begins, and no view from before is used again.
    pub fn reset(&mut self) {
        for slot in self.slots.values_mut() {
            slot.taken = false;
        }
    }

    /// A new recording begins; what was recorded before has been run.
    pub(super) fn begin(&mut self) {
        for slot in self.slots.values_mut() {
            slot.touched = false;
        }
    }

    /// A view (rows, cols) of undefined content, in the smallest free buffer that fits well or else in a new one; with
    /// `untouched` in one that no step of the recording at hand uses, so that it may be written at once.
    ///
    /// # Errors
    /// When memory is short or the device is lost.
    pub fn take(&mut self, device: &mut dyn Device, rows: usize, cols: usize, untouched: bool) -> Result<View, EngineError> {
        let words = size_class(rows * cols);
        let found = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.taken && (words..=2 * words).contains(&slot.words))
            .filter(|(_, slot)| !(untouched && slot.touched))
            .min_by_key(|(_, slot)| slot.words)
            .map(|(buffer, slot)| (*buffer, slot.words));
        let (buffer, words) = match found {
            Some(found) => found,
            None => {
                self.outgrow(device, words);
                (device.alloc(words)?, words)
            }
        };
        self.slots.insert(buffer, Slot { words, taken: true, touched: true });
        Ok(View::new(buffer, rows, cols))
    }

    /// Frees a buffer that one of `words` is about to stand in for: a smaller one of its like that nothing needs. Batches
    /// grow and shrink, and the pool is as large as the largest, not as all of them.
    fn outgrow(&mut self, device: &mut dyn Device, words: usize) {
        let like = |slot: &Slot| !slot.taken && !slot.touched && (words / 2..words).contains(&slot.words);
        let found = self.slots.iter().filter(|(_, slot)| like(slot)).max_by_key(|(_, slot)| slot.words).map(|(buffer, _)| *buffer);
        if let Some(buffer) = found {
            self.slots.remove(&buffer);
            device.free(buffer);
        }
    }

    /// Gives the buffer of `view` back; does nothing for a view of other memory.
    pub fn release(&mut self, view: View) {
        if let Some(slot) = self.slots.get_mut(&view.buffer) {
            // steps that are recorded and not run yet may read it
            (slot.taken, slot.touched) = (false, true);
        }
    }

    /// Whether `view` lies in a taken buffer of this pool.
    pub fn holds(&self, view: View) -> bool {
        self.slots.get(&view.buffer).is_some_and(|slot| slot.taken)
    }

    /// The buffers taken now.
    pub fn taken(&self) -> Vec<BufferId> {
        self.slots.iter().filter(|(_, slot)| slot.taken).map(|(buffer, _)| *buffer).collect()
    }

    /// Frees every buffer on its device.
    pub fn clear(&mut self, device: &mut dyn Device) {
        for buffer in std::mem::take(&mut self.slots).into_keys() {
            device.free(buffer);
        }
    }
}

/// Rounds up to four sizes per doubling: batches of nearly equal length share buffers.
fn size_class(words: usize) -> usize {
    let step = (words.next_power_of_two() / 8).max(View::ALIGN);
    words.max(1).next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::oracle::OracleDevice;

    #[test]
    fn a_released_buffer_is_reused_but_not_for_uploads() {
        let (mut device, mut arena) = (OracleDevice::<f32>::new(), Arena::new());
        let first = arena.take(&mut device, 10, 10, false).unwrap();
        arena.release(first);
        let upload = arena.take(&mut device, 10, 10, true).unwrap();
        assert_ne!(first.buffer, upload.buffer, "a step of this recording still writes the first buffer");
        let second = arena.take(&mut device, 9, 11, false).unwrap();
        assert_eq!(first.buffer, second.buffer);
        arena.reset();
        arena.begin();
        assert!(arena.take(&mut device, 10, 10, true).is_ok());
        assert_eq!(arena.slots.len(), 2);
    }

    #[test]
    fn a_larger_buffer_takes_the_place_of_an_idle_one() {
        let (mut device, mut arena) = (OracleDevice::<f32>::new(), Arena::new());
        let [held, idle] = [0, 1].map(|_| arena.take(&mut device, 10, 10, false).unwrap());
        arena.begin();
        arena.release(held);
        let larger = arena.take(&mut device, 15, 10, false).unwrap();
        assert_eq!(arena.slots.len(), 3, "one is taken, and steps of this recording may read the other");
        arena.release(idle);
        arena.release(larger);
        arena.begin();
        assert!(arena.take(&mut device, 20, 10, false).is_ok());
        assert_eq!(arena.slots.len(), 3, "the largest of those it outgrows is given up");
    }

    #[test]
    fn size_classes_waste_at_most_a_quarter() {
        for words in 65..5000 {
            let class = size_class(words);
            assert!(class >= words && class <= (words + View::ALIGN).max(words + words / 4), "{words} {class}");
        }
    }
}
