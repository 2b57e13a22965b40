//! Who may call what: one table, of the least role for every call. What is not in it is for admins.

use std::fmt;
use std::str::FromStr;

use Role::{Admin, Builder, Reader, Uploader};

/// What somebody may do. Each may all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes what is there. Causes no action, no upload and nothing to be fetched from elsewhere.
    Reader,
    /// Gives blobs, sources, images and objects of Nix to all.
    Uploader,
    /// Has actions run and environments built.
    Builder,
    /// Decides what others get: writes results of actions, lets go what is kept.
    Admin,
}

impl Role {
    /// All of them, each before those that may more.
    pub const ALL: [Self; 4] = [Reader, Uploader, Builder, Admin];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Reader => "reader",
            Uploader => "uploader",
            Builder => "builder",
            Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text names no role.
#[derive(Debug, thiserror::Error)]
#[error("`reader`, `uploader`, `builder` or `admin` is expected")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NoRole)
    }
}

/// The calls of a gRPC service, each with the least role that may make it.
#[derive(Debug)]
pub struct Service {
    /// Its name, with the package.
    pub name: &'static str,
    /// Its calls.
    pub calls: &'static [(&'static str, Role)],
}

/// Requests over HTTP, with the least role that may make them.
#[derive(Debug)]
pub struct Paths {
    /// What their paths are, or begin with where it ends in `/`.
    pub prefix: &'static str,
    /// Their methods.
    pub methods: &'static [&'static str],
    /// Who may make them.
    pub least: Role,
}

/// All gRPC calls. `Serve` and `ServeTarget` answer readers and uploaders with what is in the cache, and build nothing
/// for them.
pub const SERVICES: &[Service] = &[
    Service {
        name: "envserve.v1.Environments",
        calls: &[
            ("Serve", Reader),
            ("Probe", Reader),
            ("Plan", Reader),
            ("Explain", Reader),
            ("Describe", Reader),
            ("Variables", Reader),
            ("Names", Reader),
            ("Renew", Reader),
        ],
    },
    Service { name: "envserve.v1.Pins", calls: &[("List", Reader), ("Keep", Builder), ("Drop", Admin)] },
    Service {
        name: "envserve.v1.SourceTrees",
        calls: &[
            ("CheckRootTree", Reader),
            ("CommitTree", Reader),
            ("ArchiveTree", Reader),
            ("DistdirTree", Reader),
            ("SpecialTree", Reader),
            ("TreeStructure", Reader),
            ("Entries", Reader),
            ("Tree", Reader),
            ("Content", Reader),
            ("GetRemoteTree", Uploader),
            ("GetRemoteContent", Uploader),
        ],
    },
    Service { name: "envserve.v1.Configuration", calls: &[("Get", Reader)] },
    Service {
        name: "justbuild.just_serve.Target",
        calls: &[("ServeTarget", Reader), ("ServeTargetVariables", Reader), ("ServeTargetDescription", Reader)],
    },
    Service {
        name: "justbuild.just_serve.SourceTree",
        calls: &[
            ("ServeCommitTree", Reader),
            ("ServeArchiveTree", Reader),
            ("ServeDistdirTree", Reader),
            ("ServeContent", Reader),
            ("ServeTree", Reader),
            ("CheckRootTree", Reader),
            ("ComputeTreeStructure", Reader),
            ("GetRemoteTree", Uploader),
        ],
    },
    Service {
        name: "justbuild.just_serve.Configuration",
        calls: &[("RemoteExecutionEndpoint", Reader), ("Compatibility", Reader)],
    },
    Service { name: "build.bazel.remote.execution.v2.Capabilities", calls: &[("GetCapabilities", Reader)] },
    Service {
        name: "build.bazel.remote.execution.v2.ContentAddressableStorage",
        calls: &[
            ("FindMissingBlobs", Reader),
            ("BatchReadBlobs", Reader),
            ("GetTree", Reader),
            ("SplitBlob", Reader),
            ("BatchUpdateBlobs", Uploader),
            ("SpliceBlob", Uploader),
        ],
    },
    Service {
        name: "google.bytestream.ByteStream",
        calls: &[("Read", Reader), ("QueryWriteStatus", Uploader), ("Write", Uploader)],
    },
    Service {
        name: "build.bazel.remote.execution.v2.ActionCache",
        // Whoever writes results decides what others get for the same action, environments included.
        calls: &[("GetActionResult", Reader), ("UpdateActionResult", Admin)],
    },
    Service {
        name: "build.bazel.remote.execution.v2.Execution",
        calls: &[("Execute", Builder), ("WaitExecution", Builder)],
    },
    Service {
        name: "google.longrunning.Operations",
        calls: &[
            ("GetOperation", Builder),
            ("WaitOperation", Builder),
            ("CancelOperation", Builder),
            ("ListOperations", Admin),
            ("DeleteOperation", Admin),
        ],
    },
];

