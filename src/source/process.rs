//! Programs that are run for a source tree: bounded in time, in what is kept of their stderr, and gone afterwards.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::SourceError;
use super::sandbox::Sandbox;

/// Longest time that a program may take, unless something else is said.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes of the end of stderr that are kept.
const SHOWN: usize = 4096;
/// How long stderr is waited for when the program has ended: somebody else may hold it open.
const PATIENCE: Duration = Duration::from_secs(1);

/// A program to be run, without standard input; what it writes is shown only when it fails.
pub(super) struct Program<'a> {
    /// It and its arguments.
    pub(super) command: &'a [String],
    /// Its environment, and nothing else.
    pub(super) environment: &'a BTreeMap<String, String>,
    /// Where it is run.
    pub(super) directory: &'a Path,
    /// What it is to do.
    pub(super) purpose: &'a str,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// What keeps it from writing elsewhere.
    pub(super) sandbox: Option<&'a Sandbox>,
}

impl Program<'_> {
    /// Runs it to its end. What it has started and left behind is killed: all of it in a sandbox, else what did not
    /// leave its process group.
    ///
    /// # Errors
    /// `Start`, `Failed`, `Timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future kills it in the same way.
    pub(super) async fn run(&self) -> Result<(), SourceError> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        let (shown, purpose) = (self.command.join(" "), self.purpose.to_owned());
        let start = |source| SourceError::Start { program: program.clone(), purpose: purpose.clone(), source };
        let mut process = match self.sandbox {
            Some(sandbox) => sandbox.command(program, self.environment, self.directory).map_err(start)?,
            None => Command::new(program),
        };
        process.args(arguments).current_dir(self.directory).env_clear().envs(self.environment);
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = process.process_group(0).kill_on_drop(true).spawn().map_err(start)?;
        let (ended, output) = watch(child, self.timeout).await;
        let Some(status) = ended.map_err(start)? else {
            return Err(SourceError::Timeout { command: shown, seconds: self.timeout.as_secs(), purpose });
        };
        if status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output).trim_end().to_owned();
        Err(SourceError::Failed { command: shown, status: status.to_string(), purpose, output })
    }
}

/// The process group of a program, killed when this is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It can only fail because nobody is left in it.
        let _gone = kill_process_group(self.0, Signal::KILL);
    }
}

/// Waits until the program has ended, `None` when it had to be killed, and returns the end of its stderr.
async fn watch(mut child: Child, timeout: Duration) -> (io::Result<Option<ExitStatus>>, Vec<u8>) {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let group = Group(pid.expect("it has not been waited for"));
    let stderr = child.stderr.take().expect("stderr was made a pipe");
    let mut output = Vec::new();
    let life = async {
        let ended = tokio::time::timeout(timeout, child.wait()).await;
        drop(group);
        match ended {
            Ok(status) => status.map(Some),
            Err(_) => child.wait().await.map(|_| None),
        }
    };
    let ended = {
        let (mut life, mut reading) = (pin!(life), pin!(keep_end(stderr, &mut output)));
        tokio::select! {
            () = &mut reading => life.await,
            ended = &mut life => {
                let _still_open = tokio::time::timeout(PATIENCE, reading).await;
                ended
            }
        }
    };
    (ended, output)
}

/// Reads to the end, and keeps the last bytes.
async fn keep_end(mut stderr: impl AsyncRead + Unpin, end: &mut Vec<u8>) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        end.extend_from_slice(&chunk[..count]);
        end.drain(..end.len().saturating_sub(SHOWN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_of_stderr_is_held_than_is_shown() {
        let mut end = Vec::new();
        let all = tokio::io::repeat(b'x').take(50 << 20).chain(&b"the end"[..]);
        keep_end(all, &mut end).await;
        assert!(end.len() == SHOWN && end.ends_with(b"the end"));
        assert!(end.capacity() < 64 << 10, "{}", end.capacity());
    }
}
