//! Daemons, a place for them, and the command.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A directory in memory where there is such a thing, gone when it is dropped.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self(directory.expect("a temporary directory can be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// One at another place.
impl From<tempfile::TempDir> for Place {
    fn from(directory: tempfile::TempDir) -> Self {
        Self(directory)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Environments are read-only.
        drop(Command::new("chmod").arg("-R").arg("u+w").arg(self.0.path()).status());
    }
}

/// A daemon, killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Daemon {
    /// Returns its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Starts `serve` or `execute`, and waits until it listens.
    pub(crate) fn start(verb: &str, root: &Path, options: &[&str]) -> Self {
        Self::listening(
            Command::new(env!("CARGO_BIN_EXE_envserve")).arg(verb).args(options).stderr(Stdio::null()),
            root,
        )
    }

    /// Starts `serve`, whose log goes to a file.
    pub(crate) fn start_logging(root: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("it can be made");
        Self::listening(Command::new(env!("CARGO_BIN_EXE_envserve")).arg("serve").stderr(log), root)
    }

    fn listening(command: &mut Command, root: &Path) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .envs(criu())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut address).expect("the daemon prints its address");
        Self { child, address: address.trim().to_owned() }
    }
}

/// Returns the variable that names the CRIU which `.ci/peers` has unpacked, if it has.
pub(crate) fn criu() -> Option<(&'static str, PathBuf)> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let build = set("ENVSERVE_BUILD_DIR").or_else(|| Some(cache()?.join("envserve-build")))?;
    let program = set("ENVSERVE_CRIU").unwrap_or_else(|| build.join("peers/criu/bin/criu"));
    program.exists().then_some(("ENVSERVE_CRIU", program))
}

/// Returns the processor time that a process has used.
pub(crate) fn processor_time(process: u32) -> Duration {
    // The name of the program may hold anything, so the fields are counted from the parenthesis after it.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// Runs a client and returns how long it took, and what it printed.
pub(crate) fn fetch(spec: &Path, serve: &str, root: &Path, options: &[&str]) -> (Duration, String) {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_envserve"))
        .arg("fetch")
        .arg(spec)
        .args(["--quiet", "--serve", serve, "--root"])
        .arg(root)
        .args(options)
        .output()
        .expect("the binary is there");
    let took = started.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (took, String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns the spec of the toolchain.
pub(crate) fn toolchain() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/c-toolchain/spec.json")
}
