//! Layers from sources: a tree, or a file, laid over the image at a path.
//!
//! A tree says nothing of the modes and owners of directories, so directories that the base has stay as they are: the
//! layer only implies them. What is a directory in one and something else in the other is refused; on a system whose
//! `/bin` is a symlink, a tree with a directory `bin` would otherwise replace all that is in it.

use super::super::action::compose;
use super::super::build::Resolved;
use super::super::{Build, BuildError};
use super::check_count;
use super::closure::{self, Closure};
use super::composition::{Addition, Image, MAX_LAYERS, step};
use super::parts::directory;
use crate::digest::Digest;
use crate::oci::{Attributes, Exception, Layer};
use crate::spec::{Descriptor, ImageFields, RelativePath, shown};
use crate::store::Node;

/// Returns the layers of the definition, the lowest first.
///
/// # Errors
/// `Failed` when one of them cannot lie where it should.
pub(super) async fn layers(
    build: &Build<'_>,
    fields: &ImageFields,
    sources: &[Resolved],
    image: &Image,
) -> Result<Vec<Addition>, BuildError> {
    let mut closures = closures(build, fields, sources, image).await?;
    let mut layers = Vec::new();
    for (number, (layer, source)) in fields.layers.iter().zip(sources).enumerate() {
        let place = format!("layers[{number}]");
        if closure_of(layer, source).is_none() {
            layers.push(place_at(build, &place, &layer.at, source.node.clone(), &image.root).await?);
            continue;
        }
        for (name, nodes) in std::mem::take(&mut closures) {
            let root = compose(build, nodes).await?;
            layers.push(addition(build, &place, root, &image.root, format!("{place}: {name}")).await?);
        }
    }
    Ok(layers)
}

/// Returns the environment of which a layer has the closure alone.
fn closure_of<'a>(layer: &crate::spec::Layer, source: &'a Resolved) -> Option<&'a Descriptor> {
    source.environment.as_deref().filter(|descriptor| descriptor.nix.is_some() && layer.at.is_root())
}

/// Returns the layers of all closures together, which lie where the first of them stands.
async fn closures(
    build: &Build<'_>,
    fields: &ImageFields,
    sources: &[Resolved],
    image: &Image,
) -> Result<Vec<(String, Vec<(RelativePath, Node)>)>, BuildError> {
    let of: Vec<&Descriptor> =
        fields.layers.iter().zip(sources).filter_map(|(layer, source)| closure_of(layer, source)).collect();
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut closure = Closure::default();
    for descriptor in &of {
        closure.add(build, descriptor).await?;
    }
    let others = image.count() + fields.layers.len() - of.len() + fields.run.len();
    check_count(build, others + 1)?;
    let most = closure::MAX_LAYERS.min(MAX_LAYERS - others);
    Ok(closure.without(build, image.root.root).await?.layers(most))
}

/// Returns the layer of a file or tree at a path, over a base.
async fn place_at(
    build: &Build<'_>,
    place: &str,
    at: &RelativePath,
    node: Node,
    base: &Layer,
) -> Result<Addition, BuildError> {
    if at.is_root() && !matches!(node, Node::Directory { .. }) {
        let reason = format!("{place}: a file needs a path in the image: `\"at\": \"/…\"`");
        return Err(BuildError::refused(build, reason));
    }
    let root = compose(build, vec![(at.clone(), node)]).await?;
    addition(build, place, root, base, format!("{place} at /{at}")).await
}

async fn addition(
    build: &Build<'_>,
    place: &str,
    root: Digest,
    base: &Layer,
    created_by: String,
) -> Result<Addition, BuildError> {
    let attributes = over(build, place, root, base).await?;
    Ok(Addition { layer: Layer { root, attributes }, history: step(created_by) })
}

/// Returns the attributes of a tree with which the directories of the base stay as they are.
///
/// # Errors
/// `Failed` when something is a directory in one and not in the other.
async fn over(build: &Build<'_>, place: &str, tree: Digest, base: &Layer) -> Result<Attributes, BuildError> {
    let mut attributes = Attributes::default();
    let mut both = vec![(RelativePath::root(), tree, base.root)];
    while let Some((path, upper, lower)) = both.pop() {
        let (upper, lower) = (directory(build, upper).await?, directory(build, lower).await?);
        for (name, node) in upper.iter() {
            let path = path.join(name).map_err(|error| BuildError::refused(build, format!("{place}: {error}")))?;
            match (node, lower.get(name)) {
                (Node::Directory { digest: upper }, Some(Node::Directory { digest: lower })) => {
                    let empty = directory(build, *upper).await?.iter().next().is_none();
                    let stays = if empty { stated(&path, base) } else { Some(Exception::Implied { opaque: false }) };
                    attributes.exceptions.extend(stays.map(|exception| (path.clone(), exception)));
                    both.push((path, *upper, *lower));
                }
                (Node::Directory { .. }, Some(other)) => {
                    let reason = format!("{place}: `{path}` is a directory, but {} in the base", what(other));
                    return Err(BuildError::refused(build, reason));
                }
                (other, Some(Node::Directory { .. })) => {
                    let reason = format!("{place}: `{path}` is {}, but a directory in the base", what(other));
                    return Err(BuildError::refused(build, reason));
                }
                (Node::File { .. } | Node::Symlink { .. }, _) | (Node::Directory { .. }, None) => {}
            }
        }
    }
    Ok(attributes)
}

/// Returns what the base says of a directory: nothing implies one that is empty.
fn stated(path: &RelativePath, base: &Layer) -> Option<Exception> {
    base.attributes.exceptions.get(path).filter(|exception| matches!(exception, Exception::Node(_))).cloned()
}

fn what(node: &Node) -> String {
    match node {
        Node::File { .. } => "a file".to_owned(),
        Node::Directory { .. } => "a directory".to_owned(),
        Node::Symlink { target } => format!("a symlink to `{}`", shown(target)),
    }
}
