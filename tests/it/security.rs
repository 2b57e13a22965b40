//! TLS, client certificates and tokens, with certificates made by the `openssl` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use envserve::proto::reapi::GetCapabilitiesRequest;
use envserve::proto::reapi::capabilities_client::CapabilitiesClient;
use envserve::transport::{CallError, Endpoint, Headers, Link, Security};
use serde_json::json;

use crate::support::{Daemon, World, fail, run, script, succeed, text};

/// Longest that a server of the wrong kind may keep a client.
const SOON: Duration = Duration::from_secs(3);

/// Who vouches for certificates.
pub(crate) struct Authority {
    directory: PathBuf,
}

impl Authority {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let directory = world.path(name);
        fs::create_dir(&directory).expect("temporary");
        let authority = Self { directory };
        fs::write(
            authority.path("config"),
            "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n",
        )
        .expect("temporary");
        authority.openssl(&["req", "-x509", "-config", "config", "-extensions", "ca", "-out", "ca.pem"], name, "ca");
        authority
    }

    /// Returns a certificate that is for these names, and its key.
    pub(crate) fn issue(&self, name: &str, names: &str) -> (String, String) {
        self.issue_for(name, names, "2")
    }

    /// Returns one that was good until yesterday.
    pub(crate) fn issue_expired(&self, name: &str) -> (String, String) {
        self.issue_for(name, "DNS:expired", "-1")
    }

    fn issue_for(&self, name: &str, names: &str, days: &str) -> (String, String) {
        self.openssl(&["req", "-new", "-config", "config", "-out", "request"], name, name);
        fs::write(self.path("names"), format!("subjectAltName={names}\n")).expect("temporary");
        let sign = ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let certificate = format!("{name}.pem");
        let rest = ["-extfile", "names", "-days", days, "-out", &certificate];
        succeed(Command::new("openssl").current_dir(&self.directory).args(sign).args(rest));
        (self.text(&certificate), self.text(&format!("{name}.key")))
    }

    /// Returns a certificate for this host, and its key.
    pub(crate) fn server(&self) -> (String, String) {
        self.issue("server", "IP:127.0.0.1,DNS:localhost")
    }

    fn openssl(&self, arguments: &[&str], subject: &str, key: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(&self.directory).args(arguments);
        command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
        succeed(command.args(["-subj", &format!("/CN={subject}"), "-keyout", &format!("{key}.key")]));
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }
}

/// A world with an environment, and the authority that a daemon in it has its certificate from.
struct Secured {
    world: World,
    spec: PathBuf,
    authority: Authority,
}

impl Secured {
    fn new() -> Self {
        let world = World::new();
        let spec = world.spec("hello", &json!({"hello": script("echo hello >out", &["out"])}));
        let authority = Authority::new(&world, "authority");
        Self { world, spec, authority }
    }

    /// Starts a daemon that speaks TLS.
    fn daemon(&self, options: &[&str]) -> Daemon {
        let (certificate, key) = self.authority.server();
        let tls = ["--tls-cert", &certificate, "--tls-key", &key];
        Daemon::start(&self.world.path("daemon"), &[&tls, options].concat())
    }

    fn plain_daemon(&self, options: &[&str]) -> Daemon {
        Daemon::start(&self.world.path("daemon"), options)
    }

    /// Returns a fetch from a server, by a client that has nothing yet.
    fn fetch(&self, address: &str) -> Command {
        drop(fs::remove_dir_all(self.world.path("client")));
        let mut command = self.world.client("client");
        command.args(["fetch", "--quiet", "--serve", address]).arg(&self.spec);
        command
    }

    /// The same by a client that trusts the authority.
    fn trusting(&self, address: &str) -> Command {
        let mut command = self.fetch(address);
        command.arg("--serve-ca").arg(self.authority.path("ca.pem"));
        command
    }
}

fn fetched(command: &mut Command) {
    let environment = succeed(command);
    assert_eq!(fs::read_to_string(Path::new(&environment).join("out")).expect("fetched"), "hello\n");
}

