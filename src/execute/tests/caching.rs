//! What is answered from the action cache, and what is not.

use super::super::fixture::{Fixture, parsed, shell};
use super::super::{ExecuteRequest, Execution, NoEvents};
use crate::digest::Digest;
use crate::proto::reapi;

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
    let again = fixture
        .execution
        .execute(ExecuteRequest { skip_cache_lookup: true, ..ExecuteRequest::new(action) }, &NoEvents)
        .await
        .unwrap();
    assert_ne!(first.result.output_files, again.result.output_files);
    assert_eq!(fixture.execute(action).await.unwrap().result, again.result);
}

/// Returns a blob of every kind that the result reaches.
fn reached(result: &reapi::ActionResult) -> [Digest; 4] {
    let directory = &result.output_directories[0];
    let (file, log) = (&result.output_files[0].digest, &result.stdout_digest);
    [file, log, &directory.tree_digest, &directory.root_directory_digest]
        .map(|digest| parsed(digest.as_ref().expect("every kind of output is there")))
}

#[tokio::test]
async fn losing_any_one_blob_of_a_result_makes_the_action_run_again() {
    let fixture = Fixture::new();
    let action = fixture.action(shell(&format!("{ONCE}; echo said"), &["dir", "out"]), &[]).await;
    fixture.execute(action).await.unwrap();
    for kind in 0..4 {
        let before = fixture.execute(action).await.unwrap();
        assert!(before.cached);
        let lost = reached(&before.result)[kind];
        fixture.store.remove(&lost).unwrap();
        let after = fixture.execute(action).await.unwrap();
        assert!(!after.cached, "{lost}");
        assert_ne!(after.result.output_files, before.result.output_files);
    }
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
