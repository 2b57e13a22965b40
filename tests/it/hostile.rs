//! Requests of the native protocol that no honest client sends: each is refused, and the server goes on.

use envserve::digest::DigestFunction;
use envserve::proto::v1;
use envserve::proto::v1::configuration_client::ConfigurationClient;
use envserve::proto::v1::environments_client::EnvironmentsClient;
use envserve::proto::v1::source_trees_client::SourceTreesClient;
use envserve::store::{BlobStore, RemoteBlobStore};
use envserve::transport::Channel;
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{World, script, succeed};

/// Sends a request for an environment and returns the status that refuses it.
async fn serve(channel: &Channel, key: &[u8], description: &[u8]) -> Status {
    let request = v1::ServeRequest { key: key.to_vec(), description: description.to_vec(), ..Default::default() };
    let mut stream = match EnvironmentsClient::new(channel.clone()).serve(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    loop {
        match stream.message().await {
            Err(status) => return status,
            Ok(Some(v1::ServeResponse { event: Some(v1::serve_response::Event::Progress(_)) })) => {}
            Ok(other) => panic!("was served: {other:?}"),
        }
    }
}

#[tokio::test]
async fn keys_and_descriptions_that_are_not_canonical_are_refused() {
    let world = World::new();
    let daemon = world.daemon();
    let channel = daemon.link().channel();
    let description = br#"{"0":{"bindings":{},"environments_file":"ENVS","root":["git tree","1111111111111111111111111111111111111111"]}}"#;
    let hash = DigestFunction::Sha256.digest(description).hash();
    let key = |config: &str, module: &str| {
        format!(r#"{{"effective_config":{config},"repo_key":"{hash}","target_name":["{module}","x"]}}"#).into_bytes()
    };
    assert_eq!(serve(&channel, &key("{}", ""), description).await.code(), Code::NotFound, "well formed, but unknown");
    let spaced = [b" ", &key("{}", "")[..]].concat();
    let unbound = br#"{"0":{"bindings":{"a":"7"},"environments_file":"ENVS","root":["git tree","11"]}}"#;
    for (key, description) in [
        (&b""[..], &b""[..]),
        (b"{}", description),
        (b"\xff\xfe", description),
        (&key("{}", ""), b"{}"),
        (&key("{}", ""), unbound),
        (&key("{}", "../.."), description),
        (&key("{}", "/etc"), description),
        (&spaced, description),
        (&"[".repeat(100_000).into_bytes(), description),
    ] {
        let status = serve(&channel, key, description).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let huge = serve(&channel, &vec![b'a'; 5 << 20], description).await;
    assert_eq!(huge.code(), Code::OutOfRange, "{huge:?}");
}

#[tokio::test]
async fn a_configuration_that_is_not_restricted_gives_no_second_key() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let daemon = world.daemon();
    let key = succeed(world.client_of(&daemon, "client").args(["key", "--json"]).arg(&spec));
    succeed(world.client_of(&daemon, "client").arg("fetch").arg(&spec));
    let object: serde_json::Value = serde_json::from_str(&key).expect("JSON");
    let description = object["repositories"].to_string();
    let key = json!({"effective_config": {"X": 1}, "repo_key": object["repo_key"], "target_name": ["", "one"]});
    let status = serve(&daemon.link().channel(), key.to_string().as_bytes(), description.as_bytes()).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(daemon.builds(), 1);
}

#[tokio::test]
async fn names_and_ids_that_are_none_are_refused() {
    let world = World::new();
    let daemon = world.daemon();
    let channel = daemon.link().channel();
    let tree = "1".repeat(40);
    for (root, file, module, code) in [
        ("", "ENVS", "", Code::InvalidArgument),
        ("zz", "ENVS", "", Code::InvalidArgument),
        (&tree, "", "", Code::NotFound),
        (&tree, "../ENVS", "", Code::InvalidArgument),
        (&tree, "ENVS", "../up", Code::InvalidArgument),
        (&tree, "ENVS", "/etc", Code::InvalidArgument),
        (&tree, "ENVS", "", Code::NotFound),
    ] {
        let [root_tree, environments_file, module] = [root, file, module].map(str::to_owned);
        let name = v1::EnvironmentName { root_tree, environments_file, module, name: "x".to_owned() };
        let mut environments = EnvironmentsClient::new(channel.clone());
        let variables = environments.variables(name.clone()).await.expect_err("refused");
        let described = environments.describe(name.clone()).await.expect_err("refused");
        assert_eq!((variables.code(), described.code()), (code, code), "{name:?}: {variables:?}");
    }
    let mut sources = SourceTreesClient::new(channel.clone());
    let check = v1::CheckRootTreeRequest { tree: "../../objects".to_owned() };
    assert_eq!(sources.check_root_tree(check).await.expect_err("refused").code(), Code::InvalidArgument);
    let commit = v1::CommitTreeRequest { commit: tree.clone(), subdir: "..".to_owned(), ..Default::default() };
    assert_eq!(sources.commit_tree(commit).await.expect_err("refused").code(), Code::InvalidArgument);
    for (tree, code) in [("", Code::InvalidArgument), ("..", Code::InvalidArgument), (&tree, Code::NotFound)] {
        let entries = sources.entries(v1::EntriesRequest { tree: tree.to_owned() }).await.expect_err("refused");
        assert_eq!(entries.code(), code, "{entries:?}");
    }
    ConfigurationClient::new(channel).get(v1::ConfigurationRequest {}).await.expect("the server goes on");
}

#[tokio::test]
async fn nothing_is_explained_to_who_asks_nonsense() {
    use v1::explain_request::Against;
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let daemon = world.daemon();
    let object = succeed(world.client_of(&daemon, "client").args(["key", "--json"]).arg(&spec));
    let object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
    let description = object["repositories"].to_string().into_bytes();
    let key = json!({"effective_config": {}, "repo_key": object["repo_key"], "target_name": ["", "one"]});
    let key = key.to_string().into_bytes();
    let explain = async |key: &[u8], against: Option<Against>| {
        let (key, description) = (key.to_vec(), description.clone());
        let request = v1::ExplainRequest { key, description, against, ..Default::default() };
        EnvironmentsClient::new(daemon.link().channel()).explain(request).await
    };
    let answer = explain(&key, None).await.expect("an answer").into_inner();
    assert_eq!(answer, v1::ExplainResponse::default(), "a miss, with nothing to compare with");
    let other = v1::KeyComponents { key: b"{}".to_vec(), ..Default::default() };
    let cases = [
        (&b"{}"[..], None, Code::InvalidArgument),
        (&key, Some(Against::OtherKey(String::new())), Code::InvalidArgument),
        (&key, Some(Against::OtherKey("../../etc".to_owned())), Code::InvalidArgument),
        (&key, Some(Against::OtherKey("0".repeat(1 << 20))), Code::NotFound),
        (&key, Some(Against::OtherKey("abcdef".to_owned())), Code::NotFound),
        (&key, Some(Against::Other(other)), Code::InvalidArgument),
    ];
    for (key, against, code) in cases {
        let status = explain(key, against).await.expect_err("refused");
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().len() < 1000, "{status:?}");
    }
}

#[tokio::test]
async fn files_that_are_given_for_a_plan_are_read_strictly_and_believed_for_no_more_than_it() {
    let world = World::new();
    let spec = world.spec("one", &json!({"one": script("echo x >out", &["out"])}));
    let daemon = world.daemon();
    let object = succeed(world.client_of(&daemon, "client").args(["key", "--json"]).arg(&spec));
    let object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
    let root = object["repositories"]["0"]["root"][1].as_str().expect("an id").to_owned();
    let key = json!({"effective_config": {}, "repo_key": object["repo_key"], "target_name": ["", "one"]});
    let (key, description) = (key.to_string().into_bytes(), object["repositories"].to_string().into_bytes());
    let plan = async |tree: &str, path: &str, content: &str| {
        let file = v1::RootFile { tree: tree.to_owned(), path: path.to_owned(), content: content.as_bytes().to_vec() };
        let (key, description) = (key.clone(), description.clone());
        let request = v1::PlanRequest { key, description, files: vec![file], ..Default::default() };
        EnvironmentsClient::new(daemon.link().channel()).plan(request).await
    };
    let circle = json!({"one": {"type": "tree", "inputs": {"in": {"env": "one"}}}}).to_string();
    let cases = [
        ("", "ENVS", "{}"),
        ("../objects", "ENVS", "{}"),
        (&root, "../ENVS", "{}"),
        (&root, "ENVS", "{}"),
        (&root, "ENVS", "no JSON"),
        (&root, "ENVS", &circle),
    ];
    for (tree, path, content) in cases {
        let status = plan(tree, path, content).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{tree} {path} {content}: {status:?}");
    }
    let other = json!({"one": {"type": "tree", "inputs": {}}}).to_string();
    let answer = plan(&root, "ENVS", &other).await.expect("a plan").into_inner();
    assert_eq!((answer.environments.len(), answer.wanted.len()), (1, 0), "{answer:?}");
    let status = serve(&daemon.link().channel(), &key, &description).await;
    assert_eq!(status.code(), Code::NotFound, "the root is as unknown as before: {status:?}");
    let answer = plan(&"2".repeat(40), "ENVS", "{}").await.expect("a plan").into_inner();
    assert_eq!(answer.wanted, [v1::RootFile { tree: root, path: "ENVS".to_owned(), content: Vec::new() }]);
}

#[tokio::test]
async fn a_tree_that_cannot_be_one_is_not_taken_over() {
    use envserve::proto::reapi;
    let world = World::new();
    let daemon = world.daemon();
    let channel = daemon.link().channel();
    let function = DigestFunction::Blake3;
    let store = RemoteBlobStore::new(daemon.link(), String::new(), function);
    let mut sources = SourceTreesClient::new(channel);
    let mut take = async |directory: Option<v1::Digest>| {
        let answer = sources.get_remote_tree(v1::GetRemoteTreeRequest { directory }).await;
        answer.expect_err("refused").code()
    };
    assert_eq!(take(None).await, Code::InvalidArgument);
    let negative = v1::Digest { hash: function.empty().hash(), size_bytes: -1 };
    assert_eq!(take(Some(negative)).await, Code::InvalidArgument);
    assert_eq!(take(Some(function.digest(b"never uploaded").into())).await, Code::FailedPrecondition);
    for name in ["..", "a/b", "", ".", "a\0b"] {
        let file =
            reapi::FileNode { name: name.to_owned(), digest: Some(function.empty().into()), ..Default::default() };
        let bytes = reapi::Directory { files: vec![file], ..Default::default() }.encode_to_vec();
        let digest = function.digest(&bytes);
        store.put_batch(vec![(digest, bytes.into())]).await.expect("a CAS takes any blob");
        assert_eq!(take(Some(digest.into())).await, Code::InvalidArgument, "{name}");
    }
}
