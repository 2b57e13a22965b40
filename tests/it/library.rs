//! The client as a library: in this process, and in the build tool that is its example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use envserve::client::{
    Building, Client, ClientError, ClientOptions, ErrorKind, Event, LocatedSpec, Placement, PlannedState, Probed,
    Quiet, Request, entered,
};
use serde_json::json;

use crate::support::{Daemon, World, fail, object, run, script, succeed, text};

fn client(world: &World, daemon: &Daemon) -> Client {
    Client::new(ClientOptions::new(world.path("library")).with_server(&daemon.address).expect("an address"))
}

async fn request(client: &Client, spec: &Path) -> Result<Request, ClientError> {
    let LocatedSpec { spec, base } = LocatedSpec::read(spec).await?;
    client.request(spec, &base, Building::Allowed, &Quiet).await
}

fn greeter(world: &World) -> PathBuf {
    let mut greeter = script("mkdir bin; printf 'echo hello' >bin/greet; chmod +x bin/greet", &["bin"]);
    greeter["provides"] = json!({"path": ["bin"]});
    world.spec("greeter", &json!({"greeter": greeter}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_does_what_the_command_does() {
    let world = World::new();
    let (spec, daemon) = (greeter(&world), world.daemon());
    let client = client(&world, &daemon);
    let told = Mutex::new(Vec::new());
    let events = |event: Event| told.lock().expect("not poisoned").push(event);
    let request = request(&client, &spec).await.expect("a spec");
    assert_eq!(request.parts.key().to_string(), succeed(world.client_of(&daemon, "command").arg("key").arg(&spec)));

    let placement = Placement::default();
    assert_eq!(client.probe(&request, &placement).await.expect("reached"), Probed::Miss);
    let plan = client.plan(&request, &placement, &events).await.expect("reached");
    assert_eq!(plan.environments[0].state, PlannedState::Build);
    let descriptor = client.fetch_absent(&request, &events).await.expect("builds");
    let absent = object(world.client_of(&daemon, "command").args(["fetch", "--absent", "--json"]).arg(&spec));
    assert_eq!(json!(descriptor), absent["descriptor"]);
    assert_eq!(client.probe(&request, &placement).await.expect("reached"), Probed::Hit);

    let fetched = client.fetch(&request, &placement, &events).await.expect("built");
    assert!(!fetched.present && fetched.downloaded > 0);
    let path = entered(&fetched).expect("a tree").full_path(Some("/usr/bin:/bin".into()));
    assert_eq!(succeed(Command::new("/bin/sh").args(["-c", "greet"]).env("PATH", path)), "hello");
    assert_eq!(client.probe(&request, &placement).await.expect("here"), Probed::Here);
    assert!(client.fetch(&request, &placement, &events).await.expect("here").present);
    assert_eq!(daemon.builds(), 1);
    let told = told.into_inner().expect("not poisoned");
    assert!(told.contains(&Event::Answer { hit: false }), "{told:?}");
    assert!(told.iter().any(|event| matches!(event, Event::Download { .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_use_one_client() {
    let world = World::new();
    let (spec, daemon) = (greeter(&world), world.daemon());
    let client = Arc::new(client(&world, &daemon));
    let answers = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (client, spec, answers) = (Arc::clone(&client), spec.clone(), Arc::clone(&answers));
            tokio::spawn(async move {
                let events = move |event: Event| {
                    if let Event::Answer { .. } = event {
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                };
                let request = request(&client, &spec).await?;
                Ok::<_, ClientError>(client.fetch(&request, &Placement::default(), &events).await?.directory)
            })
        })
        .collect();
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.expect("no panic").expect("built"));
    }
    assert!(places.iter().all(|place| *place == places[0] && place.join("bin/greet").exists()));
    assert_eq!(daemon.builds(), 1);
}

#[tokio::test]
async fn without_a_server_the_named_program_is_the_private_daemon() {
    let world = World::new();
    let spec = greeter(&world);
    let options = ClientOptions::new(world.path("library"));
    let mut own = options.clone().with_program(env!("CARGO_BIN_EXE_envserve"));
    own.idle_seconds = 1;
    let client = Client::new(own);
    let request = request(&client, &spec).await.expect("a spec");
    let fetched = client.fetch(&request, &Placement::default(), &Quiet).await.expect("built");
    assert!(fetched.directory.join("bin/greet").exists());

    let without = ClientOptions::new(world.path("other")).with_program("/does/not/exist");
    let error = Client::new(without).fetch(&request, &Placement::default(), &Quiet).await.expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("ClientOptions::program")), "{error}");
}

#[tokio::test]
async fn errors_have_kinds_and_hints() {
    let world = World::new();
    let environments = json!({"fails": script("echo the reason; exit 3", &["out"])});
    let (spec, daemon) = (world.spec("fails", &environments), world.daemon());
    let asked = client(&world, &daemon);
    let failing = request(&asked, &spec).await.expect("a spec");
    let error = asked.fetch(&failing, &Placement::default(), &Quiet).await.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::BuildFailed);
    assert!(matches!(&error, ClientError::Failed(failed) if failed.log.contains("the reason")), "{error:?}");

    let error = LocatedSpec::read(&world.path("nothing.json")).await.expect_err("no file");
    assert!(matches!(error, ClientError::ReadSpec { .. }) && error.kind() == ErrorKind::Other, "{error:?}");
    world.write("spec.json", "{");
    assert!(matches!(LocatedSpec::read(&spec).await, Err(ClientError::Spec(_))));
    assert_eq!(
        ClientError::from(ClientOptions::new("r").with_server("farm").expect_err("no port")).hint(),
        Some("the address is --serve or ENVSERVE_SERVE".to_owned())
    );

    let gone = Client::new(ClientOptions::new(world.path("gone")).with_server("127.0.0.1:1").expect("an address"));
    let error = gone.fetch(&failing, &Placement::default(), &Quiet).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Returns the build tool, which `cargo test` builds with the other examples.
fn build_tool(world: &World, daemon: &Daemon) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_envserve")).with_file_name("examples/build-tool");
    let age = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let source = example().join("main.rs");
    let fresh = age(&built) >= age(&source);
    assert!(fresh, "build `{}` first: `cargo build --release --example build-tool`", built.display());
    let mut command = Command::new(built);
    command.env("ENVSERVE_ROOT", world.path("tool")).env("ENVSERVE_SERVE", &daemon.address);
    command
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/build-tool")
}

#[test]
fn the_build_tool_hands_an_environment_to_remote_and_to_local_actions() {
    let world = World::new();
    let (daemon, spec) = (world.daemon(), example().join("spec.json"));
    let remote = run(build_tool(&world, &daemon).arg(&spec).arg("--remote"));
    let (stdout, stderr) = (text(&remote.stdout), text(&remote.stderr));
    assert!(remote.status.success(), "{stderr}");
    assert!(stderr.contains("`greeter` has to be built") && stderr.contains("actions"), "{stderr}");
    let absent = succeed(world.client_of(&daemon, "command").args(["fetch", "--absent"]).arg(&spec));
    assert_eq!(stdout, format!("input {}\npath bin\n", absent.replacen(':', " ", 1)));

    let greet = run(build_tool(&world, &daemon).arg(&spec).args(["--", "greet"]));
    assert_eq!(text(&greet.stdout), "hello, world\n", "{}", text(&greet.stderr));
    assert!(text(&greet.stderr).contains("`greeter` is built"), "{}", text(&greet.stderr));

    let copy = world.path("copy");
    let copied = succeed(build_tool(&world, &daemon).arg(&spec).arg("--into").arg(&copy));
    assert_eq!(copied, copy.display().to_string());
    assert!(copy.join("bin/greet").exists());
    assert_eq!(daemon.builds(), 1);
}

#[test]
fn the_build_tool_decides_on_kinds_of_errors() {
    let world = World::new();
    let environments = json!({"fails": script("echo the reason; exit 3", &["out"])});
    let (spec, daemon) = (world.spec("fails", &environments), world.daemon());
    let failed = fail(build_tool(&world, &daemon).arg(&spec).arg("--remote"), 3);
    assert!(failed.contains("| the reason"), "{failed}");
    let unreachable =
        fail(build_tool(&world, &daemon).env("ENVSERVE_SERVE", "127.0.0.1:1").arg(&spec).arg("--remote"), 75);
    assert!(unreachable.contains("is a daemon running there?"), "{unreachable}");
    let usage = fail(build_tool(&world, &daemon).arg(&spec).arg("--other"), 2);
    assert!(usage.starts_with("usage: build-tool SPEC"), "{usage}");
}
