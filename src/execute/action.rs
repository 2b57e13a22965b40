//! An action and its command, read from the CAS and checked.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;

use super::platform::Platform;
use super::{Closure, ExecuteError, ExecutionOptions};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::proto::reapi::command::OutputDirectoryFormat;
use crate::spec::RelativePath;
use crate::store::{BlobStore, wire};

/// Largest `Action` or `Command` that is read.
const MAX_MESSAGE_BYTES: u64 = 16 << 20;
/// Longest name of a file, in bytes.
const MAX_NAME: usize = 255;

/// An action that can be run.
#[derive(Debug)]
pub(super) struct Action {
    /// The root of its inputs.
    pub(super) input_root: Digest,
    /// The program and its arguments.
    pub(super) arguments: Vec<String>,
    /// Names and values, each name once.
    pub(super) environment: Vec<(String, String)>,
    /// Where it is run, below the input root.
    pub(super) working_directory: RelativePath,
    /// What it should leave, below the working directory.
    pub(super) outputs: Vec<Output>,
    /// In which form directories that it leaves are wanted.
    pub(super) format: OutputDirectoryFormat,
    /// How it is to be run.
    pub(super) platform: Platform,
    /// How long it may run.
    pub(super) timeout: Duration,
    /// Whether its result may be cached.
    pub(super) cacheable: bool,
}

/// A path at which an action should leave something.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// The path.
    pub(super) path: RelativePath,
    /// The field of the command that names it.
    pub(super) field: &'static str,
}

impl Output {
    /// Only files are expected there.
    pub(super) const FILE: &str = "output_files";
    /// Only directories are expected there.
    pub(super) const DIRECTORY: &str = "output_directories";
    /// Anything may be there.
    const PATH: &str = "output_paths";
}

impl Action {
    /// Reads and checks an action, its command and the directories of its input root.
    ///
    /// # Errors
    /// `MissingBlobs` with everything that it needs and the CAS lacks; `Invalid` when it cannot be run.
    pub(super) async fn load(
        store: &dyn BlobStore,
        digest: Digest,
        options: &ExecutionOptions,
    ) -> Result<(Self, Closure), ExecuteError> {
        let function = digest.function();
        let absent = || ExecuteError::MissingBlobs { digests: vec![digest] };
        let message: reapi::Action = read(store, "action", digest).await?.ok_or_else(absent)?;
        let command_digest = message_digest(function, "command_digest", message.command_digest.as_ref())?;
        let input_root = message_digest(function, "input_root_digest", message.input_root_digest.as_ref())?;

        let command: Option<reapi::Command> = read(store, "command", command_digest).await?;
        let closure = Closure::read(store, input_root).await?;
        let mut missing = closure.missing(store).await?;
        let command = match command {
            Some(command) if missing.is_empty() => command,
            Some(_) => return Err(ExecuteError::MissingBlobs { digests: missing }),
            None => {
                missing.insert(0, command_digest);
                return Err(ExecuteError::MissingBlobs { digests: missing });
            }
        };
        #[expect(deprecated, reason = "clients of API 2.1 and older say it there")]
        let platform = message.platform.as_ref().or(command.platform.as_ref());
        let action = Self {
            input_root,
            timeout: timeout(message.timeout, options.max_timeout)?,
            platform: Platform::parse(function, platform, options.allow_network)?,
            format: command.output_directory_format(),
            cacheable: !message.do_not_cache,
            outputs: outputs(&command)?,
            working_directory: path("working_directory", &command.working_directory)?,
            environment: environment(command.environment_variables)?,
            arguments: arguments(command.arguments)?,
        };
        super::checkpoint::check(&action)?;
        Ok((action, closure))
    }
}

