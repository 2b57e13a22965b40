//! Bubblewrap: what every sandbox of an action has, and whether it works here.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use super::command::{SHORT, run, system, system_as_nobody};
use super::{Lack, namespaces, programs};

/// The user an action runs as. Not root: many programs behave differently as root.
const USER: &str = "1000";
/// Entries of the root directory that are part of the host's tools, beside `/usr`.
const TOOL_DIRECTORIES: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What of the host's `/etc` its tools need to start.
const TOOL_FILES: [&str; 2] = ["/etc/alternatives", "/etc/ld.so.cache"];

/// Gives the command namespaces of its own, and takes away what it may do.
pub(crate) fn isolate(command: &mut Command, network: bool) {
    command.args(["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "localhost"]);
    command.args(["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]);
    if !network {
        command.arg("--unshare-net");
    }
}

/// Says as whom it runs, in a namespace with no other user.
pub(crate) fn add_user(command: &mut Command) {
    command.args(["--unshare-user", "--uid", USER, "--gid", USER]);
}

/// Returns what makes the host's tools visible, with top-level directories as links where the host has them so.
pub(crate) fn tools() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["--ro-bind", "/usr", "/usr"].map(OsString::from).to_vec();
    for directory in TOOL_DIRECTORIES {
        match fs::read_link(directory) {
            Ok(target) => arguments.extend(["--symlink".into(), target.into_os_string(), directory.into()]),
            Err(_) => arguments.extend(["--ro-bind-try", directory, directory].map(OsString::from)),
        }
    }
    for file in TOOL_FILES {
        arguments.extend(["--ro-bind-try", file, file].map(OsString::from));
    }
    arguments
}

/// Runs a command that does nothing in a sandbox, as an executor of this user would.
pub(super) async fn probe() -> Result<String, Lack> {
    let program = programs::need("bwrap", "bubblewrap")?;
    let version = programs::version(&program, "bubblewrap").await?;
    let root = super::is_root();
    let mut command = if root { system_as_nobody(&[]) } else { system(&[]) };
    let words = command.as_std_mut();
    words.arg(&program);
    isolate(words, false);
    add_user(words);
    words.args(tools()).args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--", "/bin/sh", "-c", ":"]);
    let ran = run("bwrap", &mut command, SHORT).await;
    ran.map_err(|error| Lack::new(error.to_string(), namespaces::remedy()))?;
    let whom = if root { ", as `nobody`" } else { "" };
    Ok(format!("{version} (`{}`){whom}", program.display()))
}
