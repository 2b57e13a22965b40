//! When a service ends: with its action, however that ends.

use std::path::PathBuf;

use envserve::proto::longrunning::operations_client::OperationsClient;
use envserve::proto::longrunning::{CancelOperationRequest, Operation};
use envserve::proto::protobuf;
use envserve::proto::reapi::execution_client::ExecutionClient;

use super::*;
use crate::execute::upload_as;
use crate::support::processes;

/// Returns how many processes there are with a word in what they were started by.
fn with(word: &str) -> usize {
    let word = told_apart(word);
    processes(|line| line.starts_with("httpd") && line.ends_with(&word)).len()
}

/// Returns what is left of actions.
fn left(warm: &Warm) -> Vec<PathBuf> {
    let yards = fs::read_dir(warm.daemon.root.join("tmp")).expect("there").flatten();
    let works = yards.filter_map(|yard| fs::read_dir(yard.path().join("work")).ok());
    works.flat_map(|work| work.flatten().map(|entry| entry.path())).collect()
}

/// Checks that nothing is there any more, or soon will not be.
fn assert_gone(warm: &Warm, word: &str) {
    until("nothing is left", || (with(word) == 0 && left(warm).is_empty()).then_some(()));
}

/// Begins an action that waits, and returns its operation when its service is there.
async fn begun(warm: &Warm, word: &str, action: Digest) -> Operation {
    let mut client = ExecutionClient::new(warm.daemon.link().channel());
    let request = reapi::ExecuteRequest { action_digest: Some(action.into()), ..Default::default() };
    let mut stream = client.execute(request).await.expect("taken").into_inner();
    let operation = stream.message().await.expect("a stream").expect("an operation");
    warm.waiting(1).await;
    assert_eq!(with(word), 1);
    operation
}

async fn waiting(warm: &Warm, action: reapi::Action) -> Digest {
    upload_as(action, &warm.daemon, "", WAIT, &[("service", &warm.service)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_gone_when_its_action_has_ended_or_was_cancelled() {
    let word = "realm-of-end";
    let warm = Warm::new(word);
    said(&warm.run("get warm").await);
    assert_eq!(with(word), 0, "it ended before the action was answered");
    let failed = warm.run("exit 3").await;
    assert_eq!((failed.result.expect("a result").exit_code, with(word)), (3, 0));
    let operation = begun(&warm, word, waiting(&warm, reapi::Action::default()).await).await;
    let cancel = CancelOperationRequest { name: operation.name };
    OperationsClient::new(warm.daemon.link().channel()).cancel_operation(cancel).await.expect("known");
    tokio::task::block_in_place(|| assert_gone(&warm, word));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_gone_when_the_time_of_its_action_is_over() {
    let word = "realm-of-time";
    let warm = Warm::new(word);
    let timeout = Some(protobuf::Duration { seconds: 10, nanos: 0 });
    let action = waiting(&warm, reapi::Action { timeout, ..Default::default() }).await;
    let response = execute(&warm.daemon.link().channel(), "", action).await;
    assert_eq!(response.status.expect("a status").code, Code::DeadlineExceeded as i32);
    tokio::task::block_in_place(|| assert_gone(&warm, word));
    // Also while it is being started.
    let timeout = Some(protobuf::Duration { seconds: 0, nanos: 1_000_000 });
    let action = waiting(&warm, reapi::Action { timeout, ..Default::default() }).await;
    let response = execute(&warm.daemon.link().channel(), "", action).await;
    assert_eq!(response.status.expect("a status").code, Code::DeadlineExceeded as i32);
    tokio::task::block_in_place(|| assert_gone(&warm, word));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_does_not_outlive_the_daemon() {
    let word = "realm-of-daemon";
    let warm = Warm::new(word);
    begun(&warm, word, waiting(&warm, reapi::Action::default()).await).await;
    let Warm { case, daemon, service } = warm;
    let daemon = tokio::task::block_in_place(|| daemon.kill_and_restart());
    let warm = Warm { case, daemon, service };
    tokio::task::block_in_place(|| until("it is gone", || (with(word) == 0).then_some(())));
    // What it was started from is known to the next daemon.
    assert_eq!(said(&warm.run("get warm").await), "warm\n");
}
