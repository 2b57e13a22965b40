//! `Environments.Explain`: why a request is a miss.

use tonic::Status;

use super::Native;
use crate::proto::v1;
use crate::proto::v1::explain_request::Against as Named;
use crate::serve::admission::Rights;
use crate::serve::resolve::{Against, Compared, Explained};
use crate::serve::status;
use crate::spec::KeyDifference;

impl Native {
    pub(super) async fn explained(
        &self,
        request: v1::ExplainRequest,
        rights: Rights,
    ) -> Result<v1::ExplainResponse, Status> {
        let wanted = self.wanted(&request.key, &request.description, request.properties).await?;
        let other = match &request.against {
            Some(Named::Other(other)) => {
                let v1::KeyComponents { key, description, properties } = other;
                Some(self.wanted(key, description, properties.clone()).await?)
            }
            Some(Named::OtherKey(_)) | None => None,
        };
        let against = match (&request.against, &other) {
            (Some(Named::OtherKey(name)), _) => Against::Key(name),
            (_, Some(other)) => Against::Other(other),
            (_, None) => Against::Nearest,
        };
        let explained = self.resolver().await?.explain(&wanted, against, rights).await;
        let Explained { hit, was_there, compared } = explained.map_err(|error| status::explain_status(&error))?;
        Ok(v1::ExplainResponse { hit, was_there, compared: compared.map(Into::into) })
    }
}

impl From<Compared> for v1::Compared {
    fn from(compared: Compared) -> Self {
        let Compared { key, environment, built, differences } = compared;
        let (built_at, duration_ms) = built.unwrap_or_default();
        let differences = differences.into_iter().map(Into::into).collect();
        Self { key: key.to_string(), environment, built_at, duration_ms, differences }
    }
}

impl From<KeyDifference> for v1::KeyDifference {
    fn from(difference: KeyDifference) -> Self {
        let KeyDifference { component, here, there } = difference;
        Self {
            component: component.kind().to_owned(),
            name: component.name().unwrap_or_default().to_owned(),
            bindings: component.repository().cloned().unwrap_or_default(),
            here,
            there,
        }
    }
}
