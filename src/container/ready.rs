//! Whether the service in a container is ready.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::inside::address;
use super::service::Running;
use crate::spec::Ready;

/// Pauses between two attempts: the shortest and the longest, and which part of the time that has gone by.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const PART: u32 = 20;
/// How long an answer may take. A command may take longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes read of the first line of an answer.
const MAX_LINE: usize = 1024;

/// Waits until the service is ready, for as long as that takes.
pub(crate) async fn until_ready(ready: &Ready, running: &Running) {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        if is_ready(ready, running).await {
            return;
        }
        // An attempt that costs much is not made all the time.
        let pause = asked.elapsed().max(begun.elapsed() / PART);
        sleep(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

async fn is_ready(ready: &Ready, running: &Running) -> bool {
    match ready {
        Ready::Cmd(words) => running.execute(words, []).await.is_ok_and(|ran| ran.code == 0),
        Ready::Tcp(port) => {
            let port = *port;
            running.inside.run(async move { connect(port).await.is_some() }).await.unwrap_or(false)
        }
        Ready::Http { port, path } => {
            let (port, path) = (*port, path.clone());
            let answer = async move { timeout(ANSWER_TIMEOUT, get(port, &path)).await.unwrap_or(false) };
            running.inside.run(answer).await.unwrap_or(false)
        }
        Ready::Log(_) => {
            running.found().await;
            true
        }
    }
}

async fn connect(port: u16) -> Option<TcpStream> {
    timeout(ANSWER_TIMEOUT, TcpStream::connect(address(port))).await.ok()?.ok()
}

/// Says whether a request is answered with success.
async fn get(port: u16, path: &str) -> bool {
    let Some(mut stream) = connect(port).await else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < MAX_LINE {
        match stream.read_buf(&mut answer).await {
            Ok(length) if length > 0 => {}
            _ => break,
        }
    }
    is_success(&answer)
}

/// Says whether an answer begins with the line of a success.
fn is_success(answer: &[u8]) -> bool {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let version = words.next().is_some_and(|version| version.starts_with(b"HTTP/1."));
    version && words.next().is_some_and(|code| code.len() == 3 && code[0] == b'2')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_the_two_hundreds_is_success() {
        for good in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 204\r\n"] {
            assert!(is_success(good.as_bytes()), "{good}");
        }
        for bad in
            ["HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 301 Moved\r\n", "SSH-2.0-x\r\n", "HTTP/1.1", "", "HTTP/1.1 2\r\n"]
        {
            assert!(!is_success(bad.as_bytes()), "{bad}");
        }
    }
}
