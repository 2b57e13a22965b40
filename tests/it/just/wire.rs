//! Requests that no client of just sends: each is refused for what it is, and the daemon goes on.

use bytes::Bytes;
use envserve::digest::DigestFunction;
use envserve::proto::just;
use envserve::proto::just::target_client::TargetClient;
use envserve::proto::reapi;
use envserve::serve::roles::Role;
use envserve::serve::status::RoleDenied;
use envserve::store::{BlobStore, RemoteBlobStore};
use envserve::transport::{Channel, Headers, Link, Security};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{Project, environment};
use crate::support::{Daemon, git};

/// A client that puts blobs together by itself.
pub(super) struct Wire {
    pub(super) channel: Channel,
    store: RemoteBlobStore,
}

impl Wire {
    pub(super) fn new(daemon: &Daemon) -> Self {
        Self::over(daemon.link())
    }

    fn over(link: Link) -> Self {
        let channel = link.channel();
        Self { channel, store: RemoteBlobStore::new(link, String::new(), DigestFunction::Sha256) }
    }

    pub(super) async fn put(&self, text: &str) -> reapi::Digest {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let store: &dyn BlobStore = &self.store;
        store.put(DigestFunction::Sha256, bytes).await.expect("stored").into()
    }

    async fn serve(&self, request: just::ServeTargetRequest) -> Result<just::ServeTargetResponse, Status> {
        TargetClient::new(self.channel.clone()).serve_target(request).await.map(tonic::Response::into_inner)
    }

    /// Asks for an environment with a key and a description as they are given.
    async fn ask(&self, key: &str, description: &str) -> Result<just::ServeTargetResponse, Status> {
        let required_digests = vec![self.put(description).await];
        let target_cache_key_id = Some(self.put(key).await);
        self.serve(just::ServeTargetRequest { target_cache_key_id, required_digests, ..Default::default() }).await
    }

    /// Asks for an environment of a description, by the name `[MODULE, NAME]`.
    async fn target(
        &self,
        target: &Value,
        config: &Value,
        description: &str,
    ) -> Result<just::ServeTargetResponse, Status> {
        self.ask(&key(target, config, description), description).await
    }

    pub(super) async fn variables(&self, root: &str, file: &str, target: &str) -> Code {
        let [root_tree, target_file, target] = [root, file, target].map(str::to_owned);
        let request = just::ServeTargetVariablesRequest { root_tree, target_file, target };
        let answer = TargetClient::new(self.channel.clone()).serve_target_variables(request).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }
}

fn key(target: &Value, config: &Value, description: &str) -> String {
    let hash = DigestFunction::Sha256.digest(description.as_bytes()).hash();
    json!({"repo_key": hash, "target_name": target.to_string(), "effective_config": config.to_string()}).to_string()
}

fn description(kind: &str, tree: &str, file: &str, bindings: &Value) -> String {
    let root = json!([kind, tree]);
    let repository = json!({"workspace_root": root, "target_root": root, "rule_root": root, "expression_root": root,
        "target_file_name": file, "rule_file_name": "RULES", "expression_file_name": "EXPRESSIONS", "bindings": bindings});
    json!({"0": repository}).to_string()
}

/// Returns a project, and the tree of its environments.
pub(super) fn project() -> (Project, String) {
    let project = Project::new(&json!({"now": environment("date +%N >out", &["V"]), "no": environment("exit 1", &[])}));
    let tree = git(&project.world.path("known"), &["rev-parse", "HEAD:envs"]);
    (project, tree)
}

#[tokio::test]
async fn uploaders_are_answered_with_what_is_there_and_have_nothing_built() {
    let (project, tree) = project();
    let options = ["uploader", "builder"].map(|role| {
        let tokens = project.world.write(&format!("{role}.tokens"), format!("token-of-{role}\n"));
        format!("--token-file={role}={}", tokens.display())
    });
    let daemon = project.daemon(&options.each_ref().map(String::as_str));
    let [uploader, builder] = ["uploader", "builder"].map(|role| {
        let headers = project.world.write("headers", format!("authorization: Bearer token-of-{role}\n"));
        let headers = Headers::from_file(headers).expect("good");
        let endpoint = daemon.address.parse().expect("an address");
        Wire::over(Link::new(&endpoint, &Security { headers, ..Security::default() }).expect("an address"))
    });
    let good = description("git tree", &tree, "ENVS", &json!({}));
    let (now, config) = (json!(["", "now"]), json!({"V": null}));
    let refused = uploader.target(&now, &config, &good).await.expect_err("it is not built");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let denied = RoleDenied { least: Role::Builder, not_built: true };
    assert_eq!(RoleDenied::of(&refused), Some(denied), "{refused}");
    assert_eq!(daemon.builds(), 0);
    let built = builder.target(&now, &config, &good).await.expect("it is built");
    assert_eq!(uploader.target(&now, &config, &good).await.expect("it is there"), built);
}

