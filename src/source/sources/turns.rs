//! Work that is done once, however many ask for it at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Who does which piece of work now.
#[derive(Clone)]
pub struct Turns {
    taken: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
    room: Arc<Semaphore>,
}

/// Held while the work is done.
pub struct Turn {
    _alone: OwnedMutexGuard<()>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Returns turns of which so many are taken at a time.
    pub fn new(at_once: usize) -> Self {
        Self { taken: Arc::default(), room: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits until nobody else does the work of this name, and not too many do others.
    pub async fn take(&self, name: &str) -> Turn {
        let alone = self.named(name).lock_owned().await;
        // The semaphore is never closed.
        Turn { _alone: alone, _room: Arc::clone(&self.room).acquire_owned().await.ok() }
    }

    /// Says whether somebody does the work of this name, or waits to.
    pub fn is_taken(&self, name: &str) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(name).is_some_and(|turn| turn.strong_count() > 0)
    }

    fn named(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = taken.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        taken.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        taken.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_at_a_time_does_the_work_of_a_name() {
        let (turns, working, done) = (Turns::new(4), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..50).map(|_| {
            let (turns, working, done) = (turns.clone(), Arc::clone(&working), Arc::clone(&done));
            async move {
                let _turn = turns.take("x").await;
                assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                tokio::task::yield_now().await;
                working.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        futures::future::join_all(tasks).await;
        assert_eq!(done.load(Ordering::SeqCst), 50);
        drop(turns.take("y").await);
        assert_eq!(turns.taken.lock().unwrap().len(), 1, "those that are over are forgotten");
    }
}
