//! What is shown: certificates of several authorities, bad ones, and tokens that are none.

use std::process::Command;
use std::time::{Duration, Instant};

use envserve::serve::roles::Role;
use envserve::transport::{Endpoint, Headers, Identity, Link, Security};
use serde_json::json;
use tonic::Code;

use super::{Roles, rpcs};
use crate::security::Authority;
use crate::support::{Daemon, World, fail, request, run, script};

const READS: &str = "/envserve.v1.Configuration/Get";
const BUILDS: &str = "/build.bazel.remote.execution.v2.Execution/WaitExecution";
const ADMINISTERS: &str = "/envserve.v1.Pins/Drop";

/// A daemon that speaks TLS, and authorities for its clients.
struct Certified {
    world: World,
    server: Authority,
    readers: Authority,
    builders: Authority,
}

impl Certified {
    fn new() -> Self {
        let world = World::new();
        let [server, readers, builders] = ["server", "readers", "builders"].map(|name| Authority::new(&world, name));
        Self { world, server, readers, builders }
    }

    fn start(&self, options: &[&str]) -> Daemon {
        let (certificate, key) = self.server.server();
        let readers = format!("reader={}", self.readers.text("ca.pem"));
        let builders = format!("builder={}", self.builders.text("ca.pem"));
        let tls = ["--tls-cert", &certificate, "--tls-key", &key];
        let roles = ["--tls-client-ca", &readers, "--tls-client-ca", &builders];
        Daemon::start(&self.world.path("daemon"), &[&tls[..], &roles, options].concat())
    }

    /// Returns how a call ends for somebody who shows a certificate, and a token.
    async fn call(&self, daemon: &Daemon, shown: Option<&(String, String)>, token: Option<&str>, path: &str) -> Code {
        let identity = shown.map(|(certificate, key)| Identity { certificate: certificate.into(), key: key.into() });
        let headers = token.map(|token| self.world.write("headers", format!("authorization: Bearer {token}\n")));
        let headers = headers.map(|file| Headers::from_file(file).expect("good")).unwrap_or_default();
        let security = Security { ca: Some(self.server.path("ca.pem")), identity, headers };
        let endpoint: Endpoint = daemon.address.parse().expect("an address");
        let link = Link::new(&endpoint, &security).expect("an address");
        rpcs::call(link.channel(), path).await.code()
    }
}

#[tokio::test]
async fn a_certificate_gives_the_role_of_who_vouches_for_it() {
    let certified = Certified::new();
    let tokens = certified.world.write("tokens", "the-token\n").display().to_string();
    let daemon = certified.start(&["--token-file", &tokens]);
    let (reader, builder) = (certified.readers.issue("r", "DNS:r"), certified.builders.issue("b", "DNS:b"));
    let denied = Code::PermissionDenied;
    for (shown, token, expected) in [
        (None, None, [Code::Unauthenticated; 3]),
        (Some(&reader), None, [Code::Ok, denied, denied]),
        (Some(&builder), None, [Code::Ok, Code::NotFound, denied]),
        (None, Some("the-token"), [Code::Ok, Code::NotFound, Code::InvalidArgument]),
        (Some(&reader), Some("the-token"), [Code::Ok, Code::NotFound, Code::InvalidArgument]),
        (Some(&builder), Some("no-token"), [Code::Unauthenticated; 3]),
    ] {
        for (path, expected) in [READS, BUILDS, ADMINISTERS].into_iter().zip(expected) {
            let code = certified.call(&daemon, shown, token, path).await;
            let refused = [Code::PermissionDenied, Code::Unauthenticated];
            let as_expected = code == expected || !(refused.contains(&code) || refused.contains(&expected));
            assert!(as_expected, "{path} with {shown:?} and {token:?}: {code:?}, not {expected:?}");
        }
    }
}

#[tokio::test]
async fn who_shows_no_certificate_has_the_role_of_everybody() {
    let certified = Certified::new();
    let daemon = certified.start(&["--anonymous", "reader"]);
    assert_eq!(certified.call(&daemon, None, None, READS).await, Code::Ok);
    assert_eq!(certified.call(&daemon, None, None, BUILDS).await, Code::PermissionDenied);
    let builder = certified.builders.issue("b", "DNS:b");
    assert_ne!(certified.call(&daemon, Some(&builder), None, BUILDS).await, Code::PermissionDenied);
}

