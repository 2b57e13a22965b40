//! Addresses: what can be fetched from, and how they are shown.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::Reason;

/// Where a file is fetched from.
pub(super) enum Address {
    /// A server, with the credentials that the address holds.
    Web(Url),
    /// A file of this host.
    Local(PathBuf),
}

impl Address {
    /// Reads an address. Nothing is looked at yet.
    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        if Path::new(text).is_absolute() {
            return Ok(Self::Local(text.into()));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
        if !["http", "https", "file"].contains(&scheme.as_str()) {
            return Err(Reason::Unsupported);
        }
        let url = Url::parse(text).map_err(|source| Reason::Malformed { source })?;
        if scheme == "file" {
            return url.to_file_path().map(Self::Local).map_err(|()| Reason::OtherHost);
        }
        Ok(Self::Web(url))
    }
}

/// Returns an address without the credentials that it may hold.
pub(in crate::source) fn shown(address: &str) -> String {
    if !address.contains('@') || address.starts_with('/') {
        return address.to_owned();
    }
    if let Some(mut url) = Url::parse(address).ok().filter(Url::has_host) {
        if url.username().is_empty() && url.password().is_none() {
            return address.to_owned();
        }
        if url.set_username("").is_ok() && url.set_password(None).is_ok() {
            return url.into();
        }
    }
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_https_files_and_absolute_paths_are_taken() {
        for (text, expected) in [("/a b", "/a b"), ("file:///a%20b", "/a b"), ("FILE:///a", "/a")] {
            let Ok(Address::Local(path)) = Address::parse(text) else { panic!("{text}") };
            assert_eq!(path, Path::new(expected));
        }
        for text in ["http://a/b", "HTTPS://a:1/b?c#d", "https://user:word@a/"] {
            assert!(matches!(Address::parse(text), Ok(Address::Web(_))), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "a/b", "./a", "ftp://a/b", "git@a:b", "http:a", "http:/a/b", "file:/a", "data:,a", "://a"] {
            assert!(matches!(Address::parse(text), Err(Reason::Unsupported)), "{text}");
        }
        for text in ["http://", "http://a:b/", "https://[::1"] {
            assert!(matches!(Address::parse(text), Err(Reason::Malformed { .. })), "{text}");
        }
        assert!(matches!(Address::parse("file://elsewhere/a"), Err(Reason::OtherHost)));
    }

    #[test]
    fn credentials_are_not_shown() {
        for (text, expected) in [
            ("https://user:word@host/a@b", "https://host/a@b"),
            ("https://user@host:8443/a?b=c", "https://host:8443/a?b=c"),
            ("https://us%40er:w%3Aord@host/", "https://host/"),
            ("http://user:wo/rd@host/a", "http://host/a"),
            ("http://user:word@host:no/a", "http://host:no/a"),
            ("ftp://user:word@host/a", "ftp://host/a"),
            ("user:word@host/a", "host/a"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host/a", "https://host/a"),
            ("/a@b", "/a@b"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
