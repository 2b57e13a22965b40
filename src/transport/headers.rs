//! Headers that go with every call.

use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Names and values, as metadata of a call.
#[derive(Debug, Clone, Default)]
pub struct Headers {}

impl Interceptor for Headers {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        Ok(request)
    }
}
