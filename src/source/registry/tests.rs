//! Tests of pulls, from registries that break every promise.

mod access;
mod faults;
mod images;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::RootCertStore;

use super::*;
use crate::oci::{Family, ImageConfig, Index, LayerCompression, Manifest, MediaType};
use crate::source::FetchOptions;
use crate::source::fetch::tests::server::{Answer, Request, Server};
use crate::source::fetch::tests::{bytes, fetcher};

const LAYER: MediaType = MediaType::Layer(Family::Oci, LayerCompression::None);

/// What a registry has under `/v2/base/`.
#[derive(Clone, Default)]
struct Shelf(HashMap<String, Vec<u8>>);

impl Shelf {
    /// Returns a shelf with one image, and the digest of its manifest.
    fn of(layers: &[Vec<u8>]) -> (Self, OciDigest) {
        let mut shelf = Self::default();
        let digest = shelf.image(layers, Platform::linux("amd64"));
        (shelf, digest)
    }

    fn image(&mut self, layers: &[Vec<u8>], platform: Platform) -> OciDigest {
        let mut config = ImageConfig::new(platform);
        config.diff_ids = layers.iter().map(|layer| OciDigest::of(layer)).collect();
        let config = self.blob(MediaType::Config(Family::Oci), config.canonical());
        let layers = layers.iter().map(|layer| self.blob(LAYER, layer.clone())).collect();
        self.manifest(&manifest(config, layers))
    }

    fn blob(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.0.insert(format!("/v2/base/blobs/{}", descriptor.digest), bytes);
        descriptor
    }

    fn manifest(&mut self, manifest: &Manifest) -> OciDigest {
        self.document(manifest.canonical())
    }

    fn document(&mut self, bytes: Vec<u8>) -> OciDigest {
        let digest = OciDigest::of(&bytes);
        self.0.insert(format!("/v2/base/manifests/{digest}"), bytes);
        digest
    }

    /// Answers as registries do.
    fn answer(&self, request: &Request) -> Answer {
        match self.0.get(&request.target) {
            Some(bytes) => Answer::part(request, bytes, "\"tag\""),
            None => Answer::new("404 Not Found"),
        }
    }
}

fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
    Manifest { family: Family::Oci, config, layers, annotations: HashMap::new().into_iter().collect() }
}

fn index(manifests: Vec<Descriptor>) -> Index {
    Index { family: Family::Oci, manifests, annotations: HashMap::new().into_iter().collect() }
}

/// A client that may pull from one server, and its files.
struct Place {
    directory: tempfile::TempDir,
    registries: Registries,
    registry: String,
}

impl Place {
    fn of(server: &Server) -> Self {
        Self::with(server, None)
    }

    /// Returns a client with a file of credentials for the server.
    fn with(server: &Server, entry: Option<serde_json::Value>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = format!("127.0.0.1:{}", server.port());
        let path = directory.path().join("auth.json");
        if let Some(entry) = entry {
            let text = serde_json::json!({"auths": {&registry: entry}}).to_string();
            std::fs::write(&path, text).unwrap();
        }
        let auth_files = AuthFiles::of_environment(|name| (name == "REGISTRY_AUTH_FILE").then(|| path.clone().into()));
        let fetch = vec![format!("http://{registry}/").parse().unwrap()];
        let options = SourceOptions { fetch, auth_files, ..SourceOptions::new(directory.path()) };
        let times = FetchOptions { first_pause: Duration::from_millis(1), ..FetchOptions::default() };
        let registries = Registries::new(fetcher(times, RootCertStore::empty()), Arc::new(options));
        Self { directory, registries, registry }
    }

    fn reference(&self, digest: OciDigest) -> Reference {
        format!("{}/base@{digest}", self.registry).parse().unwrap()
    }

    /// Pulls documents and layers, all at once.
    async fn pull(&self, digest: OciDigest) -> Result<(Manifest, Vec<NamedTempFile>), RegistryError> {
        let reference = self.reference(digest);
        let image = self.registries.pull(&reference, &Platform::linux("amd64")).await?;
        let manifest = Manifest::parse(&image.manifest).unwrap();
        assert_eq!(OciDigest::of(&image.config), manifest.config.digest);
        let layers = manifest.layers.iter().map(|layer| self.registries.layer(&reference, layer));
        let layers = futures::future::try_join_all(layers).await?;
        Ok((manifest, layers))
    }

    /// Pulls what must be there, and returns the bytes of its layers.
    async fn layers(&self, digest: OciDigest) -> Vec<Vec<u8>> {
        let (_, layers) = self.pull(digest).await.unwrap_or_else(|error| panic!("{error:?}"));
        layers.iter().map(|layer| std::fs::read(layer.path()).unwrap()).collect()
    }

    async fn error(&self, digest: OciDigest) -> RegistryError {
        let error = self.pull(digest).await.expect_err("it must not be pulled");
        assert_eq!(self.left(), [""; 0], "{error}");
        error
    }

    fn auth_file(&self) -> PathBuf {
        self.directory.path().join("auth.json")
    }

    /// Returns the names of downloads that lie there.
    fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.directory.path().join("fetching")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Serves a shelf as it is.
async fn serving(shelf: Shelf) -> Server {
    Server::start(move |_, request| shelf.answer(request)).await
}
