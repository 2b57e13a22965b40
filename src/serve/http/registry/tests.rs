//! The registry over stores of its own, with images made by hand.

use std::collections::BTreeMap;
use std::io::Read;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, LOCATION, RANGE};
use bytes::Bytes;
use futures::StreamExt;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::digest::DigestFunction;
use crate::environment::NixOptions;
use crate::execute::ExecutionOptions;
use crate::oci::{
    Annotations, Attributes, Descriptor, Family, ImageConfig, Layer, LayerCompression, Manifest, MediaType, OciDigest,
    Platform, StoredImage, StoredLayer, apply_layers, write_layer,
};
use crate::serve::resolve::Resolver;
use crate::serve::roles::Role;
use crate::serve::{EmbeddedOptions, EndpointOptions, ServeOptions, open};
use crate::source::SourceOptions;
use crate::spec::{
    Config, DESCRIPTOR_VERSION, Description, EnvKey, GitId, ImageFacts, KeyParts, KindName, Provenance, Provides,
    RelativePath, ResolvedRepository,
};
use crate::store::{BlobStore, LocalBlobStore, MerkleTree, Node, collect_tree};

mod images;
mod pushes;
mod requests;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry without a port.
struct Served {
    _directory: TempDir,
    router: Router,
    resolver: Resolver,
    store: LocalBlobStore,
    /// What may be done by those who ask.
    rights: Rights,
}

/// What was answered.
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    /// What came of the body, and whether it came to its end.
    body: Bytes,
    whole: bool,
}

impl Answer {
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Returns the code and the message of an error.
    fn error(&self) -> (String, String) {
        let document: Value = serde_json::from_slice(&self.body).expect("JSON");
        let text = |field: &str| document["errors"][0][field].as_str().expect("text").to_owned();
        (text("code"), text("message"))
    }
}

fn options(root: &Path, push: bool) -> ServeOptions {
    ServeOptions {
        root: root.to_owned(),
        endpoint: EndpointOptions::Embedded(EmbeddedOptions {
            function: DigestFunction::Blake3,
            instance: String::new(),
            max_size: None,
            min_age: Default::default(),
            execution: ExecutionOptions::default(),
        }),
        repositories: Vec::new(),
        sources: Arc::new(SourceOptions::new(root)),
        nix: NixOptions { evaluator: BTreeMap::new(), network: BTreeMap::new(), evaluation_seconds: 1 },
        lease: std::time::Duration::from_secs(60),
        security: Default::default(),
        native: true,
        nix_cache: None,
        registry: Some(RegistryOptions { push }),
        images: Default::default(),
        checkpoints: Default::default(),
        idle: None,
        grace: Default::default(),
    }
}

impl Served {
    async fn start(push: bool) -> Self {
        let directory = tempfile::tempdir().expect("temporary");
        let opened = open(options(directory.path(), push)).await.expect("opened");
        let resolver = opened.backend.resolver().await.expect("embedded").clone();
        let crate::serve::open::OpenedEndpoint::Embedded { store, .. } = &opened.endpoint else { panic!("embedded") };
        let (store, router) = (store.clone(), routes(opened.registry.expect("asked for")));
        Self { _directory: directory, router, resolver, store, rights: Rights::ALL }
    }

