//! Beside the service in a container: commands that are run there, and its clean end.

use std::fs;
use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::STATE;
use super::process::code;
use super::service::{OUTPUT_TIMEOUT, Running, number};
use crate::spec::{self, Stop, StopBy};

/// How long a service may take to stop when nothing is said of that.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that are kept of what a command says, of its end.
const KEPT: usize = 16 << 10;
/// Bytes read at a time.
const CHUNK: usize = 8 << 10;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Its exit code, or 128 and the number of a signal.
    pub(crate) code: u8,
    /// The end of what it has said.
    pub(crate) output: String,
}

/// How a service ended that was asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// By itself.
    Cleanly,
    /// It was killed, for this reason.
    Killed(String),
}

impl Running {
    /// Runs a command beside the service, with these variables besides those of the container.
    ///
    /// # Errors
    /// When it cannot be started; what runc refuses is an exit code.
    ///
    /// # Cancel safety
    /// The command may go on, until the container ends.
    pub(crate) async fn run(
        &self,
        command: &spec::Command,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> io::Result<Ran> {
        let own = command.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        let all = own.chain(variables).flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]);
        self.execute(&command.cmd, all).await
    }

    /// Runs a command beside the service, with these options of runc.
    pub(super) async fn execute(&self, words: &[String], options: impl IntoIterator<Item = String>) -> io::Result<Ran> {
        let mut all = vec!["exec".to_owned()];
        all.extend(options);
        all.extend(["--".to_owned(), self.name.clone()]);
        all.extend_from_slice(words);
        ran(self.runc_beside(&all)?).await
    }

    /// Returns a command of runc in the namespaces of the one that holds the container. It dies with these.
    pub(super) fn runc_beside(&self, words: &[String]) -> io::Result<Command> {
        let target = number(&self.runc)?.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--mount", "--pid", "--"]).arg(&self.programs.setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.programs.runc).args(["--root", STATE]).args(words);
        Ok(command)
    }

    /// Asks the service to stop, and kills what is left of the container when it has, or when its time is over.
    ///
    /// # Errors
    /// When the system cannot tell how it ended.
    pub(crate) async fn stop(mut self, stop: &Stop) -> io::Result<Stopped> {
        let limit = stop.timeout.map_or(STOP_TIMEOUT, Duration::from_secs);
        let stopped = match timeout(limit, self.stop_by(&stop.by)).await {
            Ok(stopped) => stopped?,
            Err(_) => Stopped::Killed(format!("it did not stop within {} s of {}", limit.as_secs(), shown(&stop.by))),
        };
        if stopped == Stopped::Cleanly {
            self.ended().await?;
        } else {
            self.kill().await;
        }
        Ok(stopped)
    }

    async fn stop_by(&self, by: &StopBy) -> io::Result<Stopped> {
        match by {
            StopBy::Signal(name) => {
                let Some(signal) = signal(name) else { return Err(io::ErrorKind::InvalidInput.into()) };
                if !self.heeds(signal)? {
                    return Ok(Stopped::Killed(format!("its first process has no handler of {}", shown(by))));
                }
                // It can only fail because the process is dead.
                let _dead = pidfd_send_signal(self.process.get_ref(), signal);
            }
            StopBy::Cmd(words) => {
                let Ran { code, output } = self.execute(words, []).await?;
                // A command may well be killed with the service that it stops.
                if code != 0 && self.process().is_ok() {
                    return Ok(Stopped::Killed(format!("{} ended with exit code {code}: {output}", shown(by))));
                }
            }
        }
        self.dead().await;
        Ok(Stopped::Cleanly)
    }

    /// Says whether the first process of the container does anything on a signal: the kernel does not end it, as it does
    /// others.
    fn heeds(&self, signal: Signal) -> io::Result<bool> {
        let Ok(process) = self.process() else { return Ok(true) };
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        Ok(has_handler(&status, signal).unwrap_or(true))
    }
}

/// Says whether the masks of a process have one for a signal.
fn has_handler(status: &str, signal: Signal) -> Option<bool> {
    let mask = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    // What is blocked, it waits for.
    let heeded = mask("SigCgt:")? | mask("SigBlk:")?;
    Some(heeded >> (signal.as_raw() - 1) & 1 == 1)
}

fn shown(by: &StopBy) -> String {
    match by {
        StopBy::Signal(name) => format!("`{name}`"),
        StopBy::Cmd(words) => format!("`{}`", words.join(" ")),
    }
}

fn signal(name: &str) -> Option<Signal> {
    Some(match name {
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGQUIT" => Signal::QUIT,
        "SIGHUP" => Signal::HUP,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGWINCH" => Signal::WINCH,
        _ => return None,
    })
}

/// Runs a command to its end.
pub(super) async fn ran(mut command: Command) -> io::Result<Ran> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true);
    let mut child = command.spawn()?;
    // It has the other ends of the pipe.
    drop(command);
    let reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
    // What it has left running may hold the pipe open for ever.
    let mut output = Vec::new();
    let status = {
        let mut end = pin!(end_of(reader, &mut output));
        tokio::select! {
            () = &mut end => child.wait().await?,
            status = child.wait() => {
                drop(timeout(OUTPUT_TIMEOUT, end).await);
                status?
            }
        }
    };
    Ok(Ran { code: code(status), output: String::from_utf8_lossy(&output).trim().to_owned() })
}

/// Reads to the end, of which this is kept.
async fn end_of(mut stream: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length) = stream.read(&mut chunk).await
        && length > 0
    {
        kept.extend_from_slice(&chunk[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heeded_that_is_caught_or_waited_for() {
        let status = |blocked: &str, caught: &str| format!("SigBlk:\t{blocked}\nSigIgn:\t0\nSigCgt:\t{caught}\n");
        assert_eq!(has_handler(&status("0", "0000000000004002"), Signal::TERM), Some(true));
        assert_eq!(has_handler(&status("0000000000004000", "0"), Signal::TERM), Some(true));
        assert_eq!(has_handler(&status("0", "0000000000000002"), Signal::TERM), Some(false));
        assert_eq!(has_handler("", Signal::TERM), None);
    }

    #[tokio::test]
    async fn of_what_a_command_says_the_end_is_kept() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "head -c 100000 /dev/zero; echo the end; echo and errors >&2; exit 3"]);
        let Ran { code, output } = ran(command).await.expect("it starts");
        assert_eq!(code, 3);
        assert!(output.len() <= KEPT && output.ends_with("the end\nand errors"), "{}", output.len());
    }

    #[tokio::test]
    async fn what_a_command_has_left_running_is_not_waited_for() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo said; sleep 30 & exit 0"]);
        let began = std::time::Instant::now();
        assert_eq!(ran(command).await.expect("it starts"), Ran { code: 0, output: "said".to_owned() });
        assert!(began.elapsed() < Duration::from_secs(25));
    }
}
