//! Requests: one client for all transfers, and the way through redirects.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_RANGE, LOCATION, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::shown;
use super::response::length;
use super::{FetchError, FetchOptions, Reason};
use crate::transport::{SecurityError, authorities_of_host, provider};

/// The most redirects that are followed.
const REDIRECTS: usize = 10;
const USER_AGENT: &str = concat!("envserve/", env!("CARGO_PKG_VERSION"));

/// The way to all servers.
pub(in crate::source) struct Web {
    client: Client,
    connect_timeout: Duration,
    stall_timeout: Duration,
    /// Why no certificate can be checked, if so; what has none is fetched all the same.
    distrust: Option<String>,
}

/// Whom to trust, and whether proxies that the environment names are used.
pub(super) struct Surroundings {
    pub(super) authorities: Result<RootCertStore, SecurityError>,
    pub(super) proxies: bool,
}

/// What is asked for, and by whom.
pub(in crate::source) struct Asked<'a> {
    /// The address.
    pub(in crate::source) url: &'a Url,
    /// The media types that are taken, where that matters.
    pub(in crate::source) accept: Option<HeaderValue>,
    /// Who asks. Only the server of `url` learns that.
    pub(in crate::source) authorization: Option<HeaderValue>,
    /// Whether redirects may not lead from TLS to servers without.
    pub(in crate::source) stays_encrypted: bool,
}

impl<'a> Asked<'a> {
    /// Returns a request for a file by anybody.
    pub(in crate::source) fn of(url: &'a Url) -> Self {
        Self { url, accept: None, authorization: None, stays_encrypted: false }
    }
}

/// The part of a file that is wanted.
pub(in crate::source) struct Rest<'a> {
    /// Its first byte.
    pub(super) byte: u64,
    /// The version that the bytes before it are of; of another one the whole file is wanted.
    pub(super) version: &'a str,
}

impl Web {
    /// Trusts whom this host trusts. Blocks.
    pub(super) fn of_host(options: &FetchOptions) -> Result<Self, FetchError> {
        Self::new(options, Surroundings { authorities: authorities_of_host(), proxies: true })
    }

    pub(super) fn new(options: &FetchOptions, surroundings: Surroundings) -> Result<Self, FetchError> {
        let (authorities, distrust) = match surroundings.authorities {
            Ok(authorities) => (authorities, None),
            Err(error) => (RootCertStore::empty(), Some(error.to_string())),
        };
        let tls = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let tls = tls.expect("the provider has ciphers of both versions").with_root_certificates(authorities);
        let builder = Client::builder()
            .tls_backend_preconfigured(tls.with_no_client_auth())
            .connect_timeout(options.connect_timeout)
            .redirect(Policy::none())
            .referer(false)
            .user_agent(USER_AGENT);
        let builder = if surroundings.proxies { builder } else { builder.no_proxy() };
        let client = builder.build().map_err(|source| FetchError::Web { source })?;
        let FetchOptions { connect_timeout, stall_timeout, .. } = *options;
        Ok(Self { client, connect_timeout, stall_timeout, distrust })
    }

    /// Asks for a file, or the rest of it, and follows redirects.
    pub(in crate::source) async fn ask(&self, asked: &Asked<'_>, rest: Option<Rest<'_>>) -> Result<Response, Reason> {
        let mut url = asked.url.clone();
        let mut redirects = 0;
        loop {
            let response = self.request(&url, asked, rest.as_ref()).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let next = redirected(&url, &response)?;
            if asked.stays_encrypted && url.scheme() == "https" && next.scheme() != "https" {
                let (from, to) = (shown(url.as_str()), shown(next.as_str()));
                return Err(Reason::RedirectPlain { from, to });
            }
            redirects += 1;
            if redirects > REDIRECTS {
                let (from, to) = (shown(url.as_str()), shown(next.as_str()));
                return Err(Reason::TooManyRedirects { limit: REDIRECTS, from, to });
            }
            url = next;
        }
    }

    async fn request(&self, url: &Url, asked: &Asked<'_>, rest: Option<&Rest<'_>>) -> Result<Response, Reason> {
        // A server that compresses on the way would change the bytes that are checked.
        let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(types) = &asked.accept {
            request = request.header(ACCEPT, types);
        }
        if let Some(who) = asked.authorization.as_ref().filter(|_| url.origin() == asked.url.origin()) {
            request = request.header(AUTHORIZATION, who);
        }
        let mut done = 0;
        if let Some(rest) = rest {
            request = request.header(RANGE, format!("bytes={}-", rest.byte)).header(IF_RANGE, rest.version);
            done = rest.byte;
        }
        self.send(url, request, done).await
    }

    /// Sends a form, and follows no redirects: what it holds is for this server.
    pub(in crate::source) async fn post(&self, url: &Url, form: String) -> Result<Response, Reason> {
        let request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(url, request.body(form), 0).await
    }

    async fn send(&self, url: &Url, request: RequestBuilder, done: u64) -> Result<Response, Reason> {
        if let (Some(reason), "https") = (&self.distrust, url.scheme()) {
            return Err(Reason::NoAuthorities { reason: reason.clone() });
        }
        // The connection has a limit of its own, which is part of this one.
        let answered = tokio::time::timeout(self.connect_timeout + self.stall_timeout, request.send()).await;
        let stalled = |_| Reason::Stalled { milliseconds: self.stall_timeout.as_millis(), done };
        answered.map_err(stalled)?.map_err(|error| Reason::of_request(error, self.connect_timeout, done))
    }

    /// Returns the next bytes of an answer, or `None` at its end; `done` bytes of the file are there.
    pub(in crate::source) async fn next(
        &self,
        response: &mut Response,
        done: u64,
    ) -> Result<Option<bytes::Bytes>, Reason> {
        let next = tokio::time::timeout(self.stall_timeout, response.chunk()).await;
        let next = next.map_err(|_| Reason::Stalled { milliseconds: self.stall_timeout.as_millis(), done })?;
        next.map_err(|error| Reason::Broken { done, source: error.without_url() })
    }

    /// Returns all that follows of an answer, at most `limit` bytes.
    pub(in crate::source) async fn whole(&self, response: &mut Response, limit: u64) -> Result<Vec<u8>, Reason> {
        let too_large = Reason::TooLarge { limit };
        if length(response.headers()).is_some_and(|length| length > limit) {
            return Err(too_large);
        }
        let mut bytes = Vec::new();
        while let Some(next) = self.next(response, bytes.len() as u64).await? {
            bytes.extend_from_slice(&next);
            if bytes.len() as u64 > limit {
                return Err(too_large);
            }
        }
        Ok(bytes)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns where a redirect points. Credentials stay with the server that they are for.
fn redirected(from: &Url, response: &Response) -> Result<Url, Reason> {
    let location = response.headers().get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let target = location.and_then(|location| from.join(location).ok());
    let mut target = target.ok_or_else(|| Reason::RedirectNowhere { from: shown(from.as_str()) })?;
    if !["http", "https"].contains(&target.scheme()) {
        return Err(Reason::RedirectScheme { from: shown(from.as_str()), to: shown(target.as_str()) });
    }
    if target.origin() == from.origin() && target.username().is_empty() && target.password().is_none() {
        let kept = target.set_username(from.username()).and_then(|()| target.set_password(from.password()));
        kept.expect("an address of a server can hold credentials");
    }
    Ok(target)
}
