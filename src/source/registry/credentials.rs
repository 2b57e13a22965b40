//! Credentials for registries, from the files in which `podman login` and `docker login` leave them.
//!
//! They are read when a registry asks for some, each time anew, and stand in no log and no error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::RegistryError;

/// Most bytes of a file.
const MAX_FILE: u64 = 1 << 20;

/// The files in which credentials are looked for, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthFiles(Vec<PathBuf>);

/// Why a file gives no credentials.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It has more bytes than such files have.
    #[error("it is larger than {MAX_FILE} bytes")]
    TooLarge,
    /// It is no JSON, or not of the form that such files have.
    #[error("it is not of the form that `podman login` writes, in line {line}, column {column}")]
    Form {
        /// The line, counted from one.
        line: usize,
        /// The column.
        column: usize,
    },
    /// What it says for a registry is no name and password.
    #[error("`auths` has no name and password for `{entry}`: base64 of `NAME:PASSWORD` is expected in `auth`")]
    Entry {
        /// For which one.
        entry: String,
    },
}

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// What is exchanged for tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What was found for a registry.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) credentials: Option<(Credentials, PathBuf)>,
    /// A file that leaves them to another program.
    pub(super) helper: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl AuthFiles {
    /// Returns the files that variables of the environment name, or that lie where programs put them.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = path("REGISTRY_AUTH_FILE") {
            return Self(vec![file]);
        }
        let at_home = |name: &str| path("HOME").map(|home| home.join(name));
        let configuration = path("XDG_CONFIG_HOME").or_else(|| at_home(".config"));
        let docker = path("DOCKER_CONFIG").or_else(|| at_home(".docker"));
        let containers = |directory: PathBuf| directory.join("containers/auth.json");
        let files = [
            path("XDG_RUNTIME_DIR").map(containers),
            configuration.map(containers),
            docker.map(|directory| directory.join("config.json")),
        ];
        Self(files.into_iter().flatten().collect())
    }

    /// Returns where they are.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    /// Looks for credentials for a repository of a registry. Files that are not there are passed over. Blocks.
    pub(super) fn look(&self, registry: &str, repository: &str) -> Result<Found, RegistryError> {
        let mut found = Found::default();
        for path in &self.0 {
            let failed = |source| RegistryError::AuthFile { path: path.clone(), source };
            let Some(file) = read(path).map_err(failed)? else { continue };
            if let Some(credentials) = file.find(registry, repository).map_err(failed)? {
                found.credentials = Some((credentials, path.clone()));
                return Ok(found);
            }
            if file.creds_store.is_some() || file.cred_helpers.contains_key(registry) {
                found.helper.get_or_insert_with(|| path.clone());
            }
        }
        Ok(found)
    }
}

fn read(path: &Path) -> Result<Option<File>, AuthFileError> {
    let file = match std::fs::File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(AuthFileError::Read)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(AuthFileError::Read)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(AuthFileError::TooLarge);
    }
    // What the reader of JSON says may quote what it read.
    let form = |error: serde_json::Error| AuthFileError::Form { line: error.line(), column: error.column() };
    serde_json::from_slice(&bytes).map(Some).map_err(form)
}

