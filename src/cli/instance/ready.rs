//! How it is known that a service is ready, as the command line says it.

use clap::Args;

use crate::spec::Ready;

/// How it is known that the service is ready; without any of it, it is when its command runs.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct ReadyArguments {
    /// It is ready when this port accepts a connection.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    ready_tcp: Option<u16>,

    /// It is ready when this is answered with success.
    #[arg(long, value_name = "PORT[/PATH]", value_parser = http)]
    ready_http: Option<Ready>,

    /// It is ready when it has said this.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ready_log: Option<String>,

    /// It is ready when this succeeds in it, run by its `/bin/sh`.
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ready_cmd: Option<String>,
}

impl ReadyArguments {
    pub(super) fn is_given(&self) -> bool {
        let Self { ready_tcp, ready_http, ready_log, ready_cmd } = self;
        ready_tcp.is_some() || ready_http.is_some() || ready_log.is_some() || ready_cmd.is_some()
    }

    pub(super) fn ready(self) -> Option<Ready> {
        let command = |text| Ready::Cmd(vec!["/bin/sh".to_owned(), "-c".to_owned(), text]);
        let or = self.ready_log.map(Ready::Log).or(self.ready_cmd.map(command));
        self.ready_tcp.map(Ready::Tcp).or(self.ready_http).or(or)
    }
}

/// Reads a port and a path.
fn http(text: &str) -> Result<Ready, String> {
    let (port, path) = text.find('/').map_or((text, "/"), |at| text.split_at(at));
    let port = port.parse().ok().filter(|port| *port > 0).ok_or("PORT or PORT/PATH is expected")?;
    if path.contains(|c: char| c.is_control() || c == ' ') {
        return Err("a path without spaces is expected".to_owned());
    }
    Ok(Ready::Http { port, path: path.to_owned() })
}