/// Runs a command that must fail soon, with a code and a message.
fn refused(command: &mut Command, code: i32, message: &str) {
    let begun = Instant::now();
    let stderr = fail(command, code);
    assert!(stderr.contains(message), "`{message}` is not in:\n{stderr}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// Waits for what a daemon does when it looks at its files again.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn environments_come_over_tls() {
    let secured = Secured::new();
    let daemon = secured.daemon(&[]);
    assert!(daemon.address.starts_with("grpcs://127.0.0.1:"), "{}", daemon.address);
    fetched(&mut secured.trusting(&daemon.address));
    fetched(&mut secured.trusting(&daemon.address.replace("127.0.0.1", "localhost")));
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn a_server_that_no_trusted_authority_vouches_for_is_refused() {
    let secured = Secured::new();
    let daemon = secured.daemon(&[]);
    let other = Authority::new(&secured.world, "other");
    let mut command = secured.fetch(&daemon.address);
    let message = format!("cannot reach `{}`: its certificate is signed by no authority", daemon.address);
    refused(command.arg("--serve-ca").arg(other.path("ca.pem")), 11, &message);
    let mut command = secured.fetch(&daemon.address);
    let missing = secured.world.path("missing.pem");
    refused(command.arg("--serve-ca").arg(&missing), 11, &format!("cannot read `{}`", missing.display()));
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let secured = Secured::new();
    let (certificate, key) = secured.authority.issue("elsewhere", "DNS:elsewhere.example");
    let daemon = secured.plain_daemon(&["--tls-cert", &certificate, "--tls-key", &key]);
    let message = "its certificate is not for `127.0.0.1`; it is for: DnsName(\"elsewhere.example\")";
    refused(&mut secured.trusting(&daemon.address), 11, message);
}

#[test]
fn a_plain_client_of_a_tls_server_is_told_so() {
    let secured = Secured::new();
    let daemon = secured.daemon(&[]);
    let plain = daemon.address.replace("grpcs://", "");
    refused(&mut secured.fetch(&plain), 11, "it speaks TLS: its address begins with `grpcs://`");
}

#[test]
fn a_tls_client_of_a_plain_server_is_told_so() {
    let secured = Secured::new();
    let daemon = secured.plain_daemon(&[]);
    refused(&mut secured.trusting(&format!("grpcs://{}", daemon.address)), 11, "it does not speak TLS");
}

#[test]
fn certificates_are_never_given_for_nothing() {
    let secured = Secured::new();
    let daemon = secured.plain_daemon(&[]);
    refused(&mut secured.trusting(&daemon.address), 1, "would be spoken to without TLS");
}

#[test]
fn an_endpoint_may_be_as_secured_as_the_daemon_before_it() {
    let secured = Secured::new();
    let tokens = secured.world.write("tokens", "for-endpoint\n");
    let headers = secured.world.write("headers", "authorization: Bearer for-endpoint\n");
    let (certificate, key) = secured.authority.server();
    let mut options = vec!["--tls-cert", &certificate, "--tls-key", &key, "--token-file"];
    let tokens = tokens.display().to_string();
    options.push(&tokens);
    let endpoint = Daemon::start_as("execute", &secured.world.path("endpoint"), &options);
    let (authority, headers) = (secured.authority.text("ca.pem"), headers.display().to_string());
    let credentials = ["--remote-ca", &authority, "--remote-headers", &headers];
    let remote = ["--remote", &endpoint.address];
    let daemon = secured.daemon(&[&remote[..], &credentials].concat());

    let direct = secured.trusting(&daemon.address).args(credentials).output().expect("it runs");
    assert!(direct.status.success(), "{}", String::from_utf8_lossy(&direct.stderr));
    assert!(!String::from_utf8_lossy(&direct.stderr).contains("come through"));
    // Who has nothing to show to the endpoint gets everything through the daemon.
    let mut stranger = secured.world.client("stranger");
    stranger.args(["fetch", "--serve", &daemon.address, "--serve-ca", &authority]).arg(&secured.spec);
    let output = stranger.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("blobs come through"), "{said}");
}

#[test]
fn a_server_may_want_to_see_a_certificate() {
    let secured = Secured::new();
    let clients = Authority::new(&secured.world, "clients");
    let daemon = secured.daemon(&["--tls-client-ca", &clients.text("ca.pem")]);
    let with = |(certificate, key): (String, String)| {
        let mut command = secured.trusting(&daemon.address);
        command.args(["--serve-cert", &certificate, "--serve-key", &key]);
        command
    };
    refused(&mut secured.trusting(&daemon.address), 11, "it wants a certificate of its clients, and was shown none");
    let strangers = secured.authority.issue("stranger", "DNS:stranger");
    refused(&mut with(strangers), 11, "it does not trust the authority of the client certificate");
    let ours = clients.issue("ours", "DNS:ours");
    fetched(&mut with(ours.clone()));
    refused(&mut with((ours.0, secured.authority.text("server.key"))), 11, "cannot be used with the key");
}

#[test]
fn a_slow_handshake_keeps_nobody_else_waiting() {
    let secured = Secured::new();
    let daemon = secured.daemon(&[]);
    let address = daemon.address.replace("grpcs://", "");
    let silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(&address).expect("listens")).collect();
    fetched(&mut secured.trusting(&daemon.address));
    eventually("silent clients are left", || daemon.log().matches("it takes longer than").count() == silent.len());
}

