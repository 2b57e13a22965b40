//! Programs that are run to find something out: bounded in time and in what is kept of their output, and killed with
//! all that is in their group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Longest time of a program that has next to nothing to do.
pub(super) const SHORT: Duration = Duration::from_secs(60);
/// Where programs of the system are, whatever `PATH` says.
pub(super) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes that are kept of each stream.
const KEPT: u64 = 64 << 10;
/// Characters that are shown of stderr.
const SHOWN: usize = 500;

/// Why a program did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("`{program}` cannot be started: {source}")]
    Start { program: String, source: io::Error },
    #[error("`{program}` was killed after {seconds} s")]
    Timeout { program: String, seconds: u64 },
    #[error("`{program}` failed ({status}){}{said}", if said.is_empty() { "" } else { ": " })]
    Failed { program: String, status: ExitStatus, said: String },
}

/// Returns a command of a program of the system.
pub(super) fn system(words: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.env("PATH", SYSTEM_PATH).current_dir("/").args(words);
    command
}

/// Returns a command of a program of the system that runs as `nobody`.
pub(super) fn system_as_nobody(words: &[&str]) -> Command {
    let id = super::NOBODY.to_string();
    let mut command = system(&["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
    command.args(words);
    command
}

/// Runs a command, called `program` in errors, and returns the beginning of its stdout.
///
/// # Errors
/// When it cannot be started, does not end in time, or fails.
///
/// # Cancel safety
/// Dropping the future kills it.
pub(super) async fn run(program: &str, command: &mut Command, limit: Duration) -> Result<String, CommandError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let program = program.to_owned();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(source) => return Err(CommandError::Start { program, source }),
    };
    let group = Group::of(&child);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let life = async { tokio::join!(child.wait(), beginning(stdout.as_mut()), beginning(stderr.as_mut())) };
    let ended = tokio::time::timeout(limit, life).await;
    drop(group);
    let Ok((status, stdout, stderr)) = ended else {
        // It is dead, and is to be gone.
        drop(child.wait().await);
        return Err(CommandError::Timeout { program, seconds: limit.as_secs() });
    };
    match status {
        Ok(status) if status.success() => Ok(stdout),
        Ok(status) => Err(CommandError::Failed { program, status, said: shown(&stderr) }),
        Err(source) => Err(CommandError::Start { program, source }),
    }
}

/// The group of a process, killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It can only fail because nobody is left in it.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end and returns the beginning.
async fn beginning(stream: Option<&mut (impl AsyncRead + Unpin)>) -> String {
    let Some(stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    // What cannot be read is not told.
    drop(stream.take(KEPT).read_to_end(&mut kept).await);
    drop(tokio::io::copy(stream, &mut tokio::io::sink()).await);
    String::from_utf8_lossy(&kept).into_owned()
}

/// Returns text in one line, of bounded length.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|char| !char.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_says_is_bounded_and_what_hangs_is_killed_with_what_it_has_started() {
        let sh = |script: &str| system(&["sh", "-c", script]);
        let much = run("sh", &mut sh("head -c 1000000 /dev/zero"), SHORT).await.expect("it ends");
        assert_eq!(much.len() as u64, KEPT);
        let failed = run("sh", &mut sh("echo no; echo one >&2; echo two >&2; exit 3"), SHORT).await;
        assert_eq!(failed.expect_err("it fails").to_string(), "`sh` failed (exit status: 3): one two");
        let hung = run("sh", &mut sh("sleep 1000 & wait"), Duration::from_millis(50)).await;
        assert!(matches!(hung, Err(CommandError::Timeout { .. })), "{hung:?}");
        let absent = run("absent", &mut Command::new("/nowhere"), SHORT).await;
        assert!(matches!(absent, Err(CommandError::Start { .. })), "{absent:?}");
    }
}