impl File {
    /// Returns the credentials for a repository: those of the longest path to it, or else of the host by its address.
    fn find(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, AuthFileError> {
        let mut place = format!("{registry}/{repository}");
        loop {
            if let Some((name, entry)) = self.auths.get_key_value(&place) {
                return entry.credentials(name);
            }
            match place.rfind('/') {
                Some(slash) => place.truncate(slash),
                None => break,
            }
        }
        match self.auths.iter().find(|(name, _)| host_of_address(name) == Some(registry)) {
            Some((name, entry)) => entry.credentials(name),
            None => Ok(None),
        }
    }
}

/// Returns the host of an address, as `docker login` writes it.
fn host_of_address(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"))?;
    rest.split('/').next()
}

impl Entry {
    /// Returns the credentials; an entry without any is for a program that has them.
    fn credentials(&self, name: &str) -> Result<Option<Credentials>, AuthFileError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credentials::Identity(token)));
        }
        if let (Some(user), Some(password)) = (given(&self.username), given(&self.password)) {
            return Ok(Some(Credentials::Password { user, password }));
        }
        let Some(auth) = given(&self.auth) else { return Ok(None) };
        let bytes = STANDARD.decode(&auth).or_else(|_| STANDARD_NO_PAD.decode(&auth)).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let split = text.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
        let (user, password) = split.ok_or_else(|| AuthFileError::Entry { entry: name.to_owned() })?;
        Ok(Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() })
    }

    fn look(text: &str, registry: &str, repository: &str) -> Result<Found, RegistryError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        std::fs::write(&path, text).unwrap();
        AuthFiles(vec![directory.path().join("absent"), path]).look(registry, repository)
    }

    fn found(text: &str, registry: &str, repository: &str) -> Option<Credentials> {
        look(text, registry, repository).unwrap().credentials.map(|(credentials, _)| credentials)
    }

    #[test]
    fn the_variables_name_the_files() {
        let of = |set: &[(&str, &str)]| {
            let set: BTreeMap<String, OsString> = set.iter().map(|(k, v)| (k.to_string(), OsString::from(v))).collect();
            let AuthFiles(files) = AuthFiles::of_environment(|name| set.get(name).cloned());
            files.into_iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]), ["/a"]);
        assert_eq!(of(&[("HOME", "/h")]), ["/h/.config/containers/auth.json", "/h/.docker/config.json"]);
        let all = [("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d"), ("HOME", "/h")];
        assert_eq!(of(&all), ["/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json"]);
        assert_eq!(of(&[("REGISTRY_AUTH_FILE", "")]), [""; 0]);
    }

    #[test]
    fn the_longest_path_to_a_repository_decides() {
        let of = |user: &str| STANDARD.encode(format!("{user}:p:w"));
        let text = serde_json::json!({"auths": {
            "r.example": {"auth": of("host")},
            "r.example/team": {"auth": of("team")},
            "r.example/team/app": {"username": "app", "password": "x"},
            "https://old.example/v1/": {"auth": of("old")},
            "r.example:5000": {"identitytoken": "t"},
        }})
        .to_string();
        for (registry, repository, expected) in [
            ("r.example", "team/app", password("app", "x")),
            ("r.example", "team/apple", password("team", "p:w")),
            ("r.example", "other", password("host", "p:w")),
            ("old.example", "a", password("old", "p:w")),
            ("r.example:5000", "a", Some(Credentials::Identity("t".to_owned()))),
            ("example", "a", None),
            ("xr.example", "a", None),
        ] {
            assert_eq!(found(&text, registry, repository), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn credentials_that_another_program_has_are_noticed() {
        for text in [r#"{"auths": {"r": {}}, "credsStore": "x"}"#, r#"{"credHelpers": {"r": "x"}}"#] {
            let found = look(text, "r", "a").unwrap();
            assert!(found.credentials.is_none() && found.helper.is_some(), "{text}");
        }
        assert!(look(r#"{"credHelpers": {"q": "x"}}"#, "r", "a").unwrap().helper.is_none());
    }

    #[test]
    fn a_file_of_another_form_is_an_error_that_quotes_nothing() {
        for text in ["", r#"{"auths": {"r": "secret"}}"#, r#"{"auths": {"r": {"auth": "secret"}}}"#] {
            let error = look(text, "r", "a").unwrap_err();
            let RegistryError::AuthFile { source, .. } = &error else { panic!("{error:?}") };
            assert!(!format!("{error} {error:?} {source}").contains("secret"), "{error:?}");
        }
        let large = format!("{{\"x\": \"{}\"}}", "x".repeat(usize::try_from(MAX_FILE).unwrap()));
        let error = look(&large, "r", "a").unwrap_err();
        assert!(matches!(error, RegistryError::AuthFile { source: AuthFileError::TooLarge, .. }));
    }

    #[test]
    fn credentials_are_not_shown() {
        assert!(!format!("{:?}", password("user", "secret")).contains("secret"));
    }
}
