//! How the errors of a client come about, and what they say.

use std::io;

use tonic::Code;

use super::ClientError;
use crate::client::hint::{is_of_host, pinned_form};
use crate::container::ContainerError;
use crate::environment::BuildError;
use crate::source::SourceError;
use crate::store::wire;
use crate::transport::{CallError, EndpointError, is_of_transport};

/// Returns what a server's error comes to: its message alone when it is about what was asked for.
pub(super) fn refusal(rpc: &str, endpoint: &str, status: &tonic::Status) -> String {
    match status.code() {
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::Unimplemented
        | Code::Unauthenticated
        | Code::PermissionDenied => {
            format!("`{endpoint}` refuses: {}", status.message())
        }
        Code::Unavailable => format!("`{endpoint}` cannot serve now: {}", status.message()),
        _ => format!("{rpc} at `{endpoint}` failed: {}", wire::describe(status)),
    }
}

pub(super) fn nowhere(endpoint: Option<&str>) -> String {
    match endpoint {
        Some(endpoint) => format!("neither here nor known to `{endpoint}`"),
        None => "not here, and no server is configured that may know it".to_owned(),
    }
}

pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

pub(super) fn shown(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; the end of its log:\n{log}") }
}

impl ClientError {
    /// Returns the error of a call: a status that the server sent, or the end of the connection.
    pub(in crate::client) fn rpc(rpc: &'static str, endpoint: String, status: tonic::Status) -> Self {
        let status = Box::new(status);
        if is_of_transport(&status) {
            return Self::Disconnected { rpc, endpoint, source: status };
        }
        if let Some(fix) = pinned_form(&status) {
            return Self::NotContentFixed { endpoint, said: status.message().to_owned(), fix };
        }
        if is_of_host(&status) {
            return Self::HostLacks { endpoint, said: status.message().to_owned() };
        }
        Self::Rpc { rpc, endpoint, status }
    }
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(error) => Self::Unreachable(error),
            CallError::Failed { rpc, endpoint, status } => Self::rpc(rpc, endpoint.to_string(), *status),
        }
    }
}

impl From<ContainerError> for ClientError {
    fn from(error: ContainerError) -> Self {
        Self::Container(Box::new(error))
    }
}

impl From<BuildError> for ClientError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl ClientError {
    /// Returns a closure that turns a system error into `Io`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Says whether the server, or the endpoint behind it, could not be reached: what another time may be otherwise.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable(EndpointError::Unreachable { .. }) | Self::Disconnected { .. } => true,
            Self::Rpc { status, .. } => status.code() == Code::Unavailable,
            Self::Store(error) | Self::Source(SourceError::Store(error)) => error.is_unavailable(),
            _ => false,
        }
    }
}
