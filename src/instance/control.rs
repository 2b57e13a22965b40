//! How one speaks to the process that looks after an instance: by the socket `ROOT/instances/ID/control`.
//!
//! A request and an answer of one message each. Nobody else than the user can reach the socket, and who is connected
//! speaks to that very process, whatever happens to numbers of processes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::error::Failure;
use crate::container::{receive, send};

const SOCKET: &str = "control";
/// Most bytes of a message.
pub(super) const MAX_MESSAGE: usize = 1 << 16;

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// The files by which one gets into the container: runc, and the root of the container.
    Enter,
    /// A start from the image.
    Reset,
    /// The end; the connection goes with the process.
    Down,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) failure: Option<Failure>,
}

/// Returns a path of a socket that is short enough for one, and what has to be open meanwhile.
fn path(directory: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let open = File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
    Ok((open, path.into()))
}

/// Listens for an instance.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    bind(directory, SOCKET)
}

/// Makes a socket in the directory of an instance.
pub(super) fn bind(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let (_open, path) = path(directory, name)?;
    UnixListener::bind(path)
}

/// Asks something and returns the answer with its files; none when the process ended instead.
pub(super) fn ask(directory: &Path, request: Request) -> io::Result<Option<(Answer, Vec<OwnedFd>)>> {
    let (_open, path) = path(directory, SOCKET)?;
    let stream = UnixStream::connect(path)?;
    send(&stream, &serde_json::to_vec(&request)?, &[])?;
    let mut message = vec![0; MAX_MESSAGE];
    let (length, files) = match receive(&stream, &mut message) {
        Ok((0, _)) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        received => received?,
    };
    Ok(Some((serde_json::from_slice(&message[..length])?, files)))
}

/// Reads what somebody asks.
pub(super) async fn request(stream: &mut tokio::net::UnixStream) -> io::Result<Request> {
    let mut message = [0; 64];
    let length = stream.read(&mut message).await?;
    Ok(serde_json::from_slice(&message[..length])?)
}

/// Answers.
pub(super) fn answer(stream: impl AsFd, failure: Option<Failure>, files: &[BorrowedFd]) -> io::Result<()> {
    let message = serde_json::to_vec(&Answer { failure })?;
    send(stream, &message, files)
}
