//! Actions that take more than they may.

use super::super::fixture::{Fixture, shell};
use super::super::{ExecuteError, ExecutionOptions, Limits};

fn limited(limits: Limits) -> Fixture {
    Fixture::with(ExecutionOptions { limits, ..ExecutionOptions::default() })
}

#[tokio::test]
async fn a_memory_hog_is_killed_and_told_so() {
    let fixture = limited(Limits { memory_bytes: 64 << 20, ..Limits::default() });
    // It asks for memory that it fills: a line without end.
    let result = fixture.run(shell("head -c 1000000000 /dev/zero | tail -c 900000000 | wc -c", &[]), &[]).await;
    let log = String::from_utf8(fixture.blob(result.stderr_digest.as_ref()).await.to_vec()).unwrap();
    let (by_group, by_process) = ("more than 67108864 bytes of memory", "memory exhausted");
    assert!(log.contains(by_group) || log.contains(by_process), "{log}");
    assert!(!fixture.stdout(&result).await.contains("900000000"));
    // Its neighbours and successors are as well as before.
    assert_eq!(fixture.run(shell("true", &[]), &[]).await.exit_code, 0);
}

#[tokio::test]
async fn a_result_that_lost_a_process_for_memory_is_not_cached() {
    let fixture = limited(Limits { memory_bytes: 64 << 20, ..Limits::default() });
    let script = "head -c 1000000000 /dev/zero | tail -c 900000000 >/dev/null; true";
    let action = fixture.action(shell(script, &[]), &[]).await;
    let first = fixture.execute(action).await.unwrap();
    if first.result.exit_code == 0 {
        assert!(!fixture.execute(action).await.unwrap().cached);
    }
}

#[tokio::test]
async fn a_fork_bomb_is_stopped() {
    let fixture = limited(Limits { processes: 50, ..Limits::default() });
    let script = "for i in $(seq 200); do sleep 600 & done; echo all";
    let result = fixture.run(shell(script, &[]), &[]).await;
    assert_ne!(result.exit_code, 0);
    let log = String::from_utf8(fixture.blob(result.stderr_digest.as_ref()).await.to_vec()).unwrap();
    assert!(log.contains("Cannot fork"), "{log}");
    assert!(!fixture.stdout(&result).await.contains("all"));
    assert_eq!(fixture.run(shell("true & wait", &[]), &[]).await.exit_code, 0);
}

#[tokio::test]
async fn a_file_without_end_is_cut_and_told_so() {
    let fixture = limited(Limits { file_bytes: 1 << 20, ..Limits::default() });
    let command = "exec head -c 100000000 /dev/zero > out";
    let result = fixture.run(shell(command, &["out"]), &[]).await;
    assert_eq!(result.exit_code, 128 + 25);
    let log = fixture.blob(result.stderr_digest.as_ref()).await;
    assert!(log.ends_with(b"killed: it wrote a file of more than 1048576 bytes]\n"), "{log:?}");
    assert_eq!(result.output_files[0].digest.as_ref().unwrap().size_bytes, 1 << 20);
}

#[tokio::test]
async fn outputs_beyond_the_limit_are_refused_together() {
    let fixture = limited(Limits { outputs_bytes: 1000, ..Limits::default() });
    let script = "mkdir d; head -c 600 /dev/zero > d/a; head -c 401 /dev/zero > b";
    assert_eq!(fixture.run(shell(script, &["d"]), &[]).await.exit_code, 0);
    let action = fixture.action(shell(script, &["b", "d"]), &[]).await;
    let error = fixture.execute(action).await.expect_err("it is one byte too many");
    assert!(matches!(error, ExecuteError::OutputsTooLarge { limit: 1000 }), "{error:?}");
    assert_eq!(fixture.leftovers(), 0);
}
