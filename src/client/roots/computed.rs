//! Roots that are computed: the trees to which environments evaluate. They are built by the server and stay there.

use super::Roots;
use crate::client::{Building, ClientError, Request};
use crate::spec::{Config, Descriptor, GitId, Target};

impl Roots<'_> {
    /// Returns the tree id of a computed root: as it was learned, or by having the environment built.
    pub(super) async fn computed_tree(&self, target: &Target, config: &Config) -> Result<GitId, ClientError> {
        let request = Box::pin(self.request(target, config)).await?;
        if let Some(descriptor) = self.client.known(&request)
            && let Some(tree) = self.client.memo.get(&subject(&descriptor))
        {
            return Ok(tree);
        }
        match self.building {
            Building::Allowed => self.build(&request).await,
            Building::Forbidden => match self.client.at_server(&request).await? {
                Some(descriptor) => self.take_over(&request, &descriptor).await,
                None => Err(ClientError::Unbuilt { environment: request.parts.target() }),
            },
        }
    }

    /// Has the environment of a computed root built, if it is not there, and its tree known to the server.
    pub(super) async fn build_computed(&self, target: &Target, config: &Config) -> Result<GitId, ClientError> {
        let request = Box::pin(self.request(target, config)).await?;
        self.build(&request).await
    }

    async fn build(&self, request: &Request) -> Result<GitId, ClientError> {
        let descriptor = Box::pin(self.client.fetch_absent(request, self.events)).await?;
        self.take_over(request, &descriptor).await
    }

    async fn take_over(&self, request: &Request, descriptor: &Descriptor) -> Result<GitId, ClientError> {
        let tree = self.client.take_over(descriptor.root).await?;
        self.client.note(request, descriptor);
        self.client.memo.put(&subject(descriptor), &tree);
        Ok(tree)
    }
}

fn subject(descriptor: &Descriptor) -> [String; 2] {
    ["directory-tree".to_owned(), format!("{:?}", descriptor.root)]
}
