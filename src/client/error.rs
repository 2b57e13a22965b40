//! What can go wrong for a client.

mod kind;
mod made;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::checkpoint::CheckpointError;
use super::image::ImageError;
use super::nix::ClosureError;
use super::options::OptionsError;
use crate::checkpoint::ChoiceError;
use crate::container::ContainerError;
use crate::digest::Digest;
use crate::environment::BuildError;
use crate::nix::StorePath;
use crate::source::SourceError;
use crate::spec::{GitId, KindName, SpecError};
use crate::store::{DirectoryError, StoreError};
use crate::transport::EndpointError;

pub use kind::ErrorKind;
use made::{because, nowhere, refusal, shown};

/// Why a client did not get its environment. Programs decide on the [kind](ClientError::kind); the text, and that of the
/// sources, is for people, as is the [hint](ClientError::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The spec, or an environments file, is at fault.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The file of a spec cannot be read.
    #[error("cannot read the spec `{path}`")]
    ReadSpec {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A root could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An environments file could not be used.
    #[error(transparent)]
    Build(Box<BuildError>),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] EndpointError),
    /// The private daemon did not come up.
    #[error("the private daemon on `{root}` did not start{}", shown(log))]
    Private {
        /// The client root.
        root: PathBuf,
        /// The end of its log.
        log: String,
        /// The system's reason, if it has one.
        #[source]
        source: Option<io::Error>,
    },
    /// The server answered with an error.
    #[error("{}", refusal(rpc, endpoint, status))]
    Rpc {
        /// The call.
        rpc: &'static str,
        /// The server.
        endpoint: String,
        /// Its answer.
        status: Box<tonic::Status>,
    },
    /// What the environment is made from may be something else tomorrow.
    #[error("`{endpoint}` refuses: {said}")]
    NotContentFixed {
        /// The server.
        endpoint: String,
        /// What it says.
        said: String,
        /// What to write instead.
        fix: String,
    },
    /// The host of the server, or of its worker, lacks something.
    #[error("`{endpoint}` refuses: {said}")]
    HostLacks {
        /// The server.
        endpoint: String,
        /// What it says.
        said: String,
    },
    /// The connection broke before the server had answered.
    #[error("the connection to `{endpoint}` broke during {rpc}")]
    Disconnected {
        /// The call.
        rpc: &'static str,
        /// The server.
        endpoint: String,
        /// What the transport says.
        #[source]
        source: Box<tonic::Status>,
    },
    /// The server broke the protocol.
    #[error("{rpc} at `{endpoint}` gave an answer outside the protocol: {reason}")]
    Protocol {
        /// The call.
        rpc: &'static str,
        /// The server.
        endpoint: String,
        /// What was wrong.
        reason: String,
    },
    /// A root that is absent for this client is not known to the server either.
    #[error("the absent root of repository `{repository}` (`{tree}`) is {}", nowhere(endpoint.as_deref()))]
    AbsentRoot {
        /// The repository.
        repository: String,
        /// The tree id, or that of the commit or file from which it is made.
        tree: GitId,
        /// The server, if one is configured.
        endpoint: Option<String>,
    },
    /// The server asks for a root that the spec does not mention, or again for one that it was given.
    #[error("`{endpoint}` asks for root `{tree}`, which {reason}")]
    RootAsked {
        /// The root.
        tree: GitId,
        /// The server.
        endpoint: String,
        /// What is wrong with that.
        reason: &'static str,
    },
    /// Nobody could be reached for as long as the client was to wait.
    #[error("waited {seconds} s in vain")]
    Waited {
        /// How long that was.
        seconds: u64,
        /// What it was each time.
        #[source]
        source: Box<ClientError>,
    },
    /// A file has no name by which it could lie in a directory.
    #[error("the file of repository `{repository}`, from `{address}`, has no name")]
    Nameless {
        /// The repository.
        repository: String,
        /// The address of the file.
        address: String,
    },
    /// A root is computed from an environment that is not built, and nothing may be built.
    #[error("a root is computed from environment `{environment}`, which is not built")]
    Unbuilt {
        /// The environment.
        environment: String,
    },
    /// The environment failed to build.
    #[error("environment `{}` failed to build: {}", .0.environment, .0.reason)]
    Failed(Box<FailedBuild>),
    /// Blobs of the answer were not in the CAS, again and again.
    #[error("{} of the environment's blobs are not in the CAS of `{endpoint}`, the first `{first}`; asked {attempts} times", .count)]
    Lost {
        /// How many blobs.
        count: usize,
        /// One of them.
        first: Digest,
        /// The endpoint.
        endpoint: String,
        /// How often the server was asked to restore them.
        attempts: u32,
    },
    /// The environment's tree is not usable.
    #[error("the tree of environment `{root}` cannot be used")]
    Tree {
        /// Its root Directory.
        root: Digest,
        /// What is wrong with it.
        #[source]
        source: DirectoryError,
    },
    /// An environment of kind `nix` is no closure that can be used.
    #[error("the closure of environment `{root}` cannot be used")]
    Closure {
        /// Its root Directory.
        root: Digest,
        /// What is wrong with it.
        #[source]
        source: ClosureError,
    },
    /// An environment of kind `image` is no image that can be used.
    #[error("the image of environment `{root}` cannot be used")]
    Image {
        /// Its root Directory.
        root: Digest,
        /// What is wrong with it.
        #[source]
        source: Box<ImageError>,
    },
    /// An environment of kind `checkpoint` is no checkpoint that can be used.
    #[error("the checkpoint of environment `{root}` cannot be used")]
    Checkpoint {
        /// Its root Directory.
        root: Digest,
        /// What is wrong with it.
        #[source]
        source: Box<CheckpointError>,
    },
    /// The form that is wished for cannot be had.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A checkpoint is of use only to start it.
    #[error(
        "a checkpoint is a service that can be started: it is neither entered nor copied, and no command runs in it"
    )]
    OnlyStarted,
    /// An ordinary user cannot start checkpoints.
    #[error("only root can start a service from a checkpoint")]
    OnlyRoot,
    /// An image is not entered by setting variables.
    #[error("an image is a world of its own: no shell of this host works in it")]
    NotEntered,
    /// There can be no container of an image.
    #[error(transparent)]
    Container(Box<ContainerError>),
    /// A program that was given an image refused it.
    #[error("`{program}` does not take the image ({status}): {said}")]
    Load {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The environment cannot be had in the form that is wanted.
    #[error("an environment of kind `{}` has no view `{view}`", kind.as_str())]
    View {
        /// The form.
        view: &'static str,
        /// What the environment is.
        kind: KindName,
    },
    /// A copy of an output would lack what it refers to.
    #[error("`{output}` cannot be copied elsewhere: it refers to `{reference}`")]
    NotAlone {
        /// The output.
        output: StorePath,
        /// A path that it names.
        reference: StorePath,
    },
    /// What is to be copied is a file.
    #[error("`{path}` is no directory, and cannot be installed as one")]
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// A program is not installed that is needed.
    #[error("cannot {purpose}: `{program}` is not installed")]
    Lacks {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// This host lets nobody put a store at its place.
    #[error("cannot put a store at /nix/store{}", because(reason))]
    Namespace {
        /// What bubblewrap says.
        reason: String,
        /// The system's reason.
        #[source]
        source: Option<io::Error>,
    },
    /// Nix refused.
    #[error("cannot {action} the Nix database of `{root}`: {said}")]
    NixDatabase {
        /// What was attempted.
        action: &'static str,
        /// The root of the store.
        root: PathBuf,
        /// What Nix says.
        said: String,
    },
    /// Somebody removes store paths as fast as they are made.
    #[error("paths in `{store}` are removed while others are made; tried {attempts} times")]
    Removed {
        /// The store.
        store: PathBuf,
        /// How often they were made.
        attempts: u32,
    },
    /// The file system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Something stands where the environment, or the link to it, should go.
    #[error("`{path}` is there already, and is {what}")]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

/// A build that failed, as the server told it.
#[derive(Debug, Clone)]
pub struct FailedBuild {
    /// The environment that failed.
    pub environment: String,
    /// One line.
    pub reason: String,
    /// The end of its output.
    pub log: String,
    /// The whole output in the CAS.
    pub log_digest: Option<Digest>,
}
