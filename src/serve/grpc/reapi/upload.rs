//! One blob on its way in, piece by piece.

use tonic::Status;

use crate::digest::Digest;
use crate::proto::bytestream::WriteRequest;
use crate::serve::status::upload_status;
use crate::store::{BlobWriter, LocalBlobStore, blocking};

/// A blob of which a part may have come. Dropped before its end, it leaves nothing.
pub(super) struct Upload {
    digest: Digest,
    resource_name: String,
    writer: BlobWriter,
}

impl Upload {
    /// Begins with nothing.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) async fn begin(store: &LocalBlobStore, digest: Digest, resource_name: String) -> Result<Self, Status> {
        let store = store.clone();
        let writer = blocking(move || store.writer(&digest)).await.map_err(|error| upload_status(&error))?;
        Ok(Self { digest, resource_name, writer })
    }

    /// Returns the bytes taken so far.
    pub(super) fn size(&self) -> u64 {
        self.writer.size()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is not the next one, or one too many.
    pub(super) async fn append(mut self, piece: WriteRequest) -> Result<Self, Status> {
        self.check(&piece)?;
        let written = blocking(move || self.writer.write(&piece.data).map(|()| self));
        written.await.map_err(|error| upload_status(&error))
    }

    fn check(&self, piece: &WriteRequest) -> Result<(), Status> {
        let wrong = |reason: String| Err(Status::invalid_argument(format!("blob `{}`: {reason}", self.digest)));
        if !piece.resource_name.is_empty() && piece.resource_name != self.resource_name {
            return wrong("the resource name changed during the upload".to_owned());
        }
        if u64::try_from(piece.write_offset) != Ok(self.size()) {
            return wrong(format!("write_offset is {} after {} bytes", piece.write_offset, self.size()));
        }
        if piece.data.len() as u64 > self.digest.size() - self.size() {
            return wrong("more bytes came than it has".to_owned());
        }
        Ok(())
    }

    /// Stores the whole.
    ///
    /// # Errors
    /// When it is not the blob that the digest names.
    pub(super) async fn finish(self) -> Result<(), Status> {
        blocking(move || self.writer.finish()).await.map_err(|error| upload_status(&error))
    }
}
