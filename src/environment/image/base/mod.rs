//! What an image starts from: nothing, another image environment, a file system in a root, an OCI layout, an image of
//! a registry.

mod archive;
mod documents;
mod layout;
mod pulled;
mod registry;

use super::super::build::Resolved;
use super::super::{Build, BuildError};
use super::composition::{Addition, Finished, Image, step};
use super::parts::{attributes, document, refused};
use crate::digest::Digest;
use crate::oci::{Attributes, ImageConfig, Layer, Platform, StoredImage};
use crate::spec::{Base, Descriptor, ImageFacts, ImageFields, ImageSettings, shown};
use crate::store::Node;

pub(super) use registry::check_pinned;
pub use registry::{BaseImages, Pulled};

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
    let wanted = wanted(&fields.config);
    let empty = || ImageConfig::new(wanted.clone());
    let image = match (source, &fields.base) {
        (None, Some(Base::Registry { reference })) => registry::image(build, &wanted, reference).await?,
        (None, None | Some(Base::Source(_))) => Image::empty(build, empty()).await?,
        (Some(Resolved { environment: Some(descriptor), .. }), _) if descriptor.image.is_some() => {
            environment(build, &descriptor).await?
        }
        (Some(Resolved { of_image: true, .. }), _) => {
            let reason = "base: it is a part of the image environment, which has no `path` as a base";
            return Err(BuildError::refused(build, reason.to_owned()));
        }
        (Some(Resolved { node, .. }), _) => match node {
            Node::Directory { digest } if is_layout(build, digest).await? => {
                layout::image(build, &wanted, digest).await?
            }
            Node::Directory { digest } => {
                let mut image = Image::empty(build, empty()).await?;
                let layer = Layer { root: digest, attributes: Attributes::default() };
                image.lay(build, vec![Addition { layer, history: step("base".to_owned()) }]).await?;
                image
            }
            Node::File { digest, .. } => archive::image(build, empty(), digest).await?,
            Node::Symlink { target } => {
                let reason = format!("base: it is a symlink, to `{}`", shown(&target));
                return Err(BuildError::refused(build, reason));
            }
        },
    };
    check_platform(build, &image.config.platform, &fields.config)?;
    Ok(image)
}

/// Says whether a directory is an OCI layout.
async fn is_layout(build: &Build<'_>, directory: Digest) -> Result<bool, BuildError> {
    let directory = super::parts::directory(build, directory).await?;
    Ok(matches!(directory.get("oci-layout"), Some(Node::File { .. })))
}

/// Returns a platform as people write it.
fn shown_platform(platform: &Platform) -> String {
    let parts = [Some(&platform.os), Some(&platform.architecture), platform.variant.as_ref()];
    parts.into_iter().flatten().map(|part| shown(part)).collect::<Vec<_>>().join("/")
}

/// Returns the platform that an image is to be for where its base does not say so.
fn wanted(settings: &ImageSettings) -> Platform {
    let ImageSettings { architecture, os, variant, .. } = settings.clone();
    let default = Platform::linux(ARCHITECTURE);
    Platform { os: os.unwrap_or(default.os), architecture: architecture.unwrap_or(default.architecture), variant }
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
            let (wanted, found) = (wanted.as_deref().unwrap_or_default(), found.map_or("", String::as_str));
            let reason = format!("config.{field} is `{wanted}`, and the base is for `{found}`");
            return Err(BuildError::refused(build, reason));
        }
    }
    Ok(())
}

/// Returns the image that another environment is.
async fn environment(build: &Build<'_>, descriptor: &Descriptor) -> Result<Image, BuildError> {
    let wrong = |error| BuildError::StoredImage { environment: build.parts.target(), source: Box::new(error) };
    let stored = StoredImage::read(build.store, descriptor.root).await.map_err(wrong)?;
    let config = document(build, &stored.config, "configuration of an image").await?;
    let config = ImageConfig::parse(&config).map_err(|error| refused(build, "base", &error))?;
    let root = stored.root_file_system;
    let root = Layer { root: root.root, attributes: attributes(build, &root.attributes).await? };
    let archives = descriptor.image.as_ref().map(|ImageFacts { layers, .. }| layers.as_slice()).unwrap_or_default();
    let known = stored.layers.iter().zip(archives).zip(documents::history(&config));
    let layers = known.map(|((stored, archive), history)| Finished { stored: *stored, archive: *archive, history });
    let layers = layers.collect();
    Ok(Image::known(config, root, layers))
}
