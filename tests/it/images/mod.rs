//! Environments of kind `image`: built.

mod actions;
mod bases;
mod closures;
mod debian;
mod example;
mod layers;
mod registry_base;
mod run;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use envserve::digest::Digest;
use envserve::oci::{
    Annotations, Attributes, Descriptor, Family, ImageConfig, Index, LayerCompression, MediaType, StoredImage,
    write_layer,
};
use envserve::store::{BlobStore, RemoteBlobStore};
use serde_json::Value;

use crate::support::{Daemon, World, succeed, tree};

/// An image as its descriptor tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    root: Digest,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    pub(super) layers: Vec<Digest>,
}

impl Image {
    /// Has a daemon build the environment of a spec and returns the image that it is.
    pub(super) fn of(world: &World, daemon: &Daemon, spec: &Path) -> Self {
        let printed = succeed(world.client_of(daemon, "client").args(["fetch", "--absent", "--json"]).arg(spec));
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        let digest = |value: &Value| value.as_str().expect("a digest").parse::<Digest>().expect("a digest");
        let descriptor = &printed["descriptor"];
        let image = &descriptor["image"];
        let layers = image["layers"].as_array().expect("a list").iter().map(digest).collect();
        Self {
            root: digest(&descriptor["root"]),
            manifest: digest(&image["manifest"]),
            config: digest(&image["config"]),
            layers,
        }
    }

    /// Returns its configuration.
    pub(super) fn configuration(&self, daemon: &Daemon) -> ImageConfig {
        block(async {
            let store = store(daemon, &self.root);
            let stored = StoredImage::read(&store, self.root).await.expect("an image");
            ImageConfig::parse(&get(&store, &stored.config).await).expect("a configuration")
        })
    }

    /// Writes an OCI layout with the image, tagged `image`, and returns where it is.
    pub(super) fn layout(&self, world: &World, daemon: &Daemon, name: &str) -> PathBuf {
        let directory = world.path(name);
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("temporary");
        let manifest = block(self.write_blobs(daemon, &blobs));
        let mut descriptor = Descriptor::of(MediaType::Manifest(Family::Oci), &manifest);
        descriptor.annotations.insert("org.opencontainers.image.ref.name".to_owned(), "image".to_owned());
        let index = Index { family: Family::Oci, manifests: vec![descriptor], annotations: Annotations::default() };
        fs::write(directory.join("index.json"), index.canonical()).expect("temporary");
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("temporary");
        directory
    }

    /// Writes every blob of the image into a directory, and returns the manifest.
    async fn write_blobs(&self, daemon: &Daemon, blobs: &Path) -> Bytes {
        let store = store(daemon, &self.root);
        let stored = StoredImage::read(&store, self.root).await.expect("an image");
        let (manifest, config) = (get(&store, &stored.manifest).await, get(&store, &stored.config).await);
        assert!(self.manifest.matches(&manifest) && self.config.matches(&config));
        fs::write(blobs.join(self.manifest.hash()), &manifest).expect("temporary");
        fs::write(blobs.join(self.config.hash()), &config).expect("temporary");
        for (layer, archive) in stored.layers.iter().zip(&self.layers) {
            let attributes = Attributes::parse(&get(&store, &layer.attributes).await).expect("attributes");
            let file = fs::File::create(blobs.join(archive.hash())).expect("temporary");
            let none = LayerCompression::None;
            let written = write_layer(&store, layer.root, &attributes, none, blobs, file).await.expect("whole").0;
            assert_eq!(written.archive, *archive);
        }
        manifest
    }

    /// Has umoci unpack the image and returns where its root file system is.
    pub(super) fn unpacked(&self, world: &World, daemon: &Daemon, name: &str) -> PathBuf {
        let layout = self.layout(world, daemon, &format!("{name}-layout"));
        let bundle = world.path(name);
        let image = format!("{}:image", layout.display());
        succeed(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&bundle));
        bundle.join("rootfs")
    }
}

/// Returns path, mode and size of everything below a directory, and how many names it has.
pub(super) fn modes(directory: &Path) -> Vec<(String, u32, u64, u64)> {
    let name = |path: &Path| path.strip_prefix(directory).expect("below").display().to_string();
    let mut found: Vec<_> = tree(directory)
        .into_keys()
        .map(|path| {
            let metadata = fs::symlink_metadata(directory.join(&path)).expect("there");
            let size = if metadata.is_dir() { 0 } else { metadata.len() };
            let links = if metadata.is_dir() { 1 } else { metadata.nlink() };
            (name(&directory.join(path)), metadata.mode() & 0o7777, size, links)
        })
        .collect();
    found.sort();
    found
}

pub(super) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn store(daemon: &Daemon, root: &Digest) -> RemoteBlobStore {
    RemoteBlobStore::new(daemon.link(), String::new(), root.function())
}

async fn get(store: &dyn BlobStore, digest: &Digest) -> Bytes {
    store.get(digest).await.expect("reachable").expect("there")
}
