//! Slots for actions, and who gets the next: clients in turn, and of one client's
//! actions the one with the lowest priority number, then the one that came first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::ExecuteError;

/// The slots, and those who wait.
#[derive(Clone)]
pub(super) struct Queue {
    state: Arc<Mutex<State>>,
    limit: usize,
}

struct State {
    free: usize,
    waiting: usize,
    arrivals: u64,
    clients: HashMap<Arc<str>, BTreeMap<Place, oneshot::Sender<Slot>>>,
    /// The clients that wait, the next one first.
    turns: VecDeque<Arc<str>>,
}

/// Place among the actions of one client: priority, then arrival.
type Place = (i32, u64);

/// The right to run an action. Dropping it gives it to the next.
pub(super) struct Slot {
    queue: Queue,
}

/// A place that is given up when the one who waits leaves.
struct Waiting<'a> {
    queue: &'a Queue,
    client: &'a Arc<str>,
    place: Place,
}

impl Queue {
    /// Returns a queue of at most `limit` for so many slots.
    pub(super) fn new(slots: usize, limit: usize) -> Self {
        let state =
            State { free: slots.max(1), waiting: 0, arrivals: 0, clients: HashMap::new(), turns: VecDeque::new() };
        Self { state: Arc::new(Mutex::new(state)), limit }
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// `QueueFull` when as many wait as may.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue.
    pub(super) async fn slot(&self, client: &Arc<str>, priority: i32) -> Result<Slot, ExecuteError> {
        let (receiver, place) = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Slot { queue: self.clone() });
            }
            if state.waiting >= self.limit {
                return Err(ExecuteError::QueueFull { limit: self.limit });
            }
            state.enter(client, priority)
        };
        let _waiting = Waiting { queue: self, client, place };
        Ok(receiver.await.expect("who waits is dropped from the queue only when it leaves"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, client: &Arc<str>, priority: i32) -> (oneshot::Receiver<Slot>, Place) {
        let (sender, receiver) = oneshot::channel();
        let place = (priority, self.arrivals);
        self.arrivals += 1;
        self.waiting += 1;
        let actions = self.clients.entry(Arc::clone(client)).or_default();
        if actions.is_empty() {
            self.turns.push_back(Arc::clone(client));
        }
        actions.insert(place, sender);
        (receiver, place)
    }

    /// Takes out who is next. The client comes last then, if it has more.
    fn next(&mut self) -> Option<oneshot::Sender<Slot>> {
        let client = self.turns.pop_front()?;
        let actions = self.clients.get_mut(&client)?;
        let (_, sender) = actions.pop_first()?;
        self.waiting -= 1;
        if actions.is_empty() {
            self.clients.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        Some(sender)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = {
            let mut state = self.queue.state();
            let next = state.next();
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        if let Some(next) = next {
            // One who has left drops the slot, which comes back here.
            drop(next.send(Self { queue: self.queue.clone() }));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let Some(actions) = state.clients.get_mut(self.client) else { return };
        if actions.remove(&self.place).is_none() {
            return;
        }
        let empty = actions.is_empty();
        state.waiting -= 1;
        if empty {
            state.clients.remove(self.client);
            state.turns.retain(|client| client != self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Lets actions wait behind one that runs, and returns the order in which they get its slot.
    async fn order(asked: &[(&str, i32)]) -> Vec<String> {
        let queue = Queue::new(1, asked.len());
        let (sender, mut got) = tokio::sync::mpsc::unbounded_channel();
        let running = queue.slot(&"first".into(), 0).await.unwrap();
        let mut waiting = Vec::new();
        for (client, priority) in asked {
            let (queue, sender, client, priority) = (queue.clone(), sender.clone(), Arc::from(*client), *priority);
            let mut wait = Box::pin(async move {
                let slot = queue.slot(&client, priority).await.unwrap();
                sender.send(format!("{client}{priority}")).unwrap();
                drop(slot);
            });
            assert!((&mut wait).now_or_never().is_none(), "the slot is taken");
            waiting.push(wait);
        }
        drop((running, sender));
        futures::future::join_all(waiting).await;
        let mut order = Vec::new();
        while let Some(next) = got.recv().await {
            order.push(next);
        }
        order
    }

    #[tokio::test]
    async fn clients_take_turns() {
        let asked = [("a", 0), ("a", 0), ("a", 0), ("b", 0), ("c", 0), ("b", 0)];
        assert_eq!(order(&asked).await, ["a0", "b0", "c0", "a0", "b0", "a0"]);
    }

    #[tokio::test]
    async fn priority_counts_within_one_client_only() {
        let asked = [("a", 5), ("a", -1), ("a", 0), ("b", 9), ("b", 7)];
        assert_eq!(order(&asked).await, ["a-1", "b7", "a0", "b9", "a5"]);
    }

    #[tokio::test]
    async fn one_who_leaves_makes_room_and_loses_no_slot() {
        let queue = Queue::new(1, 1);
        let running = queue.slot(&"a".into(), 0).await.unwrap();
        let client = "b".into();
        let mut leaving = Box::pin(queue.slot(&client, 0));
        assert!((&mut leaving).now_or_never().is_none());
        assert!(matches!(queue.slot(&client, 0).await, Err(ExecuteError::QueueFull { limit: 1 })));
        drop(leaving);
        let mut given = Box::pin(queue.slot(&client, 0));
        assert!((&mut given).now_or_never().is_none(), "there is room, but no slot");
        drop(running);
        // It has the slot, but never looks.
        drop(given);
        assert!(queue.slot(&client, 0).now_or_never().is_some());
    }
}
