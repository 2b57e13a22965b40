//! runc, as a trial uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Tools, TrialError};
use crate::host::command::{SYSTEM_PATH, shown};

/// What CRIU always says where a process may not raise its limits, and means nothing.
const HARMLESS: &str = "RLIMIT_NOFILE for self";
/// What dump and restore have to be told alike.
const FLAGS: [&str; 4] = ["--file-locks", "--tcp-established", "--empty-ns", "network"];

/// What runc logs, as far as it is told.
#[derive(Deserialize)]
struct Record {
    msg: String,
}

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
        fs::create_dir(&bin).map_err(TrialError::io("make the directory", &bin))?;
        let program = bin.join("criu");
        let quoted = criu.display().to_string().replace('\'', r"'\''");
        let script = format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n");
        fs::write(&program, script).map_err(TrialError::io("write", &program))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&program, executable).map_err(TrialError::io("set the mode of", &program))?;
        // Nobody is connected who would have to be kept out meanwhile.
        fs::write(&settings, "network-lock skip\n").map_err(TrialError::io("write", &settings))
    }

    fn process(&self) -> Result<u32, TrialError> {
        let path = self.path("process");
        let text = fs::read_to_string(&path).map_err(TrialError::io("read", &path))?;
        text.trim().parse().map_err(|_| TrialError::Runc { verb: "run", said: format!("no process is `{text}`") })
    }

    /// Returns what CRIU says that failed first, or runc last.
    fn said(&self, log: Option<&str>) -> String {
        let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let of_criu = log.and_then(|log| read(&self.path("work").join(log)).ok());
        let is_error = |line: &&str| line.contains("Error") && !line.contains(HARMLESS);
        if let Some(line) = of_criu.as_deref().and_then(|text| text.lines().find(is_error)) {
            return shown(line);
        }
        let of_runc = read(&self.path("runc.log")).unwrap_or_default();
        let mut records = of_runc.lines().rev().filter_map(|line| serde_json::from_str::<Record>(line).ok());
        let last = records.next().map_or_else(|| "it does not say why".to_owned(), |record| record.msg);
        shown(&last)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}
