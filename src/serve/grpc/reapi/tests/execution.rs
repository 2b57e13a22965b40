//! Actions and their results, end to end.

use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use super::{INSTANCE, Served, refused};
use crate::digest::Digest;
use crate::execute::fixture::{FUNCTION, parsed, shell};
use crate::proto::longrunning::{Operation, operation};
use crate::proto::{protobuf, reapi};

const ONCE: &str = "cat /proc/sys/kernel/random/uuid > out";

fn request(action: Digest) -> reapi::ExecuteRequest {
    let (instance_name, action_digest) = (INSTANCE.into(), Some(action.into()));
    reapi::ExecuteRequest { instance_name, action_digest, ..Default::default() }
}

fn get(action: Digest) -> reapi::GetActionResultRequest {
    let (instance_name, action_digest) = (INSTANCE.into(), Some(action.into()));
    reapi::GetActionResultRequest { instance_name, action_digest, ..Default::default() }
}

fn put(action: Digest, result: reapi::ActionResult) -> reapi::UpdateActionResultRequest {
    reapi::UpdateActionResultRequest {
        instance_name: INSTANCE.into(),
        action_digest: Some(action.into()),
        action_result: Some(result),
        ..Default::default()
    }
}

/// Executes an action and returns the last operation.
async fn executed(served: &Served, action: Digest) -> reapi::ExecuteResponse {
    let mut stream = served.execution().execute(request(action)).await.unwrap().into_inner();
    let mut last = None;
    while let Some(operation) = stream.message().await.unwrap() {
        let metadata = operation.metadata.as_ref().unwrap();
        assert_eq!(metadata.type_url, "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata");
        last = Some(operation);
    }
    response(last.expect("there is an operation at least"))
}

fn response(operation: Operation) -> reapi::ExecuteResponse {
    assert!(operation.done);
    let Some(operation::Result::Response(response)) = operation.result else { panic!("{operation:?}") };
    reapi::ExecuteResponse::decode(&*response.value).unwrap()
}

#[tokio::test]
async fn an_action_runs_once_and_its_result_is_in_the_action_cache() {
    let served = Served::start();
    let action = served.fixture.action(shell(ONCE, &["out"]), &[]).await;
    refused(served.action_cache().get_action_result(get(action)).await, Code::NotFound, "no whole result");
    let first = executed(&served, action).await;
    let second = executed(&served, action).await;
    assert!(!first.cached_result && second.cached_result);
    assert_eq!((first.status.unwrap().code, &first.result), (0, &second.result));
    let result = served.action_cache().get_action_result(get(action)).await.unwrap().into_inner();
    assert_eq!(Some(result), first.result);
}

#[tokio::test]
async fn missing_inputs_are_violations_in_the_response() {
    let served = Served::start();
    let action = served.fixture.action(shell("true", &[]), &[("input", "lost")]).await;
    let lost = FUNCTION.digest(b"lost");
    served.fixture.store.remove(&lost).unwrap();
    let response = executed(&served, action).await;
    let status = response.status.unwrap();
    assert_eq!((status.code, response.result), (Code::FailedPrecondition as i32, None));
    let details = status.encode_to_vec().into();
    let status = tonic::Status::with_details(Code::FailedPrecondition, "", details);
    let failure = status.get_details_precondition_failure().unwrap();
    assert_eq!(failure.violations.len(), 1);
    assert_eq!(failure.violations[0].r#type, "MISSING");
    assert_eq!(failure.violations[0].subject, format!("blobs/{lost}"));
}

#[tokio::test]
async fn an_action_that_cannot_be_run_is_told_in_the_response() {
    let served = Served::start();
    let action = served.fixture.action(shell("true", &["../out"]), &[]).await;
    let status = executed(&served, action).await.status.unwrap();
    assert_eq!(status.code, Code::InvalidArgument as i32);
    assert!(status.message.contains("output_paths"), "{}", status.message);
}

#[tokio::test]
async fn a_time_out_keeps_what_was_written() {
    let served = Served::start();
    let timeout = Some(protobuf::Duration { seconds: 0, nanos: 500_000_000 });
    let command = shell("echo begun; sleep 600", &[]);
    let action = served.fixture.action_with(command, &[], |action| action.timeout = timeout).await;
    let response = executed(&served, action).await;
    assert_eq!(response.status.unwrap().code, Code::DeadlineExceeded as i32);
    assert_eq!(served.fixture.stdout(&response.result.unwrap()).await, "begun\n");
}

#[tokio::test]
async fn an_action_goes_on_without_its_client_and_can_be_waited_for() {
    let served = Served::start();
    let action = served.fixture.action(shell(&format!("sleep 1; {ONCE}"), &["out"]), &[]).await;
    let mut stream = served.execution().execute(request(action)).await.unwrap().into_inner();
    let name = stream.message().await.unwrap().expect("the first operation").name;
    drop(stream);
    let wait = reapi::WaitExecutionRequest { name: name.clone() };
    let mut stream = served.execution().wait_execution(wait.clone()).await.unwrap().into_inner();
    let mut last = None;
    while let Some(operation) = stream.message().await.unwrap() {
        assert_eq!(operation.name, name);
        last = Some(operation);
    }
    assert_eq!(response(last.expect("it ends")).result.unwrap().output_files.len(), 1);
    refused(served.execution().wait_execution(wait).await, Code::NotFound, "is not in flight here");
}

#[tokio::test]
async fn a_result_whose_outputs_are_not_there_is_not_taken() {
    let served = Served::start();
    // Not the digest of an Action: it need not be.
    let key = FUNCTION.digest(b"anything");
    let there = served.fixture.put("there").await;
    let file =
        |digest: Digest| reapi::OutputFile { path: "x".into(), digest: Some(digest.into()), ..Default::default() };
    let result = |digest| reapi::ActionResult { output_files: vec![file(digest)], ..Default::default() };
    let lost = served.action_cache().update_action_result(put(key, result(FUNCTION.digest(b"absent")))).await;
    let status = lost.expect_err("the output is absent");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.get_details_precondition_failure().unwrap().violations.len(), 1);
    let malformed = reapi::OutputFile { path: "x".into(), ..Default::default() };
    let malformed = reapi::ActionResult { output_files: vec![malformed], ..Default::default() };
    refused(served.action_cache().update_action_result(put(key, malformed)).await, Code::InvalidArgument, "no digest");
    let no_tree = reapi::OutputDirectory { tree_digest: Some(there.into()), ..Default::default() };
    let no_tree = reapi::ActionResult { output_directories: vec![no_tree], ..Default::default() };
    refused(served.action_cache().update_action_result(put(key, no_tree)).await, Code::InvalidArgument, "Tree");

    served.action_cache().update_action_result(put(key, result(there))).await.unwrap();
    let known = served.action_cache().get_action_result(get(key)).await.unwrap().into_inner();
    assert_eq!(parsed(known.output_files[0].digest.as_ref().unwrap()), there);
    served.fixture.store.remove(&there).unwrap();
    refused(served.action_cache().get_action_result(get(key)).await, Code::NotFound, "no whole result");
}

#[tokio::test]
async fn other_instances_and_malformed_actions_are_refused_at_once() {
    let served = Served::start();
    let action = FUNCTION.digest(b"x");
    let other = reapi::ExecuteRequest { instance_name: "other".into(), ..request(action) };
    refused(served.execution().execute(other).await, Code::InvalidArgument, "`main` is");
    let none = reapi::ExecuteRequest { action_digest: None, ..request(action) };
    refused(served.execution().execute(none).await, Code::InvalidArgument, "`action_digest` is missing");
}
