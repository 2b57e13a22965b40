//! A range of users for actions that are root: a user namespace with as many ids as owners in an image need.
//!
//! It is made once, before the first action that asks for it, and holds no process between actions. An executor that is
//! root maps the ids itself, to some that the host gives nobody; another user has them mapped by `newuidmap`, to those
//! that the host has set aside for it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ExecuteError;

/// How many ids there are.
pub(super) const COUNT: u32 = 65_536;
/// Says that the namespace is there, which is until its stdin is closed.
const HOLDER: &str = "echo made && read _";
/// What an action that is root in its namespace may do: what changes owners and mounts, for itself and others in it.
pub(super) const CAPABILITIES: [&str; 16] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
];

/// A user namespace.
pub(super) struct Users {
    namespace: File,
}

impl Users {
    /// Makes the namespace. This blocks.
    ///
    /// # Errors
    /// `Users` with what this host lacks.
    pub(super) fn make(first: u32) -> Result<Self, ExecuteError> {
        let root = rustix::process::geteuid().is_root();
        make(root.then_some(first)).map_err(|reason| ExecuteError::Users { reason })
    }

    /// Returns the path of the namespace, for as long as this is there.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// Gives everything below a directory to the namespace's root, as whom an executor that is not root made it. This
    /// blocks.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn reclaim(&self, path: &Path) -> io::Result<()> {
        let mut command = Command::new("/usr/bin/env");
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.args(["nsenter", &format!("--user={}", self.path()), "--", "chown", "-hR", "0:0", "--"]).arg(path);
        let output = command.output()?;
        if output.status.success() { Ok(()) } else { Err(io::Error::other(said(&output.stderr))) }
    }
}

/// Makes a namespace: with ids from `first` on, or with those that the host has set aside for this user.
fn make(first: Option<u32>) -> Result<Users, String> {
    let mut command = Command::new("/usr/bin/env");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/").args(["unshare", "--user"]);
    if first.is_none() {
        command.args(["--map-root-user", "--map-auto"]);
    }
    command.args(["/bin/sh", "-c", HOLDER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = command.spawn().map_err(|error| format!("`unshare` cannot be started: {error}"))?;
    let made = open(&mut holder, first);
    drop(holder.stdin.take());
    let mut errors = Vec::new();
    if let Some(mut stderr) = holder.stderr.take() {
        drop(stderr.read_to_end(&mut errors));
    }
    drop(holder.wait());
    made.map_err(|reason| match (first, said(&errors)) {
        (None, said) => format!(
            "the host gives the executor's user no {COUNT} ids (package `uidmap`, a line of /etc/subuid and one of /etc/subgid): {reason} {said}"
        ),
        (Some(_), said) => format!("the host lets no user namespace be made: {reason} {said}"),
    })
}

/// Opens the namespace of a process once it is there, and has its ids mapped if that is for us to do.
fn open(holder: &mut Child, first: Option<u32>) -> Result<Users, String> {
    let mut said = String::new();
    let stdout = holder.stdout.take().expect("stdout was made a pipe");
    BufReader::new(stdout).read_line(&mut said).map_err(|error| error.to_string())?;
    if said.trim() != "made" {
        return Err("`unshare` failed:".to_owned());
    }
    let process = Path::new("/proc").join(holder.id().to_string());
    let tell = |action: &'static str| move |error: io::Error| format!("cannot {action}: {error}");
    if let Some(first) = first {
        for map in ["uid_map", "gid_map"] {
            fs::write(process.join(map), format!("0 {first} {COUNT}")).map_err(tell("map ids"))?;
        }
    }
    for map in ["uid_map", "gid_map"] {
        let text = fs::read_to_string(process.join(map)).map_err(tell("read which ids there are"))?;
        let ids = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
        let ids: u64 = ids.sum();
        if ids < u64::from(COUNT) {
            return Err(format!("it has {ids}"));
        }
    }
    let namespace = File::open(process.join("ns/user")).map_err(tell("open the namespace"))?;
    Ok(Users { namespace })
}

fn said(bytes: &[u8]) -> String {
    const SHOWN: usize = 500;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).trim().to_owned()
}
