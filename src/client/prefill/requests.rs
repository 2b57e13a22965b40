//! The requests for many environments of one spec: its roots are found once.

use std::path::Path;

use futures::StreamExt;

use crate::client::events::Events;
use crate::client::roots::{ROOTS_AT_ONCE, Roots};
use crate::client::{Building, Client, ClientError, Directories, Request};
use crate::spec::{Config, Spec, Target};

/// A spec of which several environments are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// What messages call the spec.
    pub file: &'a str,
    /// The spec.
    pub spec: &'a Spec,
    /// The directory that its relative paths start from.
    pub base: &'a Path,
    /// The directories that specs have as roots.
    pub directories: &'a Directories,
}

impl Client {
    /// Turns environments of a spec, each in a configuration, into requests.
    pub async fn requests(
        &self,
        batch: Batch<'_>,
        wanted: impl IntoIterator<Item = (&Target, &Config)>,
        building: Building,
        events: &dyn Events,
    ) -> Vec<Result<Request, ClientError>> {
        let roots = batch.roots(self, events).building(building);
        let request = async |(target, config): (&Target, &Config)| {
            let spec = batch.spec.clone().with_environment(batch.file, target.clone())?;
            spec.check_content_fixed()?;
            roots.request(target, config).await
        };
        futures::stream::iter(wanted).map(request).buffered(ROOTS_AT_ONCE).collect().await
    }
}

impl<'a> Batch<'a> {
    pub(super) fn roots(self, client: &'a Client, events: &'a dyn Events) -> Roots<'a> {
        Roots::new(client, self.spec, self.base, events).sharing(self.directories)
    }
}
