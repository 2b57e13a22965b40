//! What can go wrong with an environment: errors of the way there, and failures of the build itself.

use std::fmt;

use bytes::Bytes;

use crate::digest::Digest;
use crate::execute::{CHECKPOINTS_DENIED, ExecuteError};
use crate::nix::{NarError, StorePath};
use crate::oci::{LayerError, StoredImageError};
use crate::source::SourceError;
use crate::spec::{GitId, PathError, RelativePath, SpecError};
use crate::store::{MerkleError, StoreError};

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The environments file, or what it says, is at fault.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The name of the environments file is none.
    #[error("`{file}` cannot be the name of an environments file")]
    FileName {
        /// The name.
        file: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// The root that holds it has no environments file.
    #[error("root `{root}` has no environments file `{file}`")]
    NoFile {
        /// The root.
        root: GitId,
        /// The path looked for.
        file: RelativePath,
    },
    /// An environment uses a name to which nothing is bound.
    #[error("environment `{environment}`: nothing is bound to `{binding}`{}", bound(known))]
    NoBinding {
        /// The environment.
        environment: String,
        /// The name.
        binding: String,
        /// The names to which something is bound.
        known: Vec<String>,
    },
    /// The key holds variables that do not matter to the environment, or lacks some that do.
    #[error("environment `{environment}`: the configuration in its key is not that of its variables: {}", flexible.join(", "))]
    Config {
        /// The environment.
        environment: String,
        /// The variables that matter.
        flexible: Vec<String>,
    },
    /// Roots that the build needs are not known to the server.
    #[error("source trees are not known here: {}", list(roots))]
    UnknownRoots {
        /// Their ids.
        roots: Vec<GitId>,
    },
    /// A source tree could not be had.
    #[error(transparent)]
    Source(SourceError),
    /// An input names a path that its source does not have.
    #[error("environment `{environment}`: input `{input}`: there is no `{path}` in {source_name}")]
    NoPath {
        /// The environment.
        environment: String,
        /// Where the input was to go, or what it was to be.
        input: String,
        /// The path looked for.
        path: RelativePath,
        /// Where it was looked for.
        source_name: String,
    },
    /// The root of an environment must be a directory.
    #[error("environment `{environment}`: the input at its root is no directory")]
    RootFile {
        /// The environment.
        environment: String,
    },
    /// Inputs or outputs do not fit together.
    #[error("environment `{environment}` cannot be composed")]
    Compose {
        /// The environment.
        environment: String,
        /// What is in the way.
        #[source]
        source: MerkleError,
    },
    /// Environments use one another in a circle.
    #[error("environments use one another in a circle: {}", chain.join(" -> "))]
    Cycle {
        /// The circle, its first environment again at the end.
        chain: Vec<String>,
    },
    /// It is a checkpoint, and whoever asks may not have any.
    #[error("environment `{environment}` is a checkpoint: {CHECKPOINTS_DENIED}")]
    CheckpointDenied {
        /// The environment.
        environment: String,
    },
    /// It would have to be built, and is not for whoever asks.
    #[error("environment `{environment}` is not in the cache, and it takes the role `builder` to have it built")]
    NotBuilt {
        /// The environment.
        environment: String,
    },
    /// It is a checkpoint, and nobody has said which workers make some.
    #[error(
        "environment `{environment}` is a checkpoint: name the property by which the endpoint takes actions to workers with \
         envserve, runc and CRIU, with `envserve serve --checkpoint-worker NAME=VALUE`"
    )]
    CheckpointWorker {
        /// The environment.
        environment: String,
    },
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The executor refused; the action did not run to its end.
    #[error("environment `{environment}`: its action could not be run")]
    Execute {
        /// The environment.
        environment: String,
        /// The executor's reason.
        #[source]
        source: Box<ExecuteError>,
    },
    /// Objects of a Nix store have gone since they were built or found.
    #[error("store paths that were there are gone: {}", paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    LostPath {
        /// The paths; perhaps not all of them are gone.
        paths: Vec<StorePath>,
    },
    /// An object of a Nix store cannot be read as an archive.
    #[error("environment `{environment}`: cannot look at `{path}`")]
    Archive {
        /// The environment.
        environment: String,
        /// The object.
        path: StorePath,
        /// Why not.
        #[source]
        source: Box<NarError>,
    },
    /// A base is named so that it may be another image tomorrow.
    #[error(
        "environment `{environment}`: the base `{reference}` is not fixed by content: a tag may name another image tomorrow"
    )]
    Unpinned {
        /// The environment.
        environment: String,
        /// The reference.
        reference: String,
        /// What to write instead.
        fix: String,
    },
    /// A layer of an image could not be read or written.
    #[error("environment `{environment}`: {place} cannot be worked with")]
    Layer {
        /// The environment.
        environment: String,
        /// Which layer.
        place: String,
        /// Why not.
        #[source]
        source: Box<LayerError>,
    },
    /// An image that this one is based on is not in its form.
    #[error("environment `{environment}`: its base is not as images are stored")]
    StoredImage {
        /// The environment.
        environment: String,
        /// What is wrong.
        #[source]
        source: Box<StoredImageError>,
    },
    /// The environment's own build failed.
    #[error("environment `{}` failed to build: {}", .0.environment, .0.reason)]
    Failed(Box<Failure>),
    /// An environment that this one uses has no descriptor, for the reason given there.
    #[error(transparent)]
    Dependency(std::sync::Arc<BuildError>),
    /// The task that built it ended without an answer.
    #[error("the build of environment `{environment}` ended without an answer, which is a defect of the server")]
    Lost {
        /// The environment.
        environment: String,
    },
}

