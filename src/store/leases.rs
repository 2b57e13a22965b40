//! What leases keep: all that the entries reach which were answered not long ago.

use std::collections::HashSet;

use super::database::Table;
use super::used::Moment;
use super::{Listing, LocalBlobStore, StoreError};
use crate::digest::Digest;
use crate::spec::Descriptor;

/// Returns the blobs that an entry under lease reaches.
///
/// # Errors
/// When the store cannot tell; nothing is known then.
pub(super) fn leased(store: &LocalBlobStore, now: Moment) -> Result<HashSet<Digest>, StoreError> {
    let database = &store.inner.database;
    let mut kept = HashSet::new();
    database.scan(Table::Leases, |key, record| {
        let expires = record.try_into().map(i64::from_le_bytes);
        if expires.is_ok_and(|expires| expires < now.seconds()) {
            return Ok(());
        }
        // An entry that this version cannot read, or of which the tree is gone, is a miss: it reaches nothing.
        let Some(canonical) = database.read(Table::Entries, key)? else { return Ok(()) };
        let Ok(descriptor) = Descriptor::parse(&canonical) else { return Ok(()) };
        let Some(tree) = store.read(&descriptor.tree)? else { return Ok(()) };
        let Ok(listing) = Listing::parse(descriptor.root, &tree) else { return Ok(()) };
        kept.insert(descriptor.tree);
        kept.insert(descriptor.tree.function().digest(&canonical));
        kept.extend(listing.blobs());
        Ok(())
    })?;
    Ok(kept)
}
