//! Actions that get no service.

use envserve::digest::DigestFunction;
use envserve::proto::reapi::action_cache_client::ActionCacheClient;
use envserve::store::{BlobStore, RemoteBlobStore};

use super::*;
use crate::support::World;

/// Checks that an action was refused, and returns why.
fn refused(response: &reapi::ExecuteResponse, code: Code) -> String {
    let status = response.status.as_ref().unwrap_or_else(|| panic!("it was run: {response:?}"));
    assert_eq!(status.code, code as i32, "{status:?}");
    status.message.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_server_has_made_itself_is_started() {
    let mut warm = Warm::new("realm-of-refusal");
    let unknown = "which is no checkpoint that this server has made: have it make the environment first, as `envserve \
                   fetch --absent` does";
    let function = DigestFunction::Blake3;
    warm.service = format!("{:?}", function.digest(b"unknown"));
    assert!(refused(&warm.run("true").await, Code::InvalidArgument).contains(unknown));
    // A descriptor that is right in all respects, and was pushed by a client.
    let mut descriptor = warm.case.built(&warm.daemon);
    descriptor["provenance"]["built_at"] = json!(1);
    let remote = RemoteBlobStore::new(warm.daemon.link(), "".into(), function);
    let remote: &dyn BlobStore = &remote;
    let pushed = remote.put(function, descriptor.to_string().into()).await.expect("stored");
    warm.service = format!("{pushed:?}");
    assert!(refused(&warm.run("true").await, Code::InvalidArgument).contains(unknown));
    warm.service = "something".to_owned();
    assert!(refused(&warm.run("true").await, Code::InvalidArgument).contains("`envserve fetch --absent` prints"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_with_neither_the_network_nor_a_range_of_users() {
    let warm = Warm::with("realm-of-network", &json!({}), &["--allow-network"]);
    for (name, value) in [("network", "on"), ("user-ids", "range")] {
        let reason = refused(&warm.run_with("true", &[(name, value)]).await, Code::InvalidArgument);
        assert!(reason.contains(&format!("`service` together with `{name}`")), "{reason}");
    }
    said(&warm.run_with("get warm", &[("network", "off")]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_start_fails_the_action_and_its_output_is_told() {
    let restored = json!(["sh", "-c", "echo it is out of order; exit 3"]);
    let warm = Warm::with("realm-of-failure", &json!({"restored": restored}), &[]);
    let reason = refused(&warm.run("echo never").await, Code::FailedPrecondition);
    assert!(reason.contains("of the action does not start") && reason.contains("it is out of order"), "{reason}");
    assert!(reason.contains("exit code 3"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_makes_no_environments_knows_no_service() {
    let world = World::new();
    let service = format!("{:?}", DigestFunction::Sha256.digest(b"x"));
    // Whoever may have no checkpoints is not even told that.
    for (options, code) in [(&["--checkpoints-for-all"][..], Code::InvalidArgument), (&[], Code::PermissionDenied)] {
        let daemon = Daemon::start_as("execute", &world.path("endpoint"), options);
        let action = upload(&daemon, "", "true", &[("service", &service)]).await;
        refused(&execute(&daemon.link().channel(), "", action).await, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_says_that_a_worker_has_left_is_not_taken() {
    let case = Case::new();
    let first = case.daemon();
    let action = |descriptor: &Value| -> Digest {
        descriptor["provenance"]["actions"][0].as_str().expect("a digest").parse().expect("a digest")
    };
    let made = action(&case.built(&first));
    let other = Daemon::start_by(
        std::process::Command::new("env"),
        "serve",
        &case.world.path("other"),
        &["--checkpoints-for-all", "--criu", &criu().display().to_string()],
    );
    let request = reapi::UpdateActionResultRequest {
        action_digest: Some(made.into()),
        action_result: Some(reapi::ActionResult::default()),
        digest_function: reapi::digest_function::Value::Blake3.into(),
        ..Default::default()
    };
    let mut cache = ActionCacheClient::new(other.link().channel());
    cache.update_action_result(request).await.expect("everything in it is there");
    let again = case.built(&other);
    assert_eq!(action(&again), made);
    assert_eq!(again["kind"], "checkpoint");
}
