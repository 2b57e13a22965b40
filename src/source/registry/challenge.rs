//! How a registry wants to be shown who asks: the header `WWW-Authenticate`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Longest header that is read.
const MAX_HEADER: usize = 8 << 10;

/// A way of showing who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, which somebody else may give.
    Bearer(Bearer),
}

/// Who gives tokens, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// Returns the best of the ways that an answer offers, or `None` when none is known here.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let offered: Vec<Offer> = texts.filter(|text| text.len() <= MAX_HEADER).flat_map(offers).collect();
        let find = |scheme: &'static str| offered.iter().filter(move |offer| offer.scheme.eq_ignore_ascii_case(scheme));
        let bearer = find("bearer").find_map(|offer| {
            let [realm, service, scope] = ["realm", "service", "scope"].map(|name| offer.get(name));
            Some(Self::Bearer(Bearer { realm: realm?, service, scope }))
        });
        bearer.or_else(|| find("basic").next().map(|_| Self::Basic))
    }
}

struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn get(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

/// Reads `SCHEME name=value, name="value", SCHEME …`, up to the first thing that makes no sense.
fn offers(text: &str) -> Vec<Offer> {
    let mut found: Vec<Offer> = Vec::new();
    let mut rest = between(text);
    while let Some((name, after)) = token(rest) {
        let after = after.trim_start();
        let Some(value) = after.strip_prefix('=') else {
            found.push(Offer { scheme: name.to_owned(), parameters: Vec::new() });
            rest = between(after);
            continue;
        };
        let (Some((value, after)), Some(offer)) = (value_of(value.trim_start()), found.last_mut()) else { break };
        offer.parameters.push((name.to_owned(), value));
        rest = between(after);
    }
    found
}

fn between(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', ','])
}

/// Splits off a token as HTTP knows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Splits off a token or a quoted text.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Option<Challenge> {
        Challenge::of(&texts.iter().map(|text| (WWW_AUTHENTICATE, text.parse().unwrap())).collect())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer(Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) }))
    }

    #[test]
    fn what_registries_send_is_understood() {
        let text = r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#;
        let expected = bearer("https://a.example/token", Some("r.example"), Some("repository:a/b:pull,push"));
        assert_eq!(of(&[text]), expected);
        assert_eq!(of(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(of(&["basic"]), Some(Challenge::Basic));
        assert_eq!(of(&[r#"Basic realm="x", Bearer realm="https://a/""#]), bearer("https://a/", None, None));
        assert_eq!(of(&["Basic realm=x", r#"BEARER Realm = "a\"b" , scope="""#]), bearer("a\"b", None, None));
        assert_eq!(of(&["Negotiate abc==", "Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn what_makes_no_sense_is_no_challenge() {
        let long = format!("Bearer realm=\"{}\"", "x".repeat(MAX_HEADER));
        for text in ["", ",", "=", "Bearer", "Bearer service=x", "Bearer realm=\"open", "Digest realm=x", "\"", &long] {
            assert_eq!(of(&[text]), None, "{text}");
        }
        assert_eq!(of(&[]), None);
    }
}
