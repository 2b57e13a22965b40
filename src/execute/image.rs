//! The image that an action runs in, by the property `container-image`: found in the CAS, looked at, and on disk once
//! for all actions that run in it.
//!
//! Each action sees it through an overlay of its own, read-only. Of its attributes only the executable bits count: all
//! files belong to the user of the action, who has not the rights to tell one owner from another.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::action::Action;
use super::inputs::{Inputs, create_directories};
use super::layers::Layers;
use super::sandbox::ETC_FILES;
use super::shared::SharedInputs;
use super::work::WorkDirectory;
use super::{Closure, ExecuteError, Images};
use crate::digest::Digest;
use crate::host::platform;
use crate::oci::{ImageConfig, OciDigest, StoredImage, StoredImageError};
use crate::spec::RelativePath;
use crate::store::{BlobStore, LocalBlobStore, StoreError, blocking};

/// How many images are remembered.
const MAX_KNOWN: usize = 64;
/// For how long the blobs of an image count as used once they were looked at.
const FRESH: Duration = Duration::from_secs(60);
/// What of the host's `/etc` an action with its network sees.
const RESOLVER: &str = "resolv.conf";

/// An image that can be put on disk.
pub(super) struct Image {
    /// The variables that it sets.
    pub(super) environment: Vec<(String, String)>,
    manifest: OciDigest,
    inputs: Arc<Inputs>,
    /// All that it is made of.
    blobs: Vec<Digest>,
}

/// The images that actions have asked for, the one used last at the end.
pub(super) struct ReadyImages {
    images: Arc<dyn Images>,
    known: Mutex<VecDeque<(Instant, Arc<Image>)>>,
}

impl ReadyImages {
    /// Returns images that are found in this way.
    pub(super) fn new(images: Arc<dyn Images>) -> Self {
        Self { images, known: Mutex::default() }
    }

    /// Returns the image with this manifest, whose blobs count as used now.
    ///
    /// # Errors
    /// `UnknownImage`; `MissingBlobs` when some are gone; `Image` when it is none for this host.
    pub(super) async fn get(&self, store: &LocalBlobStore, manifest: &OciDigest) -> Result<Arc<Image>, ExecuteError> {
        let known = self.known().iter().find(|(_, image)| image.manifest == *manifest).cloned();
        if let Some((looked, image)) = known
            && looked.elapsed() < FRESH
        {
            return Ok(image);
        }
        let unknown = ExecuteError::UnknownImage { manifest: *manifest };
        let tree = self.images.tree(manifest).await?.ok_or(unknown)?;
        let image = Arc::new(Image::load(store, *manifest, tree).await?);
        let mut known = self.known();
        known.retain(|(_, image)| image.manifest != *manifest);
        known.push_back((Instant::now(), Arc::clone(&image)));
        if known.len() > MAX_KNOWN {
            known.pop_front();
        }
        Ok(image)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Instant, Arc<Image>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image {
    async fn load(store: &LocalBlobStore, manifest: OciDigest, tree: Digest) -> Result<Self, ExecuteError> {
        let unusable = |reason: String| ExecuteError::Image { manifest, reason };
        let parts = StoredImage::read(store, tree).await.map_err(|error| match error {
            StoredImageError::Store(StoreError::Missing { digest, .. }) => {
                ExecuteError::MissingBlobs { digests: vec![digest] }
            }
            StoredImageError::Store(error) => error.into(),
            error @ StoredImageError::Form { .. } => unusable(error.to_string()),
        })?;
        let closure = Closure::read(store, tree).await?;
        let missing = closure.missing(store).await?;
        if !missing.is_empty() {
            return Err(ExecuteError::MissingBlobs { digests: missing });
        }
        let gone = || ExecuteError::MissingBlobs { digests: vec![parts.config] };
        let config = store.get(&parts.config).await?.ok_or_else(gone)?;
        let config = ImageConfig::parse(&config).map_err(|error| unusable(error.to_string()))?;
        let (os, architecture) = (&config.platform.os, &config.platform.architecture);
        if !platform::runs(os, architecture) {
            return Err(unusable(format!("it is for {os}/{architecture}, and this host is {}", platform::shown())));
        }
        let variables = config.execution.env.iter().filter_map(|variable| variable.split_once('='));
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let blobs = closure.blobs();
        let inputs = Arc::new(Inputs::new(parts.root_file_system.root, closure)?);
        Ok(Self { environment, manifest, inputs, blobs })
    }

    /// Puts the image under the work directory, with a place in it for all that an action sees besides.
    ///
    /// # Errors
    /// `Image` when this host has no overlays; `Invalid` when something else than a directory stands at such a place;
    /// as `SharedInputs::get`.
    pub(super) async fn stage(
        &self,
        store: &LocalBlobStore,
        shared: &SharedInputs,
        action: &Arc<Action>,
        work: &mut WorkDirectory,
    ) -> Result<(), ExecuteError> {
        let host = Arc::clone(work.host());
        if !host.overlay {
            let reason = "the host of the executor lets no overlays be mounted".to_owned();
            return Err(ExecuteError::Image { manifest: self.manifest, reason });
        }
        let _pin = store.pin(self.blobs.clone());
        let layers = work.cover_image(shared.get(store, &host, &self.inputs).await?).await?;
        let action = Arc::clone(action);
        blocking(move || {
            let root = action.platform.root.trim_start_matches('/');
            for place in ["proc", "dev", "tmp", "etc", root] {
                let place = RelativePath::parse(place).expect("the platform was checked");
                create_directories(&host, &layers, "platform", &place)?;
            }
            add_files(&layers, action.platform.network).map_err(ExecuteError::io("write to", &layers.upper))
        })
        .await
    }
}

/// Writes the files by which names are found, whatever the image has there.
fn add_files(layers: &Layers, network: bool) -> io::Result<()> {
    let etc = layers.upper.join("etc");
    let write = |name: &str, text: &[u8]| {
        fs::write(etc.join(name), text)?;
        fs::set_permissions(etc.join(name), Permissions::from_mode(0o444))
    };
    for (name, text) in ETC_FILES.iter().filter(|(name, _)| *name == "hosts") {
        write(name, text.as_bytes())?;
    }
    if network {
        match fs::read(Path::new("/etc").join(RESOLVER)) {
            Ok(text) => write(RESOLVER, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
