//! The fields of a `checkpoint`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::spec::error::SpecError;
use crate::spec::form::value::{command, list, of, port as port_form, seconds, text};
use crate::spec::form::{Field, object, optional, required, template, with};
use crate::spec::object::{Node, Object};
use crate::spec::source::Source;

use super::Command;

pub(super) const FIELDS: &[Field] = &[
    required("image", "The whole of an image environment, in which the service runs.", of::<Source>),
    optional("cmd", "The command of the service; without it, that of the image.", command),
    required("ready", "How it is known that the service is ready.", ready_form),
    optional("warmup", "Commands run beside the service then, in this order.", |generator| {
        list(Command::form(generator))
    }),
    optional("restored", "Run beside each copy once that is there.", Command::form),
    optional("stop", "How the service stops cleanly; without it, by SIGTERM.", stop_form),
    optional("timeout", "How many seconds a start may take.", seconds),
];

const READY: &[Field] = &[
    optional("cmd", "A command run beside it succeeds.", command),
    optional("tcp", "This TCP port accepts a connection.", port_form),
    optional("http", "An HTTP request is answered with success.", |generator| object(generator, &[HTTP])),
    optional("log", "This text appears in its output.", text),
];

const HTTP: &[Field] = &[
    required("port", "The port.", port_form),
    optional("path", "The path; without it, `/`.", |_| template::becoming(r"^/[^\u0000-\u0020\u007f-\u009f]*$")),
];

const STOP: &[Field] = &[
    optional("signal", "The signal that makes it stop.", |_| template::one_of(&SIGNALS)),
    optional("cmd", "A command run beside it makes it stop.", command),
    optional("timeout", "How many seconds it may take to stop.", seconds),
];

fn ready_form(generator: &mut SchemaGenerator) -> Schema {
    let one: Vec<_> = READY.iter().map(|field| json!({"required": [field.name]})).collect();
    with(object(generator, &[READY]), json!({"oneOf": one}))
}

fn stop_form(generator: &mut SchemaGenerator) -> Schema {
    with(object(generator, &[STOP]), json!({"not": {"required": ["signal", "cmd"]}}))
}

/// Signals that ask a process to stop.
const SIGNALS: [&str; 7] = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"];

/// The fields of a `checkpoint`: a service that is started, warmed up and then kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFields {
    /// The image that the service runs in.
    pub image: Source,
    /// The service.
    pub service: Service,
}

/// A service: how it is started, warmed up and stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The command of the service; none is that of the image.
    pub cmd: Option<Vec<String>>,
    /// How it is known that the service is ready.
    pub ready: Ready,
    /// Commands run beside the service once it is ready, in this order.
    pub warmup: Vec<Command>,
    /// Run beside each copy of the service once that is there, whatever form it came from.
    pub restored: Option<Command>,
    /// How the service stops cleanly.
    pub stop: Stop,
    /// How many seconds it may take until the service is warm.
    pub timeout: Option<u64>,
}

/// How it is known that a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// A command run beside it succeeds.
    Cmd(Vec<String>),
    /// A TCP port accepts a connection.
    Tcp(u16),
    /// An HTTP request is answered with success.
    Http {
        /// The port.
        port: u16,
        /// The path, with its leading slash.
        path: String,
    },
    /// A text appears in its output.
    Log(String),
}

/// How a service stops cleanly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// What makes it stop.
    pub by: StopBy,
    /// How many seconds it may take to stop.
    pub timeout: Option<u64>,
}

/// What makes a service stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopBy {
    /// A signal, by its name with `SIG`.
    Signal(String),
    /// A command run beside it.
    Cmd(Vec<String>),
}

impl Default for Stop {
    fn default() -> Self {
        Self { by: StopBy::Signal("SIGTERM".to_owned()), timeout: None }
    }
}

impl CheckpointFields {
    pub(super) fn read(object: &mut Object) -> Result<Self, SpecError> {
        Ok(Self {
            image: object.required("image", Source::read)?,
            service: Service {
                cmd: object.optional("cmd", Node::command)?,
                ready: object.required("ready", Ready::read)?,
                warmup: object.or_default("warmup", |node| node.list(Command::read))?,
                restored: object.optional("restored", Command::read)?,
                stop: object.or_default("stop", Stop::read)?,
                timeout: object.optional("timeout", Node::seconds)?,
            },
        })
    }
}

impl Ready {
    fn read(node: Node) -> Result<Self, SpecError> {
        let wrong = node.invalid("exactly one of `cmd`, `tcp`, `http` and `log` is expected");
        let mut object = node.object(&[READY])?;
        let probes = [
            object.optional("cmd", Node::command)?.map(Self::Cmd),
            object.optional("tcp", port)?.map(Self::Tcp),
            object.optional("http", http)?,
            object.optional("log", Node::text)?.map(Self::Log),
        ];
        let mut probes = probes.into_iter().flatten();
        match (probes.next(), probes.next()) {
            (Some(probe), None) => Ok(probe),
            _ => Err(wrong),
        }
    }
}

impl Stop {
    fn read(node: Node) -> Result<Self, SpecError> {
        let wrong = node.invalid("at most one of `signal` and `cmd` is expected");
        let mut object = node.object(&[STOP])?;
        let timeout = object.optional("timeout", Node::seconds)?;
        let by = match (object.optional("signal", signal)?, object.optional("cmd", Node::command)?) {
            (Some(_), Some(_)) => return Err(wrong),
            (Some(signal), None) => StopBy::Signal(signal),
            (None, Some(cmd)) => StopBy::Cmd(cmd),
            (None, None) => Self::default().by,
        };
        Ok(Self { by, timeout })
    }
}

fn http(node: Node) -> Result<Ready, SpecError> {
    let mut object = node.object(&[HTTP])?;
    let port = object.required("port", port)?;
    let path = object.optional("path", |node| match node.value.as_str() {
        Some(path) if !path.starts_with('/') || path.contains(|c: char| c.is_control() || c == ' ') => {
            Err(node.invalid("a path that begins with `/` is expected"))
        }
        _ => node.string(),
    })?;
    Ok(Ready::Http { port, path: path.unwrap_or_else(|| "/".to_owned()) })
}

fn port(node: Node) -> Result<u16, SpecError> {
    let wrong = node.invalid("a port number from 1 to 65535 is expected");
    let port = node.number()?.as_u64().and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port > 0).ok_or(wrong)
}

fn signal(node: Node) -> Result<String, SpecError> {
    let wrong = node.invalid("a signal that asks a process to stop, like `SIGTERM`, is expected");
    let name = node.string()?;
    if SIGNALS.contains(&name.as_str()) { Ok(name) } else { Err(wrong) }
}