const READING: &[&str] = &["GET", "HEAD"];
const PUSHING: &[&str] = &["POST", "PATCH", "PUT", "DELETE"];

/// All requests over HTTP. A pull has an image built again whose blobs are gone for builders only.
pub const PATHS: &[Paths] = &[
    Paths { prefix: "/nix/", methods: READING, least: Reader },
    Paths { prefix: "/nix/", methods: &["PUT"], least: Uploader },
    Paths { prefix: "/v2", methods: READING, least: Reader },
    Paths { prefix: "/v2/", methods: READING, least: Reader },
    Paths { prefix: "/v2/", methods: PUSHING, least: Uploader },
];

/// Returns the least role that may make a request, gRPC call or not.
pub(super) fn least(method: &str, path: &str) -> Role {
    let of_call = || {
        let (service, call) = path.strip_prefix('/')?.split_once('/')?;
        let service = SERVICES.iter().find(|known| known.name == service)?;
        service.calls.iter().find(|(name, _)| *name == call).map(|(_, least)| *least)
    };
    let covers = |paths: &&Paths| match paths.prefix.ends_with('/') {
        true => path.starts_with(paths.prefix),
        false => path == paths.prefix,
    };
    let of_path = || {
        let paths = PATHS.iter().filter(covers).find(|paths| paths.methods.contains(&method))?;
        Some(paths.least)
    };
    of_call().or_else(of_path).unwrap_or(Admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the row of a table that says which calls need which role at least.
    fn row(name: &str, calls: &[(&str, Role)]) -> String {
        let of = |role| {
            let calls = calls.iter().filter(|(_, least)| *least == role).map(|(call, _)| format!("`{call}`"));
            calls.collect::<Vec<_>>().join(", ")
        };
        let cells = Role::ALL.map(of).map(|cell| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") });
        format!("| `{name}` |{}|", cells.join("|"))
    }

    #[test]
    fn the_operators_page_has_this_table() {
        let page = include_str!("../../docs/operations.md");
        let mut rows: Vec<String> = SERVICES.iter().map(|service| row(service.name, service.calls)).collect();
        let mut prefixes: Vec<&str> = PATHS.iter().map(|paths| paths.prefix).collect();
        prefixes.dedup();
        for prefix in prefixes {
            let of_prefix = PATHS.iter().filter(|paths| paths.prefix == prefix);
            let methods = of_prefix.flat_map(|paths| paths.methods.iter().map(|method| (*method, paths.least)));
            rows.push(row(prefix, &methods.collect::<Vec<_>>()));
        }
        let expected = rows.join("\n");
        assert!(page.contains(&expected), "docs/operations.md has another table than:\n{expected}");
    }

    #[test]
    fn what_is_not_in_the_table_is_for_admins() {
        for path in [
            "/",
            "",
            "/nix",
            "/nixx/",
            "/v2x",
            "/metrics",
            "/v2/../nix/",
            "//v2/",
            "/envserve.v1.Environments",
            "/envserve.v1.Environments/",
            "/envserve.v1.Environments/Serve/",
            "/envserve.v1.Environments/serve",
            "/x/envserve.v1.Environments/Serve",
            "/envserve.v1.Pins/Serve",
        ] {
            for method in ["PUT", "TRACE", "get"] {
                assert!(least(method, path) >= Uploader, "{method} {path}");
            }
        }
        assert_eq!(least("GET", "/metrics"), Admin);
        assert_eq!(least("TRACE", "/v2/x"), Admin);
        assert_eq!((least("GET", "/v2"), least("PUT", "/v2/a")), (Reader, Uploader));
    }

    #[test]
    fn the_method_of_a_call_does_not_matter() {
        for method in ["POST", "GET", "BREW"] {
            assert_eq!(least(method, "/build.bazel.remote.execution.v2.Execution/Execute"), Builder);
        }
    }

    #[test]
    fn roles_are_named_and_ordered() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>().expect("its name"), role);
        }
        assert!("Reader".parse::<Role>().is_err() && "".parse::<Role>().is_err());
    }
}
