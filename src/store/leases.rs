//! What leases and pins keep: all that the entries reach which were answered not long ago, or are to stay.

use std::collections::HashSet;

use super::database::Table;
use super::used::Moment;
use super::{Listing, LocalBlobStore, StoreError, pinned};
use crate::digest::Digest;
use crate::spec::Descriptor;

/// Returns the blobs that an entry under lease, or pinned, reaches.
///
/// # Errors
/// When the store cannot tell; nothing is known then.
pub(super) fn leased(store: &LocalBlobStore, now: Moment) -> Result<HashSet<Digest>, StoreError> {
    let database = &store.inner.database;
    let mut entries = HashSet::new();
    database.scan(Table::Leases, |entry, record| {
        let expires = record.try_into().map(i64::from_le_bytes);
        if expires.is_ok_and(|expires| expires < now.seconds()) {
            return Ok(());
        }
        entries.insert(entry.to_vec());
        Ok(())
    })?;
    database.scan(Table::Pins, |record, expires| {
        entries.extend(pinned::kept(record, expires, now.seconds()).map(<[u8]>::to_vec));
        Ok(())
    })?;
    let mut kept = HashSet::new();
    for entry in entries {
        reached(store, &entry, &mut kept)?;
    }
    Ok(kept)
}

/// Adds the blobs that an entry reaches. One that this version cannot read, or of which the tree is gone, is a miss: it
/// reaches nothing.
fn reached(store: &LocalBlobStore, entry: &[u8], kept: &mut HashSet<Digest>) -> Result<(), StoreError> {
    let Some(canonical) = store.inner.database.read(Table::Entries, entry)? else { return Ok(()) };
    let Ok(descriptor) = Descriptor::parse(&canonical) else { return Ok(()) };
    let Some(tree) = store.read(&descriptor.tree)? else { return Ok(()) };
    let Ok(listing) = Listing::parse(descriptor.root, &tree) else { return Ok(()) };
    kept.insert(descriptor.tree);
    kept.insert(descriptor.tree.function().digest(&canonical));
    kept.extend(listing.blobs());
    Ok(())
}
