//! What is answered from the action cache, and what is not.

use std::fs;

use super::super::fixture::{Fixture, parsed, shell};
use super::super::{ExecuteRequest, Execution, NoEvents};

/// Leaves something different each time it runs.
const ONCE: &str = "cat /proc/sys/kernel/random/uuid > out; mkdir -p dir/sub; cp out dir/sub/file";

#[tokio::test]
async fn second_execution_is_answered_from_the_cache() {
    let fixture = Fixture::new();
    let action = fixture.action(shell(ONCE, &["dir", "out"]), &[]).await;
    let first = fixture.execute(action).await.unwrap();
    let second = fixture.execute(action).await.unwrap();
    assert!(!first.cached && second.cached);
    assert_eq!(first.result, second.result);
}

#[tokio::test]
async fn lookup_can_be_skipped() {
    let fixture = Fixture::new();
    let action = fixture.action(shell(ONCE, &["out"]), &[]).await;
    let first = fixture.execute(action).await.unwrap();
    let again = fixture.execution.execute(ExecuteRequest { action, skip_cache_lookup: true }, &NoEvents).await.unwrap();
    assert_ne!(first.result.output_files, again.result.output_files);
    assert_eq!(fixture.execute(action).await.unwrap().result, again.result);
}

#[tokio::test]
async fn losing_any_one_blob_of_a_result_makes_the_action_run_again() {
    let fixture = Fixture::new();
    let action = fixture.action(shell(&format!("{ONCE}; cat out; cat out >&2"), &["dir", "out"]), &[]).await;
    let result = fixture.execute(action).await.unwrap().result;
    let directory = &result.output_directories[0];
    let reached = [
        result.output_files[0].digest.as_ref(),
        result.stdout_digest.as_ref(),
        directory.tree_digest.as_ref(),
        directory.root_directory_digest.as_ref(),
    ];
    assert!(fixture.execute(action).await.unwrap().cached);
    for digest in reached {
        // What the last run left, not the first.
        let before = fixture.execute(action).await.unwrap().result;
        let lost = parsed(digest.expect("every kind of output is there"));
        let current = current(&before, &result, &lost);
        for executable in [false, true] {
            let _absent = fs::remove_file(fixture.store.path(&current, executable));
        }
        let after = fixture.execute(action).await.unwrap();
        assert!(!after.cached, "{current}");
        assert_ne!(after.result.output_files, before.output_files);
    }
}

/// Returns the digest in `now` that stands where `lost` stood in `then`.
fn current(
    now: &crate::proto::reapi::ActionResult,
    then: &crate::proto::reapi::ActionResult,
    lost: &crate::digest::Digest,
) -> crate::digest::Digest {
    let all = |result: &crate::proto::reapi::ActionResult| {
        let directory = result.output_directories[0].clone();
        [
            result.stdout_digest.clone(),
            result.output_files[0].digest.clone(),
            directory.tree_digest,
            directory.root_directory_digest,
        ]
        .map(|digest| parsed(&digest.expect("present")))
    };
    let at = all(then).iter().position(|digest| digest == lost).expect("it is in the first result");
    all(now)[at]
}

#[tokio::test]
async fn a_failing_command_is_a_result_and_is_not_cached() {
    let fixture = Fixture::new();
    let action = fixture.action(shell("echo left > out; echo why >&2; exit 7", &["out"]), &[]).await;
    for _ in 0..2 {
        let executed = fixture.execute(action).await.unwrap();
        assert!(!executed.cached);
        assert_eq!((executed.result.exit_code, executed.result.output_files.len()), (7, 1));
        assert_eq!(fixture.blob(executed.result.stderr_digest.as_ref()).await, "why\n");
    }
}

#[tokio::test]
async fn an_action_that_forbids_it_is_not_cached() {
    let fixture = Fixture::new();
    let action = fixture.action_with(shell(ONCE, &["out"]), &[], |action| action.do_not_cache = true).await;
    assert!(!fixture.execute(action).await.unwrap().cached);
    assert!(!fixture.execute(action).await.unwrap().cached);
}
