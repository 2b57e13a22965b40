//! The formats of container images: references, manifests, indexes, configurations, layers.
//!
//! Those of the OCI image specification 1.1, and of Docker's image manifest, version 2, schema 2. Pure functions over
//! bytes and over trees in a CAS; nothing here asks a registry.

mod apply;
mod archives;
mod attributes;
mod config;
mod descriptor;
mod digest;
mod document;
mod entries;
mod known;
mod layer;
mod manifest;
mod media_type;
mod reference;
mod repository;
mod stored;
mod tree;

pub use apply::{Layer, apply_layers};
pub use archives::KnownArchives;
pub use attributes::{Attributes, AttributesError, Exception, MAX_ATTRIBUTES_BYTES, Metadata, Special};
pub use config::{Execution, History, ImageConfig};
pub use descriptor::{Descriptor, Platform};
pub use digest::{OciDigest, OciDigestError};
pub use document::{Annotations, DocumentError, MAX_BLOB_BYTES, MAX_DOCUMENT_BYTES};
pub use entries::{Entry, EntryContent, root_file_system, upper_layer};
pub use known::{Compressed, Form, ImageForms, KnownBlob, KnownImage, KnownImages, Part, Pushed};
pub use layer::{LayerArchive, LayerError, LayerOptions, ReadLayer, WrittenLayer, read_layer, write_layer};
pub use manifest::{Index, MAX_DESCRIPTORS, Manifest};
pub use media_type::{Family, LayerCompression, MediaType};
pub use reference::{Reference, ReferenceError, valid_repository, valid_tag};
pub use repository::repository_of;
pub(crate) use stored::StoredTree;
pub use stored::{StoredImage, StoredImageError, StoredLayer};
