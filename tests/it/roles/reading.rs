//! What a role comes to for its clients: readers take what is there, and cause nothing.

use std::fs;
use std::path::Path;

use envserve::proto::v1;
use envserve::proto::v1::source_trees_client::SourceTreesClient;
use envserve::serve::roles::Role;
use serde_json::json;
use tonic::Code;

use super::Roles;
use crate::support::{Web, fail, git, object, run, script, succeed, text};

#[test]
fn a_reader_gets_what_is_built_and_has_nothing_built() {
    let roles = Roles::new();
    let environments =
        json!({"made": script("echo made >out", &["out"]), "other": script("echo other >out", &["out"])});
    let spec = roles.world.spec("made", &environments);
    let daemon = roles.start("serve", &[]);
    let fetch = |role, root: &str| {
        let mut command = roles.client(&daemon, role, root);
        command.args(["fetch", "--quiet"]).arg(&spec);
        command
    };
    for (role, root) in [(Role::Reader, "reader"), (Role::Uploader, "uploader")] {
        assert_eq!(run(fetch(role, root).arg("--probe")).status.code(), Some(10), "{role}");
        let plan = run(roles.client(&daemon, role, root).arg("plan").arg(&spec));
        assert!(plan.status.success(), "{}", text(&plan.stderr));
        let stderr = fail(&mut fetch(role, root), 14);
        assert!(stderr.contains("refuses: environment `made` is not in the cache"), "{stderr}");
        assert!(stderr.contains("hint: have it built") && stderr.contains("`envserve prefill`"), "{stderr}");
    }
    assert_eq!(daemon.builds(), 0);
    succeed(&mut fetch(Role::Builder, "builder"));
    for (role, root) in [(Role::Reader, "reader"), (Role::Uploader, "uploader")] {
        assert_eq!(run(fetch(role, root).arg("--probe")).status.code(), Some(0), "{role}");
        let directory = succeed(&mut fetch(role, root));
        assert_eq!(fs::read_to_string(Path::new(&directory).join("out")).expect("fetched"), "made\n");
        let found = object(fetch(role, &format!("{root}-absent")).args(["--absent", "--json"]));
        assert!(found["descriptor"]["root"].is_string(), "{found}");
    }
    // Another one of the same root is still not there.
    fail(fetch(Role::Reader, "reader").args(["-e", "main", "", "other"]), 14);
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn a_reader_gives_nothing_and_is_told_who_may() {
    let roles = Roles::new();
    let spec = roles.world.spec("made", &json!({"made": script("echo made >out", &["out"])}));
    let daemon = roles.start("serve", &[]);
    let back_up = |role, root| {
        let mut command = roles.client(&daemon, role, root);
        command.args(["fetch", "--sources", "--backup-to-remote"]).arg(&spec);
        command
    };
    let stderr = fail(&mut back_up(Role::Reader, "reader"), 14);
    assert!(stderr.contains("takes the role `uploader`, and what was shown gives `reader`"), "{stderr}");
    assert!(stderr.contains("hint: show a token of the role `uploader`"), "{stderr}");
    succeed(&mut back_up(Role::Uploader, "uploader"));
    // Now the root is known, and a reader may read of it.
    succeed(roles.client(&daemon, Role::Reader, "reader").arg("describe").arg(&spec));
}

#[tokio::test]
async fn nothing_is_fetched_from_elsewhere_for_a_reader() {
    let roles = Roles::new();
    let file = roles.world.write("web/file", "content\n");
    let content = git(&roles.world.path("web"), &["hash-object", &file.display().to_string()]);
    let web = Web::of(&roles.world.path("web"));
    let daemon = roles.start("serve", &["--fetch", &format!("{}/", web.address)]);
    let ask = async |role| {
        let origin = v1::Origin { addresses: vec![format!("{}/file", web.address)], ..Default::default() };
        let request = v1::ContentRequest { content: content.clone(), origin: Some(origin) };
        let answer = SourceTreesClient::new(roles.link(&daemon, Some(role)).channel()).content(request).await;
        answer.map(|answer| answer.into_inner().fetched).map_err(|status| status.code())
    };
    assert_eq!((ask(Role::Reader).await, web.asked().len()), (Err(Code::NotFound), 0));
    assert_eq!((ask(Role::Uploader).await, web.asked().len()), (Ok(true), 1));
    assert_eq!(ask(Role::Reader).await, Ok(false), "what is known is read");
}

#[tokio::test]
async fn capabilities_are_those_of_whoever_asks() {
    use envserve::proto::reapi::GetCapabilitiesRequest;
    use envserve::proto::reapi::capabilities_client::CapabilitiesClient;
    let roles = Roles::new();
    let daemon = roles.start("execute", &[]);
    for (role, executes, updates) in [
        (Role::Reader, false, false),
        (Role::Uploader, false, false),
        (Role::Builder, true, false),
        (Role::Admin, true, true),
    ] {
        let request = GetCapabilitiesRequest { instance_name: String::new() };
        let answer = CapabilitiesClient::new(roles.link(&daemon, Some(role)).channel()).get_capabilities(request).await;
        let answer = answer.expect("answered").into_inner();
        let cache = answer.cache_capabilities.expect("told").action_cache_update_capabilities.expect("told");
        let execution = answer.execution_capabilities.expect("told");
        assert_eq!((execution.exec_enabled, cache.update_enabled), (executes, updates), "{role}");
    }
}
