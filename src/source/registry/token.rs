//! Tokens: what a registry takes in place of a password, given by whom it names.

use reqwest::header::HeaderValue;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::RegistryError;
use super::challenge::Bearer;
use super::credentials::Credentials;
use crate::source::fetch::{Asked, Web, refusal, shown};

/// Most bytes of an answer with a token.
const MAX_ANSWER: u64 = 256 << 10;
/// Longest token.
const MAX_TOKEN: usize = 64 << 10;

/// A registry that wants a token.
pub(super) struct Sender<'a> {
    pub(super) web: &'a Web,
    pub(super) registry: &'a str,
    /// The address of the repository there.
    pub(super) base: &'a Url,
    /// What is asked for when the registry does not say.
    pub(super) scope: String,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Sender<'_> {
    /// Returns what to show to the registry, or `None` when the giver of tokens denies.
    pub(super) async fn token(
        &self,
        bearer: &Bearer,
        credentials: Option<&Credentials>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let realm = self.realm(&bearer.realm)?;
        let address = shown(realm.as_str());
        let failed = |reason| RegistryError::Failed { address: address.clone(), reason };
        let mut response = self.ask(&realm, bearer, credentials).await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            _ => return Err(failed(refusal(&response))),
        }
        let body = self.web.whole(&mut response, MAX_ANSWER).await.map_err(failed)?;
        let none = || RegistryError::Token { realm: address.clone() };
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| none())?;
        let given = |token: Option<String>| token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
        let token = given(answer.token).or_else(|| given(answer.access_token)).ok_or_else(none)?;
        secret(format!("Bearer {token}")).map(Some).ok_or_else(none)
    }

    async fn ask(
        &self,
        realm: &Url,
        bearer: &Bearer,
        credentials: Option<&Credentials>,
    ) -> Result<Response, crate::source::FetchReason> {
        let mut url = realm.clone();
        let scope = bearer.scope.as_deref().unwrap_or(&self.scope);
        let mut fields = vec![("scope", scope)];
        fields.extend(bearer.service.as_deref().map(|service| ("service", service)));
        if let Some(Credentials::Identity(token)) = credentials {
            fields.extend([("grant_type", "refresh_token"), ("client_id", "envserve"), ("refresh_token", token)]);
            return self.web.post(&url, form(&fields)).await;
        }
        url.query_pairs_mut().extend_pairs(&fields);
        let authorization = credentials.and_then(basic);
        self.web.ask(&Asked { authorization, stays_encrypted: true, ..Asked::of(&url) }, None).await
    }

    /// Checks where a registry sends to: what is not encrypted goes to the registry itself at most.
    fn realm(&self, text: &str) -> Result<Url, RegistryError> {
        let wrong = |what| RegistryError::Realm { registry: self.registry.to_owned(), realm: shown(text), what };
        let url = Url::parse(text).map_err(|_| wrong("which is no address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("with credentials of its own"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.base.scheme() == "http" && url.host() == self.base.host() => Ok(url),
            "http" => Err(wrong("which is not encrypted and another host")),
            _ => Err(wrong("which is neither `https://` nor `http://`")),
        }
    }
}

/// Returns name and password as a header, or `None` when they are no such thing.
pub(super) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    match credentials {
        Credentials::Password { user, password } => {
            secret(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        Credentials::Identity(_) => None,
    }
}

/// Returns the value of a header that no log shows.
fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").expect("a constant");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}
