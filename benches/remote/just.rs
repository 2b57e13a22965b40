//! `justbuild serve` over `justbuild execute`, with a warm export target.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use envserve::digest::DigestFunction;
use envserve::proto::reapi;
use envserve::transport::Channel;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;

use crate::daemon::{Place, run};
use crate::repository::Repository;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both servers, killed when this is dropped.
pub(crate) struct Just {
    children: Vec<Child>,
    pub(crate) endpoint: String,
    pub(crate) serve: String,
}

impl Drop for Just {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn program() -> PathBuf {
    let cache = || {
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
        std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("envserve-build")
    };
    let build = std::env::var_os("ENVSERVE_BUILD_DIR").map_or_else(cache, PathBuf::from);
    let program = build.join("peers/clients/bin/justbuild");
    assert!(program.exists(), "`justbuild` is not there: run `.ci/peers`");
    program
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn wait_for(port: u16) {
    let started = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < PATIENCE, "justbuild does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Just {
    pub(crate) fn start(place: &Place, repository: &Repository) -> Self {
        let (endpoint, serve) = (free_port(), free_port());
        let spawn = |arguments: &[&str]| {
            let mut command = Command::new(program());
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("it can be started")
        };
        let root = place.path("just-endpoint").display().to_string();
        let port = endpoint.to_string();
        let execute = ["execute", "--compatible", "-i", "127.0.0.1", "-p", &port, "--local-build-root", &root];
        let mut children = vec![spawn(&execute)];
        wait_for(endpoint);
        let at = |path: PathBuf| serde_json::json!({"root": "system", "path": path});
        let configuration = serde_json::json!({
            "repositories": [at(repository.path.join(".git"))],
            "local build root": at(place.path("just-serve")),
            "remote service": {"interface": "127.0.0.1", "port": serve},
            "execution endpoint": {"address": format!("127.0.0.1:{endpoint}"), "compatible": true},
        });
        let file = place.path("just-serve.json");
        fs::write(&file, configuration.to_string()).expect("a file");
        children.push(spawn(&["serve", &file.display().to_string()]));
        wait_for(serve);
        let address = |port| format!("127.0.0.1:{port}");
        Self { children, endpoint: address(endpoint), serve: address(serve) }
    }

    /// Returns the process of the server that is asked.
    pub(crate) fn process(&self) -> u32 {
        self.children[1].id()
    }

    /// Has the target built for a client of its own, and returns the key that this client asked for: what it has put
    /// into the CAS.
    pub(crate) fn warm_key(&self, place: &Place, repository: &Repository) -> reapi::Digest {
        let repositories = serde_json::json!({"main": "m", "repositories": {"m": {
            "workspace_root": ["git tree", repository.tree], "bindings": {}}}});
        let file = place.path("just-repositories.json");
        fs::write(&file, repositories.to_string()).expect("a file");
        let mut install = Command::new(program());
        install.arg("install").arg("-C").arg(&file).arg("--local-build-root").arg(place.path("just-client"));
        install
            .args(["-r", &self.endpoint, "-R", &self.serve, "--compatible", "-o"])
            .arg(place.path("just-out"))
            .arg("");
        run(&mut install);
        let key = find(&place.path("just-endpoint"), "repo_key").expect("the client puts the key into the CAS");
        DigestFunction::Sha256.digest(&key).into()
    }
}

/// Returns the file below a directory in which a text stands.
fn find(directory: &Path, text: &str) -> Option<Vec<u8>> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let kind = entry.file_type().ok()?;
        let found = if kind.is_dir() {
            find(&entry.path(), text)
        } else {
            let mut content = Vec::new();
            drop(fs::File::open(entry.path()).and_then(|mut file| file.read_to_end(&mut content)));
            content.windows(text.len()).any(|window| window == text.as_bytes()).then_some(content)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// `ServeTargetRequest`, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct ServeTargetRequest {
    #[prost(message, optional, tag = "1")]
    target_cache_key_id: Option<reapi::Digest>,
    #[prost(message, optional, tag = "3")]
    dispatch_info: Option<reapi::Digest>,
}

/// `ServeTargetResponse`, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct ServeTargetResponse {
    #[prost(message, optional, tag = "1")]
    target_value: Option<reapi::Digest>,
}

/// Asks `justbuild serve` for a target.
pub(crate) async fn serve_target(channel: Channel, key: reapi::Digest) {
    let dispatch = DigestFunction::Sha256.digest(b"[]").into();
    let request = ServeTargetRequest { target_cache_key_id: Some(key), dispatch_info: Some(dispatch) };
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<ServeTargetRequest, ServeTargetResponse>::default();
    let path = PathAndQuery::from_static("/justbuild.just_serve.Target/ServeTarget");
    let answer = grpc.unary(Request::new(request), path, codec).await.expect("an answer").into_inner();
    assert!(answer.target_value.is_some(), "it is warm");
}
