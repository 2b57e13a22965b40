//! Archives on their way from a CAS to whoever writes or sends them: small files gathered in memory, large ones in files.

use std::fs::File;
use std::io::{self, Read, Write};

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::sync::mpsc::{Receiver, Sender};

use super::blocking;

/// Bytes gathered before they are handed over.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Pieces that may wait for the thread that writes.
pub(crate) const PIECES: usize = 4;

/// Part of an archive.
pub(crate) enum Piece {
    Bytes(Bytes),
    File(NamedTempFile),
}

/// Writes pieces to a sink, which is not flushed. Blocks.
pub(crate) fn write_pieces(mut pieces: Receiver<Piece>, sink: &mut impl Write) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Bytes(bytes) => sink.write_all(&bytes)?,
            Piece::File(file) => copy(File::open(file.path())?, sink)?,
        }
    }
    Ok(())
}

fn copy(mut file: File, sink: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            length => sink.write_all(&buffer[..length])?,
        }
    }
}

/// Sends pieces on, files in parts. No thread waits while nobody takes one; that nobody does any more is no error.
pub(crate) async fn forward(mut received: Receiver<Piece>, pieces: Sender<Bytes>) -> io::Result<()> {
    while let Some(piece) = received.recv().await {
        match piece {
            Piece::Bytes(bytes) => {
                if pieces.send(bytes).await.is_err() {
                    break;
                }
            }
            Piece::File(file) => send_file(file, &pieces).await?,
        }
    }
    Ok(())
}

/// Sends a file in parts. That nobody takes them any more is no error.
pub(crate) async fn send_file(file: NamedTempFile, pieces: &Sender<Bytes>) -> io::Result<()> {
    let mut open = blocking(move || File::open(file.path())).await?;
    loop {
        let (again, part) = blocking(move || read_part(open)).await?;
        if part.is_empty() || pieces.send(part).await.is_err() {
            return Ok(());
        }
        open = again;
    }
}

/// Reads the next part of a file, which is empty at its end. Blocks.
fn read_part(mut file: File) -> io::Result<(File, Bytes)> {
    let mut part = Vec::with_capacity(PIECE_BYTES);
    Read::by_ref(&mut file).take(PIECE_BYTES as u64).read_to_end(&mut part)?;
    Ok((file, part.into()))
}
