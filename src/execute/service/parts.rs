//! A checkpoint from the CAS to the disk of this host.
//!
//! ```text
//! root/         the root file system of the image, with its owners
//! config.json   its configuration
//! layers/N/     what lies over it in this form, as upper layers of overlays
//! memory/       what CRIU wrote, for the form `memory`
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{Choice, MAX_MEMORY, MemoryError, Stored, image_files, unpack};
use crate::container::{ContainerError, MakeError, Owner, Plan};
use crate::digest::Digest;
use crate::execute::shared::SharedRoot;
use crate::oci::{
    Attributes, AttributesError, LayerError, MAX_ATTRIBUTES_BYTES, MAX_DOCUMENT_BYTES, StoredImage, StoredImageError,
    StoredLayer, root_file_system, upper_layer,
};
use crate::spec::{Descriptor, FormName};
use crate::store::{BlobStore, Directories, DirectoryError, Listing, LocalBlobStore, StoreError, blocking};

/// Most bytes of the message that lists a checkpoint.
const MAX_TREE_BYTES: u64 = 1 << 30;

/// Why a checkpoint cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayError {
    /// The store failed, or a blob is gone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its tree is not that of a checkpoint.
    #[error(transparent)]
    Stored(StoredImageError),
    /// A directory is malformed.
    #[error("its tree cannot be read")]
    Tree(#[from] DirectoryError),
    /// Trees and attributes do not fit together.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Attributes are malformed.
    #[error("its attributes cannot be read")]
    Attributes(#[from] AttributesError),
    /// Its memory cannot be used.
    #[error(transparent)]
    Memory(MemoryError),
    /// The file system refused.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// It lacks what its descriptor says, or has too much of it.
    #[error("{what}")]
    Form {
        /// What is wrong.
        what: &'static str,
    },
}

impl From<StoredImageError> for LayError {
    fn from(error: StoredImageError) -> Self {
        match error {
            StoredImageError::Store(error) => error.into(),
            error => Self::Stored(error),
        }
    }
}

impl From<MemoryError> for LayError {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Store(error) => error.into(),
            error => Self::Memory(error),
        }
    }
}

impl From<MakeError> for LayError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Store(error) => error.into(),
            MakeError::Container(error) => error.into(),
        }
    }
}

/// Where things lie in the directory of a checkpoint.
pub(super) struct Places<'a>(&'a Path);

impl<'a> Places<'a> {
    pub(super) fn within(directory: &'a Path) -> Self {
        Self(directory)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    fn layers(&self) -> PathBuf {
        self.0.join("layers")
    }

    pub(super) fn layer(&self, number: usize) -> PathBuf {
        self.layers().join(number.to_string())
    }

    pub(super) fn memory(&self) -> PathBuf {
        self.0.join("memory")
    }
}

/// All that a form is made of, with the documents read.
pub(super) struct Parts {
    config: Vec<u8>,
    /// The root file system, and the layers of this form.
    layers: Vec<(Listing, Attributes)>,
    memory: Option<Listing>,
}

impl Parts {
    /// Reads what a form of a checkpoint is made of.
    ///
    /// # Errors
    /// When something is not there, or not as it should be.
    pub(super) async fn read(
        store: &LocalBlobStore,
        descriptor: &Descriptor,
        choice: &Choice,
    ) -> Result<Self, LayError> {
        let tree = document(store, descriptor.tree, MAX_TREE_BYTES).await?;
        let directories = Directories::parse(descriptor.root.function(), &tree)?;
        let stored = Stored::read(store, descriptor.root).await?;
        let image = StoredImage::read(store, stored.image).await?;
        if choice.layers > stored.layers.len() {
            return Err(LayError::Form { what: "it lacks layers that its descriptor names" });
        }
        let mut layers = Vec::new();
        for layer in std::iter::once(&image.root_file_system).chain(&stored.layers[..choice.layers]) {
            layers.push(read_layer(store, &directories, layer).await?);
        }
        let memory = match (choice.form, stored.memory) {
            (FormName::Memory, Some(memory)) => Some(directories.listing(memory)?),
            (FormName::Memory, None) => return Err(LayError::Form { what: "it lacks its memory" }),
            (FormName::Filesystem | FormName::Cold, _) => None,
        };
        Ok(Self { config: document(store, image.config, MAX_DOCUMENT_BYTES as u64).await?, layers, memory })
    }

    /// Makes it in a directory that is there. Returns how many entries and bytes that are.
    ///
    /// # Errors
    /// When something is not there, or the file system refuses.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the directory being filled for a while.
    pub(super) async fn make(self, store: &LocalBlobStore, root: Arc<SharedRoot>) -> Result<(u64, u64), LayError> {
        let store = store.clone();
        blocking(move || self.make_in(&store, root.path())).await
    }

    fn make_in(self, store: &LocalBlobStore, directory: &Path) -> Result<(u64, u64), LayError> {
        let places = Places::within(directory);
        let file = places.config();
        fs::write(&file, &self.config).map_err(StoreError::io("write", &file))?;
        let above = places.layers();
        fs::create_dir(&above).map_err(StoreError::io("make the directory", &above))?;
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        for number in 0..self.layers.len() {
            let (top, made) = match number.checked_sub(1) {
                None => (places.root(), root_file_system(&self.layers[0].0, &self.layers[0].1)?),
                Some(above) => (places.layer(above), upper_layer(&self.layers[..=number])?),
            };
            entries = entries.saturating_add(made.len() as u64);
            let plan = Plan::new(made, Owner::Image);
            bytes = plan.files.iter().fold(bytes, |bytes, file| bytes.saturating_add(file.file.digest.size()));
            plan.make(&top, |digest| store.open_read(digest))?;
        }
        if let Some(memory) = &self.memory {
            let open = |digest: &Digest| {
                let found = store.open_read(digest)?;
                found.ok_or(StoreError::Missing { digest: *digest, role: "piece of a memory" })
            };
            let lengths = unpack(&image_files(memory)?, open, &places.memory(), MAX_MEMORY)?;
            entries = entries.saturating_add(lengths.len() as u64);
            bytes = lengths.values().fold(bytes, |bytes, length| bytes.saturating_add(*length));
        }
        Ok((entries, bytes))
    }
}

async fn read_layer(
    store: &LocalBlobStore,
    directories: &Directories,
    layer: &StoredLayer,
) -> Result<(Listing, Attributes), LayError> {
    let attributes = document(store, layer.attributes, MAX_ATTRIBUTES_BYTES as u64).await?;
    Ok((directories.listing(layer.root)?, Attributes::parse(&attributes)?))
}

async fn document(store: &LocalBlobStore, digest: Digest, limit: u64) -> Result<Vec<u8>, LayError> {
    if digest.size() > limit {
        return Err(LayError::Form { what: "one of its documents is larger than any may be" });
    }
    let missing = StoreError::Missing { digest, role: "document of a checkpoint" };
    Ok(store.get(&digest).await?.ok_or(missing)?.to_vec())
}
