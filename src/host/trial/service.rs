//! The service of a trial, and who asks it.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::TrialError;

/// Longest wait for the service to listen, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(5);

/// Answers `answer N` to the Nth who connects.
pub(super) fn serve(port: u16) -> Result<Infallible, TrialError> {
    let failed = |source| TrialError::Unreachable { source };
    let listener = TcpListener::bind(address(port)).map_err(failed)?;
    let mut asked = 0_u64;
    loop {
        let (mut stream, _) = listener.accept().map_err(failed)?;
        asked += 1;
        // Who has left does not hear it.
        drop(writeln!(stream, "answer {asked}"));
    }
}

/// Asks the service in the network of a process, which must give this answer.
pub(super) fn expect(process: u32, port: u16, wanted: &str) -> Result<(), TrialError> {
    // This thread stays where it is.
    let asked = std::thread::spawn(move || ask(process, port)).join();
    let answer = asked.unwrap_or_else(|_| Err(io::Error::other("the thread that asks it has panicked")));
    let answer = answer.map_err(|source| TrialError::Unreachable { source })?;
    if answer.trim() == wanted {
        return Ok(());
    }
    Err(TrialError::Answer { wanted: wanted.to_owned(), answer: answer.trim().to_owned() })
}

/// Asks from within the network, as soon as the service listens.
fn ask(process: u32, port: u16) -> io::Result<String> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    raise_loopback()?;
    let deadline = Instant::now() + PATIENCE;
    let stream = loop {
        match TcpStream::connect_timeout(&address(port), PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                std::thread::sleep(TICK);
            }
            other => break other?,
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.take(100).read_to_string(&mut answer)?;
    Ok(answer)
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sets the first interface of the network up, as it is not after a restore.
fn raise_loopback() -> io::Result<()> {
    // Without a protocol, which is the one of routes and interfaces.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &raise_first(), SendFlags::empty(), &kernel)?;
    Ok(())
}

/// Returns a message of type `RTM_NEWLINK` that sets `IFF_UP` of interface 1. It is answered only by errors, which show
/// when nobody can be reached.
fn raise_first() -> [u8; 32] {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    const FIRST: u32 = 1;
    let mut message = [0; 32];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &32_u32.to_ne_bytes());
    put(4, &RTM_NEWLINK.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    // After the header: family and type of the device, its number, its flags, and which of them are to change.
    put(20, &FIRST.to_ne_bytes());
    put(24, &IFF_UP.to_ne_bytes());
    put(28, &IFF_UP.to_ne_bytes());
    message
}
