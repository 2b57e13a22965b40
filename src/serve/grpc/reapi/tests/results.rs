//! The action cache: what is inlined, and keys that name no action.

use tonic::{Code, Status};

use super::{INSTANCE, Served, noise, refused};
use crate::digest::Digest;
use crate::execute::fixture::FUNCTION;
use crate::proto::reapi;

async fn update(served: &Served, action: Digest, result: reapi::ActionResult) -> Result<reapi::ActionResult, Status> {
    let request = reapi::UpdateActionResultRequest {
        instance_name: INSTANCE.into(),
        action_digest: Some(action.into()),
        action_result: Some(result),
        ..Default::default()
    };
    Ok(served.action_cache().update_action_result(request).await?.into_inner())
}

fn ask(action: Digest) -> reapi::GetActionResultRequest {
    reapi::GetActionResultRequest {
        instance_name: INSTANCE.into(),
        action_digest: Some(action.into()),
        ..Default::default()
    }
}

async fn get(served: &Served, request: reapi::GetActionResultRequest) -> Result<reapi::ActionResult, Status> {
    Ok(served.action_cache().get_action_result(request).await?.into_inner())
}

fn file(path: &str, digest: Digest) -> reapi::OutputFile {
    reapi::OutputFile { path: path.into(), digest: Some(digest.into()), ..Default::default() }
}

#[tokio::test]
async fn outputs_are_inlined_when_asked_for_and_as_far_as_they_fit() {
    let served = Served::start();
    let large = noise(900_000);
    let digests = [
        served.fixture.put("out").await,
        served.fixture.put("err").await,
        served.fixture.put(large.clone()).await,
        served.fixture.put("small").await,
    ];
    let [out, err, big, small] = digests;
    let result = reapi::ActionResult {
        output_files: vec![file("a", big), file("b", big), file("c", small), file("d", small)],
        stdout_digest: Some(out.into()),
        stderr_digest: Some(err.into()),
        ..Default::default()
    };
    // The key is no action, and is in no CAS.
    let action = FUNCTION.digest(b"anything");
    assert_eq!(update(&served, action, result.clone()).await.unwrap(), result);
    assert_eq!(get(&served, ask(action)).await.unwrap(), result);
    let mut request = ask(action);
    request.inline_stderr = true;
    request.inline_output_files = ["a", "b", "c", "no such file", "../c"].map(String::from).to_vec();
    let mut expected = result.clone();
    expected.stderr_raw = b"err".to_vec();
    // The second large one does not fit beside the first.
    expected.output_files[0].contents = large.to_vec();
    expected.output_files[2].contents = b"small".to_vec();
    assert_eq!(get(&served, request.clone()).await.unwrap(), expected);
    request.inline_stdout = true;
    request.inline_output_files.clear();
    let logs = get(&served, request).await.unwrap();
    assert_eq!((&logs.stdout_raw[..], &logs.stderr_raw[..]), (&b"out"[..], &b"err"[..]));
    assert!(logs.output_files.iter().all(|file| file.contents.is_empty()));
    // Stored is what was given.
    assert_eq!(get(&served, ask(action)).await.unwrap(), result);
}

#[tokio::test]
async fn an_output_that_is_found_corrupt_while_it_is_inlined_makes_a_miss() {
    let served = Served::start();
    let digest = served.fixture.put("output").await;
    let action = FUNCTION.digest(b"action");
    let result = reapi::ActionResult { output_files: vec![file("a", digest)], ..Default::default() };
    update(&served, action, result).await.unwrap();
    served.fixture.store.corrupt(&digest);
    let request = reapi::GetActionResultRequest { inline_output_files: vec!["a".into()], ..ask(action) };
    refused(get(&served, request).await, Code::NotFound, "no whole result");
}

#[tokio::test]
async fn malformed_results_and_keys_are_refused() {
    let served = Served::start();
    let action = FUNCTION.digest(b"action");
    let digestless = reapi::OutputFile { path: "a".into(), ..Default::default() };
    let directory = reapi::OutputDirectory { path: "a".into(), ..Default::default() };
    let negative = reapi::Digest { hash: action.hash(), size_bytes: -1 };
    for result in [
        reapi::ActionResult { output_files: vec![digestless], ..Default::default() },
        reapi::ActionResult { output_directories: vec![directory], ..Default::default() },
        reapi::ActionResult { stdout_digest: Some(negative.clone()), ..Default::default() },
    ] {
        refused(update(&served, action, result).await, Code::InvalidArgument, "");
    }
    let request = reapi::GetActionResultRequest { action_digest: None, ..ask(action) };
    refused(get(&served, request).await, Code::InvalidArgument, "action_digest");
    let request = reapi::GetActionResultRequest { action_digest: Some(negative), ..ask(action) };
    refused(get(&served, request).await, Code::InvalidArgument, "action_digest");
    refused(get(&served, ask(action)).await, Code::NotFound, "no whole result");
}