#[test]
fn calls_without_a_listed_token_are_refused() {
    let secured = Secured::new();
    let tokens = secured.world.write("tokens", "# ours\nthe-token\n");
    let daemon = secured.plain_daemon(&["--token-file", &tokens.display().to_string()]);
    let with = |headers: &str| {
        let file = secured.world.write("headers", headers);
        let mut command = secured.fetch(&daemon.address);
        command.arg("--serve-headers").arg(file);
        command
    };
    let message = format!("`{}` refuses: a token is needed, as header `authorization: Bearer TOKEN`", daemon.address);
    refused(&mut secured.fetch(&daemon.address), 14, &message);
    refused(
        &mut secured.fetch(&daemon.address),
        14,
        "hint: a file with a line `authorization: Bearer TOKEN` is named by",
    );
    refused(&mut with("authorization: Bearer other-token"), 14, "the token is not one that is accepted here");
    refused(&mut with("x-a: b\nnonsense-token\n"), 1, "headers:2: `name: value` with a lower-case name is expected");
    fetched(&mut with("# for the server\nauthorization: Bearer the-token\n"));
    assert!(!daemon.log().contains("-token"), "tokens are not logged:\n{}", daemon.log());
}

#[test]
fn a_replaced_token_file_is_taken_up() {
    let secured = Secured::new();
    let tokens = secured.world.write("tokens", "old\n");
    let daemon = secured.plain_daemon(&["--token-file", &tokens.display().to_string()]);
    let code = |token: &str| {
        let file = secured.world.write("headers", format!("authorization: Bearer {token}\n"));
        let mut command = secured.fetch(&daemon.address);
        run(command.arg("--serve-headers").arg(file)).status.code()
    };
    assert_eq!((code("old"), code("new")), (Some(0), Some(14)));
    secured.world.write("tokens", "new\n");
    eventually("the new token is good", || code("new") == Some(0));
    assert_eq!(code("old"), Some(14));
    secured.world.write("tokens", "a bad line\n");
    eventually("the bad file is reported", || code("new") == Some(0) && daemon.log().contains("is not taken up"));
    secured.world.write("tokens", "\n");
    eventually("an empty file admits nobody", || code("new") == Some(14));
}

