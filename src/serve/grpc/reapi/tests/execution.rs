//! Actions and their results, end to end.

use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use super::{INSTANCE, Served, refused};
use crate::digest::Digest;
use crate::execute::fixture::{FUNCTION, parsed, shell};
use crate::proto::longrunning::operations_client::OperationsClient;
use crate::proto::longrunning::{Operation, operation};
use crate::proto::{bytestream, longrunning, protobuf, reapi};

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
    // Who comes after its end hears how it was, once.
    let mut stream = served.execution().wait_execution(wait).await.unwrap().into_inner();
    let again = stream.message().await.unwrap().expect("it is remembered");
    assert_eq!(response(again).result.unwrap().output_files.len(), 1);
    assert!(stream.message().await.unwrap().is_none());
    let unknown = reapi::WaitExecutionRequest { name: "operations/x".into() };
    refused(served.execution().wait_execution(unknown).await, Code::NotFound, "is not known here");
}

/// Follows an operation until its action runs.
async fn until_executing(stream: &mut tonic::Streaming<Operation>) -> reapi::ExecuteOperationMetadata {
    loop {
        let operation = stream.message().await.unwrap().expect("it runs until it is let go");
        let metadata = reapi::ExecuteOperationMetadata::decode(&*operation.metadata.unwrap().value).unwrap();
        if metadata.stage == reapi::execution_stage::Value::Executing as i32 {
            return metadata;
        }
    }
}

/// Follows an operation to its end.
async fn end(mut stream: tonic::Streaming<Operation>) -> reapi::ExecuteResponse {
    let mut last = None;
    while let Some(operation) = stream.message().await.unwrap() {
        last = Some(operation);
    }
    response(last.expect("it ends"))
}

#[tokio::test]
async fn equal_actions_in_flight_run_once_and_one_that_leaves_does_not_end_it() {
    let served = Served::start();
    let action = served.fixture.action(shell(&format!("sleep 1; {ONCE}"), &["out"]), &[]).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(served.execution().execute(request(action)).await.unwrap().into_inner());
    }
    until_executing(&mut streams[0]).await;
    drop(streams.remove(0));
    let results = futures::future::join_all(streams.into_iter().map(end)).await;
    assert!(results.iter().all(|response| !response.cached_result && response.result == results[0].result));
}

#[tokio::test]
async fn actions_that_forbid_it_are_not_joined() {
    let served = Served::start();
    let command = shell(ONCE, &["out"]);
    let uncached = served.fixture.action_with(command.clone(), &[], |action| action.do_not_cache = true).await;
    let skipping = served.fixture.action(command, &[]).await;
    let skip = reapi::ExecuteRequest { skip_cache_lookup: true, ..request(skipping) };
    for request in [request(uncached), skip] {
        let mut client = served.execution();
        let streams = [client.execute(request.clone()).await.unwrap(), client.execute(request).await.unwrap()];
        let [first, second] = streams.map(|stream| end(stream.into_inner()));
        let (first, second) = futures::join!(first, second);
        assert_ne!(first.result.unwrap().output_files, second.result.unwrap().output_files);
    }
}

