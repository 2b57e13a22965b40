//! The container of a trial: this program in a root file system with nothing else, so that nothing depends on what a
//! distribution has where.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Tools, Trial, TrialError};
use crate::host::{FIRST_ID, IDS};

/// Who the process is in a container with many users.
const USER: u32 = 1000;
/// What this program is called in the container, and where its libraries are.
const PROGRAM: &str = "/envserve";
const LIBRARIES: &str = "/lib";

/// What a container does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Says which version this program is.
    Version,
    /// Answers until it is killed.
    Service,
}

/// A container.
pub(super) struct Container {
    arguments: Vec<String>,
}

impl Container {
    /// Makes its root file system.
    pub(super) fn new(tools: &Tools, work: Work) -> Result<Self, TrialError> {
        let root = tools.place.join("rootfs");
        for directory in ["", "proc", "dev", "lib"] {
            let path = root.join(directory);
            fs::create_dir(&path).map_err(TrialError::io("make the directory", &path))?;
            if tools.mapped {
                chown(&path, Some(FIRST_ID), Some(FIRST_ID)).map_err(TrialError::io("give away", &path))?;
            }
        }
        let program = std::env::current_exe().map_err(TrialError::io("find", "/proc/self/exe".as_ref()))?;
        copy(&program, &root.join(&PROGRAM[1..]))?;
        let mut arguments = Vec::new();
        for Library { name, path, loader } in libraries(&program)? {
            let inside = format!("{LIBRARIES}/{name}");
            copy(&path, &root.join(&inside[1..]))?;
            if loader {
                arguments = vec![inside, "--library-path".to_owned(), LIBRARIES.to_owned()];
            }
        }
        arguments.push(PROGRAM.to_owned());
        match work {
            Work::Version => arguments.push("--version".to_owned()),
            Work::Service => arguments.extend(["trial".to_owned(), json!(Trial::Service).to_string()]),
        }
        Ok(Self { arguments })
    }

    /// Writes the configuration for runc.
    pub(super) fn write(&self, tools: &Tools) -> Result<(), TrialError> {
        let bundle = tools.place.join("bundle");
        fs::create_dir(&bundle).map_err(TrialError::io("make the directory", &bundle))?;
        let path = bundle.join("config.json");
        fs::write(&path, self.document(tools).to_string()).map_err(TrialError::io("write", &path))
    }

    fn document(&self, tools: &Tools) -> Value {
        let user = if tools.mapped { USER } else { 0 };
        let mut namespaces = vec!["pid", "ipc", "uts", "mount", "network"];
        let mut linux = json!({});
        if tools.mapped {
            namespaces.push("user");
            let map = json!([{"containerID": 0, "hostID": FIRST_ID, "size": IDS}]);
            linux = json!({"uidMappings": map, "gidMappings": map, "cgroupsPath": format!("/{}", tools.name)});
        }
        linux["namespaces"] = namespaces.into_iter().map(|kind| json!({"type": kind})).collect();
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": user, "gid": user},
                "args": self.arguments,
                "env": [],
                "cwd": "/",
                "capabilities": {"bounding": [], "effective": [], "permitted": []},
                "noNewPrivileges": true,
            },
            "root": {"path": tools.place.join("rootfs")},
            "hostname": "envserve",
            "annotations": {"org.criu.config": tools.place.join("criu.conf")},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            ],
            "linux": linux,
        })
    }
}

/// A file that this program is linked with.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    name: String,
    path: PathBuf,
    /// Whether it is what loads the others.
    loader: bool,
}

/// Asks what loads the program for the files that it is linked with. One that is linked with none just starts.
fn libraries(program: &Path) -> Result<Vec<Library>, TrialError> {
    let mut command = Command::new(program);
    command.arg("--version").env("LD_TRACE_LOADED_OBJECTS", "1").stdin(Stdio::null());
    let output = command.output().map_err(TrialError::io("run", program))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Library::parse).collect())
}

impl Library {
    /// Reads a line `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` of the loader.
    fn parse(line: &str) -> Option<Self> {
        let (line, _) = line.trim().rsplit_once(" (0x")?;
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        let (name, loader) = name.rsplit_once('/').map_or((name, false), |(_, name)| (name, true));
        path.starts_with('/').then(|| Self { name: name.to_owned(), path: path.into(), loader })
    }
}

/// Copies a file so that all users can run it.
fn copy(from: &Path, to: &Path) -> Result<(), TrialError> {
    let copied = fs::copy(from, to).and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(0o755)));
    copied.map_err(TrialError::io("copy", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_off_what_the_loader_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f01)\n\
                    \tlibabsent.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        let found: Vec<Library> = said.lines().filter_map(Library::parse).collect();
        let library = |name: &str, path: &str, loader| Library { name: name.to_owned(), path: path.into(), loader };
        let loader = library("ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2", true);
        assert_eq!(found, [library("libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1", false), loader]);
        assert_eq!("envserve 0.1.0".lines().filter_map(Library::parse).count(), 0);
    }
}
