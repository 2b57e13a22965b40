//! The configuration of a container, as the OCI runtime specification has it.
//!
//! What a container may do is what Docker lets it: the same capabilities, the same of `/proc` hidden or closed. Where
//! this differs: it is root of a namespace of users only, and no calls of the system are filtered.

use std::path::Path;

use serde_json::{Value, json};

use super::account::Account;
use super::hook::Hook;
use super::owner::Owner;
use super::{ContainerError, ContainerOptions, Limits, Network};
use crate::host::{FIRST_ID, IDS, platform};
use crate::oci::{ImageConfig, Platform};

/// The variable that every process needs, where an image does not set it.
pub(super) const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
const HIDDEN: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];
const CLOSED: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A container that is to be made.
pub(crate) struct Container {
    arguments: Vec<String>,
    environment: Vec<String>,
    directory: String,
    account: Account,
    owner: Owner,
    network: Network,
    limits: Option<Limits>,
    terminal: bool,
}

/// What is bound into a container: where it lies, where it is seen, whether it is only read.
pub(super) type Bound<'a> = (&'a Path, &'a str, bool);

impl Container {
    /// Puts together what the image with this root file system says and what is wanted.
    ///
    /// # Errors
    /// When the image is for other hosts, does not have the user that it names, or there is nothing to run.
    pub(crate) fn new(
        root: &Path,
        image: &ImageConfig,
        options: &ContainerOptions,
        owner: Owner,
        terminal: bool,
    ) -> Result<Self, ContainerError> {
        check_platform(&image.platform)?;
        let account = Account::of(root, &image.execution.user)?.on_this_host(owner);
        Self::of(image, account, options, owner, terminal)
    }

    fn of(
        image: &ImageConfig,
        account: Account,
        options: &ContainerOptions,
        owner: Owner,
        terminal: bool,
    ) -> Result<Self, ContainerError> {
        let execution = &image.execution;
        let mut arguments = options.command.clone();
        if arguments.is_empty() {
            arguments = execution.entrypoint.iter().chain(&execution.cmd).cloned().collect();
        }
        if arguments.is_empty() {
            return Err(ContainerError::NoCommand);
        }
        let given = options.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let of_image = execution.env.iter().filter_map(|variable| variable.split_once('='));
        let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        let term = terminal.then_some(("TERM", term.as_str()));
        let mut environment: Vec<(&str, &str)> = Vec::new();
        for (name, value) in [PATH].into_iter().chain(term).chain(of_image).chain(given) {
            environment.retain(|(other, _)| *other != name);
            environment.push((name, value));
        }
        let directory = options.directory.as_deref().unwrap_or(&execution.working_dir);
        Ok(Self {
            arguments,
            environment: environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            directory: format!("/{}", directory.trim_start_matches('/')),
            account,
            owner,
            network: options.network,
            limits: options.limits,
            terminal,
        })
    }

    /// Returns the document.
    pub(super) fn document(&self, group: &str, root: &Path, bound: &[Bound], hook: Option<&Hook>) -> Value {
        let mut mounts = self.mounts();
        mounts.extend(bound.iter().map(|(source, destination, read_only)| {
            let mut options = vec!["rbind", "nosuid", "nodev"];
            options.extend(read_only.then_some("ro"));
            json!({"destination": destination, "type": "bind", "source": source, "options": options})
        }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": self.terminal,
                "user": {"uid": self.account.uid, "gid": self.account.gid, "additionalGids": self.account.groups},
                "args": self.arguments,
                "env": self.environment,
                "cwd": self.directory,
                "capabilities": {
                    "bounding": CAPABILITIES,
                    "effective": CAPABILITIES,
                    "permitted": CAPABILITIES,
                },
            },
            "root": {"path": root},
            "hostname": "envserve",
            "mounts": mounts,
            "linux": self.linux(group),
            "hooks": {"createRuntime": hook.into_iter().map(Hook::document).collect::<Vec<_>>()},
        })
    }

    fn linux(&self, group: &str) -> Value {
        let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
        namespaces.extend((self.network == Network::None).then_some("network"));
        let mut linux = json!({"maskedPaths": HIDDEN, "readonlyPaths": CLOSED});
        if self.owner == Owner::Image {
            namespaces.push("user");
            let map = json!([{"containerID": 0, "hostID": FIRST_ID, "size": IDS}]);
            linux["uidMappings"] = map.clone();
            linux["gidMappings"] = map;
            linux["cgroupsPath"] = format!("/{group}").into();
            if let Some(Limits { memory_bytes, processes }) = self.limits {
                let [memory, processes] = [memory_bytes, processes].map(|most| most.min(i64::MAX.unsigned_abs()));
                linux["resources"] = json!({"memory": {"limit": memory}, "pids": {"limit": processes}});
            }
        }
        linux["namespaces"] = namespaces.into_iter().map(|kind| json!({"type": kind})).collect();
        linux
    }

    /// Returns the file systems of the kernel that every container has.
    fn mounts(&self) -> Vec<Value> {
        let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
        let mut terminals = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
        // The group of terminals; an ordinary user has only one group in an image.
        terminals.extend((self.owner == Owner::Image).then_some("gid=5"));
        let closed = ["nosuid", "noexec", "nodev"];
        let mut mounts = vec![
            mount("/proc", "proc", &closed),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &terminals),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &closed),
        ];
        mounts.push(match self.network {
            // It belongs to who owns the network.
            Network::None => mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            Network::Host => json!({
                "destination": "/sys",
                "type": "bind",
                "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            }),
        });
        mounts
    }
}

