//! The CAS of the endpoint, for clients who reach this daemon but not the endpoint: calls are passed on as they come.
//!
//! Only what a client needs to fetch and to send blobs is. Nothing is looked into: the client verifies what it gets,
//! and the endpoint what it is sent.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response, header};
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tower::{Service, ServiceExt};

use crate::proto::bytestream::byte_stream_server::ByteStreamServer;
use crate::proto::reapi::capabilities_server::CapabilitiesServer;
use crate::proto::reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use crate::transport::Link;

/// Adds the services that are passed on to a router.
pub(crate) fn add_to(routes: &mut RoutesBuilder, link: &Link) {
    routes
        .add_service(Proxied::<ContentAddressableStorageServer<()>>::new(link))
        .add_service(Proxied::<ByteStreamServer<()>>::new(link))
        .add_service(Proxied::<CapabilitiesServer<()>>::new(link));
}

/// One service, which another server gives; `S` names it.
struct Proxied<S> {
    link: Link,
    service: PhantomData<fn() -> S>,
}

impl<S> Proxied<S> {
    fn new(link: &Link) -> Self {
        Self { link: link.clone(), service: PhantomData }
    }
}

impl<S> Clone for Proxied<S> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone(), service: PhantomData }
    }
}

impl<S: NamedService> NamedService for Proxied<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Proxied<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // What the client shows to this daemon is not for the endpoint.
        request.headers_mut().remove(header::AUTHORIZATION);
        let link = self.link.clone();
        Box::pin(async move {
            match link.channel().oneshot(request).await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(error) => {
                    let status = tonic::Status::from_error(error.into());
                    let message = format!("cannot reach `{}`: {}", link.endpoint(), status.message());
                    Ok(tonic::Status::new(status.code(), message).into_http())
                }
            }
        })
    }
}
