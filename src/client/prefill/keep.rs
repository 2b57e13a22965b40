//! Keeping what was filled.

use std::time::Duration;

use crate::client::{Client, ClientError, Request};
use crate::proto::v1;
use crate::spec::PinName;

impl Client {
    /// Has the server keep an environment under a name, from now on for so long. Returns until when, in seconds since
    /// 1970.
    ///
    /// # Errors
    /// When the server cannot be asked, does not have the environment, or does not take the name.
    pub async fn keep(&self, request: &Request, name: &PinName, duration: Duration) -> Result<i64, ClientError> {
        let connection = self.connection().await?;
        let question = v1::KeepRequest {
            name: name.to_string(),
            keep_seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            key: request.parts.canonical(),
            description: request.parts.description.canonical(),
            properties: request.properties.clone().into_iter().collect(),
        };
        let answer = connection.wait(connection.pins().keep(question)).await?;
        Ok(answer.map_err(connection.failed("Pins.Keep"))?.into_inner().expires)
    }
}
