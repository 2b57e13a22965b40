//! GetTree: all directories below a root, in pages.

use prost::Message;
use tonic::Status;

use crate::digest::Digest;
use crate::execute::Closure;
use crate::proto::reapi;
use crate::serve::status::store_status;
use crate::store::LocalBlobStore;

/// Directories in a page, when the client does not say, and the most whatever it says.
const PAGE: usize = 1000;
/// Bytes after which a page is full.
const PAGE_BYTES: usize = 1 << 20;

/// Returns the directories below `root`, a level at a time, each once; those that are not in the CAS are left out.
/// A page token is the number of directories before the page.
///
/// # Errors
/// When the root is not in the CAS, a blob below it is no valid directory, or the paging makes no sense.
pub(super) async fn pages(
    store: &LocalBlobStore,
    root: Digest,
    page_size: i32,
    page_token: &str,
) -> Result<Vec<reapi::GetTreeResponse>, Status> {
    let page = match usize::try_from(page_size) {
        Ok(0) => PAGE,
        Ok(size) => size.min(PAGE),
        Err(_) => return Err(Status::invalid_argument(format!("page_size is {page_size}"))),
    };
    let start = match page_token {
        "" => 0,
        token => token.parse().map_err(|_| Status::invalid_argument("page_token is not one of this server"))?,
    };
    let closure = Closure::read(store, root).await.map_err(|error| store_status(&error))?;
    if closure.directories.is_empty() {
        return Err(Status::not_found(format!("root directory `{root}` is not in the CAS")));
    }
    let all = closure.directories.len();
    let mut pages = Vec::new();
    let (mut response, mut bytes) = (reapi::GetTreeResponse::default(), 0);
    for (at, directory) in closure.directories.into_iter().enumerate().skip(start) {
        bytes += directory.bytes.len();
        response.directories.push(decoded(&directory.bytes)?);
        if at + 1 < all && (response.directories.len() == page || bytes >= PAGE_BYTES) {
            response.next_page_token = (at + 1).to_string();
            pages.push(std::mem::take(&mut response));
            bytes = 0;
        }
    }
    pages.push(response);
    Ok(pages)
}

fn decoded(bytes: &[u8]) -> Result<reapi::Directory, Status> {
    reapi::Directory::decode(bytes).map_err(|_| Status::internal("a directory that was decoded once is none"))
}
