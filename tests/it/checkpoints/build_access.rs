//! Who may have checkpoints: they hold what was in the memory of services.

use std::fs;
use std::process::Command;

use tonic::Code;

use super::build::{Case, descriptor};
use crate::execute::{execute, upload};
use crate::support::{criu, fail, run, succeed, until};

/// Writes a file of headers with a token.
fn with(case: &Case, command: &mut Command, token: &str) {
    let headers = case.world.write(token, format!("authorization: Bearer {token}\n"));
    command.arg("--serve-headers").arg(headers);
}

#[test]
fn over_tcp_only_clients_whom_the_operator_allows_have_checkpoints() {
    let case = Case::new();
    let tokens = case.world.write("tokens", "trusted\n").display().to_string();
    let daemon = case.daemon_with(&criu(), &["--checkpoint-token-file", &tokens]);
    let denied = "environment `warm` is a checkpoint: checkpoints hold what was in the memory of services";
    let asked = |token: Option<&str>, verb: &[&str]| {
        let mut command = case.world.client_of(&daemon, "client");
        command.args(verb).arg(&case.spec);
        if let Some(token) = token {
            with(&case, &mut command, token);
        }
        command
    };
    let fetch = ["fetch", "--absent", "--quiet"];
    for token in [None, Some("other")] {
        let said = fail(&mut asked(token, &fetch), 14);
        assert!(said.contains(denied) && said.contains("--checkpoint-token-file"), "{said}");
    }
    assert_eq!(daemon.builds(), 0, "nothing is built for those");
    succeed(&mut asked(Some("trusted"), &fetch));
    // Now it is there, and still not for everybody.
    for token in [None, Some("other")] {
        assert!(fail(&mut asked(token, &fetch), 14).contains(denied));
        assert!(fail(&mut asked(token, &["fetch", "--probe"]), 14).contains(denied));
    }
    assert_eq!(succeed(&mut asked(Some("trusted"), &["fetch", "--probe"])), "hit");
    // Other environments are for all.
    case.other("plain");
    succeed(&mut asked(None, &fetch));
}

#[test]
fn without_any_option_nobody_has_checkpoints_over_tcp_and_who_has_a_private_daemon_does() {
    let case = Case::new();
    let daemon = case.daemon_with(&criu(), &[]);
    assert!(fail(&mut case.ask(&daemon), 14).contains("`--checkpoints-for-all`"));
    let mut private = case.world.client("private");
    private.env("ENVSERVE_CRIU", criu()).args(["fetch", "--absent", "--json", "--quiet"]).arg(&case.spec);
    assert_eq!(descriptor(&mut private)["kind"], "checkpoint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_with_the_property_runs_no_other_command_and_for_nobody_else() {
    let case = Case::new();
    let witness = case.world.path("witness");
    let script = format!("touch {}", witness.display());
    let daemon = tokio::task::block_in_place(|| case.daemon());
    let action = upload(&daemon, "", &script, &[("checkpoint", "criu")]).await;
    let status = execute(&daemon.link().channel(), "", action).await.status.expect("a status");
    assert_eq!(status.code, Code::InvalidArgument as i32, "{status:?}");
    assert!(status.message.contains("`envserve make-checkpoint`"), "{}", status.message);
    assert!(!witness.exists());
}

#[test]
fn the_tokens_of_checkpoints_admit_to_everything_else_too_and_are_taken_up_anew() {
    let case = Case::new();
    case.other("plain");
    let (common, trusted) = (case.world.write("common", "common\n"), case.world.write("tokens", "trusted\n"));
    let [common, trusted] = [common, trusted].map(|path| path.display().to_string());
    let daemon = case.daemon_with(&criu(), &["--token-file", &common, "--checkpoint-token-file", &trusted]);
    let asked = |token: &str| {
        let mut command = case.ask(&daemon);
        with(&case, &mut command, token);
        command
    };
    succeed(&mut asked("common"));
    succeed(&mut asked("trusted"));
    assert!(fail(&mut case.ask(&daemon), 14).contains("a token is needed"));
    fs::write(&trusted, "newer\n").expect("temporary");
    until("the new token is taken up", || run(&mut asked("newer")).status.success().then_some(()));
    fail(&mut asked("trusted"), 14);
}
