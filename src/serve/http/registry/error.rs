//! Errors as statuses of HTTP and codes of OCI: the one place where that is decided, and on variants only.

use std::io;
use std::sync::Arc;

use axum::http::header::{ALLOW, RANGE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tonic::Code;

use super::super::incoming::Interrupted;
use super::super::ours;
use super::super::room::RoomError;
use super::document;
use crate::environment::BuildError;
use crate::oci::{AttributesError, DocumentError, LayerError, OciDigest, OciDigestError, StoredImageError};
use crate::serve::remote::RemoteError;
use crate::serve::status;
use crate::spec::SpecError;
use crate::store::StoreError;

/// Seconds after which a client may try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Manifest,
    Blob,
}

/// Why the registry does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistryError {
    /// The path names nothing.
    #[error("nothing in a registry has such a path")]
    Path,
    /// The method does not go with the path.
    #[error("that cannot be done with this path")]
    Method { allowed: &'static str },
    /// The name of a repository is none.
    #[error("`{name}` is not the name of a repository: lower-case letters, digits and single separators are expected")]
    Name { name: String },
    /// The tag is none.
    #[error("`{tag}` is not a tag")]
    Tag { tag: String },
    /// The digest is none, or of another algorithm.
    #[error(transparent)]
    Digest(#[from] OciDigestError),
    /// The digest of what is uploaded is not given.
    #[error("the digest of what is uploaded has to be given, as `?digest=sha256:HASH`")]
    NoDigest,
    /// A number of tags is none.
    #[error("`n` has to be a number")]
    Count,
    /// A repository has no tags.
    #[error("no image of `{name}` was asked for here, and none pushed")]
    UnknownRepository { name: String },
    /// A tag leads to nothing.
    #[error(
        "tag `{tag}` of `{name}` is not known: an image is, by the tags `latest` and `key-HASH`, as soon as its \
         environment was asked for here (`envserve fetch --absent SPEC`)"
    )]
    UnknownTag { name: String, tag: String },
    /// A digest names nothing.
    #[error("`{digest}` is of no image that was asked for here, and was not pushed")]
    Unknown { asked: Asked, digest: OciDigest },
    /// What was pushed is no longer there.
    #[error("`{digest}` was pushed, and has been evicted: push it again")]
    Evicted { asked: Asked, digest: OciDigest },
    /// An older version has compressed it.
    #[error("`{digest}` was compressed by another version: ask for the tag again")]
    OtherVersion { asked: Asked, digest: OciDigest },
    /// The record of an environment cannot be read by this version.
    #[error("the environment of `{digest}` is of another version")]
    Record {
        asked: Asked,
        digest: OciDigest,
        #[source]
        source: Box<SpecError>,
    },
    /// The blobs are gone, and what is built now is another image.
    #[error("blobs of `{digest}` are gone, and its environment evaluates to another image by now{}", now(built))]
    Changed { asked: Asked, digest: OciDigest, built: Option<OciDigest> },
    /// The blobs are gone, and it cannot be built again.
    #[error("blobs of `{digest}` are gone, and its environment cannot be built again")]
    Gone {
        asked: Asked,
        digest: OciDigest,
        #[source]
        source: Arc<BuildError>,
    },
    /// It is being built again.
    #[error("blobs of `{digest}` are gone: its environment is being built again")]
    Building { digest: OciDigest },
    /// Clients may not push.
    #[error("nothing can be pushed here: that needs `--registry-push` where the daemon is started")]
    PushOff,
    /// The tag belongs to the registry.
    #[error("tag `{tag}` is given by the registry itself")]
    Reserved { tag: String },
    /// There is no such upload.
    #[error("there is no upload `{id}`, or it ended, or nothing came for too long")]
    UnknownUpload { id: String },
    /// Another request writes to the upload.
    #[error("another request writes to this upload")]
    InUse,
    /// A chunk does not begin where the last one ended.
    #[error("a chunk has to begin at byte {at}")]
    Offset { at: u64 },
    /// The range of a chunk cannot be read, or is not that of the body.
    #[error("`{range}` is not the range of this chunk")]
    ContentRange { range: String },
    /// What was uploaded is something else.
    #[error("what was uploaded is not `{expected}` but `{actual}`")]
    OtherContent { expected: OciDigest, actual: OciDigest },
    /// The body is not sent as it is.
    #[error("a body with a content encoding is not taken")]
    Encoding,
    /// A manifest is none.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A manifest is of a type that is not known, or not the one it is said to be.
    #[error("`{kind}` is not the type of a manifest or index of images, or not of this one")]
    MediaType { kind: String },
    /// A manifest names something that is not here.
    #[error("the manifest names `{digest}`, which is not here with the size that it says: push that first")]
    Reference { digest: OciDigest },
    /// There is no room for what is uploaded.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The body did not come to its end.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A temporary file cannot be used.
    #[error("cannot keep what is uploaded")]
    Io(#[source] io::Error),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The endpoint cannot be worked with.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A layer cannot be made.
    #[error("a layer cannot be made")]
    Layer(#[from] LayerError),
    /// The attributes of a layer cannot be read.
    #[error("a layer cannot be made")]
    Attributes(#[from] AttributesError),
    /// A tree is no image.
    #[error(transparent)]
    Stored(#[from] StoredImageError),
    /// What was made is not what the manifest says.
    #[error("a part of the image comes out as `{made}` and not as `{digest}`")]
    Corrupt { digest: OciDigest, made: OciDigest },
}

fn now(built: &Option<OciDigest>) -> String {
    built.map(|built| format!(", `{built}`")).unwrap_or_default()
}

/// How an error is told.
struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Asked {
    fn code(self) -> &'static str {
        match self {
            Self::Manifest => "MANIFEST_UNKNOWN",
            Self::Blob => "BLOB_UNKNOWN",
        }
    }
}

impl RegistryError {
    /// Says whether a blob was not there that should have been.
    pub(super) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Missing { .. })
                | Self::Layer(LayerError::Store(StoreError::Missing { .. }))
                | Self::Stored(StoredImageError::Store(StoreError::Missing { .. }))
        )
    }

    /// Says whether something is not here, and nothing failed.
    pub(super) fn is_absent(&self) -> bool {
        let not_built = matches!(self, Self::Gone { source, .. } if matches!(**source, BuildError::NotBuilt { .. }));
        not_built || self.told().status == StatusCode::NOT_FOUND
    }

    /// Returns status and code, and what the client is told.
    fn told(&self) -> Told {
        use StatusCode as S;
        let (status, code) = match self {
            Self::Path => (S::NOT_FOUND, "UNSUPPORTED"),
            Self::Method { .. } => (S::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Name { .. } => (S::BAD_REQUEST, "NAME_INVALID"),
            Self::Tag { .. } => (S::BAD_REQUEST, "TAG_INVALID"),
            Self::Digest(_) | Self::NoDigest | Self::OtherContent { .. } => (S::BAD_REQUEST, "DIGEST_INVALID"),
            Self::Count => (S::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::UnknownRepository { .. } => (S::NOT_FOUND, "NAME_UNKNOWN"),
            Self::UnknownTag { .. } => (S::NOT_FOUND, Asked::Manifest.code()),
            Self::Unknown { asked, .. }
            | Self::Evicted { asked, .. }
            | Self::OtherVersion { asked, .. }
            | Self::Record { asked, .. }
            | Self::Changed { asked, .. } => (S::NOT_FOUND, asked.code()),
            Self::Gone { asked, source, .. } => return self.gone(*asked, source),
            Self::Building { .. } | Self::Room(RoomError::Busy) => (S::SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
            Self::PushOff | Self::Reserved { .. } => (S::FORBIDDEN, "DENIED"),
            Self::UnknownUpload { .. } => (S::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::InUse => (S::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Self::Offset { .. } => (S::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::ContentRange { .. } | Self::Interrupted(_) => (S::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::Encoding => (S::UNSUPPORTED_MEDIA_TYPE, "BLOB_UPLOAD_INVALID"),
            Self::Room(RoomError::TooLarge { .. }) | Self::Document(DocumentError::TooLarge { .. }) => {
                (S::PAYLOAD_TOO_LARGE, "SIZE_INVALID")
            }
            Self::Document(_) | Self::MediaType { .. } => (S::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::Reference { .. } => (S::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::Io(source) => return failed(&status::io_status(self, source)),
            Self::Store(error)
            | Self::Layer(LayerError::Store(error))
            | Self::Stored(StoredImageError::Store(error)) => return failed(&status::store_status(error)),
            Self::Remote(error) => return failed(&status::remote_status(error)),
            Self::Layer(_) | Self::Attributes(_) | Self::Stored(_) | Self::Corrupt { .. } => {
                return failed(&status::logged(Code::DataLoss, self));
            }
        };
        Told { status, code, message: status::chain(self) }
    }

    /// Says how it is told that something cannot be built again: whether it may be the next time, or is not there.
    fn gone(&self, asked: Asked, source: &BuildError) -> Told {
        if matches!(source, BuildError::NotBuilt { .. }) {
            return Told { status: StatusCode::FORBIDDEN, code: "DENIED", message: status::chain(self) };
        }
        let status = status::build_status(source);
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Internal
            | Code::DataLoss
            | Code::Unknown => failed(&status),
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => {
                Told { status: StatusCode::NOT_FOUND, code: asked.code(), message: status::chain(self) }
            }
        }
    }
}

/// Returns how a failure of ours is told. It is no absence.
fn failed(status: &tonic::Status) -> Told {
    let (status, message) = ours(status);
    Told { status, code: "UNKNOWN", message }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let Told { status, code, message } = self.told();
        if status.is_client_error() {
            tracing::info!(status = status.as_u16(), code, reason = message, "refused a request to the registry");
        }
        let body = document(&json!({"errors": [{"code": code, "message": message, "detail": null}]}));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Method { allowed } => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Offset { at } => {
                let range = format!("0-{}", at.saturating_sub(1));
                headers.insert(RANGE, range.parse().expect("digits"));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, RETRY_SECONDS);
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::spec::GitId;

    fn told(error: &RegistryError) -> (u16, &'static str) {
        let Told { status, code, .. } = error.told();
        (status.as_u16(), code)
    }

    #[test]
    fn what_a_store_cannot_tell_is_never_absent() {
        let digest = crate::digest::DigestFunction::Sha256.digest(b"x");
        let rpc = |status| StoreError::Rpc { rpc: "Get", endpoint: "e:1".into(), source: Box::new(status) };
        assert_eq!(told(&StoreError::Missing { digest, role: "x" }.into()), (500, "UNKNOWN"));
        assert_eq!(told(&rpc(Status::not_found("x")).into()), (500, "UNKNOWN"));
        assert_eq!(told(&rpc(Status::unavailable("x")).into()), (503, "UNKNOWN"));
        assert_eq!(told(&LayerError::Store(StoreError::Full { needed: 1, used: 1 }).into()), (507, "UNKNOWN"));
    }

    #[test]
    fn what_cannot_be_built_again_is_absent_for_a_reason() {
        let digest = OciDigest::of(b"x");
        let gone = |source| RegistryError::Gone { asked: Asked::Blob, digest, source: Arc::new(source) };
        let roots = vec![GitId::parse(&"1".repeat(40)).expect("an id")];
        let error = gone(BuildError::UnknownRoots { roots });
        assert_eq!(told(&error), (404, "BLOB_UNKNOWN"));
        assert!(error.told().message.contains("source trees are not known here: `1111"), "{}", error.told().message);
        assert_eq!(told(&gone(BuildError::NotBuilt { environment: "x".into() })), (403, "DENIED"));
        let unreachable =
            StoreError::Rpc { rpc: "Get", endpoint: "e:1".into(), source: Box::new(Status::unavailable("x")) };
        assert_eq!(told(&gone(unreachable.into())), (503, "UNKNOWN"));
    }
}
