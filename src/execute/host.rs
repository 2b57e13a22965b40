//! What this host lets the executor do, found out once, before the first action.
//!
//! An executor that is root runs no action as root: the launcher becomes
//! another user first. The directories on the way to the store may be closed to
//! that user, so a mount namespace is made in which the yard, where the work
//! directories lie, stands at `/tmp`. Only the launcher and bubblewrap are ever
//! in it; an action has a namespace of its own.
//!
//! ```text
//! etc/       the few files that an action sees in /etc
//! work/      a directory for each action that runs
//! inputs/    input roots that several actions share
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::cgroup::Groups;
use super::sandbox::ETC_FILES;
use super::users::Users;
use super::{ExecuteError, ExecutionOptions};
use crate::host::bubblewrap;
use crate::store::{LocalBlobStore, remove_tree};

/// Where the yard stands in the namespace of the launcher.
const YARD: &str = "/tmp";
/// Puts the directory `$1` there, in a namespace that lives until its stdin is closed.
const HOLDER: &str = r#"mount --bind "$1" /tmp && echo made && read _"#;
/// Mounts an overlay with the options `$1` at `$2`, and goes on with the rest.
const MOUNT_OVERLAY: &str = r#"mount -t overlay overlay -o "$1" "$2" && shift 2 && exec "$@""#;

/// A host that is ready to run actions.
pub(super) struct Host {
    yard: PathBuf,
    user: Option<User>,
    /// The namespace of actions that are root in one.
    users: Option<Users>,
    /// Whether overlays can be mounted.
    pub(super) overlay: bool,
    /// Where control groups can be made.
    pub(super) groups: Option<Groups>,
    /// What makes the host's tools visible, as arguments of bubblewrap.
    pub(super) tools: Vec<OsString>,
}

/// Another user than that of the executor.
struct User {
    id: u32,
    /// The namespace in which it can reach the yard.
    namespace: File,
}

impl Host {
    /// Prepares the host. This blocks.
    ///
    /// # Errors
    /// When the yard cannot be made.
    pub(super) fn prepare(store: &LocalBlobStore, options: &ExecutionOptions) -> Result<Self, ExecuteError> {
        let mut host = Self::bare(store)?;
        host.groups = Groups::open(&options.limits)
            .inspect_err(|error| {
                tracing::info!(%error, "no control groups: the memory of an action is bounded for each process by itself");
            })
            .ok();
        if options.sandbox == super::Sandbox::Bubblewrap {
            host.user = host.other_user(options.sandbox_user);
            host.overlay = host.can_overlay();
        }
        Ok(host)
    }

    /// Prepares the host for actions that are root among a range of users. This blocks.
    ///
    /// # Errors
    /// `Users` when it has none; when the yard cannot be made.
    pub(super) fn with_users(&self, store: &LocalBlobStore, options: &ExecutionOptions) -> Result<Self, ExecuteError> {
        let mut host = Self::bare(store)?;
        host.groups.clone_from(&self.groups);
        host.users = Some(Users::make(options.first_user)?);
        if rustix::process::geteuid().is_root() {
            host.user = host.other_user(options.first_user);
            if host.user.is_none() {
                return Err(ExecuteError::Users { reason: "the host lets no mounts be made".to_owned() });
            }
        }
        host.overlay = host.can_overlay();
        Ok(host)
    }

    /// Prepares the host for what is run as root outside of sandboxes. This blocks.
    ///
    /// # Errors
    /// When the yard cannot be made.
    pub(super) fn without_sandbox(&self, store: &LocalBlobStore) -> Result<Self, ExecuteError> {
        let mut host = Self::bare(store)?;
        host.groups.clone_from(&self.groups);
        Ok(host)
    }

    /// Makes the yard.
    fn bare(store: &LocalBlobStore) -> Result<Self, ExecuteError> {
        let yard = store.temporary_directory()?.keep();
        open_up(&yard, 0o711)?;
        for name in ["etc", "work", "inputs"] {
            let path = yard.join(name);
            fs::create_dir(&path).map_err(ExecuteError::io("make the directory", &path))?;
            open_up(&path, 0o711)?;
        }
        for (name, text) in ETC_FILES {
            let path = yard.join("etc").join(name);
            fs::write(&path, text).map_err(ExecuteError::io("write", &path))?;
            open_up(&path, 0o444)?;
        }
        Ok(Self { yard, user: None, users: None, overlay: false, groups: None, tools: bubblewrap::tools() })
    }

    /// Returns the user for actions of an executor that is root.
    fn other_user(&self, id: u32) -> Option<User> {
        if !rustix::process::geteuid().is_root() || id == 0 {
            return None;
        }
        let made = namespace(&self.yard).inspect_err(|error| {
            tracing::warn!(%error, "actions run as root, seen from the kernel: this host lets no mounts be made");
        });
        Some(User { id, namespace: made.ok()? })
    }

    /// Tries to mount an overlay as an action would.
    fn can_overlay(&self) -> bool {
        let mounted = self.try_overlay();
        if let Err(reason) = &mounted {
            tracing::warn!(reason, "this host lets no overlays be mounted: each action gets its inputs as copies");
        }
        mounted.is_ok()
    }

