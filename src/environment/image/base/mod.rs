//! What an image starts from: nothing, another image environment, a file system in a root, an OCI layout, an image of
//! a registry.

mod registry;

use bytes::Bytes;

use super::super::build::Resolved;
use super::super::{Build, BuildError};
use super::composition::{Addition, Finished, Image, step};
use crate::digest::Digest;
use crate::oci::{Attributes, ImageConfig, Layer, Platform, StoredImage};
use crate::spec::{Base, Descriptor, ImageFields, ImageFacts, ImageSettings};
use crate::store::{Node, StoreError};

pub use registry::{BaseImages, Pulled};
pub(super) use registry::check_pinned;

/// What images are for when nobody says so. Never what the builder happens to be.
const ARCHITECTURE: &str = "amd64";

/// Returns the image that the base is, which is the source if it is none of a registry.
///
/// # Errors
/// `Failed` when it is no image, or one for another platform.
pub(super) async fn start(
    build: &Build<'_>,
    fields: &ImageFields,
    source: Option<Resolved>,
) -> Result<Image, BuildError> {
    let image = match source {
        None => match &fields.base {
            None | Some(Base::Source(_)) => Image::empty(build, ImageConfig::new(wanted(&fields.config))).await?,
            Some(Base::Registry { reference }) => todo_registry(build, reference)?,
        },
        Some(Resolved { environment: Some(descriptor), .. }) if descriptor.image.is_some() => {
            environment(build, &descriptor).await?
        }
        Some(Resolved { node: Node::Directory { digest }, .. }) => {
            let mut image = Image::empty(build, ImageConfig::new(wanted(&fields.config))).await?;
            let layer = Layer { root: digest, attributes: Attributes::default() };
            image.lay(build, vec![Addition { layer, created_by: "base".to_owned() }]).await?;
            image
        }
        Some(Resolved { .. }) => return Err(BuildError::refused(build, "base: not yet".to_owned())),
    };
    check_platform(build, &image.config.platform, &fields.config)?;
    Ok(image)
}

fn todo_registry(build: &Build<'_>, _reference: &str) -> Result<Image, BuildError> {
    Err(BuildError::refused(build, "base: not yet".to_owned()))
}

/// Returns the platform that an image is to be for where its base does not say so.
fn wanted(settings: &ImageSettings) -> Platform {
    let ImageSettings { architecture, os, variant, .. } = settings.clone();
    let default = Platform::linux(ARCHITECTURE);
    Platform {
        os: os.unwrap_or(default.os),
        architecture: architecture.unwrap_or(default.architecture),
        variant,
    }
}

/// Refuses a base that is for another platform than is stated.
fn check_platform(build: &Build<'_>, base: &Platform, settings: &ImageSettings) -> Result<(), BuildError> {
    let stated = [
        ("os", &settings.os, Some(&base.os)),
        ("architecture", &settings.architecture, Some(&base.architecture)),
        ("variant", &settings.variant, base.variant.as_ref()),
    ];
    for (field, wanted, found) in stated {
        if wanted.as_ref().is_some_and(|wanted| found.is_some_and(|found| found != wanted)) {
            let (wanted, found) = (wanted.as_deref().unwrap_or_default(), found.map_or("", |found| found));
            let reason = format!("config.{field} is `{wanted}`, and the base is for `{found}`");
            return Err(BuildError::refused(build, reason));
        }
    }
    Ok(())
}

/// Returns the image that another environment is.
async fn environment(build: &Build<'_>, descriptor: &Descriptor) -> Result<Image, BuildError> {
    let wrong = |source| BuildError::StoredImage { environment: build.parts.target(), source };
    let stored = StoredImage::read(build.store, descriptor.root).await.map_err(wrong)?;
    let config = get(build, &stored.config, "configuration of an image").await?;
    let config = ImageConfig::parse(&config).map_err(|error| BuildError::refused(build, format!("base: {error}")))?;
    let root = stored.root_file_system;
    let root = Layer { root: root.root, attributes: attributes(build, &root.attributes).await? };
    let archives = descriptor.image.as_ref().map(|ImageFacts { layers, .. }| layers.as_slice()).unwrap_or_default();
    let layers = stored.layers.iter().zip(archives).enumerate().map(|(number, (stored, archive))| {
        let history = config.history.get(number).cloned().unwrap_or_else(|| step("base".to_owned()));
        Finished { stored: *stored, archive: *archive, history }
    });
    let layers = layers.collect();
    Ok(Image::known(config, root, layers))
}

/// Reads the attributes of a layer.
///
/// # Errors
/// When they are not there, or none.
pub(super) async fn attributes(build: &Build<'_>, digest: &Digest) -> Result<Attributes, BuildError> {
    let bytes = get(build, digest, "attributes of a layer").await?;
    Attributes::parse(&bytes).map_err(|error| BuildError::refused(build, format!("a layer: {error}")))
}

async fn get(build: &Build<'_>, digest: &Digest, role: &'static str) -> Result<Bytes, BuildError> {
    Ok(build.store.get(digest).await?.ok_or(StoreError::Missing { digest: *digest, role })?)
}
