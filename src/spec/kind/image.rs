//! The fields of an `image`.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::spec::error::SpecError;
use crate::spec::form::value::{list, of, text};
use crate::spec::form::{Field, object, optional, required, template};
use crate::spec::object::{Node, Object};
use crate::spec::path::RelativePath;
use crate::spec::source::Source;

use super::{Command, ImageSettings};

pub(super) const FIELDS: &[Field] = &[
    optional("base", "What it starts from; without it, the empty image.", base),
    optional("layers", "What is laid over the base, the lowest first.", |generator| list(object(generator, &[LAYER]))),
    optional("run", "Commands run in the image so far, in this order.", |generator| list(Command::form(generator))),
    optional("config", "What its configuration says over that of the base, in the words of OCI.", ImageSettings::form),
];

const REGISTRY: &[Field] =
    &[required("image", "An image of a registry, as it is named there: `HOST/NAME@sha256:HASH`.", text)];

const LAYER: &[Field] = &[
    required("from", "The tree, file or closure.", of::<Source>),
    optional("at", "Where it lies in the image; without it, at the top.", template::path_in_image),
];

fn base(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"oneOf": [of::<Source>(generator), object(generator, &[REGISTRY])]})
}

/// What an image starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image environment, or an OCI layout, a root file system or the archive of one in a root.
    Source(Source),
    /// An image of a registry, as it is named there: `HOST/NAME@sha256:HASH`.
    Registry {
        /// The reference.
        reference: String,
    },
}

/// The fields of an `image`: a base, trees laid over it, and commands executed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFields {
    /// What it starts from; none is the empty image.
    pub base: Option<Base>,
    /// What is laid over the base, the lowest first.
    pub layers: Vec<Layer>,
    /// Commands executed in the image, in this order.
    pub run: Vec<Command>,
    /// What its configuration says.
    pub config: Box<ImageSettings>,
}

/// A tree laid over an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The tree.
    pub from: Source,
    /// Where it lies, relative to the root of the image.
    pub at: RelativePath,
}

impl ImageFields {
    pub(super) fn read(object: &mut Object) -> Result<Self, SpecError> {
        Ok(Self {
            base: object.optional("base", Base::read)?,
            layers: object.or_default("layers", |node| node.list(Layer::read))?,
            run: object.or_default("run", |node| node.list(Command::read))?,
            config: object.or_default("config", |node| ImageSettings::read(node).map(Box::new))?,
        })
    }
}

impl Base {
    fn read(node: Node) -> Result<Self, SpecError> {
        if node.value.get("image").is_none() {
            return Source::read(node).map(Self::Source);
        }
        let reference = node.object(&[REGISTRY])?.required("image", Node::text)?;
        Ok(Self::Registry { reference })
    }

    /// Returns the source, where it is none of a registry.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Source(source) => Some(source),
            Self::Registry { .. } => None,
        }
    }
}

impl Layer {
    fn read(node: Node) -> Result<Self, SpecError> {
        let mut object = node.object(&[LAYER])?;
        Ok(Self { from: object.required("from", Source::read)?, at: object.or_default("at", path_in_image)? })
    }
}

/// Returns a path that may be written as seen in the image, with a slash before it.
fn path_in_image(node: Node) -> Result<RelativePath, SpecError> {
    match node.value.as_str().and_then(|text| text.strip_prefix('/')) {
        Some(relative) if !relative.starts_with('/') => Node::new(node.place, relative.into()).path(),
        _ => node.path(),
    }
}
