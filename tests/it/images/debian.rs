//! A Debian root in which a step installs a compiler, as its maintainer scripts want it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::nix::{descriptor, file};
use crate::support::{World, succeed, text};

/// What of packages nobody needs here; without it all takes half as long.
const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// Makes the archive of a root file system with Debian's essential packages, and beside it the packages of a compiler.
fn debian(archive: &Path, packages: &Path) {
    fs::create_dir_all(packages).expect("temporary");
    let release = fs::read_to_string("/etc/os-release").expect("there");
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).expect("a Debian");
    let sources = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let sources = sources.into_iter().find(|path| Path::new(path).exists()).expect("apt has sources");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "--format=tar", "--dpkgopt=force-unsafe-io"]);
    command.arg("--aptopt=Acquire::Languages \"none\"");
    command.args(EXCLUDED.map(|path| format!("--dpkgopt=path-exclude={path}")));
    command.arg(
        "--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -y --no-install-recommends --download-only \
         install gcc libc6-dev libcap2-bin",
    );
    command.arg(format!("--customize-hook=mv \"$1\"/var/cache/apt/archives/*.deb '{}'", packages.display()));
    succeed(command.arg(suite).arg(archive).arg(sources));
}

#[test]
fn a_compiler_is_installed_by_a_step_and_compiles() {
    let world = World::new();
    fs::create_dir_all(world.path("source")).expect("temporary");
    debian(&world.path("source/root.tar"), &world.path("source/packages"));
    world.write("source/hello.c", "#include <stdio.h>\nint main(void) { puts(\"compiled in the image\"); }\n");
    let install = "dpkg --install --force-unsafe-io /packages/*.deb >/dev/null
        setcap cap_net_raw+ep /usr/bin/id; getcap /usr/bin/id >/capability; chown daemon:adm /capability
        rm -f /var/log/*.log /var/cache/ldconfig/aux-cache
        gcc -O1 -o /usr/local/bin/hello /hello.c; hello >/said; dpkg --audit >/audit; stat -c %U:%G /capability >/owner";
    let environments = json!({"it": {
        "type": "image",
        "base": {"path": "root.tar"},
        "layers": [{"from": {"path": "packages"}, "at": "/packages"}, {"from": {"path": "hello.c"}, "at": "/hello.c"}],
        "run": [["sh", "-euc", install]],
    }});
    let daemon = world.daemon();
    let spec = world.spec("it", &environments);
    let answer = descriptor(&mut world.client_of(&daemon, "client"), &spec);
    let read = |path: &str| text(&file(&daemon.address, &answer, path));
    assert_eq!(read("root/said"), "compiled in the image\n");
    assert_eq!(read("root/audit"), "");
    assert_eq!(read("root/capability"), "/usr/bin/id cap_net_raw=ep\n");
    assert_eq!(read("root/owner"), "daemon:adm\n");
    assert_eq!(answer["image"]["layers"].as_array().expect("a list").len(), 4);
}
