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

impl Connector {
    /// Returns when the server does not speak any more; the breaker knows why.
    pub(super) async fn gone(&self) {
        tokio::time::sleep(SUSPICION).await;
        loop {
            let spoken = timeout(PATIENCE, self.listen()).await;
            let reason = match spoken {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("it has fallen silent, and says nothing within {} s", PATIENCE.as_secs())),
            };
            if let Some(reason) = reason {
                self.breaker.failed(reason);
                return;
            }
            tokio::time::sleep(AGAIN).await;
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
