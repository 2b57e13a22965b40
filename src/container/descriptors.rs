//! Open files that one process hands to another over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Most files of one message.
const MOST: usize = 4;

/// Sends bytes with files.
///
/// # Errors
/// When the other side is gone, or not all bytes go into one message.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], files: &[BorrowedFd]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives bytes with files; none at the end of what is sent.
///
/// # Errors
/// When the connection broke.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok((received.bytes, files.flatten().collect()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn files_arrive_with_their_bytes() {
        let (one, other) = UnixStream::pair().expect("made");
        let (reader, mut writer) = io::pipe().expect("made");
        send(&one, b"text", &[reader.as_fd()]).expect("sent");
        drop((one, reader));
        let mut buffer = [0; 16];
        let (length, files) = receive(&other, &mut buffer).expect("received");
        assert_eq!((&buffer[..length], files.len()), (&b"text"[..], 1));
        writer.write_all(b"through").expect("open");
        drop(writer);
        let mut text = String::new();
        File::from(files.into_iter().next().expect("one")).read_to_string(&mut text).expect("readable");
        assert_eq!(text, "through");
        assert_eq!(receive(&other, &mut buffer).expect("the end").0, 0);
    }
}
