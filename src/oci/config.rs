//! The configuration of an image: its platform, its layers before they were compressed, and how programs start in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::descriptor::Platform;
use super::digest::OciDigest;
use super::document::{DocumentError, check_object, fields, nullable, parse, wrong};
use super::manifest::MAX_DESCRIPTORS;
use crate::spec::json;

const CONFIG: &str = "an image configuration";
/// Most steps of a history. Some leave no layer.
const MAX_HISTORY: usize = 10 * MAX_DESCRIPTORS;

#[cfg(test)]
mod tests;

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, as RFC 3339 writes it.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The tar archives of the layers, the lowest first.
    pub diff_ids: Vec<OciDigest>,
    /// How it was made.
    pub history: Vec<History>,
    /// How programs start in it.
    pub execution: Execution,
}

/// A step that made an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, as RFC 3339 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it left no layer.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// How programs start in an image: the field `config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// The variables: `NAME=VALUE`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments that follow, or the program where there is no entry point.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// As whom: name or number, with `:` and a group if any.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Where.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// The ports at which it serves: `8080/tcp`.
    #[serde(
        default,
        deserialize_with = "members",
        serialize_with = "as_members",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// Directories that are no part of the image when it runs.
    #[serde(
        default,
        deserialize_with = "members",
        serialize_with = "as_members",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub volumes: BTreeSet<String>,
    /// Free texts.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What asks it to end: `SIGTERM`, or a number.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// What else stands there, such as Docker's `Healthcheck`.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    rootfs: RootFs,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    history: Vec<History>,
    #[serde(default, deserialize_with = "nullable")]
    config: Execution,
}

#[derive(Serialize, Deserialize)]
struct RootFs {
    r#type: String,
    #[serde(deserialize_with = "nullable")]
    diff_ids: Vec<OciDigest>,
}

impl ImageConfig {
    /// Returns the configuration of an image without layers.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            created: None,
            author: None,
            diff_ids: Vec::new(),
            history: Vec::new(),
            execution: Execution::default(),
        }
    }

    /// Returns the configuration that bytes of unknown origin state. What stands beside the fields known here is read
    /// over.
    ///
    /// # Errors
    /// When they are none, or have values that no program can be started with.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let value = parse(CONFIG, bytes)?;
        check_object(CONFIG, "rootfs", value.get("rootfs"))?;
        for step in value.get("history").and_then(Value::as_array).into_iter().flatten() {
            check_object(CONFIG, "history", Some(step))?;
        }
        let form: Form = fields(CONFIG, value)?;
        if form.rootfs.r#type != "layers" {
            return Err(wrong(CONFIG, "rootfs.type", &form.rootfs.r#type));
        }
        let too_many = |what, limit| Err(DocumentError::TooMany { document: CONFIG, what, limit });
        if form.rootfs.diff_ids.len() > MAX_DESCRIPTORS {
            return too_many("layers", MAX_DESCRIPTORS);
        }
        if form.history.len() > MAX_HISTORY {
            return too_many("steps of a history", MAX_HISTORY);
        }
        for (field, value) in [("os", &form.platform.os), ("architecture", &form.platform.architecture)] {
            if value.is_empty() {
                return Err(wrong(CONFIG, field, value));
            }
        }
        form.config.check()?;
        Ok(Self {
            platform: form.platform,
            created: form.created,
            author: form.author,
            diff_ids: form.rootfs.diff_ids,
            history: form.history,
            execution: form.config,
        })
    }

    /// Returns the bytes that are stored and sent (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        json::canonical(&Form {
            platform: self.platform.clone(),
            created: self.created.clone(),
            author: self.author.clone(),
            rootfs: RootFs { r#type: "layers".into(), diff_ids: self.diff_ids.clone() },
            history: self.history.clone(),
            config: self.execution.clone(),
        })
    }
}

impl Execution {
    /// Checks that a program can be started with all of it.
    ///
    /// # Errors
    /// When a text has a NUL, a variable no name, or the signal none that it could be.
    pub fn check(&self) -> Result<(), DocumentError> {
        let lists = [("config.Env", &self.env), ("config.Entrypoint", &self.entrypoint), ("config.Cmd", &self.cmd)];
        let in_lists = lists.into_iter().flat_map(|(field, list)| list.iter().map(move |value| (field, value)));
        let alone = [("config.User", &self.user), ("config.WorkingDir", &self.working_dir)];
        if let Some((field, value)) = in_lists.chain(alone).find(|(_, value)| value.contains('\0')) {
            return Err(wrong(CONFIG, field, value));
        }
        let named = |value: &&String| value.find('=').is_none_or(|at| at == 0);
        if let Some(value) = self.env.iter().find(named) {
            return Err(wrong(CONFIG, "config.Env", value));
        }
        let in_signal = |c: char| c.is_ascii_alphanumeric() || "+-".contains(c);
        if !self.stop_signal.chars().all(in_signal) {
            return Err(wrong(CONFIG, "config.StopSignal", &self.stop_signal));
        }
        self.exposed_ports
            .iter()
            .find(|port| !valid_port(port))
            .map_or(Ok(()), |port| Err(wrong(CONFIG, "config.ExposedPorts", port)))
    }
}

/// Says whether a text is a port or a range of ports, with a protocol or without.
fn valid_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    ["tcp", "udp", "sctp"].contains(&protocol) && number(first) && number(last)
}

/// Reads a set that is written as an object whose members say nothing.
fn members<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let members: Option<Map<String, Value>> = Option::deserialize(deserializer)?;
    Ok(members.unwrap_or_default().into_iter().map(|(name, _)| name).collect())
}

fn as_members<S: serde::Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(set.iter().map(|name| (name, Map::<String, Value>::new())))
}
