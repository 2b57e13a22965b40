//! What is fetched of an image, when, and in which form.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Case, USER};
use crate::support::{contents, fail, files, run, succeed, text, tree};

fn tool(program: &str, arguments: &[&str], path: &Path) {
    let output = run(Command::new(program).args(arguments).arg(path));
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
}

#[test]
fn an_image_is_fetched_once_in_each_form_and_then_without_a_connection() {
    let case = Case::new();
    let views = ["dir", "oci", "docker-archive"];
    let first = views.map(|view| PathBuf::from(succeed(case.command("fetch").args(["--view", view]))));
    let (root, layout, archive) = (&first[0], &first[1], &first[2]);
    assert_eq!(fs::read_link(root.join("bin/sh")).expect("a link"), Path::new("busybox"));
    assert_eq!(fs::read(root.join("data/small")).expect("there"), b"before");
    assert!(layout.join("oci-layout").is_file() && archive.is_file());
    tool("umoci", &["stat", "--image"], &PathBuf::from(format!("{}:latest", layout.display())));
    assert_eq!(succeed(case.command("fetch").arg("--probe")), "here");
    let again = views.map(|view| {
        let mut command = case.command("fetch");
        command.args(["--json", "--view", view]);
        command
    });
    drop(case.daemon);
    for (mut command, place) in again.into_iter().zip(&first) {
        let object: Value = serde_json::from_str(&succeed(&mut command)).expect("JSON");
        assert_eq!(object["present"], true);
        assert_eq!(object["directory"], place.display().to_string());
    }
}

#[test]
fn the_layout_unpacks_to_what_the_directory_is() {
    let case = Case::new();
    let root = PathBuf::from(succeed(&mut case.command("fetch")));
    for compression in ["none", "gzip"] {
        let layout = succeed(case.command("fetch").args(["--view", "oci", "--compression", compression]));
        let bundle = case.world.path(compression);
        tool("umoci", &["unpack", "--image", &format!("{layout}:latest")], &bundle);
        assert_eq!(contents(&bundle.join("rootfs")), contents(&root));
        let modes = |top: &Path| {
            let mode = |path: PathBuf| {
                let found = fs::symlink_metadata(&path).expect("there");
                (path.strip_prefix(top).expect("below").to_owned(), found.mode(), found.uid(), found.mtime())
            };
            files(top).into_iter().map(mode).collect::<Vec<_>>()
        };
        assert_eq!(modes(&bundle.join("rootfs")), modes(&root));
    }
}

#[test]
fn after_a_change_of_one_file_only_that_one_comes() {
    let case = Case::new();
    let whole = case.fetched(&[])["downloaded_bytes"].as_u64().expect("a number");
    assert!(whole > 5 << 20, "{whole}");
    let root = PathBuf::from(succeed(&mut case.command("fetch")));
    case.world.write("source/data/small", "after");
    let changed = case.fetched(&[]);
    assert_eq!(changed["present"], false);
    let little = changed["downloaded_bytes"].as_u64().expect("a number");
    assert!(little < 10_000, "{little}");
    let other = PathBuf::from(changed["directory"].as_str().expect("a path"));
    let inode = |root: &Path| fs::metadata(root.join("data/large")).expect("there").ino();
    assert_eq!(inode(&root), inode(&other));
    assert_eq!(fs::read(root.join("data/small")).expect("there"), b"before");
    assert_eq!(fs::read(other.join("data/small")).expect("there"), b"after");
    // The layers are made of what is here.
    let layout = case.fetched(&["--view", "oci"])["downloaded_bytes"].as_u64().expect("a number");
    assert!(layout < 10_000, "{layout}");
}

#[test]
fn a_fetch_that_was_interrupted_goes_on_from_what_is_there() {
    let case = Case::new();
    let root = PathBuf::from(succeed(&mut case.command("fetch")));
    let whole = contents(&root);
    // What a kill leaves behind: files that are kept, a directory that is half made.
    let home = root.parent().expect("not the root");
    let partial = home.with_extension("partial");
    fs::rename(home, &partial).expect("ours");
    fs::remove_file(partial.join("root/data/large")).expect("there");
    let again = case.fetched(&[]);
    assert_eq!((&again["present"], &again["downloaded_bytes"]), (&false.into(), &0.into()));
    assert_eq!(contents(&root), whole);
    assert!(!partial.exists());
}

#[test]
fn an_image_that_is_absent_is_named_by_its_manifest_and_nothing_comes() {
    let case = Case::new();
    let printed = succeed(case.command("fetch").arg("--absent"));
    let (manifest, property) = printed.split_once('\n').expect("two lines");
    assert!(manifest.starts_with("sha256:") && manifest.len() == 71, "{manifest}");
    assert_eq!(property, format!("container-image=docker://{}/image@{manifest}", case.daemon.address));
    let object = case.fetched(&["--absent"]);
    assert_eq!(object["manifest"], manifest);
    assert_eq!(format!("container-image={}", object["container_image"].as_str().expect("text")), property);
    assert!(object["descriptor"]["image"]["manifest"].as_str().expect("text").starts_with(manifest));
    assert!(!case.world.path("client/images").exists());
    let tree = succeed(case.command("fetch").args(["--absent", "-e", "main", "", "tree"]));
    assert!(tree.starts_with("blake3:") && tree.lines().count() == 1, "{tree}");
}

