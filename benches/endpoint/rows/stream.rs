//! One large blob each way, and the least that it can cost: a TCP connection, SHA-256 and a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use sha2::Digest as _;

use super::super::client::Unable;
use super::super::data::{Large, PIECE};
use super::super::report::{Clock, Measure};
use super::super::server::Server;
use super::Round;

/// What the peak of memory is called.
pub(super) const PEAK: &str = "MiB more RSS at most";

pub(super) async fn run(server: &Server, round: &Round<'_>, measures: &mut Vec<Measure>) -> Result<(), Unable> {
    let blob = round.large();
    let path = format!("blobs/{}/{}", blob.hash, blob.size);

    let before = server.reset_peak();
    let clock = Clock::start(server);
    let committed = server.client.write(&path, &blob.pieces).await?;
    let up = clock.stop();
    measures.push(up.with(PEAK, grown(server, before)));
    if usize::try_from(committed) != Ok(blob.size) {
        return Err(Unable::wrong("Write", format!("{committed} of {} bytes were committed", blob.size)));
    }

    let before = server.reset_peak();
    let mut comparison = blob.comparison();
    let clock = Clock::start(server);
    server.client.read_stream(&path, |bytes| comparison.next(&bytes)).await?;
    let down = clock.stop();
    if !comparison.is_complete() {
        return Err(Unable::wrong("Read", "fewer bytes came than were written"));
    }
    measures.push(down.with(PEAK, grown(server, before)));
    Ok(())
}

/// Returns by how much the memory of the server grew at most.
pub(super) fn grown(server: &Server, before: Option<f64>) -> Option<f64> {
    server.peak().zip(before).map(|(peak, before)| peak - before)
}

/// Sends the blob over a bare connection: up into a file, down out of it, hashed at the far end of the client.
///
/// # Errors
/// When a socket or a file fails.
pub(super) fn floor(blob: &Large, directory: &Path) -> io::Result<Vec<Measure>> {
    let path = directory.join("floor");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        receive(listener.accept()?.0, &path)?;
        send(listener.accept()?.0, &path)
    });

    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    blob.pieces.iter().try_for_each(|piece| stream.write_all(piece))?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    let up = start.elapsed();

    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; PIECE];
    let mut comparison = blob.comparison();
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        assert!(comparison.next(&buffer[..count]), "loopback does not change bytes");
    }
    let down = start.elapsed();
    server.join().expect("it does not panic")?;
    Ok([up, down].map(|time| Measure::of(time.as_secs_f64())).into())
}

fn receive(mut stream: TcpStream, path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    copy_hashed(&mut stream, &mut file)?;
    stream.write_all(b".")
}

fn send(mut stream: TcpStream, path: &Path) -> io::Result<()> {
    copy_hashed(&mut File::open(path)?, &mut stream)?;
    std::fs::remove_file(path)
}

fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            std::hint::black_box(hasher.finalize());
            return Ok(());
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}
