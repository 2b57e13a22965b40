//! `Pins`: entries that stay until a time, under names.

use tonic::{Request, Response, Status};

use super::Native;
use crate::proto::v1;
use crate::proto::v1::list_pins_response::{Kept, Pin};
use crate::proto::v1::pins_server::Pins;
use crate::serve::admission::Rights;
use crate::serve::status;
use crate::spec::PinName;

#[tonic::async_trait]
impl Pins for Native {
    async fn keep(&self, request: Request<v1::KeepRequest>) -> Result<Response<v1::KeepResponse>, Status> {
        let rights = Rights::of(&request);
        let v1::KeepRequest { name, keep_seconds, key, description, properties } = request.into_inner();
        let name = pin_name(&name)?;
        let wanted = self.wanted(&key, &description, properties).await?;
        let kept = self.resolver().await?.keep(&wanted, name, keep_seconds, rights).await;
        let expires = kept.map_err(|error| status::pins_status(&error))?;
        Ok(Response::new(v1::KeepResponse { expires }))
    }

    async fn list(&self, _request: Request<v1::ListPinsRequest>) -> Result<Response<v1::ListPinsResponse>, Status> {
        let kept = self.resolver().await?.kept().await;
        let mut pins: Vec<Pin> = Vec::new();
        for kept in kept.map_err(|error| status::store_status(&error))? {
            let name = kept.pinned.name.as_str();
            if pins.last().is_none_or(|pin| pin.name != name) {
                pins.push(Pin { name: name.to_owned(), entries: Vec::new() });
            }
            let entry = Kept {
                key: kept.pinned.key.to_string(),
                environment: kept.environment.unwrap_or_default(),
                expires: kept.pinned.expires,
            };
            pins.last_mut().expect("one was just pushed").entries.push(entry);
        }
        Ok(Response::new(v1::ListPinsResponse { pins }))
    }

    async fn drop(&self, request: Request<v1::DropPinRequest>) -> Result<Response<v1::DropPinResponse>, Status> {
        let name = pin_name(&request.into_inner().name)?;
        let entries = self.resolver().await?.let_go(&name).await.map_err(|error| status::pins_status(&error))?;
        Ok(Response::new(v1::DropPinResponse { entries: u32::try_from(entries).unwrap_or(u32::MAX) }))
    }
}

fn pin_name(text: &str) -> Result<PinName, Status> {
    text.parse::<PinName>().map_err(|error| Status::invalid_argument(format!("field `name`: {error}")))
}
