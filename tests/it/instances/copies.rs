//! Copies between the host and an instance.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::Case;
use crate::support::{fail, succeed};

#[test]
fn files_and_directories_are_copied_both_ways() {
    let case = Case::new();
    let id = case.one(&[]);
    let host = |name: &str| case.world.path(name).display().to_string();
    let copy = |from: &str, to: &str| succeed(case.command("cp").args([from, to]));
    let file = case.world.write("given/d/file", "text");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4750)).expect("temporary");
    symlink("file", case.world.path("given/d/link")).expect("temporary");
    copy(&host("given"), &format!("{id}:/srv"));
    copy(&host("given"), &format!("{id}:/named"));
    copy(&host("given/d/file"), &format!("{id}:/srv/index.html"));
    let script =
        "cat /srv/given/d/link /named/d/file /srv/index.html; busybox stat -c '%u %g %a' /srv/given/d/file /srv";
    assert_eq!(succeed(&mut case.exec(&id, &["sh", "-c", script])), "texttexttext0 0 750\n0 0 755");
    succeed(&mut case.exec(&id, &["sh", "-c", "mkdir -p /out/a; echo -n made >/out/a/b; busybox mkfifo /out/pipe"]));
    copy(&format!("{id}:/out"), &host("got"));
    copy(&format!("{id}:out/a/b"), &host("got"));
    assert_eq!(fs::read(case.world.path("got/a/b")).expect("copied"), b"made");
    assert_eq!(fs::metadata(case.world.path("got/b")).expect("copied").uid(), 0);
    assert!(!case.world.path("got/pipe").exists());
    let other = case.one(&[]);
    copy(&format!("{id}:/out"), &format!("{other}:/srv"));
    assert_eq!(succeed(&mut case.exec(&other, &["cat", "/srv/out/a/b"])), "made");
    for (from, to) in [("none", "x"), ("given", "none/x"), ("given", "given/d/file")] {
        let error = fail(case.command("cp").args([host(from), host(to)]), 1);
        assert!(error.contains("cannot"), "{error}");
    }
    let error = fail(case.command("cp").arg(format!("{id}:/out/pipe")).arg(host("x")), 1);
    assert!(error.contains("neither a file nor a directory"), "{error}");
}

#[test]
fn paths_in_an_instance_do_not_lead_out_of_it() {
    let case = Case::new();
    let id = case.one(&[]);
    let outside = case.world.path("outside");
    case.world.write("outside/secret", "host");
    case.world.write("given/secret", "new");
    let text = outside.display();
    let script = format!(
        "mkdir /e; busybox ln -s {text} /e/absolute; busybox ln -s ../../../../../../../../../..{text} /e/up; \
         busybox ln -s {text}/secret /e/secret; busybox ln -s /proc/1/root /e/proc"
    );
    succeed(&mut case.exec(&id, &["sh", "-c", &script]));
    for path in ["e/absolute/secret", "e/up/secret", "e/secret", "../../../../etc/hostname", "e/proc/bin"] {
        let mut command = case.command("cp");
        let error = fail(command.arg(format!("{id}:/{path}")).arg(case.world.path("got")), 1);
        assert!(error.contains("cannot open"), "{error}");
    }
    let given = case.world.path("given");
    for to in ["/e/absolute/new", "/e/up/new", "/../../outside/new"] {
        fail(case.command("cp").arg(&given).arg(format!("{id}:{to}")), 1);
    }
    succeed(case.command("cp").arg(given.join("secret")).arg(format!("{id}:/e")));
    assert_eq!(fs::read(outside.join("secret")).expect("there"), b"host");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1);
    assert_eq!(succeed(&mut case.exec(&id, &["cat", "/e/secret"])), "new");
    succeed(case.command("cp").arg(format!("{id}:/e")).arg(case.world.path("all")));
    assert!(fs::symlink_metadata(case.world.path("all/up")).expect("copied").is_symlink());
}
