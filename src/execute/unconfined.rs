//! Commands without a sandbox: on the host, with the rights of the executor.
//!
//! The command is the first of a process group, and is in a control group where
//! there are some. Without them, a daemon that leaves its process group outlives
//! the action: nothing else tells whose it was.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::action::Action;
use super::cgroup::Group;
use super::process::{Bounds, End, Logs, refused};
use super::work::WorkDirectory;
use super::{ExecuteError, ExecutionEvents};

/// Waits for a byte, so that the limits hold before the command starts. There is none when the executor is gone.
const WRAPPER: &str = r#"; read _ || exit; exec "$@" </dev/null"#;
/// Said in the log of each action.
const NOTICE: &str = "[envserve: this action runs without a sandbox]\n";
/// How often processes that do not die are killed again.
const ATTEMPTS: usize = 500;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// The processes of an action, as far as they can be found.
#[derive(Debug)]
pub(super) struct Unconfined {
    first: Pid,
}

impl Unconfined {
    /// Kills the processes, without waiting.
    pub(super) fn kill(&self, group: Option<&Group>) -> bool {
        let members = group.map(Group::members).unwrap_or_default();
        for member in members.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It can only fail because the process is dead.
            let _dead = kill_process(member, Signal::KILL);
        }
        kill_process_group(self.first, Signal::KILL) == Err(Errno::SRCH) && members.is_empty()
    }

    /// Kills the processes and waits until the last one that can be found is dead.
    ///
    /// # Errors
    /// When one does not die.
    pub(super) async fn end(&self, group: Option<&Group>) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            if self.kill(group) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// What is run.
pub(super) struct Start {
    /// The program and its arguments.
    pub(super) words: Vec<OsString>,
    /// Its variables, and no others.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Where.
    pub(super) directory: PathBuf,
    /// Said in its log.
    pub(super) notice: &'static str,
}

impl Start {
    /// Returns the command of an action, for which nothing is left to decide.
    pub(super) fn of(action: &Action, work: &WorkDirectory) -> Self {
        let variables = action.environment.iter().map(|(name, value)| (name.into(), value.into()));
        Self {
            words: action.arguments.iter().map(OsString::from).collect(),
            variables: variables.collect(),
            directory: action.working_directory.components().fold(work.layers().upper, |at, name| at.join(name)),
            notice: NOTICE,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// When it cannot be started or watched.
///
/// # Cancel safety
/// Dropping the future leaves the processes to `work`, which kills them when it is dropped.
pub(super) async fn run(
    start: Start,
    bounds: &Bounds<'_>,
    work: &mut WorkDirectory,
    logs: &Logs,
    events: &dyn ExecutionEvents,
) -> Result<End, ExecuteError> {
    let path = work.path().to_owned();
    let io = |what| ExecuteError::io(what, &path);
    let (mut ours, theirs) = UnixStream::pair().map_err(io("make a socket for"))?;
    let theirs = theirs.into_std().map_err(io("make a socket for"))?;
    theirs.set_nonblocking(false).map_err(io("make a socket for"))?;
    let mut command = Command::new("/bin/sh");
    command.env_clear().envs(start.variables).current_dir(start.directory);
    command.args(["-c", &(bounds.limits.script() + WRAPPER), "sh"]).args(start.words).process_group(0);
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| refused(error, io("start a command in")))?;
    drop(command);
    let first = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("it has not been waited for");
    work.occupy_unconfined(Unconfined { first });
    bounds.limits.impose(first.as_raw_nonzero().get(), work.group()).map_err(io("bound the command in"))?;
    start.notice.lines().for_each(|line| events.log(line));
    logs.stderr.append(start.notice.into()).await?;
    ours.write_all(b"\n").await.map_err(io("start the command in"))?;

    let stdout = child.stdout.take().expect("stdout was made a pipe");
    let stderr = child.stderr.take().expect("stderr was made a pipe");
    let most = bounds.output_bytes;
    let life = async {
        let ended = tokio::time::timeout(bounds.timeout, child.wait()).await;
        if ended.is_err() {
            // Until it has been waited for, the first process counts as there.
            child.kill().await.map_err(io("kill the command in"))?;
        }
        work.evacuate().await.map_err(io("end the processes in"))?;
        let Ok(ended) = ended else { return Ok(End::TimedOut) };
        let status = ended.map_err(io("watch the command in"))?;
        let code = status.code().or_else(|| Some(128 + status.signal()?));
        Ok(code.map_or(End::Unknown, End::Exit))
    };
    let captured = async {
        tokio::try_join!(logs.stdout.capture(stdout, most, events), logs.stderr.capture(stderr, most, events))
    };
    tokio::pin!(captured, life);
    // A daemon that could not be found keeps the pipes open: they are not waited for.
    tokio::select! {
        biased;
        captured = &mut captured => { captured?; life.await }
        end = &mut life => {
            let end = end?;
            if let Ok(captured) = tokio::time::timeout(Duration::from_secs(1), captured).await {
                captured?;
            }
            Ok(end)
        }
    }
}
