//! Small outputs inside of a result, as far as the client asks for them and they fit.

use std::collections::HashSet;

use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::store::{BlobStore, LocalBlobStore, StoreError, wire};

/// Most bytes of outputs in one result: far below what clients take in a message.
const MAX_BYTES: u64 = 1 << 20;

/// What came of it.
pub(super) enum Inlined {
    /// What was asked for and fits is in the result.
    Done,
    /// An output of the result was found to be gone.
    Lost,
}

/// What a client would like to have in the result itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Inline {
    /// stdout.
    pub(super) stdout: bool,
    /// stderr.
    pub(super) stderr: bool,
    /// The contents of these files.
    pub(super) files: Vec<String>,
}

/// Puts the outputs that a client hints at into the result: stdout and stderr first, then files in the order of
/// the result. What does not fit is left out; its digest is there in any case.
///
/// # Errors
/// When the store cannot read them.
pub(super) async fn inline(
    store: &LocalBlobStore,
    function: DigestFunction,
    wanted: &Inline,
    result: &mut reapi::ActionResult,
) -> Result<Inlined, StoreError> {
    let mut slots = slots(function, wanted, result);
    if slots.is_empty() {
        return Ok(Inlined::Done);
    }
    let digests: Vec<Digest> = slots.iter().map(|(digest, _)| *digest).collect();
    let blobs = store.get_batch(&digests).await?;
    for (digest, slot) in &mut slots {
        let Some(blob) = blobs.get(digest) else { return Ok(Inlined::Lost) };
        **slot = blob.to_vec();
    }
    Ok(Inlined::Done)
}

/// Returns the fields to be filled, with the blobs that go there.
fn slots<'a>(
    function: DigestFunction,
    wanted: &Inline,
    result: &'a mut reapi::ActionResult,
) -> Vec<(Digest, &'a mut Vec<u8>)> {
    let named: HashSet<&str> = wanted.files.iter().map(String::as_str).collect();
    let logs = [
        (wanted.stdout, result.stdout_digest.as_ref(), &mut result.stdout_raw),
        (wanted.stderr, result.stderr_digest.as_ref(), &mut result.stderr_raw),
    ];
    let files = result
        .output_files
        .iter_mut()
        .map(|file| (named.contains(file.path.as_str()), file.digest.as_ref(), &mut file.contents));
    let mut left = MAX_BYTES;
    let mut slots = Vec::new();
    for (asked, digest, slot) in logs.into_iter().chain(files) {
        // What the result holds already goes out as well.
        left = left.saturating_sub(slot.len() as u64);
        let digest = digest.and_then(|digest| wire::digest(function, "digest", Some(digest)).ok());
        if let Some(digest) = digest.filter(|_| asked && slot.is_empty())
            && let Some(rest) = left.checked_sub(digest.size())
        {
            left = rest;
            slots.push((digest, slot));
        }
    }
    slots
}