#[tokio::test]
async fn keys_and_descriptions_that_make_no_sense_are_refused() {
    let (project, tree) = project();
    let daemon = project.daemon(&[]);
    let wire = Wire::new(&daemon);
    let good = description("git tree", &tree, "ENVS", &json!({}));
    let (now, config) = (json!(["", "now"]), json!({"V": null}));
    wire.target(&now, &config, &good).await.expect("this one is well formed");
    let circle = description("git tree", &tree, "ENVS", &json!({"me": "0"}));
    wire.target(&now, &config, &circle).await.expect("repositories may be bound in a circle");

    let key = key(&now, &config, &good);
    for bad in [
        "",
        "null",
        "{",
        "[]",
        "{}",
        &key[1..],
        &key.replace("[", "("),
        &key.replace("\\\"now", "\\\"../.."),
        &key.replace("repo_key\":\"", "repo_key\":\"x\",\"repo_key\":\""),
        &"[".repeat(100_000),
        &key.replace("null", "nil"),
    ] {
        let status = wire.ask(bad, &good).await.expect_err(bad);
        assert!(matches!(status.code(), Code::InvalidArgument | Code::NotFound), "{bad}: {status:?}");
    }
    for target in
        [json!(["../..", "now"]), json!(["/etc", "now"]), json!(["", ""]), json!("now"), json!(["now"]), json!([1, 2])]
    {
        let status = wire.target(&target, &config, &good).await.expect_err("no target");
        assert_eq!(status.code(), Code::InvalidArgument, "{target}: {status:?}");
    }
    for config in [json!([]), json!({"V": null, "W": 1}), json!({}), json!({"V": null, "a b": 1})] {
        let status = wire.target(&now, &config, &good).await.expect_err("another configuration");
        assert_eq!(status.code(), Code::InvalidArgument, "{config}: {status:?}");
    }
    for bad in [
        "",
        "{}",
        "[]",
        "{\"0\":{}}",
        "{\"1\":{}}",
        &description("git tree", "x", "ENVS", &json!({})),
        &description("file", "/etc", "ENVS", &json!({})),
        &description("git tree", &tree, "../ENVS", &json!({})),
        &description("git tree", &tree, "/etc/passwd", &json!({})),
        &description("git tree", &tree, "ENVS", &json!({"a": "7"})),
        &description("git tree", &tree, "ENVS", &json!(["0"])),
    ] {
        let status = wire.target(&now, &config, bad).await.expect_err(bad);
        assert_eq!(status.code(), Code::InvalidArgument, "{bad}: {status:?}");
    }
    assert_eq!(daemon.builds(), 2, "the two that are well formed");
}