/// Checks that this host runs programs of a platform.
fn check_platform(wanted: &Platform) -> Result<(), ContainerError> {
    let Platform { os, architecture, .. } = wanted;
    if platform::runs(os, architecture) {
        return Ok(());
    }
    Err(ContainerError::Platform { image: format!("{os}/{architecture}"), host: platform::shown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(command: &[&str]) -> ContainerOptions {
        ContainerOptions {
            command: command.iter().map(ToString::to_string).collect(),
            environment: vec![("A".into(), "given".into())],
            directory: None,
            binds: Vec::new(),
            network: Network::default(),
            limits: None,
        }
    }

    fn document(image: &ImageConfig, command: &[&str], owner: Owner) -> Value {
        let container = Container::of(image, Account::default(), &options(command), owner, false).expect("a command");
        container.document("name", "/r".as_ref(), &[("/s".as_ref(), "/d", true)], None)
    }

    #[test]
    fn what_is_given_comes_before_what_the_image_says() {
        let mut image = ImageConfig::new(Platform::linux("amd64"));
        image.execution.entrypoint = vec!["/entry".into()];
        image.execution.cmd = vec!["cmd".into()];
        image.execution.env = vec!["A=image".into(), "B=b=c".into()];
        image.execution.working_dir = "work".into();
        let process = &document(&image, &[], Owner::Image)["process"];
        assert_eq!(process["args"], json!(["/entry", "cmd"]));
        assert_eq!(process["env"], json!([format!("PATH={}", PATH.1), "B=b=c", "A=given"]));
        assert_eq!(process["cwd"], "/work");
        assert_eq!(document(&image, &["sh", "-c"], Owner::Image)["process"]["args"], json!(["sh", "-c"]));
    }

    #[test]
    fn root_has_other_ids_and_a_user_only_one() {
        let image = ImageConfig::new(Platform::linux("amd64"));
        let linux = &document(&image, &["x"], Owner::Image)["linux"];
        assert_eq!(linux["uidMappings"][0]["hostID"], FIRST_ID);
        let linux = &document(&image, &["x"], Owner::User)["linux"];
        assert_eq!(linux.get("uidMappings"), None);
        assert!(!linux["namespaces"].to_string().contains("user"));
    }

    #[test]
    fn what_a_container_may_use_is_bounded_when_that_is_wanted() {
        let image = ImageConfig::new(Platform::linux("amd64"));
        let linux = |limits| {
            let options = ContainerOptions { limits, ..options(&["x"]) };
            let container = Container::of(&image, Account::default(), &options, Owner::Image, false);
            container.expect("a command").document("name", "/r".as_ref(), &[], None)["linux"].clone()
        };
        assert_eq!(linux(None).get("resources"), None);
        let limits = Limits { memory_bytes: u64::MAX, processes: 7 };
        let resources = json!({"memory": {"limit": i64::MAX}, "pids": {"limit": 7}});
        assert_eq!(linux(Some(limits))["resources"], resources);
    }

    #[test]
    fn without_a_command_there_is_nothing_to_run() {
        let image = ImageConfig::new(Platform::linux("amd64"));
        let container = Container::of(&image, Account::default(), &options(&[]), Owner::User, false);
        assert!(matches!(container.err(), Some(ContainerError::NoCommand)));
    }
}