async fn read<M: Message + Default>(
    store: &dyn BlobStore,
    what: &'static str,
    digest: Digest,
) -> Result<Option<M>, ExecuteError> {
    let wrong = |reason: String| ExecuteError::Invalid { what, field: "digest", reason };
    if digest.size() > MAX_MESSAGE_BYTES {
        return Err(wrong(format!("names {} bytes; {MAX_MESSAGE_BYTES} are the most", digest.size())));
    }
    let Some(bytes) = store.get(&digest).await? else { return Ok(None) };
    let message = M::decode(bytes).map_err(|error| wrong(format!("names a blob that is none: {error}")))?;
    Ok(Some(message))
}

fn message_digest(
    function: DigestFunction,
    field: &'static str,
    message: Option<&reapi::Digest>,
) -> Result<Digest, ExecuteError> {
    let reason = |error: wire::WireError| format!("is no digest: {error}");
    wire::digest(function, field, message).map_err(|error| ExecuteError::Invalid {
        what: "action",
        field,
        reason: reason(error),
    })
}

fn invalid(field: &'static str, reason: impl Into<String>) -> ExecuteError {
    ExecuteError::Invalid { what: "command", field, reason: reason.into() }
}

fn timeout(asked: Option<crate::proto::protobuf::Duration>, max: Duration) -> Result<Duration, ExecuteError> {
    let wrong = |reason: String| ExecuteError::Invalid { what: "action", field: "timeout", reason };
    let Some(asked) = asked else { return Ok(max) };
    let negative = |_| wrong("is negative".to_owned());
    let seconds = u64::try_from(asked.seconds).map_err(negative)?;
    let timeout = Duration::new(seconds, u32::try_from(asked.nanos).map_err(negative)?.min(999_999_999));
    match timeout {
        Duration::ZERO => Ok(max),
        timeout if timeout <= max => Ok(timeout),
        _ => Err(wrong(format!("is {seconds} s; {} s are the most", max.as_secs()))),
    }
}

fn arguments(arguments: Vec<String>) -> Result<Vec<String>, ExecuteError> {
    if arguments.first().is_none_or(String::is_empty) {
        return Err(invalid("arguments", "names no program"));
    }
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(invalid("arguments", "holds a NUL"));
    }
    Ok(arguments)
}

fn environment(variables: Vec<reapi::command::EnvironmentVariable>) -> Result<Vec<(String, String)>, ExecuteError> {
    let mut seen = HashSet::new();
    for variable in &variables {
        let name = &variable.name;
        if name.is_empty() || name.contains(['=', '\0']) || variable.value.contains('\0') {
            return Err(invalid("environment_variables", format!("has `{name}`, which cannot be set")));
        }
        if !seen.insert(name) {
            return Err(invalid("environment_variables", format!("sets `{name}` twice")));
        }
    }
    drop(seen);
    Ok(variables.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

/// Returns the outputs asked for: `output_paths`, or what older clients say in its place.
#[expect(deprecated, reason = "clients of API 2.0 say it there")]
fn outputs(command: &reapi::Command) -> Result<Vec<Output>, ExecuteError> {
    let named: Vec<(&'static str, &String)> = if command.output_paths.is_empty() {
        let files = command.output_files.iter().map(|path| (Output::FILE, path));
        files.chain(command.output_directories.iter().map(|path| (Output::DIRECTORY, path))).collect()
    } else {
        command.output_paths.iter().map(|path| (Output::PATH, path)).collect()
    };
    let mut seen = HashSet::new();
    let mut outputs = Vec::with_capacity(named.len());
    for (field, text) in named {
        let path = path(field, text)?;
        if !seen.insert(path.clone()) {
            return Err(invalid(field, format!("names `{path}` twice")));
        }
        outputs.push(Output { path, field });
    }
    Ok(outputs)
}

fn path(field: &'static str, text: &str) -> Result<RelativePath, ExecuteError> {
    let path = RelativePath::parse(text).map_err(|error| invalid(field, format!("is refused: {error}")))?;
    if path.components().any(|name| name.len() > MAX_NAME) {
        return Err(invalid(field, format!("has a name of more than {MAX_NAME} bytes")));
    }
    Ok(path)
}
