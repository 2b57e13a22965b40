//! Whether a server that takes long to answer still lives. A process that hangs keeps its connections, so a new one is
//! tried: whoever speaks HTTP/2 says something there at once. Dropped connections show by themselves, and sooner.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connect::{Connector, open};

/// How long a call may take before its server is suspected.
const SUSPICION: Duration = Duration::from_secs(2);
/// How often it is then looked at.
const AGAIN: Duration = Duration::from_secs(10);
/// Longest wait for a word. What is at stake is a call that may be well on its way, so a busy server gets some time.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a connection begins with: the preface, and settings that change nothing (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn silence() -> String {
    format!("it has fallen silent, and says nothing within {} s", PATIENCE.as_secs())
}

impl Connector {
    /// Returns when the server does not speak any more; the breaker knows why.
    pub(super) async fn gone(&self) {
        let mut pause = SUSPICION;
        loop {
            tokio::time::sleep(pause).await;
            // What others heard meanwhile is as good: however many wait, one looks.
            if !self.breaker.heard_within(pause) {
                match timeout(PATIENCE, self.listen()).await {
                    Ok(Ok(())) => self.breaker.heard(),
                    Ok(Err(error)) => return self.breaker.failed(error.to_string()),
                    Err(_) => return self.breaker.failed(silence()),
                }
            }
            pause = AGAIN;
        }
    }

    /// Waits for the first byte of a new connection.
    async fn listen(&self) -> io::Result<()> {
        let mut stream = open(&self.endpoint, &self.security).await?;
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        stream.read_u8().await?;
        Ok(())
    }
}
