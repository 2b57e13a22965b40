//! Handing an image to the program that keeps images on this host.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::client::ClientError;
use crate::host::find;

/// Longest part of what a program says that is shown.
const MAX_SAID: usize = 2000;

/// A program that keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Loader {
    /// Podman.
    Podman,
    /// Docker.
    Docker,
    /// containerd, in its namespace `default`.
    Containerd,
}

impl Loader {
    /// Returns the program, the package that has it, and its arguments before the path of an archive.
    fn command(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Podman => ("podman", "podman", &["load", "--quiet", "--input"]),
            Self::Docker => ("docker", "docker.io", &["load", "--quiet", "--input"]),
            Self::Containerd => ("ctr", "containerd", &["--namespace", "default", "images", "import"]),
        }
    }

    /// Returns how the program calls an image that it was given by this name.
    pub fn reference(self, name: &str) -> String {
        match self {
            Self::Podman => format!("localhost/{name}"),
            Self::Docker => name.to_owned(),
            // It adds what Docker leaves out.
            Self::Containerd if name.contains('/') => format!("docker.io/{name}"),
            Self::Containerd => format!("docker.io/library/{name}"),
        }
    }

    /// Hands an archive over. Blocks.
    ///
    /// # Errors
    /// `Lacks` when the program is not installed, `Load` when it fails.
    pub fn load(self, archive: &Path) -> Result<(), ClientError> {
        let (name, package, arguments) = self.command();
        let lacks = ClientError::Lacks { program: name, package, purpose: "load the image" };
        let program = find(name).ok_or(lacks)?;
        let mut command = Command::new(&program);
        command.args(arguments).arg(archive).stdin(Stdio::null());
        let output = command.output().map_err(ClientError::io("run", &program))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(MAX_SAID).collect();
        Err(ClientError::Load { program: name, status: output.status, said })
    }
}
