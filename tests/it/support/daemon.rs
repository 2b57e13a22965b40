//! The daemon that is tested, as a process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use envserve::transport::{Link, Security};

/// A running `envserve serve`, killed when dropped.
pub(crate) struct Daemon {
    pub(crate) address: String,
    pub(crate) root: PathBuf,
    options: Vec<String>,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    pub(crate) fn start(root: &Path, options: &[&str]) -> Self {
        Self::start_as("serve", root, options)
    }

    /// Returns a connection to it.
    pub(crate) fn link(&self) -> Link {
        Link::new(&self.address.parse().expect("an address"), &Security::default()).expect("an address")
    }

    /// Starts another verb that is a daemon.
    pub(crate) fn start_as(verb: &str, root: &Path, options: &[&str]) -> Self {
        Self::start_by(Command::new("env"), verb, root, options)
    }

    /// Starts a daemon by a command that runs what is given to it as arguments.
    pub(crate) fn start_by(command: Command, verb: &str, root: &Path, options: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", command, verb, root, options)
    }

    /// Starts one that other hosts can reach.
    pub(crate) fn start_for_all(root: &Path, options: &[&str]) -> Self {
        Self::start_on("0.0.0.0:0", Command::new("env"), "serve", root, options)
    }

    fn start_on(address: &str, mut command: Command, verb: &str, root: &Path, options: &[&str]) -> Self {
        fs::create_dir_all(root).expect("temporary");
        let log = root.with_extension("log");
        let stderr = fs::File::options().create(true).append(true).open(&log).expect("temporary");
        let mut child = command
            .arg(env!("CARGO_BIN_EXE_envserve"))
            .args([verb, "--listen", address, "--root"])
            .arg(root)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary is there");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut address).expect("readable");
        let address = address.trim().to_owned();
        assert!(!address.is_empty(), "the daemon did not start:\n{}", fs::read_to_string(&log).expect("there"));
        let options = options.iter().map(ToString::to_string).collect();
        Self { address, root: root.to_owned(), options, log, child }
    }

    /// Returns what the daemon has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("there")
    }

    /// Returns how many environments the daemon has built.
    pub(crate) fn builds(&self) -> usize {
        self.log().lines().filter(|line| line.contains(" built ")).count()
    }

    /// Kills the daemon at once and starts it again on the same root, with the same options.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().expect("running");
        self.child.wait().expect("running");
        let (root, options) = (self.root.clone(), self.options.clone());
        drop(self);
        Self::start(&root, &options.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Asks the daemon to stop and returns its exit status.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        self.child.wait().expect("running")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
