//! Nix itself, with which the tests compare, in a store of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A throw-away store.
pub(super) struct Nix {
    directory: TempDir,
}

impl Nix {
    pub(super) fn new() -> Self {
        let found = Path::new("/usr/bin/nix-store").exists();
        assert!(found, "`nix-store` is not installed: run `.ci/setup test`");
        let directory = TempDir::new().expect("temporary");
        std::fs::create_dir(directory.path().join("home")).expect("temporary");
        Self { directory }
    }

    /// Returns a path beside the store.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns where an object of the store lies.
    pub(super) fn real_path(&self, path: &str) -> PathBuf {
        self.directory.path().join("store").join(path.trim_start_matches('/'))
    }

    /// Runs a program of Nix to its end.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(Path::new("/usr/bin").join(program));
        command.env_clear().env("HOME", self.path("home")).env("USER", "u").env("PATH", "/usr/bin");
        command.env("NIX_CONF_DIR", self.path("none")).env("NIX_REMOTE", self.path("store"));
        let options = ["build-users-group", "", "substitute", "false"];
        // `nix-hash` knows no options.
        if program != "nix-hash" {
            command.args(options.chunks(2).flat_map(|option| ["--option", option[0], option[1]]));
        }
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.output().expect("it is installed")
    }

    /// Runs a program that must succeed, and returns what it prints, without the end of the line.
    pub(super) fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }
}
