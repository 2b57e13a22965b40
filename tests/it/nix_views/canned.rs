//! A server that answers every request with one closure, whose blobs lie at a real daemon.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;

use envserve::digest::DigestFunction;
use envserve::nix::{StorePath, base32, nar_facts};
use envserve::proto::v1;
use envserve::proto::v1::configuration_server::{Configuration, ConfigurationServer};
use envserve::proto::v1::environments_server::{Environments, EnvironmentsServer};
use envserve::spec::{
    DESCRIPTOR_VERSION, Descriptor, KindName, NixFacts, NixOutput, Provenance, Provides, RelativePath,
};
use envserve::store::{BlobStore, MerkleTree, Node, RemoteBlobStore, collect_tree};
use futures::Stream;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::Daemon;

pub(super) const LIBRARY: &str = "0123456789abcdfghijklmnpqrsvwxyz-library";
pub(super) const PROGRAM: &str = "1123456789abcdfghijklmnpqrsvwxyz-program";
const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// What stands at a path below a store path: text, and whether it may be executed; or the target of a link.
#[derive(Clone)]
pub(super) enum Entry {
    File(String, bool),
    Link(String),
}

/// The closure of a program that prints what is in a library.
pub(super) fn closure(files: usize) -> BTreeMap<String, Entry> {
    let library = format!("/nix/store/{LIBRARY}/lib/text");
    let run = format!("#!/bin/sh\nread -r text <{library}\necho \"$text $*\"\n");
    let mut closure = BTreeMap::from([
        (format!("{LIBRARY}/lib/text"), Entry::File("library\n".into(), false)),
        (format!("{PROGRAM}/bin/run"), Entry::File(run, true)),
        (format!("{PROGRAM}/share/library"), Entry::Link(library)),
    ]);
    let file = |at| (format!("{LIBRARY}/many/{at}"), Entry::File(format!("{at}\n"), false));
    closure.extend((0..files).map(file));
    closure
}

/// The server. It stops when it is dropped.
pub(super) struct Canned {
    pub(super) address: String,
    _runtime: Runtime,
}

impl Canned {
    /// Puts a closure into the CAS of a daemon and starts the server. The outputs are the program and the library.
    pub(super) fn start(daemon: &Daemon, files: &BTreeMap<String, Entry>, variables: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().expect("threads");
        let address = daemon.address.clone();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let bound = runtime.block_on(async {
            let store = RemoteBlobStore::new(daemon.link(), String::new(), FUNCTION);
            let descriptor = put(&store, files, variables).await.canonical();
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let bound = listener.local_addr().expect("bound");
            tokio::spawn(serve(listener, Answer { descriptor, address }));
            bound
        });
        Self { address: SocketAddr::to_string(&bound), _runtime: runtime }
    }
}

async fn serve(listener: TcpListener, answer: Answer) {
    let server = tonic::transport::Server::builder()
        .add_service(EnvironmentsServer::new(answer.clone()))
        .add_service(ConfigurationServer::new(answer))
        .serve_with_incoming(TcpListenerStream::new(listener));
    server.await.expect("serves until the end");
}

async fn put(
    store: &RemoteBlobStore,
    files: &BTreeMap<String, Entry>,
    variables: BTreeMap<String, String>,
) -> Descriptor {
    let (mut whole, mut trees) = (MerkleTree::default(), BTreeMap::<&str, MerkleTree>::new());
    let relative = |path: &str| RelativePath::parse(path).expect("relative");
    for (path, entry) in files {
        let node = match entry {
            Entry::Link(target) => Node::Symlink { target: target.clone() },
            Entry::File(text, executable) => Node::File { digest: blob(store, text).await, executable: *executable },
        };
        whole.insert(&relative(&format!("nix/store/{path}")), node.clone()).expect("free");
        let (name, below) = path.split_once('/').expect("below a store path");
        trees.entry(name).or_default().insert(&relative(below), node).expect("free");
    }
    let paths: Vec<StorePath> = trees.keys().map(|name| StorePath::from_base_name(name).expect("valid")).collect();
    let scratch = tempfile::tempdir().expect("temporary");
    let mut registration = String::new();
    for (name, tree) in trees {
        let (digest, blobs) = tree.encode(FUNCTION);
        store.put_batch(blobs).await.expect("stored");
        let facts = nar_facts(store, Node::Directory { digest }, scratch.path(), paths.clone()).await;
        let (nar, references) = facts.expect("complete");
        let hash = base32::encode(&nar.to_bytes()[1..=32]);
        registration += &format!("/nix/store/{name}\nsha256:{hash}\n{}\n\n{}\n", nar.size(), references.len());
        references.iter().for_each(|reference| registration += &format!("{reference}\n"));
    }
    let node = Node::File { digest: blob(store, &registration).await, executable: false };
    whole.insert(&relative("registration"), node).expect("free");
    let (root, blobs) = whole.encode(FUNCTION);
    store.put_batch(blobs).await.expect("stored");
    let tree = collect_tree(store, root).await.expect("complete");
    let tree_digest = FUNCTION.digest(&tree);
    store.put_batch(vec![(tree_digest, tree.into())]).await.expect("stored");
    let output = |name: &str, path: &str| NixOutput { name: name.into(), path: path.into() };
    Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Nix,
        root,
        tree: tree_digest,
        provides: Provides { path: vec![], vars: BTreeMap::from([("ROOT".into(), "{{@root}}".into())]) },
        nix: Some(NixFacts {
            outputs: vec![output("out", PROGRAM), output("lib", LIBRARY)],
            variables: (!variables.is_empty()).then_some(variables),
        }),
        provenance: Provenance { builder: "test".into(), actions: vec![], built_at: 0, duration_ms: 0 },
    }
}

async fn blob(store: &RemoteBlobStore, text: &str) -> envserve::digest::Digest {
    let digest = FUNCTION.digest(text.as_bytes());
    store.put_batch(vec![(digest, text.to_owned().into())]).await.expect("stored");
    digest
}

#[derive(Clone)]
struct Answer {
    descriptor: Vec<u8>,
    address: String,
}

impl Answer {
    fn served(&self) -> v1::Served {
        v1::Served { descriptor: self.descriptor.clone(), hit: true, ..Default::default() }
    }
}

#[tonic::async_trait]
impl Configuration for Answer {
    async fn get(&self, _: Request<v1::ConfigurationRequest>) -> Result<Response<v1::ConfigurationResponse>, Status> {
        let function = v1::DigestFunction::Blake3.into();
        let endpoint = self.address.clone();
        let answer = v1::ConfigurationResponse { endpoint, digest_function: function, ..Default::default() };
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl Environments for Answer {
    type ServeStream = Pin<Box<dyn Stream<Item = Result<v1::ServeResponse, Status>> + Send>>;

    async fn serve(&self, _: Request<v1::ServeRequest>) -> Result<Response<Self::ServeStream>, Status> {
        let event = Some(v1::serve_response::Event::Served(self.served()));
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(v1::ServeResponse { event })]))))
    }

    async fn probe(&self, _: Request<v1::ServeRequest>) -> Result<Response<v1::ProbeResponse>, Status> {
        Ok(Response::new(v1::ProbeResponse { served: Some(self.served()) }))
    }

    async fn variables(&self, _: Request<v1::EnvironmentName>) -> Result<Response<v1::VariablesResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn describe(&self, _: Request<v1::EnvironmentName>) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn renew(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }
}