#[tokio::test]
async fn what_is_not_known_is_not_found_and_what_was_not_uploaded_is_a_precondition() {
    let (project, tree) = project();
    let daemon = project.daemon(&[]);
    let wire = Wire::new(&daemon);
    let (now, config) = (json!(["", "now"]), json!({"V": null}));
    let unknown = "12".repeat(20);
    let blob = git(&project.world.path("known"), &["rev-parse", "HEAD:envs/ENVS"]);
    for (description, target) in [
        (description("git tree", &unknown, "ENVS", &json!({})), &now),
        (description("git tree ignore-special", &unknown, "ENVS", &json!({})), &now),
        (description("git tree", &blob, "ENVS", &json!({})), &now),
        (description("git tree", &project.commit, "ENVS", &json!({})), &now),
        (description("git tree", &tree, "NO_SUCH", &json!({})), &now),
        (description("git tree", &tree, "ENVS", &json!({})), &json!(["no/such", "now"])),
        (description("git tree", &tree, "ENVS", &json!({})), &json!(["", "nobody"])),
    ] {
        let status = wire.target(target, &config, &description).await.expect_err("nothing there");
        assert_eq!(status.code(), Code::NotFound, "{target} {description}: {status:?}");
    }

    let good = description("git tree", &tree, "ENVS", &json!({}));
    let key = wire.put(&key(&now, &config, &good)).await;
    let described = wire.put(&good).await;
    let absent: reapi::Digest = DigestFunction::Sha256.digest(b"nobody has this").into();
    let request = |key: &reapi::Digest, required: &[&reapi::Digest]| just::ServeTargetRequest {
        target_cache_key_id: Some(key.clone()),
        required_digests: required.iter().map(|digest| (*digest).clone()).collect(),
        ..Default::default()
    };
    let old = wire.serve(request(&key, &[])).await.expect_err("as clients before 1.6.2");
    assert_eq!(old.code(), Code::FailedPrecondition);
    assert!(old.message().contains("1.6.2"), "{old:?}");
    let lie = reapi::Digest { size_bytes: described.size_bytes + 1, ..described.clone() };
    for request in [
        request(&absent, &[&described]),
        request(&key, &[&absent]),
        request(&key, &[&described, &absent]),
        request(&key, &[&lie]),
    ] {
        let status = wire.serve(request).await.expect_err("something is missing");
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    }
    let digest = |hash: &str, size_bytes| reapi::Digest { hash: hash.to_owned(), size_bytes };
    for bad in
        [digest("", 0), digest("x", 1), digest(&"AB".repeat(32), 1), digest(&key.hash, -1), digest(&key.hash, 1 << 40)]
    {
        let mut dispatched = request(&key, &[&described]);
        dispatched.dispatch_info = Some(digest("x", 1));
        let size = bad.size_bytes < 1 << 30;
        for request in
            [Some(request(&bad, &[&described])), size.then(|| request(&key, &[&described, &bad])), Some(dispatched)]
        {
            let Some(request) = request else { continue };
            let status = wire.serve(request).await.expect_err("no digest");
            assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}: {status:?}");
        }
    }
    let status = wire.serve(just::ServeTargetRequest::default()).await.expect_err("empty");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(daemon.builds(), 0);
}

#[tokio::test]
async fn a_value_can_be_used_by_those_who_look_for_the_targets_of_symlinks() {
    let target = format!("nowhere-{}", fastrand::u64(..));
    let project = Project::new(&json!({"link": environment(&format!("mkdir out; ln -s {target} out/link"), &[])}));
    let tree = git(&project.world.path("known"), &["rev-parse", "HEAD:envs"]);
    let daemon = project.daemon(&[]);
    let wire = Wire::new(&daemon);
    let sought = [DigestFunction::Sha256.digest(target.as_bytes())];
    assert_eq!(wire.store.find_missing(&sought).await.expect("an answer"), sought);
    let description = description("git tree", &tree, "ENVS", &json!({}));
    wire.target(&json!(["", "link"]), &json!({}), &description).await.expect("built");
    assert_eq!(wire.store.find_missing(&sought).await.expect("an answer"), []);
}

#[tokio::test]
async fn of_a_property_that_is_given_twice_the_last_counts() {
    let (project, tree) = project();
    let daemon = project.daemon(&[]);
    let wire = Wire::new(&daemon);
    let good = description("git tree", &tree, "ENVS", &json!({}));
    let key = Some(wire.put(&key(&json!(["", "now"]), &json!({"V": null}), &good)).await);
    let required = vec![wire.put(&good).await];
    let mut values = Vec::new();
    for properties in
        [&[("a", "1"), ("b", "2")][..], &[("b", "1"), ("a", "1"), ("b", "2")], &[("b", "2"), ("b", "1"), ("a", "1")]]
    {
        let property = |&(name, value): &(&str, &str)| {
            let (name, value) = (name.to_owned(), value.to_owned());
            just::serve_target_request::Property { name, value }
        };
        let request = just::ServeTargetRequest {
            target_cache_key_id: key.clone(),
            required_digests: required.clone(),
            execution_properties: properties.iter().map(property).collect(),
            ..Default::default()
        };
        values.push(wire.serve(request).await.expect("built").target_value.expect("a value"));
    }
    assert_eq!(values[0], values[1]);
    assert_ne!(values[0], values[2]);
    assert_eq!(daemon.builds(), 2);
}
