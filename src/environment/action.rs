//! An action of an environment: put into the CAS, run, and what it left behind.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::{Build, BuildError, Failure, FailureReason};
use crate::digest::Digest;
use crate::execute::{ExecuteError, ExecuteRequest};
use crate::proto::{protobuf, reapi};
use crate::spec::RelativePath;
use crate::store::{Directory, Listing, MerkleTree, Node, StoreError, wire};

/// Bytes of a failed action's output that are sent along.
const LOG_TAIL: usize = 64 << 10;

/// What is to be run.
pub(super) struct Task<'a> {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Its variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Where it finds its inputs.
    pub input_root: Digest,
    /// What it may leave behind.
    pub outputs: Vec<RelativePath>,
    /// Seconds after which it is given up.
    pub timeout: Option<u64>,
    /// Properties beside those of the build.
    pub properties: &'a BTreeMap<String, String>,
}

/// An action that ended well.
pub(super) struct Ran {
    /// The action.
    pub action: Digest,
    /// What it left of the outputs named, by path.
    pub outputs: BTreeMap<RelativePath, Node>,
    result: reapi::ActionResult,
}

/// Puts nodes at their paths and returns the root Directory, which is then in the CAS.
///
/// # Errors
/// When two claim one path.
pub(super) async fn compose(build: &Build<'_>, nodes: Vec<(RelativePath, Node)>) -> Result<Digest, BuildError> {
    let environment = || build.parts.target();
    if let [(path, node)] = &nodes[..]
        && path.is_root()
    {
        return match node {
            Node::Directory { digest } => Ok(*digest),
            Node::File { .. } | Node::Symlink { .. } => Err(BuildError::RootFile { environment: environment() }),
        };
    }
    let mut tree = MerkleTree::default();
    for (path, node) in nodes {
        let conflict = |source| BuildError::Compose { environment: environment(), source };
        tree.insert(&path, node).map_err(conflict)?;
    }
    let (root, directories) = tree.encode(build.function);
    build.store.put_missing(directories).await?;
    Ok(root)
}

/// Runs a task to its end.
///
/// # Errors
/// `Failed` when it ends with another code than 0, too late, or leaves something that cannot be used.
pub(super) async fn run(build: &Build<'_>, task: Task<'_>) -> Result<Ran, BuildError> {
    let action = put_action(build, task).await?;
    let (skip_cache_lookup, priority) = (build.fresh, build.priority.number());
    let request = ExecuteRequest { skip_cache_lookup, priority, ..ExecuteRequest::new(action) };
    let result = match build.execution.execute(request, build.progress).await {
        Ok(executed) => executed.result,
        Err(ExecuteError::Timeout { seconds, result }) => {
            return Err(failed(build, FailureReason::Timeout { seconds }, &result).await?);
        }
        Err(error @ (ExecuteError::Output { .. } | ExecuteError::OutputsTooLarge { .. })) => {
            let reason = FailureReason::Output { reason: error.to_string() };
            return Err(failed(build, reason, &reapi::ActionResult::default()).await?);
        }
        Err(error) => {
            return Err(BuildError::Execute { environment: build.parts.target(), source: Box::new(error) });
        }
    };
    if result.exit_code != 0 {
        return Err(failed(build, FailureReason::Exit { code: result.exit_code }, &result).await?);
    }
    let outputs = outputs(build, &result).await?;
    Ok(Ran { action, outputs, result })
}

impl Ran {
    /// Returns the failure of an action that ended well but did not do what it should.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub(super) async fn failed(&self, build: &Build<'_>, reason: FailureReason) -> Result<BuildError, BuildError> {
        failed(build, reason, &self.result).await
    }

    /// Returns a directory that it left, an empty one if it left none.
    ///
    /// # Errors
    /// `Missing` when that has gone since.
    pub(super) async fn directory(&self, build: &Build<'_>, path: &RelativePath) -> Result<Directory, BuildError> {
        let Some(Node::Directory { digest }) = self.outputs.get(path) else { return Ok(Directory::default()) };
        let missing = StoreError::Missing { digest: *digest, role: "directory that an action left" };
        let bytes = build.store.get(digest).await?.ok_or(missing)?;
        let wrong = |source| StoreError::Directory { digest: *digest, source };
        Ok(Directory::parse(build.function, &bytes).map_err(wrong)?)
    }
}