#[test]
fn links_keep_an_image_and_copies_are_the_users_own() {
    let case = Case::new();
    let (link, copy) = (case.world.path("link"), case.world.path("copy"));
    let root = PathBuf::from(succeed(case.command("fetch").arg("-o").arg(&link).arg("--install").arg(&copy)));
    assert_eq!(fs::read_link(&link).expect("a link"), root);
    assert_eq!(tree(&copy), tree(&root));
    fs::write(copy.join("data/small"), "mine").expect("writable");
    assert_eq!(fs::read(root.join("data/small")).expect("there"), b"before");
    let layout = case.world.path("layout");
    succeed(case.command("fetch").args(["--view", "oci", "--install"]).arg(&layout));
    tool("umoci", &["stat", "--image"], &PathBuf::from(format!("{}:latest", layout.display())));
}

#[test]
fn an_ordinary_user_owns_all_files() {
    let case = Case::new();
    let root = PathBuf::from(succeed(&mut case.as_user("fetch")));
    assert!(root.starts_with(case.world.path("user/root/images/own")), "{}", root.display());
    for path in files(&root) {
        assert_eq!(fs::symlink_metadata(&path).expect("there").uid(), USER, "{}", path.display());
    }
    let of_root = PathBuf::from(succeed(&mut case.command("fetch")));
    assert_eq!(contents(&root), contents(&of_root));
    let layout = succeed(case.as_user("fetch").args(["--view", "oci"]));
    let layout_of_root = succeed(case.command("fetch").args(["--view", "oci"]));
    assert_eq!(contents(Path::new(&layout)), contents(Path::new(&layout_of_root)));
}

#[test]
fn what_only_root_can_have_is_left_out_for_others_and_told() {
    let case = Case::new();
    let (packed, archive) = (case.world.path("packed"), case.world.path("source/root.tar"));
    fs::create_dir_all(packed.join("bin")).expect("temporary");
    fs::write(packed.join("bin/ping"), "ping").expect("temporary");
    fs::write(packed.join("bin/own"), "own").expect("temporary");
    std::os::unix::fs::chown(packed.join("bin/own"), Some(7), Some(8)).expect("root");
    fs::set_permissions(packed.join("bin/ping"), PermissionsExt::from_mode(0o4755)).expect("ours");
    succeed(Command::new("mknod").arg("-m666").arg(packed.join("null")).args(["c", "1", "3"]));
    succeed(Command::new("tar").arg("-C").arg(&packed).arg("-cf").arg(&archive).arg("."));
    case.world.spec("image", &json!({"image": {"type": "image", "base": {"path": "root.tar"}}}));
    let output = run(&mut case.as_user("fetch"));
    let (root, told) = (PathBuf::from(text(&output.stdout).trim()), text(&output.stderr));
    assert!(told.contains("not root: all files are yours, 1 of them another user's"), "{told}");
    assert!(told.contains("1 devices, and the set-id bits and capabilities of 1 files"), "{told}");
    let found = |root: &Path, path: &str| {
        let found = fs::symlink_metadata(root.join(path)).expect("there");
        (found.mode() & 0o7777, found.uid())
    };
    assert_eq!((found(&root, "bin/ping"), found(&root, "bin/own")), ((0o755, USER), (0o644, USER)));
    assert!(!root.join("null").exists());
    let root = PathBuf::from(succeed(&mut case.command("fetch")));
    assert_eq!((found(&root, "bin/ping"), found(&root, "bin/own")), ((0o4755, 0), (0o644, 7)));
    assert_eq!(fs::metadata(root.join("null")).expect("there").rdev(), 0x103);
}

#[test]
fn forms_that_there_are_not_are_refused() {
    let case = Case::new();
    for view in ["oci", "docker-archive"] {
        let error = fail(case.command("fetch").args(["--view", view, "-e", "main", "", "tree"]), 2);
        assert!(error.contains(&format!("an environment of kind `tree` has no view `{view}`")), "{error}");
    }
    let error = fail(case.command("fetch").args(["--view", "nix"]), 2);
    assert!(error.contains("an environment of kind `image` has no view `nix`"), "{error}");
    let error = fail(case.command("fetch").args(["--compression", "zstd"]), 2);
    assert!(error.contains("`--view oci`"), "{error}");
    for verb in ["shell", "env"] {
        let error = fail(&mut case.command(verb), 1);
        assert!(error.contains("hint: run commands in it by `envserve run`"), "{error}");
    }
}