#[test]
fn bad_certificates_of_clients_are_refused_before_any_call() {
    let certified = Certified::new();
    let daemon = certified.start(&[]);
    let spec = certified.world.spec("x", &json!({"x": script("echo x >out", &["out"])}));
    let ask = |shown: Option<&(String, String)>| {
        let mut command = certified.world.client_of(&daemon, "client");
        command.args(["fetch", "--probe", "--serve-ca"]).arg(certified.server.path("ca.pem")).arg(&spec);
        if let Some((certificate, key)) = shown {
            command.args(["--serve-cert", certificate, "--serve-key", key]);
        }
        command
    };
    let expired = certified.readers.issue_expired("late");
    let stranger = Authority::new(&certified.world, "strangers").issue("stranger", "DNS:r");
    let own = (certified.world.path("strangers/ca.pem"), certified.world.path("strangers/ca.key"));
    let own = (own.0.display().to_string(), own.1.display().to_string());
    for (what, shown) in
        [("none", None), ("expired", Some(&expired)), ("strange", Some(&stranger)), ("self-signed", Some(&own))]
    {
        let stderr = fail(&mut ask(shown), 11);
        assert!(stderr.contains("cannot reach"), "{what}: {stderr}");
    }
    // Names in certificates of clients say nothing: the authority counts.
    let good = certified.readers.issue("anything", "DNS:whatever.example");
    assert_eq!(run(&mut ask(Some(&good))).status.code(), Some(10), "a miss");
    assert!(daemon.log().contains("a TLS handshake failed"), "{}", daemon.log());
}

#[test]
fn tokens_that_are_none_admit_nobody() {
    let roles = Roles::new();
    let daemon = roles.start("serve", &[]);
    let status = |value: &str| request(&daemon.address, "GET", "/v2/", &[("Authorization", value)], b"").status;
    assert_eq!(status("Bearer token-of-reader"), 200);
    for bad in [
        "Bearer",
        "Bearer ",
        "Bearer token-of reader",
        "Bearer token-of-reader x",
        "Bearer token-of-reader,token-of-admin",
        "Bearer \ttoken-of-rea\tder",
        "token-of-reader",
        "Basic token-of-reader",
        "Bearer \u{0}",
        "Bearer token-of-reader\u{b}",
    ] {
        assert!([400, 401].contains(&status(bad)), "{bad:?}");
    }
    // A line of its own makes it another header, which changes nothing.
    assert_eq!(status("Bearer nobody\r\nAuthorization: Bearer token-of-admin"), 401);
    let long = "t".repeat(1 << 20);
    let code = std::panic::catch_unwind(|| status(&format!("Bearer {long}")));
    assert!(code.is_err() || [400, 401, 431].contains(&code.expect("it is one")), "1 MiB");
    assert_eq!(status("Bearer token-of-reader"), 200, "the daemon goes on");
}

#[test]
fn a_client_with_a_token_of_a_mebibyte_is_told_something() {
    let roles = Roles::new();
    let daemon = roles.start("serve", &[]);
    let headers = roles.world.write("long", format!("authorization: Bearer {}\n", "t".repeat(1 << 20)));
    let spec = roles.world.spec("x", &json!({"x": script("echo x >out", &["out"])}));
    let begun = Instant::now();
    let mut command = roles.world.client_of(&daemon, "client");
    let output = run(command.args(["fetch", "--probe"]).arg(&spec).arg("--serve-headers").arg(headers));
    assert!(matches!(output.status.code(), Some(1 | 11 | 14)), "{output:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let good = run(roles.client(&daemon, Role::Reader, "client").args(["fetch", "--probe"]).arg(&spec));
    assert_eq!(good.status.code(), Some(10), "a miss: the daemon goes on");
}

#[test]
fn files_with_tokens_that_nobody_can_show_keep_a_daemon_from_starting() {
    let world = World::new();
    for (text, message) in [
        ("reader one\n".to_owned(), "tokens:1: one token without spaces is expected"),
        ("one\nt w o\n".to_owned(), "tokens:2: one token without spaces is expected"),
        (format!("one\n{}\n", "t".repeat(1 << 20)), "tokens:2: a token of at most 4096 characters is expected"),
    ] {
        let file = world.write("tokens", text).display().to_string();
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_envserve"), "serve", "--listen", "127.0.0.1:0", "--root"]);
        let stderr = fail(command.arg(world.path("daemon")).args(["--token-file", &format!("builder={file}")]), 1);
        assert!(stderr.contains(message), "{stderr}");
    }
}

#[test]
fn a_role_can_be_taken_away_while_the_daemon_runs() {
    let roles = Roles::new();
    let daemon = roles.start("serve", &["--registry-push"]);
    let status = || {
        let shown = [("Authorization", "Bearer token-of-uploader")];
        request(&daemon.address, "POST", "/v2/a/blobs/uploads/", &shown, b"").status
    };
    assert_eq!(status(), 202);
    roles.world.write("uploader.tokens", "# nobody\n");
    roles.world.write("reader.tokens", "token-of-uploader\n");
    let deadline = Instant::now() + Duration::from_secs(60);
    while status() != 403 {
        assert!(Instant::now() < deadline, "the role stays");
        std::thread::sleep(Duration::from_millis(100));
    }
}