    fn try_overlay(&self) -> Result<(), String> {
        let directory = tempfile::TempDir::new_in(self.work()).map_err(|error| error.to_string())?.keep();
        let output = self.mount_in(&directory);
        // The kernel has left a closed directory in it.
        drop(remove_tree(&directory));
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    }

    /// Runs a command that sees an overlay made in a new directory.
    fn mount_in(&self, directory: &Path) -> io::Result<Output> {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
        let [lower, upper, work, merged] = ["lower", "upper", "overlay", "merged"].map(|name| directory.join(name));
        for path in [&lower, &upper, &work, &merged] {
            fs::create_dir(path)?;
            self.give(path)?;
        }
        let mut command = Command::new("/usr/bin/env");
        command.env_clear().current_dir("/").stdin(Stdio::null());
        self.enter(&mut command);
        self.add_overlay(&mut command, &lower, &upper, &work, &merged);
        command.arg("true").output()
    }

    /// Continues a command line so that what follows sees an overlay.
    pub(super) fn add_overlay(&self, command: &mut Command, lower: &Path, upper: &Path, work: &Path, merged: &Path) {
        let mut options = OsString::from("userxattr");
        for (name, path) in [("lowerdir", lower), ("upperdir", upper), ("workdir", work)] {
            options.push(format!(",{name}="));
            options.push(self.seen(path));
        }
        command.args(["unshare", "--mount"]);
        if self.users.is_none() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["/bin/sh", "-c", MOUNT_OVERLAY, "sh"]);
        command.arg(options).arg(self.seen(merged));
    }

    /// Continues a command line so that what follows runs as the user for actions.
    pub(super) fn enter(&self, command: &mut Command) {
        if self.user.is_none() && self.users.is_none() {
            return;
        }
        command.arg("nsenter");
        if let Some(user) = &self.user {
            command.arg(format!("--mount=/proc/{}/fd/{}", std::process::id(), user.namespace.as_raw_fd()));
        }
        let inside = match (&self.users, &self.user) {
            (Some(users), _) => {
                command.arg(format!("--user={}", users.path()));
                0
            }
            (None, user) => user.as_ref().map_or(0, |user| user.id),
        };
        command.args([format!("--setuid={inside}"), format!("--setgid={inside}"), "--".to_owned()]);
    }

    /// Says whether actions are root among a range of users.
    pub(super) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Makes everything below a directory, in which no action runs any more, belong to the executor, unless that can do
    /// without. This blocks.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn reclaim(&self, path: &Path) -> io::Result<()> {
        match &self.users {
            Some(users) if self.user.is_none() => users.reclaim(path),
            _ => Ok(()),
        }
    }

    /// Returns where what lies in the yard is seen after `enter`.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        match (&self.user, path.strip_prefix(&self.yard)) {
            (Some(_), Ok(inner)) => Path::new(YARD).join(inner),
            _ => path.to_owned(),
        }
    }

    /// Gives a file, directory or symlink to the user for actions.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match &self.user {
            Some(user) => std::os::unix::fs::lchown(path, Some(user.id), Some(user.id)),
            None => Ok(()),
        }
    }

    /// Takes back what `give` gave away.
    pub(super) fn take_back(&self, path: &Path) -> io::Result<()> {
        match &self.user {
            Some(_) => std::os::unix::fs::lchown(path, Some(0), Some(0)),
            None => Ok(()),
        }
    }

    /// Says whether actions run as the user who owns the store.
    pub(super) fn same_user(&self) -> bool {
        self.user.is_none()
    }

    /// Says whether actions are root to the kernel.
    pub(super) fn as_root(&self) -> bool {
        self.user.is_none() && rustix::process::geteuid().is_root()
    }

    /// Returns where the work directories lie.
    pub(super) fn work(&self) -> PathBuf {
        self.yard.join("work")
    }

    /// Returns where shared input roots lie.
    pub(super) fn inputs(&self) -> PathBuf {
        self.yard.join("inputs")
    }

    /// Returns a file that an action sees in `/etc`, as it is seen after `enter`.
    pub(super) fn etc(&self, name: &str) -> PathBuf {
        self.seen(&self.yard.join("etc").join(name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Who opens the store next removes what is left, of an action that is still being killed, say.
        drop(remove_tree(&self.yard));
    }
}

/// Makes a mount namespace in which `yard` stands at `/tmp`. It lives as long as what is returned.
fn namespace(yard: &Path) -> io::Result<File> {
    let mut command = Command::new("/usr/bin/env");
    command.env_clear().current_dir("/");
    command.args(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", HOLDER, "sh"]).arg(yard);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut said = String::new();
    BufReader::new(holder.stdout.take().expect("stdout was made a pipe")).read_line(&mut said)?;
    let namespace = File::open(format!("/proc/{}/ns/mnt", holder.id()));
    drop(holder.stdin.take());
    holder.wait()?;
    if said.trim() == "made" { namespace } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Sets a mode, whatever the umask.
fn open_up(path: &Path, mode: u32) -> Result<(), ExecuteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(ExecuteError::io("set the mode of", path))
}
