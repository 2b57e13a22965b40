//! Errors as statuses of HTTP: the one place where that is decided, and on variants only.

use std::io;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use super::super::incoming::Interrupted;
use super::super::ours;
use super::super::room::RoomError;
use crate::nix::{NarError, NarInfoError, StorePath};
use crate::serve::remote::RemoteError;
use crate::serve::status;
use crate::store::StoreError;

/// Seconds after which a client may try again.
const RETRY_SECONDS: &str = "5";

/// Why the cache does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// Nothing has this name.
    #[error("there is no such object here")]
    Absent,
    /// Clients may not write.
    #[error("uploads are not accepted here: they need `--nix-upload` where the daemon is started")]
    UploadsOff,
    /// This cannot be uploaded.
    #[error("`{name}` cannot be uploaded: HASH.narinfo and nar/NAME are what this cache takes")]
    Name { name: String },
    /// The body is not sent as it is.
    #[error("a body with a content encoding is not taken")]
    Encoding,
    /// There is no room for what is uploaded.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The body did not come to its end.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A narinfo cannot be read.
    #[error(transparent)]
    NarInfo(#[from] NarInfoError),
    /// A narinfo stands under the name of another.
    #[error("a narinfo of `{path}` has another name than its hash")]
    OtherName { path: StorePath },
    /// Nobody who is trusted has signed.
    #[error("`{path}` is signed by none of the keys that are trusted here (`--nix-trusted-key`)")]
    NotSigned { path: StorePath },
    /// The archive was not uploaded before.
    #[error("the archive `{url}` of `{path}` was not uploaded, or too long ago")]
    NotUploaded { path: StorePath, url: String },
    /// A reference leads nowhere.
    #[error("`{path}` refers to `{reference}`, which is not here: upload that first")]
    UnknownReference { path: StorePath, reference: StorePath },
    /// A reference is nowhere in the content.
    #[error("`{path}` is said to refer to `{reference}`, which does not occur in it")]
    FalseReference { path: StorePath, reference: StorePath },
    /// The archive is not the one that the narinfo tells of.
    #[error("the archive of `{path}` has not the size and the hash that its narinfo says")]
    OtherArchive { path: StorePath },
    /// Something else has the path.
    #[error("`{path}` is here already, with another content or under another name")]
    Taken { path: StorePath },
    /// The archive cannot be unpacked.
    #[error("the archive of `{path}` cannot be unpacked")]
    Archive {
        path: StorePath,
        #[source]
        source: NarError,
    },
    /// A temporary file cannot be used.
    #[error("cannot keep what is uploaded")]
    Io(#[source] io::Error),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The endpoint cannot be worked with.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl CacheError {
    /// Returns the status of HTTP, and what the client is told.
    fn status(&self) -> (StatusCode, String) {
        let code = match self {
            Self::Absent => StatusCode::NOT_FOUND,
            Self::UploadsOff | Self::NotSigned { .. } => StatusCode::FORBIDDEN,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Room(RoomError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Room(RoomError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotUploaded { .. } | Self::UnknownReference { .. } | Self::Taken { .. } => StatusCode::CONFLICT,
            Self::Name { .. }
            | Self::Interrupted(_)
            | Self::NarInfo(_)
            | Self::OtherName { .. }
            | Self::FalseReference { .. }
            | Self::OtherArchive { .. } => StatusCode::BAD_REQUEST,
            Self::Archive { source, .. } => return self.archive_status(source),
            Self::Io(source) => return ours(&status::io_status(self, source)),
            Self::Store(error) => return ours(&status::store_status(error)),
            Self::Remote(error) => return ours(&status::remote_status(error)),
        };
        (code, self.to_string())
    }

    /// Returns the status of an archive that was not unpacked: its own fault, unless the store failed.
    fn archive_status(&self, source: &NarError) -> (StatusCode, String) {
        match source {
            NarError::Store(error) => ours(&status::store_status(error)),
            NarError::Io { source, .. } if is_no_room(source) => ours(&status::io_status(self, source)),
            // What cannot be decompressed is among these.
            NarError::Io { .. }
            | NarError::Syntax { .. }
            | NarError::Truncated { .. }
            | NarError::Trailing { .. }
            | NarError::Utf8 { .. }
            | NarError::Order { .. }
            | NarError::Entry { .. }
            | NarError::TooLarge { .. } => (StatusCode::BAD_REQUEST, status::chain(self)),
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl IntoResponse for CacheError {
    fn into_response(self) -> Response {
        let (code, text) = self.status();
        if code.is_client_error() && code != StatusCode::NOT_FOUND {
            tracing::info!(code = code.as_u16(), reason = text, "refused a request to the binary cache");
        }
        let mut response = (code, text + "\n").into_response();
        if code == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::digest::DigestFunction;

    #[test]
    fn what_a_store_cannot_tell_is_never_absent() {
        let digest = DigestFunction::Sha256.digest(b"x");
        let rpc = |status| StoreError::Rpc { rpc: "Get", endpoint: "e:1".into(), source: Box::new(status) };
        for (error, code) in [
            (StoreError::Missing { digest, role: "file" }, StatusCode::INTERNAL_SERVER_ERROR),
            (StoreError::Record { table: "nix-paths" }, StatusCode::INTERNAL_SERVER_ERROR),
            (rpc(Status::not_found("x")), StatusCode::INTERNAL_SERVER_ERROR),
            (rpc(Status::unavailable("x")), StatusCode::SERVICE_UNAVAILABLE),
            (StoreError::Full { needed: 1, used: 1 }, StatusCode::INSUFFICIENT_STORAGE),
        ] {
            assert_eq!(CacheError::Store(error).status().0, code);
        }
        let busy = CacheError::Room(RoomError::Busy).into_response();
        assert_eq!(busy.headers()[RETRY_AFTER], RETRY_SECONDS);
    }

    #[test]
    fn whose_fault_an_archive_is_shows_in_the_status() {
        let path = || StorePath::from_base_name(&format!("{}-x", "0".repeat(32))).expect("valid");
        let status = |source| CacheError::Archive { path: path(), source }.status();
        let (code, text) = status(NarError::Truncated { offset: 7 });
        assert_eq!(code, StatusCode::BAD_REQUEST);
        assert!(text.ends_with("cannot be unpacked: an archive ends at byte 7, within something"), "{text}");
        let full = NarError::Store(StoreError::Full { needed: 1, used: 1 });
        assert_eq!(status(full).0, StatusCode::INSUFFICIENT_STORAGE);
    }
}