#[test]
fn replaced_certificates_are_taken_up() {
    let secured = Secured::new();
    let daemon = secured.daemon(&[]);
    let other = Authority::new(&secured.world, "other");
    let (certificate, key) = other.server();
    let trusts = |authority: &Authority| {
        let mut command = secured.fetch(&daemon.address);
        run(command.arg("--serve-ca").arg(authority.path("ca.pem"))).status.success()
    };
    assert!(trusts(&secured.authority) && !trusts(&other));
    let replace = |file: &str, by: &str| fs::copy(by, secured.authority.path(file)).expect("temporary");
    // Without its key the new certificate is of no use.
    replace("server.pem", &certificate);
    eventually("the bad pair is reported", || trusts(&secured.authority) && daemon.log().contains("is not taken up"));
    replace("server.key", &key);
    eventually("the new certificate is shown", || trusts(&other));
    assert!(!trusts(&secured.authority));
}

#[tokio::test]
async fn the_endpoint_alone_is_secured_too() {
    let secured = Secured::new();
    let (certificate, key) = secured.authority.server();
    let tokens = secured.world.write("tokens", "one\n").display().to_string();
    let options = ["--tls-cert", &certificate, "--tls-key", &key, "--token-file", &tokens];
    let daemon = Daemon::start_as("execute", &secured.world.path("execute"), &options);
    let endpoint: Endpoint = daemon.address.parse().expect("an address");
    let ask = async |headers: Headers| {
        let security = Security { ca: Some(secured.authority.path("ca.pem")), identity: None, headers };
        let link = Link::new(&endpoint, &security).expect("an address");
        let capabilities = async |channel| {
            let request = GetCapabilitiesRequest { instance_name: String::new() };
            CapabilitiesClient::new(channel).get_capabilities(request).await
        };
        match link.call("GetCapabilities", Duration::from_secs(10), capabilities).await {
            Ok(_) => tonic::Code::Ok,
            Err(CallError::Failed { status, .. }) => status.code(),
            Err(error) => panic!("{error}"),
        }
    };
    let good = Headers::from_file(secured.world.write("headers", "authorization: Bearer one"));
    assert_eq!(ask(Headers::default()).await, tonic::Code::Unauthenticated);
    assert_eq!(ask(good.expect("good")).await, tonic::Code::Ok);
}

#[test]
fn files_that_cannot_be_used_keep_a_daemon_from_starting() {
    let secured = Secured::new();
    let (certificate, key) = secured.authority.server();
    let other_key = secured.authority.text("ca.key");
    let tokens = secured.world.write("tokens", "two words\n").display().to_string();
    let missing = secured.world.path("missing").display().to_string();
    for (options, code, message) in [
        (&["--tls-cert", &certificate][..], 2, "--tls-key <FILE>"),
        (&["--tls-client-ca", &certificate], 2, "--tls-cert <FILE>"),
        (&["--tls-cert", &certificate, "--tls-key", &other_key], 1, "cannot be used with the key in"),
        (&["--tls-cert", &key, "--tls-key", &key], 1, "there is no certificate in"),
        (&["--token-file", &missing], 1, "cannot read"),
        (&["--token-file", &tokens], 1, "tokens:1: one token without spaces is expected"),
    ] {
        // One that starts all the same would never end by itself.
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_envserve"), "serve", "--listen", "127.0.0.1:0", "--root"]);
        command.arg(secured.world.path("daemon"));
        refused(command.args(options), code, message);
    }
}

#[test]
fn a_private_daemon_does_not_take_up_what_is_set_for_others() {
    let secured = Secured::new();
    let headers = secured.world.write("headers", "authorization: Bearer one");
    let mut command = secured.world.client("client");
    for name in
        ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "TOKEN_FILE", "SERVE_CA", "REMOTE_CERT", "REMOTE_KEY", "ANONYMOUS"]
    {
        command.env(format!("ENVSERVE_{name}"), "/nonexistent");
    }
    command.env("ENVSERVE_SERVE_HEADERS", &headers).env("ENVSERVE_REMOTE_HEADERS", &headers);
    let output = run(command.args(["fetch", "--quiet"]).arg(&secured.spec));
    assert!(output.status.success(), "{}", text(&output.stderr));
}
