//! Who may pull, and requests as any client may send them.

use super::*;

#[test]
fn where_a_token_is_needed_it_is_shown_as_a_password() {
    let world = World::new();
    let tokens = world.write("tokens", "the-token\n");
    let headers = world.write("headers", "authorization: Bearer the-token\n");
    let registry = Registry::new(&["--registry-push", "--token-file", tokens.to_str().expect("UTF-8")]);
    for path in ["", "web-server/manifests/latest", "x/blobs/uploads/"] {
        let answer = registry.get(path, &[]);
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{path}");
        assert!(answer.header("www-authenticate").expect("a challenge").starts_with("Basic realm="));
    }
    assert_eq!(registry.get("", &[("Authorization", "Bearer the-token")]).status, 200);
    let mut command = world.client_of(&registry.daemon, "client");
    command.arg("fetch").arg("--absent").arg(registry.spec());
    succeed(command.env("ENVSERVE_SERVE_HEADERS", headers));
    let name = registry.docker("web-server:latest");
    let layout = format!("oci:{}:tag", world.path("layout").display());
    assert!(!run(&mut copy(&[], &name, &layout)).status.success());
    assert!(!run(&mut copy(&["--src-creds", "any:wrong"], &name, &layout)).status.success());
    succeed(&mut copy(&["--src-creds", "any:the-token"], &name, &layout));
    let auth = world.path("auth.json");
    let file = auth.to_str().expect("UTF-8");
    let login = |token: &str| {
        let arguments = ["login", "--tls-verify=false", "--authfile", file, "-u", "any", "-p", token];
        run(registry.podman(&arguments).arg(&registry.daemon.address))
    };
    assert!(!login("wrong").status.success());
    let logged_in = login("the-token");
    assert!(logged_in.status.success(), "{}", text(&logged_in.stderr));
    succeed(&mut copy(&["--authfile", file], &layout, &registry.docker("up:1")));
}

#[test]
fn errors_are_told_as_registries_tell_them() {
    let registry = Registry::new(&[]);
    let nothing = format!("web/blobs/sha256:{}", "0".repeat(64));
    for (path, status, code) in [
        ("web/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        (&*nothing, 404, "BLOB_UNKNOWN"),
        ("web/tags/list", 404, "NAME_UNKNOWN"),
        ("WEB/tags/list", 400, "NAME_INVALID"),
        ("web/../web/tags/list", 400, "NAME_INVALID"),
        ("web/blobs/sha512:00", 400, "DIGEST_INVALID"),
        ("web/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    ] {
        let answer = registry.get(path, &[]);
        let errors: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!((answer.status, &errors["errors"][0]["code"]), (status, &json!(code)), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let output = run(Command::new("skopeo").args(["inspect", "--tls-verify=false", &registry.docker("web:latest")]));
    assert!(text(&output.stderr).contains("is not known: an image is"), "{}", text(&output.stderr));
    let answer = request(&registry.daemon.address, "GET", "/", &[], b"");
    assert!(answer.text().contains("/v2/"));
}
