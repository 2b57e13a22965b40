//! The actions that run for clients of the REAPI, as `longrunning` operations.
//!
//! Equal actions in flight are one operation. It goes on as long as a client
//! follows it, and for a grace after the last one has left, who may come back
//! and wait for it; then it is killed. One that has ended is remembered for a
//! while, so that who was away meanwhile still hears how.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream;
use tokio::sync::watch;

use super::Answers;
use super::answer::{done, lost, operation};
use crate::digest::Digest;
use crate::execute::{ExecutionEvents, LiveLog, Stage};
use crate::proto::longrunning::Operation;
use crate::proto::reapi;
use crate::proto::reapi::execution_stage::Value;
use crate::store::wire::function_number;

/// How long an operation goes on without anyone who follows it.
const GRACE: Duration = Duration::from_secs(60);
/// How long an operation that has ended is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// Most operations that are remembered after their end.
const MAX_REMEMBERED: usize = 1000;

/// The operations of this process.
#[derive(Clone)]
pub(super) struct Operations {
    known: Arc<Mutex<Known>>,
    grace: Duration,
    /// What the names of logs begin with: the instance.
    prefix: Arc<str>,
}

#[derive(Default)]
struct Known {
    by_name: HashMap<String, Arc<State>>,
    /// Those that may be joined.
    by_action: HashMap<Digest, Arc<State>>,
    ended: VecDeque<(Instant, String)>,
}

struct State {
    name: String,
    news: watch::Sender<Operation>,
    followers: watch::Sender<usize>,
    cancelled: watch::Sender<bool>,
    logs: Mutex<Option<[LiveLog; 2]>>,
}

/// One who follows an operation.
struct Follower {
    state: Arc<State>,
    news: watch::Receiver<Operation>,
}

impl Operations {
    /// Returns the operations of an instance.
    pub(super) fn new(instance: &str) -> Self {
        let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
        Self { known: Arc::default(), grace: GRACE, prefix: prefix.into() }
    }

    /// Begins an operation, or joins one in flight for the same action if both may be joined. It is to be run
    /// when it is new.
    pub(super) fn begin(&self, action: Digest, joinable: bool) -> (Answers<Operation>, Option<Running>) {
        let mut known = self.known();
        if joinable && let Some(state) = known.by_action.get(&action) {
            return (follow(Arc::clone(state)), None);
        }
        let name = format!("operations/{}", uuid::Uuid::new_v4());
        let metadata = reapi::ExecuteOperationMetadata {
            stage: Value::Unknown.into(),
            action_digest: Some(action.into()),
            digest_function: function_number(action.function()),
            stdout_stream_name: format!("{}{name}/stdout", self.prefix),
            stderr_stream_name: format!("{}{name}/stderr", self.prefix),
            ..Default::default()
        };
        let state = Arc::new(State {
            news: watch::Sender::new(operation(&name, &metadata)),
            name: name.clone(),
            followers: watch::Sender::new(0),
            cancelled: watch::Sender::new(false),
            logs: Mutex::default(),
        });
        known.by_name.insert(name, Arc::clone(&state));
        if joinable {
            known.by_action.insert(action, Arc::clone(&state));
        }
        drop(known);
        let answers = follow(Arc::clone(&state));
        let running = Running { operations: self.clone(), state, action, metadata: Mutex::new(metadata) };
        (answers, Some(running))
    }

    /// Follows an operation from where it is to its end.
    pub(super) fn follow(&self, name: &str) -> Option<Answers<Operation>> {
        self.known().by_name.get(name).cloned().map(follow)
    }

    /// Returns where an operation is.
    pub(super) fn get(&self, name: &str) -> Option<Operation> {
        Some(self.known().by_name.get(name)?.news.borrow().clone())
    }

    /// Has an operation killed, for all who follow it. One that has ended stays as it is. Returns whether it is known.
    pub(super) fn cancel(&self, name: &str) -> bool {
        let known = self.known();
        let state = known.by_name.get(name);
        state.is_some_and(|state| {
            state.cancelled.send_replace(true);
            true
        })
    }

