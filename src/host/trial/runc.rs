//! runc, as a trial uses it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Tools, TrialError};
use crate::host::command::{SYSTEM_PATH, shown};
use crate::host::criu_files;

/// What dump and restore have to be told alike.
const FLAGS: [&str; 4] = ["--file-locks", "--tcp-established", "--empty-ns", "network"];

/// runc with a root of its own.
pub(super) struct Runc {
    program: PathBuf,
    place: PathBuf,
    criu: Option<PathBuf>,
}

impl Runc {
    pub(super) fn new(tools: &Tools, criu: Option<PathBuf>) -> Self {
        Self { program: tools.runc.clone(), place: tools.place.clone(), criu }
    }

    /// Runs a container to its end and returns what it says.
    pub(super) fn run(&self, name: &str) -> Result<String, TrialError> {
        let mut command = self.command("run");
        command.arg("--bundle").arg(self.path("bundle")).arg(name);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().map_err(TrialError::io("run", &self.program))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let of_command = shown(&String::from_utf8_lossy(&output.stderr));
        let said = if of_command.is_empty() { self.said(None) } else { of_command };
        Err(TrialError::Runc { verb: "run", said })
    }

    /// Starts a container and returns its first process.
    pub(super) fn start(&self, name: &str) -> Result<u32, TrialError> {
        let mut command = self.command("run");
        command.args(["--detach", "--bundle"]).arg(self.path("bundle"));
        self.done("run", command.arg("--pid-file").arg(self.path("process")).arg(name), None)?;
        self.process()
    }

    /// Writes a container to disk, which ends it.
    pub(super) fn checkpoint(&self, name: &str) -> Result<(), TrialError> {
        self.offer_criu()?;
        // runc would close it to the container's users, as one of whom CRIU reads it.
        let image = self.path("image");
        fs::create_dir(&image).map_err(TrialError::io("make the directory", &image))?;
        let mut command = self.command("checkpoint");
        self.add_directories(&mut command);
        self.done("checkpoint", command.arg(name), Some("dump.log"))
    }

    /// Wakes a container up and returns its first process.
    pub(super) fn restore(&self, name: &str) -> Result<u32, TrialError> {
        let mut command = self.command("restore");
        command.args(["--detach", "--bundle"]).arg(self.path("bundle"));
        self.add_directories(&mut command);
        self.done("restore", command.arg("--pid-file").arg(self.path("process")).arg(name), Some("restore.log"))?;
        self.process()
    }

    /// Ends a container.
    pub(super) fn delete(&self, name: &str) -> Result<(), TrialError> {
        self.done("delete", self.command("delete").args(["--force", name]), None)
    }

    /// Returns a command whose streams are no files of this host: CRIU could not dump them.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir("/").env("PATH", format!("{}:{SYSTEM_PATH}", self.path("bin").display()));
        command.arg("--root").arg(self.path("state")).arg("--log").arg(self.path("runc.log"));
        command.args(["--log-format", "json", verb]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn add_directories(&self, command: &mut Command) {
        command.arg("--image-path").arg(self.path("image")).arg("--work-path").arg(self.path("work")).args(FLAGS);
    }

    fn done(&self, verb: &'static str, command: &mut Command, log: Option<&str>) -> Result<(), TrialError> {
        let status = command.status().map_err(TrialError::io("run", &self.program))?;
        if status.success() { Ok(()) } else { Err(TrialError::Runc { verb, said: self.said(log) }) }
    }

    /// Puts CRIU where runc finds it, whatever it is called, with its settings.
    fn offer_criu(&self) -> Result<(), TrialError> {
        let Some(criu) = &self.criu else { return Ok(()) };
        let (bin, settings) = (self.path("bin"), self.path("criu.conf"));
        criu_files::offer(criu, &bin).map_err(TrialError::io("write", &bin))?;
        fs::write(&settings, criu_files::NO_LOCK).map_err(TrialError::io("write", &settings))
    }

    fn process(&self) -> Result<u32, TrialError> {
        let path = self.path("process");
        let text = fs::read_to_string(&path).map_err(TrialError::io("read", &path))?;
        text.trim().parse().map_err(|_| TrialError::Runc { verb: "run", said: format!("no process is `{text}`") })
    }

    /// Returns why it failed.
    fn said(&self, log: Option<&str>) -> String {
        let of_criu = log.map(|log| self.path("work").join(log));
        criu_files::reason(of_criu.as_deref(), &self.path("runc.log"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}
