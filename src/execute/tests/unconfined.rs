//! Actions without a sandbox.

use std::time::{Duration, Instant};

use super::super::fixture::{Fixture, properties, shell};
use super::super::{ExecuteError, ExecutionOptions, Sandbox};
use crate::proto::protobuf;

fn unconfined() -> Fixture {
    Fixture::with(ExecutionOptions { sandbox: Sandbox::None, ..ExecutionOptions::default() })
}

#[tokio::test]
async fn an_action_without_a_sandbox_says_so_and_gives_its_outputs() {
    let fixture = unconfined();
    let script = "cat input; echo x > d/out; ln -s /etc/passwd link; env; exit 3";
    let mut command = shell(script, &["d/out", "link"]);
    command.environment_variables =
        vec![crate::proto::reapi::command::EnvironmentVariable { name: "A".into(), value: "1".into() }];
    let result = fixture.run(command, &[("input", "in\n")]).await;
    assert_eq!(result.exit_code, 3);
    let stdout = fixture.stdout(&result).await;
    assert!(stdout.starts_with("in\n") && stdout.contains("A=1") && !stdout.contains("HOME="), "{stdout}");
    let log = fixture.blob(result.stderr_digest.as_ref()).await;
    assert_eq!(log, "[envserve: this action runs without a sandbox]\n");
    assert_eq!(result.output_files[0].path, "d/out");
    assert_eq!(result.output_symlinks[0].target, "/etc/passwd");
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn its_processes_are_killed_with_it() {
    let fixture = unconfined();
    let begun = Instant::now();
    let result = fixture.run(shell("sleep 600 & echo done", &[]), &[]).await;
    assert_eq!(fixture.stdout(&result).await, "done\n");
    let timeout = Some(protobuf::Duration { seconds: 1, nanos: 0 });
    let command = shell("echo begun; sleep 600 & sleep 600", &[]);
    let action = fixture.action_with(command, &[], |action| action.timeout = timeout).await;
    let error = fixture.execute(action).await.expect_err("it takes ten minutes");
    assert!(matches!(error, ExecuteError::Timeout { seconds: 1, .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn what_needs_a_sandbox_is_refused() {
    let fixture = unconfined();
    let stands = properties(&[("InputRootAbsolutePath", "/workspace")]);
    let action = fixture.action_with(shell("true", &[]), &[], stands).await;
    let error = fixture.execute(action).await.expect_err("nothing can be mounted");
    assert!(matches!(error, ExecuteError::Invalid { field: "platform", .. }), "{error:?}");
}