    /// Returns the log that a resource name of ByteStream stands for, while it is written.
    pub(super) fn log(&self, resource: &str) -> Option<LiveLog> {
        let (name, log) = resource.strip_prefix(&*self.prefix)?.rsplit_once('/')?;
        let state = self.known().by_name.get(name).cloned()?;
        let logs = state.logs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (log, logs?) {
            ("stdout", [stdout, _]) => Some(stdout),
            ("stderr", [_, stderr]) => Some(stderr),
            _ => None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an operation is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    /// A client asked for it.
    Cancelled,
    /// No client has followed it for a while.
    Abandoned,
}

/// An operation in flight, from the side of the action. Dropped before its end, it is forgotten.
pub(super) struct Running {
    operations: Operations,
    state: Arc<State>,
    action: Digest,
    metadata: Mutex<reapi::ExecuteOperationMetadata>,
}

impl Running {
    /// Completes with the reason when the operation is to be killed.
    pub(super) async fn killed(&self) -> Killed {
        let mut cancelled = self.state.cancelled.subscribe();
        tokio::select! {
            // It does not fail: the sender is in `self`.
            _ = cancelled.wait_for(|cancelled| *cancelled) => Killed::Cancelled,
            () = self.abandoned() => Killed::Abandoned,
        }
    }

    /// Completes when nobody has followed it for a while.
    async fn abandoned(&self) {
        let mut followers = self.state.followers.subscribe();
        loop {
            // It does not fail: the sender is in `self`.
            drop(followers.wait_for(|count| *count == 0).await);
            if tokio::time::timeout(self.operations.grace, followers.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    /// Ends it.
    pub(super) fn finish(self, response: &reapi::ExecuteResponse) {
        let metadata = self.change(|metadata| metadata.stage = Value::Completed.into());
        let mut known = self.operations.known();
        known.ended.push_back((Instant::now(), self.state.name.clone()));
        while known.ended.len() > MAX_REMEMBERED || known.ended.front().is_some_and(|(at, _)| at.elapsed() > MEMORY) {
            if let Some((_, name)) = known.ended.pop_front() {
                known.by_name.remove(&name);
            }
        }
        drop(known);
        // First off the board, then the news: who asks after the news starts afresh.
        self.unjoin();
        self.state.news.send_replace(done(&self.state.name, &metadata, response));
    }

    fn unjoin(&self) {
        let mut known = self.operations.known();
        if known.by_action.get(&self.action).is_some_and(|state| Arc::ptr_eq(state, &self.state)) {
            known.by_action.remove(&self.action);
        }
        self.state.logs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn change(&self, change: impl FnOnce(&mut reapi::ExecuteOperationMetadata)) -> reapi::ExecuteOperationMetadata {
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut metadata);
        metadata.clone()
    }

    fn tell(&self, change: impl FnOnce(&mut reapi::ExecuteOperationMetadata)) {
        let metadata = self.change(change);
        self.state.news.send_replace(operation(&self.state.name, &metadata));
    }
}

impl ExecutionEvents for Running {
    fn stage(&self, stage: Stage) {
        let stage = match stage {
            Stage::CacheCheck => Value::CacheCheck,
            Stage::Queued => Value::Queued,
            Stage::Executing => Value::Executing,
            // Told with the response.
            Stage::Completed => return,
        };
        self.tell(|metadata| metadata.stage = stage.into());
    }

    fn log(&self, _: &str) {}

    fn metadata(&self, partial: &reapi::ExecutedActionMetadata) {
        self.tell(|metadata| metadata.partial_execution_metadata = Some(partial.clone()));
    }

    fn logs(&self, stdout: LiveLog, stderr: LiveLog) {
        *self.state.logs.lock().unwrap_or_else(PoisonError::into_inner) = Some([stdout, stderr]);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.unjoin();
        if !self.state.news.borrow().done {
            self.operations.known().by_name.remove(&self.state.name);
            let metadata = self.change(|metadata| metadata.stage = Value::Completed.into());
            self.state.news.send_replace(done(&self.state.name, &metadata, &lost()));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.state.followers.send_modify(|count| *count -= 1);
    }
}

/// Streams what becomes of an operation: where it is, then changes, of which it may skip some, then its end.
fn follow(state: Arc<State>) -> Answers<Operation> {
    state.followers.send_modify(|count| *count += 1);
    let follower = Follower { news: state.news.subscribe(), state };
    Box::pin(stream::unfold(Some((follower, true)), |next| async move {
        let (mut follower, first) = next?;
        if !first {
            // It does not fail: the sender is in the state that the follower holds.
            drop(follower.news.changed().await);
        }
        let now = follower.news.borrow_and_update().clone();
        let next = (!now.done).then_some((follower, false));
        Some((Ok(now), next))
    }))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::digest::DigestFunction;

    fn action(number: usize) -> Digest {
        DigestFunction::Sha256.digest(&number.to_le_bytes())
    }

    #[tokio::test]
    async fn an_operation_is_abandoned_when_its_last_follower_has_left_for_good() {
        let operations = Operations { grace: Duration::ZERO, ..Operations::new("") };
        let (first, running) = operations.begin(action(0), true);
        let running = running.expect("it is new");
        let (second, joined) = operations.begin(action(0), true);
        assert!(joined.is_none());
        drop(first);
        assert!(running.abandoned().now_or_never().is_none(), "one is left");
        drop(second);
        running.abandoned().await;
        drop(running);
        assert!(operations.begin(action(0), true).1.is_some(), "who asks then starts afresh");
    }

    #[tokio::test]
    async fn an_operation_that_is_dropped_without_an_end_ends_its_streams_and_is_forgotten() {
        let operations = Operations::new("");
        let (mut answers, running) = operations.begin(action(0), false);
        let name = answers.next().await.expect("where it is").unwrap().name;
        drop(running);
        assert!(answers.next().await.expect("its end").unwrap().done);
        assert!(answers.next().await.is_none());
        assert!(operations.follow(&name).is_none());
    }

    #[tokio::test]
    async fn only_so_many_ended_operations_are_remembered() {
        let operations = Operations::new("main");
        for number in 0..MAX_REMEMBERED + 10 {
            let (_answers, running) = operations.begin(action(number), true);
            running.expect("it is new").finish(&reapi::ExecuteResponse::default());
        }
        let known = operations.known();
        assert_eq!((known.by_name.len(), known.by_action.len()), (MAX_REMEMBERED, 0));
    }
}