/// Puts the action and its command into the CAS.
async fn put_action(build: &Build<'_>, task: Task<'_>) -> Result<Digest, BuildError> {
    let property =
        |(name, value): (&String, &String)| reapi::platform::Property { name: name.clone(), value: value.clone() };
    let variable = |(name, value): (&String, &String)| reapi::command::EnvironmentVariable {
        name: name.clone(),
        value: value.clone(),
    };
    let mut properties = build.properties.clone();
    properties.extend(task.properties.clone());
    let platform = Some(reapi::Platform { properties: properties.iter().map(property).collect() });
    let mut output_paths: Vec<String> = task.outputs.iter().map(ToString::to_string).collect();
    output_paths.sort();
    // Each server takes what it knows: a newer one disregards these two when there are paths.
    let apart = if build.execution.is_old() { output_paths.clone() } else { Vec::new() };
    #[expect(deprecated, reason = "servers of API 2.0 and 2.1 read platform and outputs from there")]
    let command = reapi::Command {
        arguments: task.arguments,
        environment_variables: task.environment.iter().map(variable).collect(),
        output_files: apart.clone(),
        output_directories: apart,
        output_paths,
        output_directory_format: reapi::command::OutputDirectoryFormat::TreeAndDirectory.into(),
        platform: platform.clone(),
        ..Default::default()
    };
    let command = Bytes::from(command.encode_to_vec());
    let command_digest = build.function.digest(&command);
    let seconds = |seconds| protobuf::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 };
    let action = reapi::Action {
        command_digest: Some(command_digest.into()),
        input_root_digest: Some(task.input_root.into()),
        timeout: task.timeout.map(seconds),
        platform,
        ..Default::default()
    };
    let action = Bytes::from(action.encode_to_vec());
    let action_digest = build.function.digest(&action);
    build.store.put_missing(vec![(command_digest, command), (action_digest, action)]).await?;
    Ok(action_digest)
}

/// Returns what the action made, by path.
async fn outputs(build: &Build<'_>, result: &reapi::ActionResult) -> Result<BTreeMap<RelativePath, Node>, BuildError> {
    let unusable = |reason: String| FailureReason::Output { reason };
    let mut nodes = Vec::new();
    for file in &result.output_files {
        match wire::digest(build.function, "output_files.digest", file.digest.as_ref()) {
            Ok(digest) => nodes.push((&file.path, Node::File { digest, executable: file.is_executable })),
            Err(error) => return Err(failed(build, unusable(error.to_string()), result).await?),
        }
    }
    for directory in &result.output_directories {
        match directory_root(build, directory).await? {
            Ok(digest) => nodes.push((&directory.path, Node::Directory { digest })),
            Err(reason) => return Err(failed(build, unusable(reason), result).await?),
        }
    }
    #[expect(deprecated, reason = "servers of API 2.0 name symlinks there")]
    let links = [&result.output_symlinks, &result.output_file_symlinks, &result.output_directory_symlinks];
    for link in links.into_iter().flatten() {
        nodes.push((&link.path, Node::Symlink { target: link.target.clone() }));
    }
    let mut outputs = BTreeMap::new();
    for (path, node) in nodes {
        match RelativePath::parse(path) {
            Ok(path) => outputs.insert(path, node),
            Err(error) => return Err(failed(build, unusable(error.to_string()), result).await?),
        };
    }
    Ok(outputs)
}

/// Returns the root Directory of an output directory. An endpoint that names only its Tree
/// may not have the Directories as blobs of their own: they are put there.
async fn directory_root(
    build: &Build<'_>,
    directory: &reapi::OutputDirectory,
) -> Result<Result<Digest, String>, BuildError> {
    if let Some(root) = &directory.root_directory_digest {
        let root = wire::digest(build.function, "root_directory_digest", Some(root));
        return Ok(root.map_err(|error| error.to_string()));
    }
    let tree = match wire::digest(build.function, "tree_digest", directory.tree_digest.as_ref()) {
        Ok(tree) => tree,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let missing = StoreError::Missing { digest: tree, role: "tree of an output directory" };
    let bytes = build.store.get(&tree).await?.ok_or(missing)?;
    match Listing::directories_of(build.function, &bytes) {
        Ok((root, directories)) => {
            build.store.put_missing(directories).await?;
            Ok(Ok(root))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Returns the failure of an action with the log that it left: stdout, then stderr.
async fn failed(
    build: &Build<'_>,
    reason: FailureReason,
    result: &reapi::ActionResult,
) -> Result<BuildError, BuildError> {
    let mut log = Vec::new();
    for (raw, digest) in [(&result.stdout_raw, &result.stdout_digest), (&result.stderr_raw, &result.stderr_digest)] {
        if !raw.is_empty() {
            log.extend_from_slice(raw);
        } else if let Ok(digest) = wire::digest(build.function, "log", digest.as_ref())
            && let Some(bytes) = build.store.get(&digest).await?
        {
            log.extend_from_slice(&bytes);
        }
    }
    let log_tail = Bytes::copy_from_slice(&log[log.len().saturating_sub(LOG_TAIL)..]);
    let log = if log.is_empty() { None } else { Some(build.store.put(build.function, log.into()).await?) };
    Ok(BuildError::Failed(Box::new(Failure { environment: build.parts.target(), reason, log, log_tail })))
}