impl From<SourceError> for BuildError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Unknown { tree } => Self::UnknownRoots { roots: vec![tree] },
            error => Self::Source(error),
        }
    }
}

impl BuildError {
    /// Says whether a blob was gone that had been in the CAS.
    pub(super) fn is_lost_blob(&self) -> bool {
        match self {
            Self::Store(StoreError::Missing { .. })
            | Self::Source(SourceError::Store(StoreError::Missing { .. }))
            | Self::LostPath { .. } => true,
            Self::Layer { source, .. } => matches!(**source, LayerError::Store(StoreError::Missing { .. })),
            Self::StoredImage { source, .. } => {
                matches!(**source, StoredImageError::Store(StoreError::Missing { .. }))
            }
            Self::Archive { source, .. } => matches!(**source, NarError::Store(StoreError::Missing { .. })),
            Self::Execute { source, .. } => matches!(**source, ExecuteError::MissingBlobs { .. }),
            _ => false,
        }
    }

    /// Returns a failure as that of a step within a build, and any other error as it is.
    pub(super) fn within(self, step: impl FnOnce(Box<FailureReason>) -> FailureReason) -> Self {
        match self {
            Self::Failed(failure) => {
                let reason = step(Box::new(failure.reason));
                Self::Failed(Box::new(Failure { reason, ..*failure }))
            }
            error => error,
        }
    }

    /// Returns the failure of an environment that asks for something that is not possible.
    pub(super) fn refused(build: &super::Build<'_>, reason: String) -> Self {
        Self::Failed(Box::new(Failure {
            environment: build.parts.target(),
            reason: FailureReason::Refused { reason },
            log: None,
            log_tail: Bytes::new(),
        }))
    }

    /// Returns the error of an object that cannot be read as an archive.
    pub(super) fn archive(build: &super::Build<'_>, path: &StorePath, source: NarError) -> Self {
        Self::Archive { environment: build.parts.target(), path: path.clone(), source: Box::new(source) }
    }

    /// Returns the error of a layer: a failure of the environment when its content is at fault.
    pub(super) fn layer(build: &super::Build<'_>, place: &str, source: LayerError) -> Self {
        if let Some(reason) = source.fault_of_content() {
            return Self::refused(build, format!("{place}: {reason}"));
        }
        Self::Layer { environment: build.parts.target(), place: place.to_owned(), source: Box::new(source) }
    }

    /// Returns the error that an environment down the line began with.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Dependency(inner) => inner.cause(),
            error => error,
        }
    }
}

fn bound(names: &[String]) -> String {
    if names.is_empty() { ", or to any other name".to_owned() } else { format!("; bound are `{}`", names.join("`, `")) }
}

fn list(ids: &[GitId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    ids.join(", ")
}

/// A build that ran and did not give an environment.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The environment, as `NAME` or `MODULE:NAME`.
    pub environment: String,
    /// What happened.
    pub reason: FailureReason,
    /// The action's whole output, in the CAS.
    pub log: Option<Digest>,
    /// The end of that output.
    pub log_tail: Bytes,
}

/// What went wrong in a build.
#[derive(Debug, Clone)]
pub enum FailureReason {
    /// The command said so.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// The command did not end in time.
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// The command did not make what it should.
    MissingOutputs {
        /// The declared outputs that are not there.
        paths: Vec<RelativePath>,
    },
    /// What the command made cannot be an environment.
    Output {
        /// Why not.
        reason: String,
    },
    /// Its definition, or what that names, asks for something that is not possible.
    Refused {
        /// What, and why not.
        reason: String,
    },
    /// Its Nix expression could not be evaluated.
    Evaluation {
        /// What happened.
        reason: Box<FailureReason>,
    },
    /// A command that was to run in an image failed.
    Step {
        /// The command.
        command: String,
        /// What happened.
        reason: Box<FailureReason>,
    },
    /// The service did not become a checkpoint.
    Checkpoint {
        /// What happened.
        reason: Box<FailureReason>,
    },
    /// One of its derivations failed.
    Derivation {
        /// Which.
        path: String,
        /// What happened.
        reason: Box<FailureReason>,
    },
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "its command ended with exit code {code}"),
            Self::Timeout { seconds } => write!(f, "its command did not end within {seconds} s"),
            Self::MissingOutputs { paths } => {
                let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
                write!(f, "its command did not make {}", paths.join(", "))
            }
            Self::Output { reason } => write!(f, "what its command made cannot be used: {reason}"),
            Self::Refused { reason } => f.write_str(reason),
            Self::Evaluation { reason } => write!(
                f,
                "its expression was not evaluated: {reason} (an expression sees its inputs and `args`; there is no time, system, network or other file)"
            ),
            Self::Checkpoint { reason } if matches!(**reason, Self::Exit { .. }) => {
                f.write_str("its service did not become a checkpoint, as its log says")
            }
            Self::Checkpoint { reason } => write!(f, "its service did not become a checkpoint: {reason}"),
            Self::Step { command, reason } => write!(f, "run step `{command}`: {reason}"),
            Self::Derivation { path, reason } => write!(f, "derivation `{path}`: {reason}"),
        }
    }
}
