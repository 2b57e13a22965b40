//! The first answer of a service, asked for without a driver.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a service may take.
const LONGEST: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// How many orders PostgreSQL has, which are 100,000.
    Orders,
    /// The page of the application in Tomcat.
    Page,
}

impl Question {
    /// Asks until there is an answer.
    pub(crate) fn ask(self, address: &str) {
        let begun = Instant::now();
        while let Err(error) = self.ask_once(address) {
            assert!(begun.elapsed() < LONGEST, "{self:?} at {address}: {error}");
            sleep(PAUSE);
        }
    }

    fn ask_once(self, address: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONGEST))?;
        match self {
            Self::Orders => {
                let mut body = vec![0, 3, 0, 0];
                body.extend(b"user\0postgres\0database\0postgres\0\0");
                send(&mut stream, &[], &body)?;
                // It is idle, and waits for a question.
                until(&mut stream, b"Z\0\0\0\x05I")?;
                send(&mut stream, b"Q", b"select count(*) from orders\0")?;
                until(&mut stream, b"100000")
            }
            Self::Page => {
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
                until(&mut stream, b"HTTP/1.1 200")
            }
        }
    }
}

/// Sends a message of PostgreSQL's protocol.
fn send(stream: &mut TcpStream, kind: &[u8], body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).expect("it is short").to_be_bytes();
    stream.write_all(&[kind, &length, body].concat())
}

/// Reads until these bytes have come.
fn until(stream: &mut TcpStream, wanted: &[u8]) -> io::Result<()> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.windows(wanted.len()).any(|part| part == wanted) {
        match stream.read(&mut piece)? {
            0 => return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned())),
            length => answer.extend(&piece[..length]),
        }
    }
    Ok(())
}
