//! The property that has the executor make checkpoints.

use super::super::fixture::{Fixture, properties, shell};
use super::super::{ExecuteError, ExecuteRequest, Execution, ExecutionOptions, NoEvents, Sandbox};
use crate::proto::reapi;

/// Returns a command of these words.
fn command(words: &[&str]) -> reapi::Command {
    reapi::Command { arguments: words.iter().map(ToString::to_string).collect(), ..shell("", &["made"]) }
}

fn variable(name: &str) -> Vec<reapi::command::EnvironmentVariable> {
    vec![reapi::command::EnvironmentVariable { name: name.to_owned(), value: "/tmp/x".to_owned() }]
}

/// Returns why the executor does not run a command for checkpoints.
async fn refused(fixture: &Fixture, command: reapi::Command) -> ExecuteError {
    let action = fixture.action_with(command, &[], properties(&[("checkpoint", "criu")])).await;
    fixture.execute(action).await.expect_err("it makes no checkpoint")
}

#[tokio::test]
async fn no_other_command_gets_out_of_the_sandbox() {
    let made = tempfile::tempdir().unwrap();
    let witness = made.path().join("witness");
    let touch = format!("touch {}", witness.display());
    for sandbox in [Sandbox::Bubblewrap, Sandbox::None] {
        let fixture = Fixture::with(ExecutionOptions { sandbox, ..ExecutionOptions::default() });
        let own = command(&["envserve", "make-checkpoint"]);
        let preloaded = reapi::Command { environment_variables: variable("LD_PRELOAD"), ..own.clone() };
        let other_criu = reapi::Command { environment_variables: variable("ENVSERVE_CRIU"), ..own.clone() };
        let elsewhere = reapi::Command { working_directory: "below".to_owned(), ..own.clone() };
        for (command, expected) in [
            (command(&["/bin/sh", "-c", &touch]), "arguments"),
            (command(&["envserve", "make-checkpoint", "--more"]), "arguments"),
            (command(&["envserve", "run"]), "arguments"),
            (command(&["/tmp/envserve", "make-checkpoint"]), "arguments"),
            (command(&["./envserve", "make-checkpoint"]), "arguments"),
            (preloaded, "environment_variables"),
            (other_criu, "environment_variables"),
            (elsewhere, "working_directory"),
        ] {
            let error = refused(&fixture, command).await;
            let ExecuteError::Invalid { field, .. } = &error else { panic!("{error:?}") };
            assert_eq!(*field, expected, "{error}");
        }
        assert_eq!(fixture.leftovers(), 0);
    }
    assert!(!witness.exists());
}

#[tokio::test]
async fn who_may_not_have_checkpoints_has_none_made() {
    let fixture = Fixture::new();
    let own = command(&["envserve", "make-checkpoint"]);
    let action = fixture.action_with(own, &[], properties(&[("checkpoint", "criu")])).await;
    let request = ExecuteRequest { checkpoints: false, ..ExecuteRequest::new(action) };
    let error = fixture.execution.execute(request, &NoEvents).await.expect_err("it is not for everybody");
    assert!(matches!(error, ExecuteError::CheckpointsDenied), "{error:?}");
}

#[tokio::test]
async fn a_host_without_criu_says_how_to_get_it() {
    let criu = Some("/nowhere/criu".into());
    let fixture = Fixture::with(ExecutionOptions { criu, ..ExecutionOptions::default() });
    let error = refused(&fixture, command(&["envserve", "make-checkpoint"])).await;
    assert!(matches!(error, ExecuteError::Checkpoints { .. }), "{error:?}");
    assert!(error.to_string().contains("; to get it: "), "{error}");
    let told = fixture.execution.checkpoints().await.expect_err("the same");
    assert_eq!(told.to_string(), error.to_string());
}
