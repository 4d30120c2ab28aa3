//! Threads that stay awake while a recording runs. A decoding step is a hundred loops of some microseconds each, with
//! more between them than an idle thread waits before it sleeps; and waking one takes longer than such a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of no more threads than this: all ask the same one for work, and it has to wake each of them first.
const MOST: usize = 16;

/// How often a thread waits for a moment between two questions for work, how many questions it asks before it lets the
/// system run somebody else, and how many in a row before it gives up, until the next recording: some tenth of a
/// millisecond. It must give up, as a thread may begin to look in the middle of work that `body` waits for.
const WAITS: usize = 8;
const QUESTIONS: usize = 16;
const LAST: usize = 256;

/// Runs `body` on this thread of a pool while the others look for work.
pub(super) fn during<R>(body: impl FnOnce() -> R) -> R {
    let ended = Ended::default();
    if (2..=MOST).contains(&rayon::current_num_threads()) {
        let (here, flag) = (rayon::current_thread_index(), ended.0.clone());
        rayon::spawn_broadcast(move |thread| {
            if Some(thread.index()) != here {
                look_for_work(&flag);
            }
        });
    }
    body()
}

/// Set when this is dropped, by a panic too.
#[derive(Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn look_for_work(ended: &AtomicBool) {
    let mut questions = 0;
    while questions < LAST && !ended.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            questions = 0;
            continue;
        }
        (0..WAITS).for_each(|_| std::hint::spin_loop());
        questions += 1;
        if questions % QUESTIONS == 0 {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_work_in_the_middle_of_work_ends() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
        let [begun, running, done] = [const { AtomicBool::new(false) }; 3];
        let wait_for = |flag: &AtomicBool| {
            while !flag.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        };
        let waiting = || {
            wait_for(&begun);
            during(|| {
                running.store(true, Ordering::Release);
                wait_for(&done);
            });
        };
        let waited_for = || {
            begun.store(true, Ordering::Release);
            wait_for(&running);
            let looked = rayon::yield_now();
            done.store(true, Ordering::Release);
            looked
        };
        let ((), looked) = pool.install(|| rayon::join(waiting, waited_for));
        assert_eq!(looked, Some(rayon::Yield::Executed));
    }
}
