//! The processes of one action, from start to certain death.
//!
//! bubblewrap is started with one end of a socket. It first writes the id of
//! the first process in the namespace, and starts the command when it has got
//! a byte back; so that process is held by a descriptor before the command
//! runs, and with it dies all that the command has started, daemons too. At
//! the end bubblewrap writes the exit code, unless the sandbox itself failed.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;

use super::capture::Capture;
use super::limits::Limits;
use super::namespace::Namespace;
use super::work::WorkDirectory;
use super::{ExecuteError, ExecutionEvents};

/// Exit code when the command could not be started, as shells have it.
const NOT_STARTED: i32 = 127;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself.
    Exit(i32),
    /// It was killed for the time it took.
    TimedOut,
    /// The sandbox did not say.
    Unknown,
}

/// The bounds of one action.
pub(super) struct Bounds<'a> {
    /// How long it may run.
    pub(super) timeout: Duration,
    /// Most bytes kept of stdout, and of stderr.
    pub(super) output_bytes: u64,
    /// What it may use.
    pub(super) limits: &'a Limits,
}

/// stdout and stderr of one action.
pub(super) struct Logs {
    /// stdout.
    pub(super) stdout: Capture,
    /// stderr.
    pub(super) stderr: Capture,
}

/// A line that bubblewrap writes about the command.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    child_pid: Option<i32>,
    exit_code: Option<i32>,
}

/// Runs a command of `sandbox.rs`; afterwards all its processes are dead and its output is captured.
///
/// # Errors
/// When it cannot be started or watched.
///
/// # Cancel safety
/// Dropping the future leaves the processes to `work`, which kills them when it is dropped.
pub(super) async fn run(
    mut command: Command,
    bounds: &Bounds<'_>,
    work: &mut WorkDirectory,
    logs: &Logs,
    events: &dyn ExecutionEvents,
) -> Result<End, ExecuteError> {
    let path = work.path().to_owned();
    let io = |action| ExecuteError::io(action, &path);
    let (ours, theirs) = UnixStream::pair().map_err(io("make a socket for"))?;
    let theirs = theirs.into_std().map_err(io("make a socket for"))?;
    theirs.set_nonblocking(false).map_err(io("make a socket for"))?;
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    // bubblewrap dies with the thread that starts it: this must be one of the runtime, which no blocking one is.
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| refused(error, io("start the sandbox in")))?;
    // It holds the other end of the socket.
    drop(command);

    let stdout = child.stdout.take().expect("stdout was made a pipe");
    let stderr = child.stderr.take().expect("stderr was made a pipe");
    let limit = bounds.output_bytes;
    let logs = async {
        tokio::try_join!(logs.stdout.capture(stdout, limit, events), logs.stderr.capture(stderr, limit, events))
    };
    let life = async { watch(&mut child, ours, bounds, work).await.map_err(io("watch the sandbox in")) };
    let (end, _) = tokio::try_join!(life, logs)?;
    Ok(end)
}

/// Tells arguments that no program can be started with from failures of this host.
pub(super) fn refused(error: io::Error, other: impl FnOnce(io::Error) -> ExecuteError) -> ExecuteError {
    if error.kind() == io::ErrorKind::ArgumentListTooLong {
        let reason = "is longer, with the environment, than the system lets any command be".to_owned();
        return ExecuteError::Invalid { what: "command", field: "arguments", reason };
    }
    other(error)
}

async fn watch(
    child: &mut Child,
    control: UnixStream,
    bounds: &Bounds<'_>,
    work: &mut WorkDirectory,
) -> io::Result<End> {
    let mut control = BufReader::new(control);
    let first = report(&mut control).await?.and_then(|report| report.child_pid);
    let namespace = first.map(Namespace::open).transpose()?.flatten();
    let running = namespace.is_some();
    if let (Some(first), Some(namespace)) = (first, namespace) {
        work.occupy(namespace);
        // It waits for our byte, so nothing has been started yet.
        bounds.limits.impose(first, work.group())?;
        // When nobody is there to take it, there is no exit code below.
        let _gone = control.write_all(b"\n").await;
    }
    let ended = tokio::time::timeout(bounds.timeout, child.wait()).await;
    work.evacuate().await?;
    let Ok(ended) = ended else {
        child.wait().await?;
        return Ok(End::TimedOut);
    };
    let by_itself = ended?.code().is_some();
    match exit_code(&mut control).await {
        Ok(Some(code)) => Ok(End::Exit(code)),
        // Our byte was taken, so the sandbox stood; the command itself could not be started.
        Ok(None) if by_itself && running => Ok(End::Exit(NOT_STARTED)),
        Ok(None) => Ok(End::Unknown),
        // Our byte was not taken: the sandbox could not be set up.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(End::Unknown),
        Err(error) => Err(error),
    }
}

/// Reads to the end what there is to know of the command, and returns its exit code.
async fn exit_code(control: &mut BufReader<UnixStream>) -> io::Result<Option<i32>> {
    while let Some(report) = report(control).await? {
        if report.exit_code.is_some() {
            return Ok(report.exit_code);
        }
    }
    Ok(None)
}

/// Returns the next line about the command.
async fn report(control: &mut BufReader<UnixStream>) -> io::Result<Option<Report>> {
    let mut line = String::new();
    let read = control.read_line(&mut line).await?;
    if read == 0 { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}
