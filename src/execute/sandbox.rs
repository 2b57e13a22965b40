//! The sandbox of an action: the command line of bubblewrap.
//!
//! An action sees the host's tools (`/usr`, read-only), its input root at
//! `/build`, a `/tmp` of its own and nothing else of this host: own mount, pid,
//! ipc, uts, network, cgroup and user namespaces, no capabilities, a fixed user,
//! host name and environment. What it gives therefore does not depend on
//! where or as whom the executor runs. A property may put the input root
//! elsewhere, or make it the whole root file system; another puts an image into
//! the place of the host's tools, and a third makes the command root in a
//! namespace with users of its own. A command with a service beside it is in the network of that, which nothing else is in.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ExecuteError;
use super::action::Action;
use super::host::Host;
use super::image::Image;
use super::limits::Limits;
use super::service::Beside;
use super::users;
use super::work::WorkDirectory;
use crate::host::{bubblewrap, find};

/// What an action sees in `/etc` besides.
pub(super) const ETC_FILES: [(&str, &str); 3] = [
    (
        "passwd",
        "root:x:0:0:root:/:/sbin/nologin\n\
         build:x:1000:1000:build:/build:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    ),
    ("group", "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];
/// What of the host's `/etc` an action with its network sees.
const NETWORK_FILES: [&str; 6] =
    ["/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/ssl", "/etc/ca-certificates", "/etc/gai.conf"];
/// Tells the command in which form the service beside it was started.
const SERVICE_FORM: &str = "ENVSERVE_SERVICE_FORM";
/// Descriptor on which bubblewrap waits for a byte before it starts the command.
const BLOCK_FD: &str = "3";
/// Descriptor on which bubblewrap says what becomes of the command.
const STATUS_FD: &str = "4";
/// Gives bubblewrap those two from a socket that it is started with as stdin, and the command an empty stdin.
const WRAPPER: &str = r#"; exec "$@" 3<&0 4<&0 </dev/null"#;

/// Returns the command that runs the action in its work directory.
///
/// It is to be started with a socket as stdin, which speaks as `process.rs` says.
///
/// # Errors
/// `Host` when bubblewrap is not installed.
pub(super) fn command(
    action: &Action,
    image: Option<&Image>,
    limits: &Limits,
    work: &WorkDirectory,
) -> Result<Command, ExecuteError> {
    let (host, layers) = (work.host(), work.layers());
    let mut command = Command::new("/bin/sh");
    // The first process in the namespace is bubblewrap; the action can read its environment.
    command.env_clear().current_dir("/");
    command.args(["-c", &(limits.script() + WRAPPER), "sh"]);
    let service = work.service();
    if let Some(network) = service.and_then(Beside::network) {
        command.args(["nsenter".to_owned(), format!("--net={network}"), "--".to_owned()]);
    }
    host.enter(&mut command);
    let mut root = layers.upper.clone();
    if let Some(lower) = &layers.lower {
        root = work.path().join("merged");
        host.add_overlay(&mut command, lower, &layers.upper, &work.path().join("overlay"), &root);
    }
    let image_root = work.add_image(&mut command).map(|root| host.seen(&root));
    let lacks = ExecuteError::Host { program: "bwrap", package: "bubblewrap" };
    command.arg(find("bwrap").ok_or(lacks)?);
    add_user(&mut command, host, action.platform.network || service.is_some());
    let place =
        Place { root: &host.seen(&root), image: image_root.as_deref(), tmp: &host.seen(&work.path().join("tmp")) };
    add_root(&mut command, action, host, &place);
    command.arg("--chdir");
    let root = PathBuf::from(&action.platform.root);
    command.arg(action.working_directory.components().fold(root, |at, name| at.join(name)));
    command.arg("--clearenv");
    let own = |name: &String| action.environment.iter().any(|(own, _)| own == name);
    let inherited = image.iter().flat_map(|image| &image.environment).filter(|(name, _)| !own(name));
    for (name, value) in inherited.chain(&action.environment) {
        command.args(["--setenv", name, value]);
    }
    if let Some(form) = service.and_then(Beside::form) {
        command.args(["--setenv", SERVICE_FORM, form.as_str()]);
    }
    command.args(["--block-fd", BLOCK_FD, "--json-status-fd", STATUS_FD, "--"]);
    command.args(&action.arguments);
    Ok(command)
}

/// Gives the command namespaces, and says as whom it runs there.
fn add_user(command: &mut Command, host: &Host, network: bool) {
    bubblewrap::isolate(command, network);
    if host.has_users() {
        command.args(users::CAPABILITIES.iter().flat_map(|capability| ["--cap-add", capability]));
    } else {
        bubblewrap::add_user(command);
    }
}

/// What the root file system is put together from, as it is seen after `Host::enter`.
struct Place<'a> {
    /// The input root.
    root: &'a Path,
    /// The image, if the command runs in one.
    image: Option<&'a Path>,
    /// What is seen as `/tmp`.
    tmp: &'a Path,
}

/// Puts the root file system together.
fn add_root(command: &mut Command, action: &Action, host: &Host, place: &Place<'_>) {
    let platform = &action.platform;
    let Place { root, image, tmp } = place;
    if platform.whole() {
        bind(command, "--bind", root, "/".as_ref());
        add_kernel(command, host);
        bind(command, "--bind", tmp, "/tmp".as_ref());
        return;
    }
    if let Some(image) = image {
        bind(command, "--bind", image, "/".as_ref());
    } else {
        command.args(&host.tools);
        for (name, _) in ETC_FILES {
            bind(command, "--ro-bind", &host.etc(name), &Path::new("/etc").join(name));
        }
        if platform.network {
            NETWORK_FILES.iter().for_each(|file| bind(command, "--ro-bind-try", file.as_ref(), file.as_ref()));
        }
    }
    add_kernel(command, host);
    bind(command, "--bind", tmp, "/tmp".as_ref());
    bind(command, "--bind", root, platform.root.as_ref());
    command.args(["--remount-ro", "/"]);
}

/// Makes `/proc` and `/dev` visible.
///
/// An action that is root to the kernel is, without any capability, still the owner of what root owns, and could
/// write sysctls; so all of `/proc` that does not belong to a process is read-only then.
/// The modes of the host's devices stay within its reach: better that actions are not root.
fn add_kernel(command: &mut Command, host: &Host) {
    command.args(["--proc", "/proc"]);
    let entries = if host.as_root() { fs::read_dir("/proc").ok() } else { None };
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // Links lead to what belongs to the process.
        let harmless = |found: &fs::Metadata| found.is_symlink() || (found.is_file() && found.mode() & 0o777 == 0o444);
        if !entry.metadata().is_ok_and(|found| harmless(&found)) {
            bind(command, "--ro-bind-try", &entry.path(), &entry.path());
        }
    }
    command.args(["--dev", "/dev"]);
}

fn bind(command: &mut Command, how: &str, from: &Path, to: &Path) {
    command.args([OsStr::new(how), from.as_os_str(), to.as_os_str()]);
}
