//! `Pins`: entries that stay until a time, under names.

use tonic::{Request, Response, Status};

use super::Native;
use crate::proto::v1;
use crate::proto::v1::pins_server::Pins;

#[tonic::async_trait]
impl Pins for Native {
    async fn keep(&self, _request: Request<v1::KeepRequest>) -> Result<Response<v1::KeepResponse>, Status> {
        Err(Status::unimplemented("keep"))
    }

    async fn list(&self, _request: Request<v1::ListPinsRequest>) -> Result<Response<v1::ListPinsResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn drop(&self, _request: Request<v1::DropPinRequest>) -> Result<Response<v1::DropPinResponse>, Status> {
        Err(Status::unimplemented("drop"))
    }
}
