//! The toolchain in a Git repository: an environment for one server, an export target for the other.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::daemon::{Daemon, Place, fetch, run, toolchain};

/// A repository with one commit.
pub(crate) struct Repository {
    pub(crate) path: PathBuf,
    pub(crate) commit: String,
    pub(crate) tree: String,
}

const ENVIRONMENTS: &str = r#"{"x": {"type": "tree", "inputs": {"toolchain": {"path": "toolchain"}}}}"#;
const TARGETS: &str = r#"{"": {"type": "export", "target": "x"},
    "x": {"type": "install", "dirs": [[["TREE", null, "toolchain"], "toolchain"]]}}"#;

impl Repository {
    pub(crate) fn new(place: &Place) -> Self {
        let path = place.path("repository");
        fs::create_dir_all(&path).expect("a directory");
        let serve = Daemon::start("serve", &place.path("builder"), &[]);
        let made = path.join("toolchain").display().to_string();
        fetch(&toolchain(), &serve.address, &place.path("first"), &["--install", &made]);
        fs::write(path.join("ENVS"), ENVIRONMENTS).expect("a file");
        fs::write(path.join("TARGETS"), TARGETS).expect("a file");
        let git = |arguments: &[&str]| run(Command::new("git").arg("-C").arg(&path).args(arguments));
        git(&["init", "--quiet", "--initial-branch", "main"]);
        git(&["add", "--all"]);
        git(&["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "toolchain"]);
        Self { commit: git(&["rev-parse", "HEAD"]), tree: git(&["rev-parse", "HEAD^{tree}"]), path }
    }
}
