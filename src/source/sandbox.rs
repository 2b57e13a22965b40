//! The sandbox of a `git tree` command: it sees this host and its network, and writes nowhere but its directory.
//!
//! Such a command is the user's own and runs with the user's rights, so this keeps what it leaves behind in one
//! place; it is no wall against programs that mean harm, as the sandbox of actions is. Where the host does not let
//! bubblewrap work, commands run without.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// Where a command without `PATH` is looked for.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// What root may do inside: treat files like root, so that `tar` can unpack as it does outside.
const ROOT_CAPABILITIES: [&str; 4] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"];
/// What of `/proc` is no process, and could be written by root.
const KERNEL: [&str; 4] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];

/// What this host offers, found out by the first command.
static BUBBLEWRAP: OnceCell<Option<PathBuf>> = OnceCell::const_new();

/// A sandbox with a `/tmp` of its own.
pub(super) struct Sandbox {
    bubblewrap: PathBuf,
    tmp: PathBuf,
}

impl Sandbox {
    /// Makes a sandbox whose `/tmp` is the directory `tmp`; `None` where the host does not let it work.
    pub(super) async fn new(tmp: &Path) -> Option<Self> {
        let bubblewrap = BUBBLEWRAP.get_or_init(|| find(tmp)).await.clone()?;
        Some(Self { bubblewrap, tmp: tmp.to_owned() })
    }

    /// Returns the command that runs `program`, to which its arguments are to be added.
    ///
    /// # Errors
    /// `NotFound` when there is no such program.
    pub(super) fn command(
        &self,
        program: &str,
        environment: &BTreeMap<String, String>,
        directory: &Path,
    ) -> io::Result<Command> {
        check_program(program, environment, directory)?;
        let mut command = Command::new(&self.bubblewrap);
        command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        command.args(["--unshare-pid", "--unshare-ipc", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        if rustix::process::geteuid().is_root() {
            command.args(ROOT_CAPABILITIES.iter().flat_map(|capability| ["--cap-add", capability]));
            command.args(KERNEL.iter().flat_map(|path| ["--ro-bind-try", path, path]));
        }
        bind(&mut command, "--bind", &self.tmp, "/tmp".as_ref());
        // The agent's socket may lie in the `/tmp` of the host.
        if let Some(socket) = environment.get("SSH_AUTH_SOCK") {
            bind(&mut command, "--ro-bind-try", socket.as_ref(), socket.as_ref());
        }
        if environment.contains_key("TMPDIR") {
            command.args(["--setenv", "TMPDIR", "/tmp"]);
        }
        bind(&mut command, "--bind", directory, directory);
        command.arg("--chdir").arg(directory).arg("--").arg(program);
        Ok(command)
    }
}

fn bind(command: &mut Command, how: &str, from: &Path, to: &Path) {
    command.args([OsStr::new(how), from.as_os_str(), to.as_os_str()]);
}

/// Finds bubblewrap, if it is there and works.
async fn find(tmp: &Path) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let found = try_out(tmp, path).await;
    found.inspect_err(|reason| tracing::warn!(reason, "commands of `git tree` roots run without a sandbox")).ok()
}

async fn try_out(tmp: &Path, path: String) -> Result<PathBuf, String> {
    let bubblewrap = search("bwrap", &path).ok_or("bubblewrap (`bwrap`) is not installed")?;
    let sandbox = Sandbox { bubblewrap, tmp: tmp.to_owned() };
    let environment = BTreeMap::from([("PATH".to_owned(), path)]);
    let command = sandbox.command("true", &environment, tmp);
    let mut command = command.map_err(|error| format!("`true`: {error}"))?;
    command.env_clear().envs(environment).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| error.to_string())?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(sandbox.bubblewrap) } else { Err(said()) }
}

/// Checks that there is such a program, which bubblewrap would not tell from one that fails.
fn check_program(program: &str, environment: &BTreeMap<String, String>, directory: &Path) -> io::Result<()> {
    let path = environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let there = if program.contains('/') { directory.join(program).exists() } else { search(program, path).is_some() };
    if there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn search(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_host_without_a_bubblewrap_that_works_has_no_sandbox() {
        let directory = tempfile::tempdir().unwrap();
        let path = || format!("{}:/usr/bin:/bin", directory.path().display());
        let missing = try_out(directory.path(), directory.path().display().to_string()).await.unwrap_err();
        assert!(missing.contains("not installed"), "{missing}");
        let program = directory.path().join("bwrap");
        fs::write(&program, "#!/bin/sh\necho no namespaces >&2; exit 1\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(try_out(directory.path(), path()).await.unwrap_err(), "no namespaces");
        fs::remove_file(&program).unwrap();
        assert!(try_out(directory.path(), path()).await.is_ok());
    }
}
