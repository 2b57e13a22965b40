//! In which form an environment is wanted, and where.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::oci::LayerCompression;
use crate::spec::FormName;

/// The form in which an environment is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum View {
    /// A directory: of an image its root file system; of a closure one in a store that needs no Nix.
    #[default]
    Dir,
    /// A closure in the store of Nix, registered there.
    Nix,
    /// An image as an OCI layout.
    Oci,
    /// An image as the archive that `docker load` takes.
    DockerArchive,
}

/// Where environments are wanted.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// In which form.
    pub view: View,
    /// The root of the store for closures, where one is named.
    pub store: Option<PathBuf>,
    /// How the layers of an OCI layout are compressed.
    pub compression: LayerCompression,
    /// What a checkpoint is wanted for.
    pub start: Start,
}

/// What a checkpoint is wanted for, which is of use only to start copies of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Not to start it: it is of no use.
    #[default]
    Never,
    /// To start it in the form that is the fastest on this host.
    Fastest,
    /// To start it in this form.
    In(FormName),
}
