//! The binary cache of Nix: the objects that lie in the CAS, each with a signed narinfo, its archive made when it is
//! asked for.
//!
//! Nothing is kept for it but the table of objects and what is being uploaded.

mod address;
mod error;
mod key;
mod nar;
mod narinfo;
mod pending;
mod register;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::nix::{PublicKey, STORE_DIRECTORY, SecretKey, ValidPath};
use crate::serve::backend::Backend;
use crate::serve::remote::RemoteError;
use crate::serve::resolve::Resolver;
use crate::store::blocking;

pub use key::KeyError;

use address::Address;
use error::CacheError;
use upload::Uploads;

/// How a daemon is a binary cache.
#[derive(Debug, Clone, Default)]
pub struct CacheOptions {
    /// The file of the key that signs, if not one that the daemon makes itself.
    pub secret_key: Option<PathBuf>,
    /// Whether clients may upload objects.
    pub upload: bool,
    /// The keys of which one must have signed what is uploaded; none when anybody may have.
    pub trusted_keys: Vec<PublicKey>,
}

/// The cache of a daemon.
pub(crate) struct Cache {
    key: SecretKey,
    uploads: Option<Uploads>,
    /// Where files lie that are too large for memory, and what is being uploaded.
    scratch: Arc<Path>,
    backend: Backend,
}

impl Cache {
    /// Opens the cache of a daemon with this root, where no other is at work.
    ///
    /// # Errors
    /// When the key cannot be read or made, or there is no place for what is being uploaded.
    pub(in crate::serve) async fn open(root: &Path, backend: Backend, options: CacheOptions) -> Result<Self, KeyError> {
        let CacheOptions { secret_key, upload, trusted_keys } = options;
        let root = root.to_owned();
        let opened = blocking(move || Ok((key::open(&root, secret_key)?, key::empty_directory(root.join("nix-tmp"))?)));
        let (key, scratch) = opened.await?;
        let scratch: Arc<Path> = scratch.into();
        tracing::info!(public_key = %key.public_key(), uploads = upload, "the binary cache of Nix is at /nix/");
        let uploads = upload.then(|| Uploads::new(Arc::clone(&scratch), trusted_keys));
        Ok(Self { key, uploads, scratch, backend })
    }

    /// Returns the object whose path has that hash part, if it is known and whole.
    async fn find(&self, hash_part: &str) -> Result<Option<Found>, CacheError> {
        let native = self.backend.resolver().await?;
        if let Some(object) = native.paths().get(hash_part).await? {
            return Ok(Some(Found { object, resolver: native.clone() }));
        }
        let compatible = match self.backend.compatible().await {
            // Where there is no SHA-256, nothing was ever made with it.
            Err(RemoteError::Function { .. }) => return Ok(None),
            compatible => compatible?,
        };
        if compatible.function() == native.function() {
            return Ok(None);
        }
        let object = compatible.paths().get(hash_part).await?;
        Ok(object.map(|object| Found { object, resolver: compatible.clone() }))
    }
}

/// An object, and who has it in its CAS.
struct Found {
    object: ValidPath,
    resolver: Resolver,
}

/// Returns the routes of a cache.
pub(super) fn routes(cache: Cache) -> Router {
    Router::new().route("/nix/{*path}", any(answer)).with_state(Arc::new(cache))
}

async fn answer(State(cache): State<Arc<Cache>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix("/nix/").unwrap_or_default();
    let answer = match head.method {
        Method::GET | Method::HEAD => read(&cache, path, &head.headers).await,
        Method::PUT => upload::put(&cache, path, &head.headers, body).await,
        _ => Ok((StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD, PUT")]).into_response()),
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

async fn read(cache: &Cache, path: &str, headers: &HeaderMap) -> Result<Response, CacheError> {
    match Address::parse(path).ok_or(CacheError::Absent)? {
        Address::CacheInfo => Ok(cache_info()),
        Address::PublicKey => Ok(format!("{}\n", cache.key.public_key()).into_response()),
        Address::NarInfo { compression, hash_part } => narinfo::answer(cache, compression, hash_part).await,
        Address::Nar { compression, hash_part, nar_hash } => {
            let found = cache.find(hash_part).await?;
            let found = found.filter(|found| found.object.info.nar_hash_base32() == nar_hash);
            Ok(nar::answer(cache, found.ok_or(CacheError::Absent)?, compression, headers))
        }
    }
}

fn cache_info() -> Response {
    let text = format!("StoreDir: {STORE_DIRECTORY}\nWantMassQuery: 1\nPriority: 30\n");
    ([(CONTENT_TYPE, "text/x-nix-cache-info")], text).into_response()
}