#[tokio::test]
async fn logs_can_be_read_while_they_are_written_from_any_offset() {
    let served = Served::start();
    let script = "echo begun; echo why >&2; sleep 600";
    let timeout = Some(protobuf::Duration { seconds: 3, nanos: 0 });
    let action = served.fixture.action_with(shell(script, &[]), &[], |action| action.timeout = timeout).await;
    let mut stream = served.execution().execute(request(action)).await.unwrap().into_inner();
    let metadata = until_executing(&mut stream).await;
    assert!(metadata.partial_execution_metadata.is_some());
    assert!(metadata.stdout_stream_name.starts_with("main/operations/"), "{}", metadata.stdout_stream_name);
    let read = |name: &str, read_offset| {
        let request = bytestream::ReadRequest { resource_name: name.to_owned(), read_offset, read_limit: 0 };
        let mut client = served.byte_stream();
        async move { client.read(request).await }
    };
    // There is no log before the command is started.
    let mut stdout = loop {
        match read(&metadata.stdout_stream_name, 2).await {
            Ok(stream) => break stream.into_inner(),
            Err(status) => assert_eq!(status.code(), Code::InvalidArgument),
        }
    };
    assert_eq!(stdout.message().await.unwrap().expect("it is written").data, b"gun\n");
    let mut stderr = read(&metadata.stderr_stream_name, 0).await.unwrap().into_inner();
    assert_eq!(stderr.message().await.unwrap().expect("it is written").data, b"why\n");
    refused(read(&metadata.stdout_stream_name, -1).await, Code::OutOfRange, "negative");
    assert_eq!(end(stream).await.status.unwrap().code, Code::DeadlineExceeded as i32);
    assert!(stdout.message().await.unwrap().is_none(), "the log ends with the action");
}

#[tokio::test]
async fn what_is_small_and_asked_for_is_in_the_result() {
    let served = Served::start();
    let script = "echo said; echo why >&2; echo text > out; head -c 2000000 /dev/zero > large";
    let action = served.fixture.action(shell(script, &["large", "out"]), &[]).await;
    let request = reapi::ExecuteRequest {
        inline_stdout: true,
        inline_output_files: vec!["large".into(), "out".into()],
        ..request(action)
    };
    let result = end(served.execution().execute(request).await.unwrap().into_inner()).await.result.unwrap();
    assert_eq!((result.stdout_raw.as_slice(), result.stderr_raw.as_slice()), (&b"said\n"[..], &b""[..]));
    let contents: Vec<&[u8]> = result.output_files.iter().map(|file| file.contents.as_slice()).collect();
    assert_eq!(contents, [&b""[..], &b"text\n"[..]]);
    let metadata = result.execution_metadata.unwrap();
    assert!(metadata.virtual_execution_duration.is_some() && metadata.worker_completed_timestamp.is_some());
}

#[tokio::test]
async fn a_failing_action_is_explained_in_the_message() {
    let served = Served::start();
    let action = served.fixture.action(shell("exit 3", &[]), &[]).await;
    assert_eq!(executed(&served, action).await.message, "the command ended with exit code 3 on worker `envserve`");
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

#[tokio::test]
async fn a_cancelled_operation_is_killed_and_waited_for() {
    let served = Served::start();
    let mut operations = OperationsClient::new(served.channel.clone());
    let action = served.fixture.action(shell("sleep 600", &[]), &[]).await;
    let mut stream = served.execution().execute(request(action)).await.unwrap().into_inner();
    let name = stream.message().await.unwrap().expect("it has begun").name;
    let early = longrunning::WaitOperationRequest { name: name.clone(), timeout: Some(protobuf::Duration::default()) };
    assert!(!operations.wait_operation(early).await.unwrap().into_inner().done);

    operations.cancel_operation(longrunning::CancelOperationRequest { name: name.clone() }).await.unwrap();
    let wait = longrunning::WaitOperationRequest { name: name.clone(), timeout: None };
    let ended = operations.wait_operation(wait).await.unwrap().into_inner();
    assert_eq!(response(ended.clone()).status.unwrap().code, Code::Cancelled as i32);
    let mut last = None;
    while let Some(operation) = stream.message().await.unwrap() {
        last = Some(operation);
    }
    assert_eq!(last.as_ref(), Some(&ended), "who follows it hears of it");
    let got = operations.get_operation(longrunning::GetOperationRequest { name }).await.unwrap().into_inner();
    assert_eq!(got, ended);

    let name = "operations/unknown".to_owned();
    let unknown = longrunning::GetOperationRequest { name: name.clone() };
    refused(operations.get_operation(unknown).await, Code::NotFound, "not known here");
    let unknown = longrunning::CancelOperationRequest { name };
    refused(operations.cancel_operation(unknown).await, Code::NotFound, "not known here");
}
