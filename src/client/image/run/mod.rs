//! Running a command in an image on this host, by runc, without a daemon.
//!
//! ```text
//! root file system (shared, never changed) ─► overlay with an upper layer of this run ─► runc ─► the command
//!      root: id-mapped                            in namespaces of mounts, processes
//!      a user: as it is                           and, for a user, users
//! ```
//!
//! This process makes the namespaces, mounts, and looks after runc, which is the first process of its namespace: when
//! this process dies, however it does, the kernel kills runc and with it everything that the command has started.

mod account;
mod config;
mod directory;
mod error;
mod mounts;
mod process;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::owner::Owner;
use super::root::RootFileSystem;
use crate::client::ClientError;
use crate::host::find;
use crate::oci::ImageConfig;

pub use error::RunError;

use account::Account;
use config::Container;
use directory::RunDirectory;
use mounts::Mounted;

/// What is run, and how.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The command; empty for the one that the image names.
    pub command: Vec<String>,
    /// Variables that the image does not have, or has otherwise.
    pub environment: Vec<(String, String)>,
    /// Where the command starts, when not where the image says.
    pub directory: Option<String>,
    /// What it sees of this host.
    pub binds: Vec<Bind>,
    /// Whom it can speak to.
    pub network: Network,
}

/// A file or directory of this host that is seen in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host, absolute.
    pub source: PathBuf,
    /// In the image, absolute.
    pub destination: String,
    /// Whether it is only read.
    pub read_only: bool,
}

/// Whom a command can speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Network {
    /// Whomever the host can.
    #[default]
    Host,
    /// Only itself.
    None,
}

/// Programs of this host that are needed.
struct Programs {
    runc: PathBuf,
    setpriv: PathBuf,
}

/// Runs a command in a root file system and returns its exit code. This process must have no threads left, and is in
/// other namespaces afterwards.
///
/// # Errors
/// `Lacks` when a program is not installed, and `Run` when this host cannot do it or the image does not say how.
pub fn run(root: &RootFileSystem, client: &Path, options: &RunOptions) -> Result<u8, ClientError> {
    let unusable = |source| ClientError::Run(Box::new(RunError::Image(source)));
    let image = root.config().map_err(unusable)?;
    check_platform(&image)?;
    let programs = Programs::find()?;
    let owner = Owner::current()?;
    let account = Account::of(&root.directory(), &image.execution.user)?.on_this_host(owner);
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let container = Container::new(&image, account, options, owner, terminal)?;
    let directory = RunDirectory::new(&client.join("runs"))?;
    // Dropped before the directory is.
    let mounted = Mounted::new(&root.directory(), &directory, options, owner)?;
    let bundle = mounted.write_bundle(&container, options)?;
    process::run(&programs, &directory, &bundle)
}

impl Programs {
    fn find() -> Result<Self, ClientError> {
        let get = |program, package| {
            let lacks = ClientError::Lacks { program, package, purpose: "run a command in an image" };
            find(program).ok_or(lacks)
        };
        Ok(Self { runc: get("runc", "runc")?, setpriv: get("setpriv", "util-linux")? })
    }
}

/// Checks that this host runs programs of the image.
fn check_platform(image: &ImageConfig) -> Result<(), ClientError> {
    // The words of Go for those of Rust.
    let host = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    let platform = &image.platform;
    let runs = platform.architecture == host || (host, platform.architecture.as_str()) == ("amd64", "386");
    if platform.os == "linux" && runs {
        return Ok(());
    }
    let image = format!("{}/{}", platform.os, platform.architecture);
    Err(ClientError::Run(Box::new(RunError::Platform { image, host: format!("linux/{host}") })))
}
