//! The memory of a container: written to disk by CRIU, and woken up.
//!
//! ```text
//! PLACE/bin/criu            the program, where runc finds it
//!      /bundle/criu.conf    its settings
//!      /criu  runc.log      what CRIU and runc say
//! ```

use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};

use super::beside::ran;
use super::service::Running;
use super::{ContainerError, Mounted, Programs};
use crate::host::criu_files;

/// What runc is told when processes are written to disk, and when they are woken up: what holds locks and connections
/// can be written, and the network is made anew.
const FLAGS: [&str; 4] = ["--file-locks", "--tcp-established", "--empty-ns", "network"];
/// In the bundle.
const SETTINGS: &str = "criu.conf";
/// Files without a name that are still open are written up to this size. What is watched is looked for by its inode:
/// overlays do not tell its name.
const OPEN_FILES: &str = "ghost-limit 1G\nforce-irmap\n";
/// Directories of the root file system that have nothing that is looked for.
const OF_KERNEL: [&str; 3] = ["proc", "sys", "dev"];

/// Returns what tells CRIU where its settings are.
pub(super) fn annotations(bundle: &Path) -> Value {
    json!({"org.criu.config": bundle.join(SETTINGS)})
}

/// Returns what runc is told to write to or read from this directory.
pub(super) fn verb(verb: &str, images: &Path, mounted: &Mounted) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (log, work) = (path(&mounted.place("runc.log")), path(&mounted.place("criu")));
    let to = ["--log", &log, "--log-format", "json", verb, "--image-path", &path(images), "--work-path", &work];
    to.into_iter().chain(FLAGS).map(str::to_owned).collect()
}

/// Lets a runc that will wake up a container find CRIU, and tells it where to say what goes wrong.
pub(super) fn prepare_restore(
    programs: &Programs,
    mounted: &Mounted,
    command: &mut tokio::process::Command,
) -> Result<(), ContainerError> {
    offer(programs, mounted, criu_files::NO_LOCK)?;
    command.env("PATH", path(mounted));
    Ok(())
}

/// Returns why a container was not woken up.
pub(super) fn not_restored(mounted: &Mounted) -> ContainerError {
    let reason = criu_files::reason(Some(&mounted.place("criu/restore.log")), &mounted.place("runc.log"));
    ContainerError::NotRestored { reason }
}

/// Puts CRIU where runc finds it, with these settings.
fn offer(programs: &Programs, mounted: &Mounted, settings: &str) -> Result<(), ContainerError> {
    let (bin, work, file) = (mounted.place("bin"), mounted.place("criu"), mounted.place("bundle").join(SETTINGS));
    let criu = programs.criu()?;
    if !bin.exists() {
        criu_files::offer(criu, &bin).map_err(ContainerError::io("write", &bin))?;
        fs::create_dir(&work).map_err(ContainerError::io("make the directory", &work))?;
    }
    fs::write(&file, settings).map_err(ContainerError::io("write", &file))
}

/// Returns the `PATH` for runc.
fn path(mounted: &Mounted) -> String {
    let path = std::env::var("PATH").unwrap_or_else(|_| super::config::PATH.1.to_owned());
    format!("{}:{path}", mounted.place("bin").display())
}

impl Running {
    /// Writes the processes of the container to a directory that is made for it, which ends them. What they have written
    /// to files is in the last layer.
    ///
    /// # Errors
    /// `NotDumped` when CRIU cannot do it: they run on then.
    ///
    /// # Cancel safety
    /// The container has to be killed then.
    pub(crate) async fn dump(&self, images: &Path) -> Result<(), ContainerError> {
        // Before that, runc would not know that it runs.
        self.begun().await;
        offer(&self.programs, &self.mounted, &self.settings()?)?;
        // runc would close it to the container's users, as one of whom CRIU reads it.
        let made = DirBuilder::new().mode(0o755).create(images);
        made.map_err(ContainerError::io("make the directory", images))?;
        let failed = || ContainerError::io("run", &self.programs.runc);
        let mut words = verb("checkpoint", images, &self.mounted);
        words.push(self.name.clone());
        let mut command = self.runc_beside(&words).map_err(failed())?;
        command.env("PATH", path(&self.mounted));
        // The runc that holds the container ends with it, and all else in its namespace, CRIU too: it has to wait.
        let waiting = Waiting::begin(&self.runc).map_err(failed())?;
        let ran = ran(command).await.map_err(failed())?;
        drop(waiting);
        if ran.code == 0 {
            return Ok(());
        }
        let (dump, runc) = (self.mounted.place("criu/dump.log"), self.mounted.place("runc.log"));
        Err(ContainerError::NotDumped { reason: criu_files::reason(Some(&dump), &runc) })
    }

    /// Returns the settings of a dump.
    fn settings(&self) -> Result<String, ContainerError> {
        let root = self.mounted.place("rootfs");
        let mut settings = format!("{}{OPEN_FILES}", criu_files::NO_LOCK);
        for entry in fs::read_dir(&root).map_err(ContainerError::io("read", &root))?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'"');
            if plain && !OF_KERNEL.contains(&&*name) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                settings.push_str(&format!("irmap-scan-path /{name}\n"));
            }
        }
        Ok(settings)
    }
}

/// A process that stands still until this is dropped.
struct Waiting<'a>(&'a OwnedFd);

impl<'a> Waiting<'a> {
    fn begin(process: &'a OwnedFd) -> std::io::Result<Self> {
        pidfd_send_signal(process.as_fd(), Signal::STOP)?;
        Ok(Self(process))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // It can only fail because the process is dead.
        let _dead = pidfd_send_signal(self.0.as_fd(), Signal::CONT);
    }
}
