//! Namespaces with a range of users, as many as owners in an image need.
//!
//! Root maps the ids itself, to some that the host gives nobody; another user has them mapped by `newuidmap`, to those
//! that the host has set aside for it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::IDS;

/// Says that the namespace is there, which is until its stdin is closed.
const HOLDER: &str = "echo made && read _";
/// Bytes that are read of what a program says.
const SAID: u64 = 500;

/// Why there is no such namespace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    /// The host sets no ids aside.
    #[error(
        "the host gives this user no {IDS} ids (package `uidmap`, a line of /etc/subuid and one of /etc/subgid): {reason} {said}"
    )]
    SetAside { reason: String, said: String },
    /// The host lets root make none.
    #[error("the host lets no user namespace be made: {reason} {said}")]
    Refused { reason: String, said: String },
}

/// Makes a namespace that is there as long as what is returned: of root with ids from `first` on, of another user with
/// those set aside for it. This blocks.
///
/// # Errors
/// With what this host lacks.
pub(crate) fn namespace(first: u32) -> Result<File, UsersError> {
    make(super::is_root().then_some(Map { inside: 0, outside: first }))
}

/// Makes a namespace, as root, that leads back: its ids from `first` on are those of the host from 0 on. This blocks.
///
/// # Errors
/// With what this host lacks.
pub(crate) fn namespace_back(first: u32) -> Result<File, UsersError> {
    make(Some(Map { inside: first, outside: 0 }))
}

/// Which ids of a namespace are which of the host.
#[derive(Clone, Copy)]
struct Map {
    inside: u32,
    outside: u32,
}

fn make(map: Option<Map>) -> Result<File, UsersError> {
    let refused = |reason: String, said: String| match map {
        Some(_) => UsersError::Refused { reason, said },
        None => UsersError::SetAside { reason, said },
    };
    let mut command = Command::new("/usr/bin/env");
    command.env_clear().env("PATH", super::command::SYSTEM_PATH).current_dir("/").args(["unshare", "--user"]);
    if map.is_none() {
        command.args(["--map-root-user", "--map-auto"]);
    }
    command.args(["/bin/sh", "-c", HOLDER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn();
    let mut holder =
        started.map_err(|error| refused(format!("`unshare` cannot be started: {error}"), String::new()))?;
    let made = open(&mut holder, map);
    drop(holder.stdin.take());
    let mut errors = Vec::new();
    if let Some(stderr) = holder.stderr.take() {
        // What cannot be read is not told.
        drop(stderr.take(SAID).read_to_end(&mut errors));
    }
    drop(holder.wait());
    made.map_err(|reason| refused(reason, String::from_utf8_lossy(&errors).trim().to_owned()))
}

/// Opens the namespace of a process once it is there, and has its ids mapped if that is for us to do.
fn open(holder: &mut Child, map: Option<Map>) -> Result<File, String> {
    let mut said = String::new();
    let stdout = holder.stdout.take().expect("stdout was made a pipe");
    BufReader::new(stdout).read_line(&mut said).map_err(|error| error.to_string())?;
    if said.trim() != "made" {
        return Err("`unshare` failed:".to_owned());
    }
    let process = Path::new("/proc").join(holder.id().to_string());
    let tell = |action: &'static str| move |error: io::Error| format!("cannot {action}: {error}");
    if let Some(Map { inside, outside }) = map {
        for map in ["uid_map", "gid_map"] {
            fs::write(process.join(map), format!("{inside} {outside} {IDS}")).map_err(tell("map ids"))?;
        }
    }
    for map in ["uid_map", "gid_map"] {
        let text = fs::read_to_string(process.join(map)).map_err(tell("read which ids there are"))?;
        let ids = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
        let ids: u64 = ids.sum();
        if ids < u64::from(IDS) {
            return Err(format!("it has {ids}"));
        }
    }
    File::open(process.join("ns/user")).map_err(tell("open the namespace"))
}
