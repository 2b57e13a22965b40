//! Commands that run in images: what is captured of what they change, and what they cannot reach.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::nix::{descriptor, file};
use crate::support::{Daemon, Endpoint, Kind, World, fail, succeed, text};

/// Puts busybox, and what the tests need besides, into the directory `source/root` of a world.
pub(super) fn busybox(world: &World) {
    let bin = world.path("source/root/bin");
    fs::create_dir_all(&bin).expect("temporary");
    fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
    let listed = succeed(Command::new("/bin/busybox").arg("--list"));
    for name in listed.lines().filter(|name| *name != "busybox") {
        symlink("busybox", bin.join(name)).expect("temporary");
    }
    world.write("source/root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    world.write("source/root/etc/gone", "below\n");
    world.write("source/root/opt/old/a", "below\n");
    world.write("source/root/opt/removed/deep/a", "below\n");
}

/// Puts a program of the host and its libraries into the root.
fn program(world: &World, program: &str) {
    let libraries = succeed(Command::new("ldd").arg(program));
    for path in libraries.split_whitespace().filter(|word| word.starts_with('/')).chain([program]) {
        let to = world.path("source/root").join(&path[1..]);
        fs::create_dir_all(to.parent().expect("below the root")).expect("temporary");
        fs::copy(path, to).expect("the program is installed");
    }
}

/// An image over the root whose commands are these, each for the shell.
pub(super) fn image(scripts: &[&str]) -> Value {
    let run: Vec<Value> = scripts.iter().map(|script| json!(["/bin/sh", "-euc", script])).collect();
    json!({"type": "image", "base": {"path": "root"}, "run": run})
}

/// Builds an environment, and returns its descriptor.
fn built(world: &World, daemon: &Daemon, environment: &Value) -> Value {
    let spec = world.spec("it", &json!({"it": environment}));
    descriptor(&mut world.client_of(daemon, "client"), &spec)
}

/// Returns what a layer says beside its tree.
fn attributes(daemon: &Daemon, descriptor: &Value, layer: &str) -> BTreeMap<String, Value> {
    let bytes = file(&daemon.address, descriptor, &format!("{layer}attributes.json"));
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    serde_json::from_value(document["exceptions"].clone()).expect("an object")
}

fn manifest(descriptor: &Value) -> String {
    descriptor["image"]["manifest"].as_str().expect("a digest").to_owned()
}

#[test]
fn a_layer_is_exactly_what_a_command_has_changed() {
    let world = World::new();
    busybox(&world);
    program(&world, "/usr/sbin/setcap");
    let first =
        "mkdir -p /var/lib/x /srv; chown 7:8 /var/lib/x; chmod 750 /srv; cp /bin/busybox /bin/tool; chown 3:4 /bin/tool
        chmod 4755 /bin/tool; cp /bin/busybox /bin/raw; /usr/sbin/setcap cap_net_raw+ep /bin/raw";
    let second =
        "stat -c '%u:%g %a' /var/lib/x /srv /bin/tool >/var/lib/x/seen; echo new >/etc/new; ln /etc/new /srv/link
        rm /etc/gone; rm -r /opt/removed; rm -r /opt/old; mkdir /opt/old; echo above >/opt/old/b
        chown 65535:1 /etc/new; mkfifo /srv/fifo; ln -s /nowhere /srv/symlink; chmod 1777 /srv
        dd if=/dev/zero of=/srv/sparse bs=1 count=1 seek=1048576; cp /bin/tool /srv/su; chmod 6711 /srv/su
        touch /tmp.mark; rm /tmp.mark; sleep 1000 & echo $! >/srv/number";
    let daemon = world.daemon();
    let answer = built(&world, &daemon, &image(&[first, second]));
    assert_eq!(answer["image"]["layers"].as_array().expect("a list").len(), 3);

    let made = attributes(&daemon, &answer, "layers/001/");
    assert_eq!(made["var/lib/x"], json!({"uid": 7, "gid": 8}));
    assert_eq!(made["srv"], json!({"mode": 0o750}));
    assert_eq!(made["bin/tool"], json!({"uid": 3, "gid": 4, "mode": 0o4755}));
    let capability = made["bin/raw"]["xattrs"]["security.capability"].as_str().expect("a capability");
    // Version 2, effective, CAP_NET_RAW: as an image has it, whoever runs it.
    let capability = BASE64_STANDARD.decode(capability).expect("base64");
    assert_eq!(capability[..8], [1, 0, 0, 2, 0, 0x20, 0, 0], "{capability:?}");

    let changed = attributes(&daemon, &answer, "layers/002/");
    let expected = json!({
        "etc/gone": {"is": "whiteout"},
        "etc/new": {"uid": 65535, "gid": 1},
        "opt/old": {"opaque": true},
        "opt/removed": {"is": "whiteout"},
        "srv": {"mode": 0o1777},
        "srv/fifo": {"is": "fifo"},
        "srv/link": {"is": "link", "target": "etc/new"},
        "srv/su": {"mode": 0o6711},
        "var/lib/x": {"uid": 7, "gid": 8},
    });
    assert_eq!(json!(changed), expected);
    let read = |path: &str| file(&daemon.address, &answer, path);
    assert_eq!(read("layers/002/root/var/lib/x/seen"), b"7:8 755\n0:0 750\n3:4 4755\n");
    let sparse = read("layers/002/root/srv/sparse");
    assert!(sparse.len() == (1 << 20) + 1 && sparse.iter().all(|byte| *byte == 0));

    let whole = attributes(&daemon, &answer, "");
    assert!(!whole.contains_key("etc/gone") && whole["bin/tool"] == made["bin/tool"], "{whole:?}");
    assert_eq!(read("root/opt/old/b"), b"above\n");
}

#[test]
fn a_command_sees_the_image_and_nothing_else() {
    let world = World::new();
    busybox(&world);
    let secret = world.write("secret", "of the host");
    let script = format!(
        "id -u; pwd; hostname; sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '; ls /; ls /sys; ls {secret} 2>&1 || :
         test -c /dev/null; test -c /dev/urandom; echo x >/dev/shm/x; mount -t tmpfs x /opt 2>&1 | head -c 5
         echo $NAME $FROM; echo $PATH; cat /proc/sys/kernel/ngroups_max >/dev/null; ps | wc -l | xargs test 9 -gt",
        secret = secret.display(),
    );
    let image = json!({
        "type": "image",
        "base": {"path": "root"},
        "config": {"Env": ["NAME=image", "FROM=image"], "WorkingDir": "/made/here"},
        "run": [
            {"cmd": ["/bin/sh", "-euc", format!("exec >/seen; {script}")], "env": {"NAME": "step"}},
            ["/bin/sh", "-c", "pwd >it"],
        ],
    });
    let daemon = world.daemon();
    let answer = built(&world, &daemon, &image);
    let expected = format!(
        "0\n/made/here\nlocalhost\nlo\nbin\ndev\netc\nmade\nopt\nproc\nseen\nsys\n\
         ls: {}: No such file or directory\nmountstep image\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
        secret.display()
    );
    assert_eq!(text(&file(&daemon.address, &answer, "root/seen")), expected);
    assert_eq!(file(&daemon.address, &answer, "root/made/here/it"), b"/made/here\n");
    // Places that only the running command needed are in no layer.
    for layer in ["layers/001/", "layers/002/"] {
        assert_eq!(attributes(&daemon, &answer, layer), BTreeMap::new(), "{layer}");
    }
    let listed = tree(&daemon, &answer, "root");
    assert_eq!(listed, ["bin", "etc", "made", "opt", "seen"]);
}

#[test]
fn a_command_that_fails_fails_the_build_and_its_log_is_shown() {
    let world = World::new();
    busybox(&world);
    let daemon = world.daemon();
    let spec = world.spec("it", &json!({"it": image(&["echo fine", "echo what went wrong >&2; exit 7"])}));
    let said = fail(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 16);
    assert!(said.contains("what went wrong") && said.contains("exit code 7"), "{said}");
    assert!(said.contains("/bin/sh -euc echo what went wrong"), "{said}");
    let spec = world.spec("it", &json!({"it": {"type": "image", "base": {"path": "root"}, "run": [["/no/program"]]}}));
    let said = fail(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 16);
    assert!(said.contains("/no/program") && said.contains("No such file or directory"), "{said}");
}

#[test]
fn the_same_image_comes_from_every_daemon_whoever_gives_it_users() {
    let world = World::new();
    busybox(&world);
    let image =
        image(&["mkdir -p /a/b; chown 12:13 /a/b; echo x >/a/b/c; rm /etc/gone", "chmod 2770 /a/b; date >/dev/null"]);
    let mut manifests = Vec::new();
    for (number, options) in
        [&[][..], &["--sandbox", "none"], &["--sandbox-user", "0", "--first-user", "300000"]].iter().enumerate()
    {
        let daemon = Daemon::start(&world.path(&format!("daemon-{number}")), options);
        manifests.push(manifest(&built(&world, &daemon, &image)));
    }
    assert!(manifests.iter().all(|manifest| *manifest == manifests[0]), "{manifests:?}");
}

#[test]
fn on_a_foreign_cluster_the_image_is_the_same() {
    Endpoint::with(Kind::BuildGrid, |endpoint| {
        let world = World::new();
        busybox(&world);
        let image = image(&["mkdir /d; chown 5:6 /d; ln /bin/busybox /bin/again; rm /etc/gone; ls /proc/1 >/dev/null"]);
        let own = manifest(&built(&world, &world.daemon(), &image));
        let daemon = Daemon::start(&world.path("serve"), &["--remote", &endpoint.address]);
        let spec = world.spec("it", &json!({"it": image}));
        let answer = descriptor(&mut world.client_of(&daemon, "other"), &spec);
        assert_eq!(manifest(&answer), own);
    });
}

#[test]
fn workers_elsewhere_give_users_when_the_operator_says_how_to_ask() {
    let world = World::new();
    busybox(&world);
    let image = image(&["mkdir /d; chown 5:6 /d"]);
    let own = manifest(&built(&world, &world.daemon(), &image));
    Endpoint::with(Kind::Own, |endpoint| {
        let spec = world.spec("it", &json!({"it": image}));
        let silent = Daemon::start(&world.path("silent"), &["--remote", &endpoint.address]);
        let said = fail(world.client_of(&silent, "other").arg("fetch").arg(&spec), 16);
        assert!(said.contains("this worker cannot run steps of images") && said.contains("uidmap"), "{said}");
        let asking = ["--remote", &endpoint.address, "--image-worker", "user-ids=range"];
        let asking = Daemon::start(&world.path("asking"), &asking);
        assert_eq!(manifest(&descriptor(&mut world.client_of(&asking, "other"), &spec)), own);
    });
}

#[test]
fn owners_that_no_worker_has_are_named() {
    let world = World::new();
    busybox(&world);
    let root = world.path("source/root");
    let mut tar = Command::new("tar");
    tar.args(["--owner=70000", "--numeric-owner", "-cf"])
        .arg(world.path("source/root.tar"))
        .arg("-C")
        .arg(&root)
        .arg(".");
    succeed(&mut tar);
    let daemon = world.daemon();
    let environment = json!({"type": "image", "base": {"path": "root.tar"}, "run": [["true"]]});
    let spec = world.spec("it", &json!({"it": environment}));
    let said = fail(world.client_of(&daemon, "client").arg("fetch").arg(&spec), 16);
    assert!(said.contains("70000") && said.contains("65536"), "{said}");
}

/// Returns the names in a directory of an environment.
fn tree(daemon: &Daemon, descriptor: &Value, path: &str) -> Vec<String> {
    crate::nix::names(&daemon.address, descriptor, path)
}
