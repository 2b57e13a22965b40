//! Processes of other programs, which end with the test whatever becomes of it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use super::text;

/// Longest wait for anything that a test expects to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits for the end of the process that holds its stdin, and leaves nothing of the group and the directory.
const GUARD: &str = r#"read -r _; kill -s KILL -- "-$1"; sleep 0.2; rm -rf -- "$2""#;

/// A running process with all that it has started. Killed when dropped, and when the process of the tests ends.
pub(crate) struct Guarded {
    child: Child,
    guard: Child,
}

impl Guarded {
    /// Starts a command as a group of its own, which keeps everything in `directory` and logs to a file.
    pub(crate) fn start(command: &mut Command, directory: &Path, log: &Path) -> Self {
        let output = fs::File::options().create(true).append(true).open(log).expect("temporary");
        let errors = output.try_clone().expect("a file");
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &child.id().to_string()]).arg(directory).process_group(0);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child, guard: guard.expect("there is a shell") }
    }

    /// Says whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("waitable").is_none()
    }

    /// Kills it at once, with all that it has started.
    fn kill(&mut self) {
        drop((self.guard.kill(), self.guard.wait()));
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        let _gone = kill_process_group(group, Signal::KILL);
        drop(self.child.wait());
        until("a killed group of processes is gone", || test_kill_process_group(group).is_err().then_some(()));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process, if it is still there.
pub(crate) fn signal(process: &str, signal: Signal) {
    let process = process.parse().ok().and_then(Pid::from_raw).expect("a process");
    let _gone = kill_process(process, signal);
}

/// Waits until a condition holds, which must come about in a minute. Returns what it gives.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the processes with this command line, its words separated by spaces.
pub(crate) fn processes(matches: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("Linux").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = text(&line).replace('\0', " ");
        if pid.bytes().all(|byte| byte.is_ascii_digit()) && matches(line.trim_end()) {
            found.push(pid);
        }
    }
    found
}
