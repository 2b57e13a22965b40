//! What the cache says of an object, signed.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::address::nar_url;
use super::{Cache, CacheError};
use crate::nix::{Compression, HashAlgorithm, NarInfo, NixHash};

/// Answers with the narinfo of an object.
pub(super) async fn answer(cache: &Cache, compression: Compression, hash_part: &str) -> Result<Response, CacheError> {
    let object = cache.find(hash_part).await?.ok_or(CacheError::Absent)?.object;
    let plain = compression == Compression::None;
    let nar = object.info.nar;
    let mut narinfo = NarInfo {
        url: nar_url(&object, compression),
        compression,
        // What is compressed on its way has neither before it was sent.
        file_hash: plain.then(|| NixHash::parse_bare(HashAlgorithm::Sha256, &nar.hash()).ok()).flatten(),
        file_size: plain.then_some(nar.size()),
        path: object.path,
        info: object.info,
        deriver: object.deriver,
        signatures: Vec::new(),
    };
    narinfo.sign(&cache.key);
    Ok(([(CONTENT_TYPE, "text/x-nix-narinfo")], narinfo.to_string()).into_response())
}
