//! Inputs stay while their action waits and runs.

use std::time::Duration;

use super::super::fixture::{FUNCTION, Fixture, shell};
use super::super::{ExecuteRequest, Execution, ExecutionEvents, ExecutionOptions, Stage};
use crate::store::{Goal, LocalBlobStore, StoreOptions};

/// Evicts whatever may go as soon as an action has its slot, which is before its inputs are laid out.
struct Evicting(LocalBlobStore);

impl ExecutionEvents for Evicting {
    fn stage(&self, stage: Stage) {
        if stage == Stage::Executing {
            let collected = self.0.collect(Goal { free: u64::MAX, max_age: None }).unwrap();
            assert!(collected.blobs > 0, "what nobody needs goes");
        }
    }

    fn log(&self, _: &str) {}
}

#[tokio::test]
async fn inputs_stay_while_their_action_waits_for_a_slot() {
    let kept = StoreOptions { grace: Duration::ZERO, ..StoreOptions::default() };
    let fixture = Fixture::over(ExecutionOptions::default(), kept);
    let large = "x".repeat(100_000);
    let inputs = [("d/small", "small"), ("d/e/large", large.as_str())];
    let action = fixture.action(shell("cat d/small; wc -c < d/e/large", &[]), &inputs).await;
    fixture.put("of no use").await;
    let events = Evicting(fixture.store.clone());
    let result = fixture.execution.execute(ExecuteRequest::new(action), &events).await.unwrap().result;
    assert_eq!(fixture.stdout(&result).await, "small100000\n");
    fixture.store.collect(Goal { free: u64::MAX, max_age: None }).unwrap();
    assert!(!fixture.store.contains(&FUNCTION.digest(b"small")).unwrap(), "afterwards they may go");
}
