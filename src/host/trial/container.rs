//! The container of a trial: this program in a root file system with nothing else, so that nothing depends on what a
//! distribution has where.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Tools, Trial, TrialError};
use crate::host::{FIRST_ID, IDS};

/// Who the process is in a container with many users.
const USER: u32 = 1000;
/// What this program is called in the container, and where its libraries are.
const PROGRAM: &str = "/envserve";
const LIBRARIES: &str = "/lib";
/// How names of the program begin that loads libraries.
const LOADER: &str = "ld-";

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
        for library in libraries(&program)? {
            let Some(name) = library.file_name().and_then(|name| name.to_str()) else { continue };
            let inside = format!("{LIBRARIES}/{name}");
            copy(&library, &root.join(&inside[1..]))?;
            if name.starts_with(LOADER) {
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

/// Returns the files that a running program, this one, is linked with.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>, TrialError> {
    let path = Path::new("/proc/self/maps");
    let maps = fs::read_to_string(path).map_err(TrialError::io("read", path))?;
    let files = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| PathBuf::from(format!("/{path}")));
    Ok(files.filter(|file| file != program && file.is_file()).collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), TrialError> {
    fs::copy(from, to).map(drop).map_err(TrialError::io("copy", from))
}
