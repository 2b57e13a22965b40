//! Actions of remote-execution clients in images that are environments.

use serde_json::json;
use tonic::Code;

use super::run::{busybox, image};
use crate::execute::{execute, upload};
use crate::support::{Daemon, World, succeed, text};

/// Has an image built and returns the property with which actions run in it.
fn property(world: &World, daemon: &Daemon) -> String {
    let environment =
        image(&["mkdir -p /opt/tools; echo of the image >/opt/tools/version; chmod 700 /opt/tools; rm -r /opt/old"]);
    let spec = world.spec("it", &json!({"it": environment}));
    let mut client = world.client_of(daemon, "client");
    let said = succeed(client.args(["fetch", "--absent"]).arg(&spec));
    let value = said.lines().find_map(|line| line.strip_prefix("container-image="));
    value.unwrap_or_else(|| panic!("no property: {said}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_sees_the_files_of_the_image_and_not_those_of_the_host() {
    let world = World::new();
    busybox(&world);
    let daemon = world.daemon();
    let property = tokio::task::block_in_place(|| property(&world, &daemon));
    let script = "cat /opt/tools/version; ls /opt /; test ! -e /usr; test \"$(id -u)\" = 1000; if touch /opt/x 2>/dev/null; then exit 9; fi";
    let action = upload(&daemon, "", script, &[("container-image", &property)]).await;
    let response = execute(&daemon.link().channel(), "", action).await;
    let result = response.result.unwrap_or_else(|| panic!("no result: {:?}", response.status));
    let expected = "of the image\n/:\nbin\nbuild\ndev\netc\nopt\nproc\ntmp\n\n/opt:\nremoved\ntools\n";
    assert_eq!((result.exit_code, text(&result.stdout_raw).as_str()), (0, expected));

    // A daemon that has not built it says what to do.
    let other = Daemon::start(&world.path("other"), &[]);
    let action = upload(&other, "", script, &[("container-image", &property)]).await;
    let status = execute(&other.link().channel(), "", action).await.status.expect("a status");
    assert_eq!(status.code, Code::FailedPrecondition as i32, "{status:?}");
    assert!(status.message.contains("fetch --absent"), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_is_root_among_many_users_when_it_asks_for_them() {
    let world = World::new();
    let daemon = world.daemon();
    let script = "id -u; touch f; chown 12:34 f; stat -c %u:%g f";
    let action = upload(&daemon, "", script, &[("user-ids", "range")]).await;
    let result = execute(&daemon.link().channel(), "", action).await.result.expect("a result");
    assert_eq!(text(&result.stdout_raw), "0\n12:34\n");
}
