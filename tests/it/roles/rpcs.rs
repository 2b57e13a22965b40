//! Every gRPC call that there is, from the protocol files and from what was generated from others', and a way to make it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use envserve::transport::Channel;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::support::succeed;

/// Longest that an answer to an empty request may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the calls of the protocol files of this project, as `/package.Service/Call`.
pub(super) fn ours() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut calls = BTreeSet::new();
    for file in ["envserve/v1/envserve.proto", "justbuild/just_serve.proto"] {
        let (mut package, mut service) = (String::new(), String::new());
        for line in std::fs::read_to_string(directory.join(file)).expect("there").lines() {
            let words: Vec<&str> = line.split(['(', ' ', ';', '{']).filter(|word| !word.is_empty()).collect();
            match words[..] {
                ["package", name, ..] => package = name.to_owned(),
                ["service", name, ..] => service = name.to_owned(),
                ["rpc", name, ..] => drop(calls.insert(format!("/{package}.{service}/{name}"))),
                _ => {}
            }
        }
    }
    assert!(calls.len() > 30, "{calls:?}");
    calls
}

/// Returns the calls of the protocols of others, whether they are served or not: they stand as texts in generated code.
pub(super) fn theirs() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for file in generated() {
        let text = std::fs::read_to_string(&file).expect("readable");
        let texts = text.split('"').filter(|text| text.starts_with('/') && text.matches('/').count() == 2);
        calls.extend(texts.filter(|text| text.contains('.') && !text.contains(char::is_whitespace)).map(str::to_owned));
    }
    assert!(calls.contains("/google.bytestream.ByteStream/Write"), "{calls:?}");
    calls
}

/// Returns the generated code of the crate with the REAPI.
fn generated() -> Vec<std::path::PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["metadata", "--offline", "--locked", "--format-version", "1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let metadata: serde_json::Value = serde_json::from_str(&succeed(&mut cargo)).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "bazel-remote-apis").expect("a dependency");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    let files = std::fs::read_dir(manifest.with_file_name("src").join("generated")).expect("there");
    files.map(|file| file.expect("readable").path()).collect()
}

/// Makes a call with an empty request, whatever streams it has, and returns how it ended.
pub(super) async fn call(channel: Channel, path: &str) -> Status {
    let mut grpc = Grpc::new(channel);
    let path: PathAndQuery = path.parse().expect("a path");
    let made = async {
        grpc.ready().await.expect("it listens");
        let request = tonic::Request::new(());
        let codec: ProstCodec<(), ()> = ProstCodec::default();
        let mut answers = grpc.server_streaming(request, path, codec).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, made).await.expect("an empty request is answered soon") {
        Ok(()) => Status::new(Code::Ok, ""),
        Err(status) => status,
    }
}
