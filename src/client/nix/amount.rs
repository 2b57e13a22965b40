//! How much of a closure would be fetched.

use super::closure::Closure;
use super::unusable;
use crate::client::amount::Amount;
use crate::client::placement::Placement;
use crate::client::{Client, ClientError};
use crate::spec::Descriptor;
use crate::store::{Listing, blocking};

impl Client {
    /// Returns what the paths come to that the store lacks. What says how they are registered does not count.
    pub(in crate::client) async fn closure_amount(
        &self,
        descriptor: &Descriptor,
        placement: &Placement,
        listing: Listing,
    ) -> Result<Amount, ClientError> {
        let closure = Closure::of(listing).map_err(unusable(descriptor))?;
        let root = self.store_root(placement);
        let (all, needed) = blocking(move || {
            let missing = root.missing(closure.paths())?;
            Ok::<_, ClientError>((closure.listing(&closure.paths().cloned().collect()), closure.listing(&missing)))
        })
        .await?;
        self.files_amount(&all, &needed, false).await
    }
}
