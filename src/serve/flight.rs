//! Single flight: one piece of work per key at a time, however many ask for it.
//!
//! The work is a task of its own. Who asks gets a seat; leaving a seat does not
//! stop the work, and who asks again while it runs gets another seat on it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::environment::{Priority, Progress, ProgressSink};

/// Work in flight, by key.
pub(crate) struct Flights<K, T> {
    running: Arc<Mutex<HashMap<K, Seat<T>>>>,
}

/// A place from which the progress and the result of one piece of work are seen.
pub(crate) struct Seat<T> {
    progress: watch::Receiver<Progress>,
    result: watch::Receiver<Option<T>>,
    priority: Priority,
}

impl<T> Clone for Seat<T> {
    fn clone(&self) -> Self {
        Self { progress: self.progress.clone(), result: self.result.clone(), priority: self.priority.clone() }
    }
}

impl<T: Clone> Seat<T> {
    /// Returns the priority of the work.
    pub(crate) fn priority(&self) -> &Priority {
        &self.priority
    }

    /// Waits for the next progress, or for the end: `None` then.
    ///
    /// # Cancel safety
    /// Nothing is lost: progress is a state, not a queue.
    pub(crate) async fn next(&mut self) -> Option<Progress> {
        let changed = tokio::select! {
            biased;
            _ = self.result.wait_for(Option::is_some) => false,
            changed = self.progress.changed() => changed.is_ok(),
        };
        if changed {
            return Some(self.progress.borrow_and_update().clone());
        }
        drop(self.result.wait_for(Option::is_some).await);
        None
    }

    /// Waits for the result. `None` when the work ended without one, by a panic say.
    pub(crate) async fn result(&mut self) -> Option<T> {
        self.result.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Takes the flight off the board when its task ends, by a panic too.
struct Landing<K: Eq + Hash, T> {
    running: Arc<Mutex<HashMap<K, Seat<T>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self { running: Arc::default() }
    }

    pub(crate) fn count(&self) -> usize {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns a seat on the work for `key`, which is started unless it is running, and whether it was running. It then
    /// gets this priority if that is the lower number.
    pub(crate) fn board<F>(
        &self,
        key: K,
        priority: i32,
        work: impl FnOnce(ProgressSink, Priority) -> F,
    ) -> (Seat<T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let vacant = match running.entry(key.clone()) {
            Entry::Occupied(flight) => {
                flight.get().priority.lend(priority);
                return (flight.get().clone(), true);
            }
            Entry::Vacant(vacant) => vacant,
        };
        let sink = ProgressSink::new();
        let (sender, result) = watch::channel(None);
        let priority = Priority::new(priority);
        let seat = Seat { progress: sink.subscribe(), result, priority: priority.clone() };
        let seat = vacant.insert(seat).clone();
        let landing = Landing { running: Arc::clone(&self.running), key };
        let work = work(sink, priority);
        tokio::spawn(async move {
            let value = work.await;
            // First off the board, then the news: who asks after the news starts afresh.
            drop(landing);
            sender.send_replace(Some(value));
        });
        (seat, false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_piece_of_work() {
        let flights: Flights<&str, usize> = Flights::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(Notify::new());
        let mut seats: Vec<Seat<usize>> = Vec::new();
        for _ in 0..50 {
            let (runs, go) = (Arc::clone(&runs), Arc::clone(&go));
            let work = |_, _| async move {
                go.notified().await;
                runs.fetch_add(1, Ordering::SeqCst) + 1
            };
            seats.push(flights.board("key", 0, work).0);
        }
        seats.remove(0);
        go.notify_one();
        for seat in &mut seats {
            assert_eq!(seat.result().await, Some(1));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn work_goes_on_when_all_have_left() {
        let flights: Flights<&str, ()> = Flights::new();
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (seat, _) = flights.board("key", 0, |_, _| {
            let (go, done) = (Arc::clone(&go), Arc::clone(&done));
            async move {
                go.notified().await;
                done.notify_one();
            }
        });
        drop(seat);
        go.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn work_that_panics_frees_its_key() {
        let flights: Flights<&str, u8> = Flights::new();
        let (mut seat, _) = flights.board("key", 0, |_, _| async { panic!("on purpose") });
        assert_eq!(seat.next().await, None);
        assert_eq!(seat.result().await, None);
        let (mut seat, joined) = flights.board("key", 0, |_, _| async { 7 });
        assert!(!joined);
        assert_eq!(seat.result().await, Some(7));
    }

    #[tokio::test]
    async fn progress_reaches_every_seat() {
        let flights: Flights<&str, u8> = Flights::new();
        let go = Arc::new(Notify::new());
        let gate = Arc::clone(&go);
        let (mut seat, _) = flights.board("key", 0, |sink: ProgressSink, _| async move {
            sink.actions(1, 2);
            gate.notified().await;
            3
        });
        let progress = seat.next().await.expect("still running");
        assert_eq!((progress.actions_done, progress.actions_total), (1, 2));
        go.notify_one();
        assert_eq!(seat.result().await, Some(3));
        assert!(seat.next().await.is_none());
    }
}
