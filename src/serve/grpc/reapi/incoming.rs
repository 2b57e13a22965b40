//! The messages of one Write, checked and gathered.
//!
//! Clients send pieces as small as 16 KiB; they are written many at a time.

use bytes::Bytes;
use tonic::{Status, Streaming};

use super::messages::WriteRequest;
use crate::digest::Digest;

/// Bytes gathered before they are written.
const GATHER: usize = 1 << 20;

/// Where a blob comes from.
pub(super) struct Incoming {
    requests: Streaming<WriteRequest>,
    name: String,
    first: Option<WriteRequest>,
    /// Where the next piece must begin.
    offset: i64,
}

/// Pieces that came, and what comes after them.
pub(super) struct Gathered {
    /// The pieces.
    pub(super) pieces: Vec<Bytes>,
    /// What follows.
    pub(super) next: Next,
}

/// What comes after the pieces gathered.
pub(super) enum Next {
    /// More pieces.
    More,
    /// Nothing: the client says that the blob is complete.
    Finish,
    /// Nothing: the client has stopped here.
    Stop,
    /// Nothing: the stream broke.
    Broken(Status),
    /// A message that breaks the rules.
    Wrong(Status),
}

impl Incoming {
    /// Waits for the first message, which names the blob.
    ///
    /// # Errors
    /// When none comes.
    pub(super) async fn begin(mut requests: Streaming<WriteRequest>) -> Result<Self, Status> {
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("the stream was empty"))?;
        Ok(Self { requests, name: first.resource_name.clone(), offset: first.write_offset, first: Some(first) })
    }

    /// Returns the name of the upload.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns where the next piece begins: the first offset and the bytes that came since.
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// Gathers the next pieces; together with what came before they are no more than `limit` bytes.
    pub(super) async fn gather(&mut self, digest: &Digest, limit: u64) -> Gathered {
        let mut pieces = Vec::new();
        let mut bytes = 0;
        let next = loop {
            let message = match self.first.take() {
                Some(message) => Ok(Some(message)),
                None => self.requests.message().await,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => break Next::Stop,
                Err(status) => break Next::Broken(status),
            };
            if let Err(reason) = self.check(&message, limit) {
                break Next::Wrong(Status::invalid_argument(format!("blob `{digest}`: {reason}")));
            }
            bytes += message.data.len();
            if !message.data.is_empty() {
                pieces.push(message.data);
            }
            if message.finish_write {
                break Next::Finish;
            }
            if bytes >= GATHER {
                break Next::More;
            }
        };
        Gathered { pieces, next }
    }

    fn check(&mut self, message: &WriteRequest, limit: u64) -> Result<(), String> {
        if !message.resource_name.is_empty() && message.resource_name != self.name {
            return Err("the resource name changed during the upload".to_owned());
        }
        if message.write_offset != self.offset {
            return Err(format!("write_offset is {} after {} bytes", message.write_offset, self.offset));
        }
        let size = i64::try_from(message.data.len()).ok();
        let end = size.and_then(|size| self.offset.checked_add(size));
        let end = end.filter(|end| u64::try_from(*end).is_ok_and(|end| end <= limit));
        self.offset = end.ok_or("more bytes came than it has")?;
        Ok(())
    }
}
