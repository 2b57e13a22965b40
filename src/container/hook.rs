//! What runc runs when the namespaces of a container are there: this program, by a hidden verb.
//!
//! It raises the loopback device in the container's network, which `runc restore` leaves down, and hands what nobody else
//! can name to the process that looks after the container: its network, its first process, and the runc that holds it. A
//! container may end at any time, so these are open files, not numbers.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ContainerError;
use super::config::PATH;
use super::descriptors;

/// The hidden verb.
pub(crate) const VERB: &str = "attach-container";
/// Most bytes read of what runc says.
const MAX_STATE: u64 = 1 << 20;
/// `RTM_NEWLINK`, `NLM_F_REQUEST | NLM_F_ACK`, `NLMSG_ERROR`, and `IFF_UP`.
const NEW_LINK: u16 = 16;
const REQUEST_WITH_ANSWER: u16 = 1 | 4;
const ANSWER: u16 = 2;
const UP: u32 = 1;
/// The index of the loopback device, which is the first of each network.
const LOOPBACK: u32 = 1;

/// A program that runs when the namespaces of a container are there, before its command does.
pub(crate) struct Hook {
    pub(crate) program: PathBuf,
    /// Where somebody listens.
    pub(crate) socket: PathBuf,
}

/// What runc says.
#[derive(Deserialize)]
struct State {
    pid: i32,
}

/// What is open of a container that is being started.
pub(crate) struct Attached {
    pub(crate) network: OwnedFd,
    /// The first process in it.
    pub(crate) process: OwnedFd,
    /// The runc that holds it.
    pub(crate) runc: OwnedFd,
}

impl Hook {
    pub(super) fn document(&self) -> Value {
        json!({
            "path": self.program,
            "args": ["envserve", VERB, self.socket],
            "env": [format!("{}={}", PATH.0, PATH.1)],
        })
    }
}

/// Does what the hook is for; stdin has what runc says.
///
/// # Errors
/// When the container is gone, or nobody listens.
pub fn attach(socket: &Path) -> Result<(), ContainerError> {
    let failed = || ContainerError::io("attach the container to", socket);
    let mut said = Vec::new();
    io::stdin().take(MAX_STATE).read_to_end(&mut said).map_err(failed())?;
    let state: State = serde_json::from_slice(&said).map_err(|error| failed()(error.into()))?;
    let open = || -> io::Result<Attached> {
        let process = Pid::from_raw(state.pid).ok_or(io::ErrorKind::InvalidData)?;
        let network = File::open(format!("/proc/{}/ns/net", state.pid))?;
        Ok(Attached {
            network: network.into(),
            process: pidfd_open(process, PidfdFlags::empty())?,
            runc: pidfd_open(Pid::INIT, PidfdFlags::empty())?,
        })
    };
    let attached = open().map_err(failed())?;
    let Attached { network, process, runc } = &attached;
    raise_loopback(network).map_err(failed())?;
    let stream = UnixStream::connect(socket).map_err(failed())?;
    descriptors::send(&stream, b"x", &[network.as_fd(), process.as_fd(), runc.as_fd()]).map_err(failed())
}

/// Receives what the hook sends.
///
/// # Errors
/// When it sends something else.
pub(super) fn attached(socket: impl AsFd) -> io::Result<Attached> {
    let (_, files) = descriptors::receive(socket, &mut [0; 1])?;
    let wrong = |_| io::ErrorKind::InvalidData;
    let [network, process, runc] = <[OwnedFd; 3]>::try_from(files).map_err(wrong)?;
    Ok(Attached { network, process, runc })
}

/// Moves this process to a network and raises the loopback device of it.
fn raise_loopback(network: &OwnedFd) -> io::Result<()> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    // Protocol 0 is `NETLINK_ROUTE`.
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&kernel, &request(), SendFlags::empty())?;
    let mut answer = [0; 128];
    let (_, length) = recv(&kernel, &mut answer, RecvFlags::empty())?;
    match refusal(&answer[..length.min(answer.len())]) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Returns the message that raises it: a `nlmsghdr` and an `ifinfomsg`.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_WITH_ANSWER.to_ne_bytes());
    // Number of the message, sender; family and type of the device.
    message.extend([0; 12]);
    for word in [LOOPBACK, UP, UP] {
        message.extend(word.to_ne_bytes());
    }
    message
}

/// Returns the code of an answer: 0, or a negative error number.
fn refusal(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ANSWER).then_some(code)
}