    async fn send(&self, request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        let response =
            self.router.clone().oneshot(request.extension(self.rights).body(body.into()).expect("a request")).await;
        let (head, body) = response.expect("infallible").into_parts();
        let (mut bytes, mut whole) = (Vec::new(), true);
        let mut stream = body.into_data_stream();
        while let Some(data) = stream.next().await {
            match data {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(_) => whole = false,
            }
        }
        Answer { status: head.status.as_u16(), headers: head.headers, body: bytes.into(), whole }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers, Bytes::new()).await
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(format!("/v2/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, body).await
    }
}

/// An image that was answered.
struct Image {
    key: EnvKey,
    facts: ImageFacts,
    /// The archives of its layers.
    archives: Vec<Vec<u8>>,
    /// A file of it, which is not small.
    large: Digest,
}

fn large() -> Vec<u8> {
    (0..700_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Returns the parts of a key whose root nobody knows.
fn parts(name: &str) -> KeyParts {
    let root = GitId::parse(&"1".repeat(40)).expect("an id");
    let repository = ResolvedRepository { root, environments_file: "ENVS".into(), bindings: BTreeMap::new() };
    KeyParts {
        description: Description::new("main", &BTreeMap::from([("main".into(), repository)])).expect("whole"),
        module: RelativePath::root(),
        name: name.into(),
        effective_config: Config::default(),
    }
}

/// Stores a layer of these files.
async fn layer(store: &dyn BlobStore, files: &[(&str, Vec<u8>)]) -> (StoredLayer, Vec<u8>) {
    let mut tree = MerkleTree::default();
    for (path, content) in files {
        let digest = store.put(DigestFunction::Blake3, content.clone().into()).await.expect("stored");
        let path = RelativePath::parse(path).expect("relative");
        tree.insert(&path, Node::File { digest, executable: false }).expect("free");
    }
    let (root, directories) = tree.encode(DigestFunction::Blake3);
    store.put_batch(directories).await.expect("stored");
    let attributes = Attributes::default();
    let scratch = std::env::temp_dir();
    let (_, archive) =
        write_layer(store, root, &attributes, LayerCompression::None, &scratch, Vec::new()).await.expect("whole");
    let attributes = store.put(DigestFunction::Blake3, attributes.canonical().into()).await.expect("stored");
    (StoredLayer { root, attributes }, archive)
}

/// Has an image of two layers known, as if an environment of that name had been answered.
async fn image(served: &Served, name: &str) -> Image {
    let store: &dyn BlobStore = &served.store;
    let small: Vec<_> = (0..50).map(|number| (format!("etc/{number}"), vec![b'x'; number])).collect();
    let small: Vec<(&str, Vec<u8>)> = small.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    let (lower, upper) = (layer(store, &small).await, layer(store, &[("usr/large", large())]).await);
    let archives = vec![lower.1, upper.1];
    let mut config = ImageConfig::new(Platform::linux("amd64"));
    config.diff_ids = archives.iter().map(|archive| OciDigest::of(archive)).collect();
    let config = config.canonical();
    let kind = MediaType::Layer(Family::Oci, LayerCompression::None);
    let manifest = Manifest {
        family: Family::Oci,
        config: Descriptor::of(MediaType::Config(Family::Oci), &config),
        layers: archives.iter().map(|archive| Descriptor::of(kind.clone(), archive)).collect(),
        annotations: Annotations::new(),
    };
    let whole = [lower.0, upper.0].map(|layer| Layer { root: layer.root, attributes: Attributes::default() });
    let applied = apply_layers(store, DigestFunction::Blake3, &whole).await.expect("apart");
    let put = async |bytes: Vec<u8>| store.put(DigestFunction::Blake3, bytes.into()).await.expect("stored");
    let facts = ImageFacts {
        manifest: manifest.descriptor().blob(),
        config: manifest.config.blob(),
        layers: manifest.layers.iter().map(Descriptor::blob).collect(),
    };
    let stored = StoredImage {
        manifest: put(manifest.canonical()).await,
        config: put(config).await,
        layers: vec![lower.0, upper.0],
        root_file_system: StoredLayer { root: applied.root, attributes: put(applied.attributes.canonical()).await },
    };
    let mut tree = MerkleTree::default();
    stored.nodes().into_iter().for_each(|(path, node)| tree.insert(&path, node).expect("free"));
    let (root, directories) = tree.encode(DigestFunction::Blake3);
    store.put_batch(directories).await.expect("stored");
    let tree = put(collect_tree(store, root).await.expect("whole")).await;
    let parts = parts(name);
    let descriptor = crate::spec::Descriptor {
        version: DESCRIPTOR_VERSION,
        kind: KindName::Image,
        root,
        tree,
        provides: Provides::default(),
        nix: None,
        image: Some(facts.clone()),
        checkpoint: None,
        provenance: Provenance { builder: "test".into(), actions: Vec::new(), built_at: 0, duration_ms: 0 },
    };
    let key = parts.key();
    served.resolver.known_images().note(&key, &parts, &BTreeMap::new(), &descriptor).await.expect("written");
    Image { key, facts, archives, large: DigestFunction::Blake3.digest(&large()) }
}

fn oci(digest: &Digest) -> String {
    OciDigest::from_digest(digest).expect("SHA-256").to_string()
}
