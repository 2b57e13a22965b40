//! Actions that cannot be run.

use prost::Message;

use super::super::ExecuteError;
use super::super::fixture::{FUNCTION, Fixture, shell};
use crate::digest::Digest;
use crate::proto::{protobuf, reapi};

fn missing(error: ExecuteError) -> Vec<Digest> {
    let ExecuteError::MissingBlobs { digests } = error else { panic!("{error:?}") };
    digests
}

#[tokio::test]
async fn every_missing_input_is_named() {
    let fixture = Fixture::new();
    let inputs = [("a", "first"), ("d/b", "second"), ("d/c", "third")];
    let action = fixture.action(shell("true", &[]), &inputs).await;
    let lost = ["first", "third"].map(|content| FUNCTION.digest(content.as_bytes()));
    for digest in lost {
        fixture.store.remove(&digest).unwrap();
    }
    let mut named = missing(fixture.execute(action).await.expect_err("two blobs are gone"));
    named.sort_unstable_by_key(Digest::size);
    let mut lost = lost.to_vec();
    lost.sort_unstable_by_key(Digest::size);
    assert_eq!(named, lost);
}

#[tokio::test]
async fn a_missing_action_command_or_root_is_named() {
    let fixture = Fixture::new();
    let absent = FUNCTION.digest(b"absent");
    assert_eq!(missing(fixture.execute(absent).await.expect_err("no action")), [absent]);
    let root = FUNCTION.digest(b"no root");
    let action = fixture
        .action_with(shell("true", &[]), &[], |action| {
            action.command_digest = Some(absent.into());
            action.input_root_digest = Some(root.into());
        })
        .await;
    assert_eq!(missing(fixture.execute(action).await.expect_err("no command")), [absent, root]);
}

fn refused(error: &ExecuteError) -> &'static str {
    match error {
        ExecuteError::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn paths_that_leave_the_input_root_are_refused() {
    let fixture = Fixture::new();
    for bad in ["../x", "/etc/passwd", "a/../../x", "a//b", "x/", &"x".repeat(256)] {
        let action = fixture.action(shell("true", &[bad]), &[]).await;
        assert_eq!(refused(&fixture.execute(action).await.expect_err(bad)), "output_paths", "{bad}");
        let command = reapi::Command { working_directory: bad.into(), ..shell("true", &[]) };
        let action = fixture.action(command, &[]).await;
        assert_eq!(refused(&fixture.execute(action).await.expect_err(bad)), "working_directory", "{bad}");
    }
}

#[tokio::test]
async fn commands_that_make_no_sense_are_refused() {
    let fixture = Fixture::new();
    let variables = |pairs: &[(&str, &str)]| reapi::Command {
        environment_variables: pairs
            .iter()
            .map(|(name, value)| reapi::command::EnvironmentVariable { name: (*name).into(), value: (*value).into() })
            .collect(),
        ..shell("true", &[])
    };
    let property = reapi::platform::Property { name: "container-image".into(), value: "docker://x".into() };
    #[expect(deprecated, reason = "clients of API 2.1 say it so")]
    let image = reapi::Command { platform: Some(reapi::Platform { properties: vec![property] }), ..shell("true", &[]) };
    let cases = [
        ("arguments", reapi::Command::default()),
        ("arguments", reapi::Command { arguments: vec!["sh".into(), "a\0b".into()], ..Default::default() }),
        ("arguments", reapi::Command { arguments: vec!["echo".into(), "x".repeat(1 << 20)], ..Default::default() }),
        ("environment_variables", variables(&[("", "x")])),
        ("environment_variables", variables(&[("A=B", "x")])),
        ("environment_variables", variables(&[("A", "a\0b")])),
        ("environment_variables", variables(&[("A", "1"), ("A", "2")])),
        ("output_paths", shell("true", &["a", "a"])),
        ("output_paths", shell("true", &["input/x"])),
        ("platform", image),
    ];
    for (field, command) in cases {
        let action = fixture.action(command.clone(), &[("input", "a file")]).await;
        assert_eq!(refused(&fixture.execute(action).await.expect_err(field)), field, "{command:?}");
    }
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn a_time_out_beyond_the_limit_or_below_zero_is_refused() {
    let fixture = Fixture::new();
    for seconds in [-1, 1_000_000, i64::MAX] {
        let timeout = Some(protobuf::Duration { seconds, nanos: 0 });
        let action = fixture.action_with(shell("true", &[]), &[], |action| action.timeout = timeout).await;
        assert_eq!(refused(&fixture.execute(action).await.expect_err("no such time")), "timeout");
    }
}

#[tokio::test]
async fn blobs_that_are_no_messages_are_refused() {
    let fixture = Fixture::new();
    let garbage = fixture.put("\u{7f}garbage").await;
    assert_eq!(refused(&fixture.execute(garbage).await.expect_err("no Action")), "digest");
    let empty = fixture.put(reapi::Action::default().encode_to_vec()).await;
    assert_eq!(refused(&fixture.execute(empty).await.expect_err("names no command")), "command_digest");
    let action =
        fixture.action_with(shell("true", &[]), &[], |action| action.input_root_digest = Some(garbage.into())).await;
    let error = fixture.execute(action).await.expect_err("no Directory");
    assert!(matches!(error, ExecuteError::Store(crate::store::StoreError::Directory { .. })), "{error:?}");
}

#[tokio::test]
async fn names_in_inputs_cannot_leave_the_input_root() {
    let fixture = Fixture::new();
    let evil = reapi::SymlinkNode { name: "../evil".into(), target: "x".into(), ..Default::default() };
    let root = fixture.put(reapi::Directory { symlinks: vec![evil], ..Default::default() }.encode_to_vec()).await;
    let action =
        fixture.action_with(shell("true", &[]), &[], |action| action.input_root_digest = Some(root.into())).await;
    let error = fixture.execute(action).await.expect_err("the name leads out");
    assert!(matches!(error, ExecuteError::Store(crate::store::StoreError::Directory { .. })), "{error:?}");
}

#[tokio::test]
async fn outputs_are_not_made_behind_a_symlink_among_the_inputs() {
    let fixture = Fixture::new();
    let outside = fixture.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().to_owned();
    let link = reapi::SymlinkNode { name: "link".into(), target, ..Default::default() };
    let root = fixture.put(reapi::Directory { symlinks: vec![link], ..Default::default() }.encode_to_vec()).await;
    let command = shell("true", &["link/made/x"]);
    let action = fixture.action_with(command, &[], |action| action.input_root_digest = Some(root.into())).await;
    assert_eq!(refused(&fixture.execute(action).await.expect_err("it leads out")), "output_paths");
    assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failed_command() {
    let fixture = Fixture::new();
    let command = reapi::Command { arguments: vec!["/no/such/program".into()], ..Default::default() };
    let action = fixture.action(command, &[]).await;
    let result = fixture.execute(action).await.unwrap().result;
    assert_eq!(result.exit_code, 127);
    assert!(fixture.blob(result.stderr_digest.as_ref()).await.ends_with(b"No such file or directory\n"));
}
