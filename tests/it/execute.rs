//! `envserve execute`: the remote-execution endpoint alone.

use bytes::Bytes;
use envserve::digest::{Digest, DigestFunction};
use envserve::proto::longrunning::operation;
use envserve::proto::reapi::execution_client::ExecutionClient;
use envserve::proto::v1::configuration_client::ConfigurationClient;
use envserve::proto::{reapi, v1};
use envserve::store::{BlobStore, RemoteBlobStore};
use envserve::transport::Channel;
use prost::Message;
use tonic::Code;

use crate::support::{Daemon, World};

/// Uploads an action without inputs that runs a shell script, with properties.
pub(crate) async fn upload(daemon: &Daemon, instance: &str, script: &str, properties: &[(&str, &str)]) -> Digest {
    upload_as(reapi::Action::default(), daemon, instance, script, properties).await
}

/// Uploads such an action that is otherwise like this one.
pub(crate) async fn upload_as(
    action: reapi::Action,
    daemon: &Daemon,
    instance: &str,
    script: &str,
    properties: &[(&str, &str)],
) -> Digest {
    let function = DigestFunction::Sha256;
    let remote = RemoteBlobStore::new(daemon.link(), instance.into(), function);
    let remote: &dyn BlobStore = &remote;
    let put = async |bytes: Vec<u8>| remote.put(function, Bytes::from(bytes)).await.expect("stored");
    let arguments = ["/bin/sh", "-c", script].map(String::from).to_vec();
    let command = put(reapi::Command { arguments, ..Default::default() }.encode_to_vec()).await;
    let root = put(Vec::new()).await;
    let property = |(name, value): &(&str, &str)| reapi::platform::Property {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let action = reapi::Action {
        command_digest: Some(command.into()),
        input_root_digest: Some(root.into()),
        platform: Some(reapi::Platform { properties: properties.iter().map(property).collect() }),
        ..action
    };
    put(action.encode_to_vec()).await
}

/// Executes an action and returns what came of it.
pub(crate) async fn execute(channel: &Channel, instance: &str, action: Digest) -> reapi::ExecuteResponse {
    let request = reapi::ExecuteRequest {
        instance_name: instance.into(),
        action_digest: Some(action.into()),
        inline_stdout: true,
        ..Default::default()
    };
    let mut stream = ExecutionClient::new(channel.clone()).execute(request).await.expect("taken").into_inner();
    while let Some(operation) = stream.message().await.expect("a stream") {
        if let Some(operation::Result::Response(response)) = operation.result {
            return reapi::ExecuteResponse::decode(&*response.value).expect("a response");
        }
    }
    panic!("it ended without a response");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_endpoint_runs_actions_keeps_results_and_speaks_no_native_protocol() {
    let world = World::new();
    let options = ["--instance", "main", "--jobs", "1"];
    let daemon = Daemon::start_as("execute", &world.path("endpoint"), &options);
    let channel = daemon.link().channel();
    let action = upload(&daemon, "main", "echo hello", &[]).await;
    let first = execute(&channel, "main", action).await;
    assert_eq!(first.result.expect("a result").stdout_raw, b"hello\n");
    let second = execute(&channel, "main", action).await;
    assert!(second.cached_result && !first.cached_result);
    let native = ConfigurationClient::new(channel).get(v1::ConfigurationRequest {}).await;
    assert_eq!(native.expect_err("it is not spoken here").code(), Code::Unimplemented);
    assert!(daemon.terminate().success());
    assert_eq!(std::fs::read_dir(world.path("endpoint/tmp")).expect("there").count(), 0, "nothing is left");
}

#[tokio::test]
async fn limits_and_sandbox_are_those_of_the_command_line() {
    let world = World::new();
    let options =
        ["--instance", "main", "--sandbox", "none", "--action-log-bytes", "3", "--action-timeout-seconds", "1"];
    let daemon = Daemon::start_as("execute", &world.path("endpoint"), &options);
    assert!(daemon.log().contains("without a sandbox"), "{}", daemon.log());
    let channel = daemon.link().channel();
    let action = upload(&daemon, "main", "echo hello; exec sleep 600", &[]).await;
    let response = execute(&channel, "main", action).await;
    assert_eq!(response.status.expect("a status").code, Code::DeadlineExceeded as i32);
    assert!(response.result.expect("the logs").stdout_raw.starts_with(b"hel\n[envserve: "));
}
