//! Time, slots and sizes, and what is left of an action that is stopped.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::fixture::{Fixture, shell};
use super::super::{ExecuteError, ExecuteRequest, Execution, ExecutionEvents, ExecutionOptions, Stage};
use crate::digest::Digest;
use crate::proto::protobuf;

/// Passes everything on.
struct Told(mpsc::UnboundedSender<String>);

impl ExecutionEvents for Told {
    fn stage(&self, stage: Stage) {
        let _gone = self.0.send(format!("{stage:?}"));
    }

    fn log(&self, line: &str) {
        let _gone = self.0.send(line.to_owned());
    }
}

/// Starts an action and returns once it has written `up`.
async fn started(fixture: &Fixture, action: Digest) -> tokio::task::JoinHandle<()> {
    let (sender, mut told) = mpsc::unbounded_channel();
    let execution = fixture.execution.clone();
    let task = tokio::spawn(async move {
        let request = ExecuteRequest { skip_cache_lookup: true, ..ExecuteRequest::new(action) };
        let _stopped = execution.execute(request, &Told(sender)).await;
    });
    while told.recv().await.expect("it runs until it is stopped") != "up" {}
    task
}

fn one_slot(queue: usize) -> ExecutionOptions {
    ExecutionOptions { slots: 1, queue, ..ExecutionOptions::default() }
}

#[tokio::test]
async fn an_action_that_takes_too_long_is_killed_with_its_daemons() {
    let fixture = Fixture::with(one_slot(0));
    let script = "echo begun; setsid sh -c 'trap \"\" TERM HUP; sleep 600' & sleep 600";
    let timeout = Some(protobuf::Duration { seconds: 1, nanos: 0 });
    let action = fixture.action_with(shell(script, &[]), &[], |action| action.timeout = timeout).await;
    let begun = Instant::now();
    let error = fixture.execute(action).await.expect_err("it takes ten minutes");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let ExecuteError::Timeout { seconds: 1, result } = error else { panic!("{error:?}") };
    assert_eq!(fixture.stdout(&result).await, "begun\n");
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn a_daemon_does_not_outlive_its_action() {
    let fixture = Fixture::new();
    let begun = Instant::now();
    // It keeps stdout open as well.
    let result = fixture.run(shell("setsid sleep 600 & echo done", &[]), &[]).await;
    assert_eq!(fixture.stdout(&result).await, "done\n");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_signal_is_an_exit_code() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run(shell("kill -KILL $$", &[]), &[]).await.exit_code, 128 + 9);
}

#[tokio::test]
async fn an_action_too_many_is_refused() {
    let fixture = Fixture::with(one_slot(0));
    let slow = fixture.action(shell("echo up; sleep 600", &[]), &[]).await;
    let running = started(&fixture, slow).await;
    let quick = fixture.action(shell("true", &[]), &[]).await;
    assert!(matches!(fixture.execute(quick).await, Err(ExecuteError::QueueFull { limit: 0 })));
    running.abort();
}

#[tokio::test]
async fn dropping_the_future_kills_the_action_and_frees_its_slot() {
    let fixture = Fixture::with(one_slot(1));
    let slow = fixture.action(shell("mkdir -p d; chmod 0 d; echo up; sleep 600", &[]), &[]).await;
    let running = started(&fixture, slow).await;
    assert_eq!(fixture.leftovers(), 1);
    running.abort();
    // It gets the slot only after the first one is dead and its directory removed.
    let quick = fixture.action(shell("true", &[]), &[]).await;
    fixture.execute(quick).await.unwrap();
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn stages_and_lines_are_told_in_order() {
    let fixture = Fixture::new();
    let action = fixture.action(shell("echo one; echo two", &[]), &[]).await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let request = ExecuteRequest::new(action);
    fixture.execution.execute(request, &Told(sender)).await.unwrap();
    let mut heard = Vec::new();
    while let Some(event) = told.recv().await {
        heard.push(event);
    }
    assert_eq!(heard, ["CacheCheck", "Queued", "Executing", "one", "two", "Completed"]);
}

#[tokio::test]
async fn output_beyond_the_limit_is_not_kept() {
    let fixture = Fixture::with(ExecutionOptions { max_output_bytes: 1000, ..ExecutionOptions::default() });
    let result = fixture.run(shell("head -c 100000000 /dev/zero", &[]), &[]).await;
    assert_eq!(result.exit_code, 0);
    let stdout = fixture.stdout(&result).await;
    assert!(stdout.len() < 1100 && stdout.ends_with("99999000 bytes beyond the limit of 1000 were dropped]\n"));
}
