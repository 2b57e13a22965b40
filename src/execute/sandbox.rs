//! The sandbox of an action: the command line of bubblewrap.
//!
//! An action sees the host's tools (`/usr`, read-only), its input root at
//! `/build`, a `/tmp` of its own and nothing else of this host: own mount, pid,
//! ipc, uts, network, cgroup and user namespaces, no capabilities, a fixed user,
//! host name and environment. What it gives therefore does not depend on
//! where or as whom the executor runs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ExecuteError;
use super::action::Action;

/// Where an action finds its inputs.
const BUILD: &str = "/build";
/// The user an action runs as. Not root: many programs behave differently as root.
const USER: &str = "1000";
/// Entries of the root directory that are part of the host's tools, beside `/usr`.
const TOOL_DIRECTORIES: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What of the host's `/etc` its tools need to start.
const TOOL_FILES: [&str; 2] = ["/etc/alternatives", "/etc/ld.so.cache"];
/// What an action sees in `/etc` besides.
pub(super) const ETC_FILES: [(&str, &str); 3] = [
    (
        "passwd",
        "root:x:0:0:root:/:/sbin/nologin\n\
         build:x:1000:1000:build:/build:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];
/// Descriptor on which bubblewrap waits for a byte before it starts the command.
const BLOCK_FD: &str = "3";
/// Descriptor on which bubblewrap says what becomes of the command.
const STATUS_FD: &str = "4";
/// Gives bubblewrap those two from a socket that it is started with as stdin, and the command an empty stdin.
const WRAPPER: &str = r#"exec "$@" 3<&0 4<&0 </dev/null"#;

/// Finds bubblewrap.
///
/// # Errors
/// `Host` when it is not installed.
fn program() -> Result<PathBuf, ExecuteError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join("bwrap"))
        .find(|program| program.is_file())
        .ok_or(ExecuteError::Host { program: "bwrap", package: "bubblewrap" })
}

/// Returns the command that runs the action in its work directory.
///
/// It is to be started with a socket as stdin, which speaks as `process.rs` says.
///
/// # Errors
/// `Host` when bubblewrap is not installed.
pub(super) fn command(action: &Action, work: &Path) -> Result<Command, ExecuteError> {
    let mut command = Command::new("/bin/sh");
    // The first process in the namespace is bubblewrap; the action can read its environment.
    command.env_clear().current_dir("/");
    command.args(["-c", WRAPPER, "sh"]).arg(program()?);
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    command.args(["--uid", USER, "--gid", USER, "--hostname", "localhost"]);
    add_tools(&mut command);
    for (name, _) in ETC_FILES {
        bind(&mut command, "--ro-bind", &work.join("etc").join(name), &Path::new("/etc").join(name));
    }
    add_kernel(&mut command);
    bind(&mut command, "--bind", &work.join("tmp"), "/tmp".as_ref());
    bind(&mut command, "--bind", &work.join("root"), BUILD.as_ref());
    command.args(["--remount-ro", "/", "--chdir"]);
    command.arg(action.working_directory.components().fold(PathBuf::from(BUILD), |at, name| at.join(name)));
    command.arg("--clearenv");
    for (name, value) in &action.environment {
        command.args(["--setenv", name, value]);
    }
    command.args(["--block-fd", BLOCK_FD, "--json-status-fd", STATUS_FD, "--"]);
    command.args(&action.arguments);
    Ok(command)
}

/// Makes the host's tools visible, with top-level directories as links where the host has them so.
fn add_tools(command: &mut Command) {
    command.args(["--ro-bind", "/usr", "/usr"]);
    for directory in TOOL_DIRECTORIES {
        match fs::read_link(directory) {
            Ok(target) => command.arg("--symlink").arg(target).arg(directory),
            Err(_) => command.args(["--ro-bind-try", directory, directory]),
        };
    }
    for file in TOOL_FILES {
        command.args(["--ro-bind-try", file, file]);
    }
}

/// Makes `/proc` and `/dev` visible.
///
/// When the executor runs as root, an action without capabilities is, to the kernel, still the owner of what
/// root owns, and could write sysctls; so all of `/proc` that does not belong to a process is read-only.
/// The modes of the host's devices stay within its reach: better not to run the executor as root.
fn add_kernel(command: &mut Command) {
    command.args(["--proc", "/proc"]);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // Links lead to what belongs to the process.
        let harmless = |found: &fs::Metadata| found.is_symlink() || (found.is_file() && found.mode() & 0o777 == 0o444);
        if !entry.metadata().is_ok_and(|found| harmless(&found)) {
            bind(command, "--ro-bind-try", &entry.path(), &entry.path());
        }
    }
    command.args(["--dev", "/dev"]);
}

fn bind(command: &mut Command, how: &str, from: &Path, to: &Path) {
    command.args([OsStr::new(how), from.as_os_str(), to.as_os_str()]);
}
