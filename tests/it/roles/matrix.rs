//! Every call by every role: it works, fails for what was asked, or is refused for who asks, and nothing in between.

use std::collections::{BTreeMap, BTreeSet};

use envserve::serve::roles::{PATHS, Role, SERVICES};
use envserve::serve::status::RoleDenied;
use tonic::Code;

use super::{Roles, rpcs};
use crate::support::{Daemon, request};

/// Returns the least role of every call in the table.
fn table() -> BTreeMap<String, Role> {
    let calls = SERVICES.iter().flat_map(|service| {
        service.calls.iter().map(move |(call, least)| (format!("/{}/{call}", service.name), *least))
    });
    calls.collect()
}

/// Makes every call of the table as every role and as nobody, at those services that a daemon has.
async fn check_calls(roles: &Roles, daemon: &Daemon, calls: &BTreeMap<String, Role>) {
    let nobody = roles.link(daemon, None);
    for path in calls.keys() {
        let status = rpcs::call(nobody.channel(), path).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{path} by nobody: {status}");
    }
    for role in Role::ALL {
        let link = roles.link(daemon, Some(role));
        for (path, least) in calls {
            let status = rpcs::call(link.channel(), path).await;
            let said = format!("{path} by {role}: {status}");
            if role >= *least {
                assert!(!matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated), "{said}");
                assert!(status.code() != Code::Unknown && status.code() != Code::Internal, "{said}");
            } else {
                assert_eq!(status.code(), Code::PermissionDenied, "{said}");
                assert_eq!(RoleDenied::of(&status), Some(RoleDenied { least: *least, not_built: false }), "{said}");
                assert!(
                    status.message().contains(&format!("`{least}`")) && status.message().contains(&format!("`{role}`"))
                );
            }
        }
    }
}

#[tokio::test]
async fn every_call_is_for_its_role_and_those_above() {
    let roles = Roles::new();
    let daemon = roles.start("serve", &[]);
    check_calls(&roles, &daemon, &table()).await;
}

#[tokio::test]
async fn every_call_at_the_endpoint_alone_is_so_too() {
    let roles = Roles::new();
    let daemon = roles.start("execute", &[]);
    let mut calls = table();
    calls.retain(|path, _| path.starts_with("/build.bazel.") || path.starts_with("/google."));
    check_calls(&roles, &daemon, &calls).await;
}

#[tokio::test]
async fn every_call_that_is_served_is_in_the_table() {
    let table = table();
    let (ours, theirs) = (rpcs::ours(), rpcs::theirs());
    let missing: BTreeSet<_> = ours.iter().filter(|path| !table.contains_key(*path)).collect();
    assert!(missing.is_empty(), "no role is said for {missing:?}: `src/serve/roles.rs`");
    let unheard: BTreeSet<_> = table.keys().filter(|path| !ours.contains(*path) && !theirs.contains(*path)).collect();
    assert!(unheard.is_empty(), "there is no such call: {unheard:?}");
    // What others' protocols have besides is for admins, who are told that it is not served.
    let roles = Roles::new();
    let daemon = roles.start("serve", &[]);
    let (admin, builder) = (roles.link(&daemon, Some(Role::Admin)), roles.link(&daemon, Some(Role::Builder)));
    for path in theirs.iter().filter(|path| !table.contains_key(*path)) {
        let status = rpcs::call(admin.channel(), path).await;
        assert_eq!(status.code(), Code::Unimplemented, "no role is said for {path}: {status}");
        assert_eq!(rpcs::call(builder.channel(), path).await.code(), Code::PermissionDenied, "{path}");
    }
}

/// Paths of each class over HTTP, and what there is none of.
fn paths(prefix: &str) -> &'static [&'static str] {
    match prefix {
        "/nix/" => &["/nix/nix-cache-info", "/nix/x.narinfo", "/nix/zstd/nar/x", "/nix/"],
        "/v2" => &["/v2"],
        "/v2/" => {
            &["/v2/", "/v2/a/manifests/latest", "/v2/a/blobs/uploads/", "/v2/a/tags/list", "/v2/a/blobs/uploads/x"]
        }
        prefix => panic!("no path is known of `{prefix}`"),
    }
}

#[test]
fn every_request_over_http_is_for_its_role_and_those_above() {
    let roles = Roles::new();
    let daemon = roles.start("serve", &["--registry-push", "--nix-upload"]);
    let mut requests: Vec<(&str, &str, Role)> = Vec::new();
    for class in PATHS {
        let of_class =
            paths(class.prefix).iter().flat_map(|path| class.methods.iter().map(move |method| (*method, *path)));
        requests.extend(of_class.map(|(method, path)| (method, path, class.least)));
    }
    let unheard = [("GET", "/"), ("GET", "/metrics"), ("DELETE", "/nix/x.narinfo"), ("POST", "/nix/x"), ("PUT", "/v2")];
    requests.extend(unheard.map(|(method, path)| (method, path, Role::Admin)));
    for (method, path, least) in requests {
        assert_eq!(request(&daemon.address, method, path, &[], b"").status, 401, "{method} {path} by nobody");
        for role in Role::ALL {
            let token = format!("Bearer token-of-{role}");
            let answer = request(&daemon.address, method, path, &[("Authorization", &token)], b"");
            let said = format!("{method} {path} by {role}: {} {}", answer.status, answer.text());
            if role >= least {
                assert!(![401, 403].contains(&answer.status) && answer.status < 500, "{said}");
            } else {
                assert_eq!(answer.status, 403, "{said}");
                let told = answer.text().contains(&format!("takes the role `{least}`")) || method == "HEAD";
                assert!(told && answer.whole, "{said}");
            }
        }
    }
}
