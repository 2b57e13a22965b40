//! The tags of a repository.

use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::address::field;
use super::error::RegistryError;
use super::{Registry, document};

/// Most tags of an answer.
const MAX_TAGS: usize = 1000;

/// Answers with tags of a repository, in their order.
pub(super) async fn answer(registry: &Registry, name: &str, query: Option<&str>) -> Result<Response, RegistryError> {
    let last = field(query, "last");
    let count = match field(query, "n") {
        Some(count) => count.parse::<usize>().map_err(|_| RegistryError::Count)?.min(MAX_TAGS),
        None => MAX_TAGS,
    };
    let known = registry.known().await?;
    // One more shows whether there are more.
    let mut tags = known.tags(name, last.as_deref(), count + 1).await?;
    if tags.is_empty() && known.tags(name, None, 1).await?.is_empty() {
        return Err(RegistryError::UnknownRepository { name: name.to_owned() });
    }
    let more = tags.len() > count;
    tags.truncate(count);
    let next =
        tags.last().filter(|_| more).map(|last| format!("</v2/{name}/tags/list?n={count}&last={last}>; rel=\"next\""));
    let body = document(&json!({"name": name, "tags": tags}));
    Ok(match next {
        Some(next) => ([(LINK, next)], body).into_response(),
        None => body.into_response(),
    })
}
