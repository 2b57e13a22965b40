//! What images start from: archives, OCI layouts, other images; and what is none of these.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use envserve::oci::{Annotations, Descriptor, Family, Index, MediaType, OciDigest, Platform};
use envserve::serve::open_store;
use envserve::store::StoreOptions;
use serde_json::{Value, json};

use super::layers::busybox;
use super::{Image, modes};
use crate::support::{Daemon, World, contents, fail, succeed};

/// Packs `source/root` as it is, with some things that only archives have, into `source/root.tar`.
fn archive(world: &World, options: &[&str]) {
    let script = "mkdir -p root/tmp && chmod 1777 root/tmp && chmod 4755 root/bin/busybox && chmod 700 root/etc \
        && ln -f root/bin/busybox root/bin/again && truncate -s 3M root/sparse && echo end >>root/sparse";
    succeed(Command::new("sh").args(["-c", script]).current_dir(world.path("source")));
    let mut tar = Command::new("tar");
    tar.args(["-c", "-f", "root.tar", "--mtime=@1000", "--sort=name"]).args(options);
    succeed(tar.args(["-C", "root", "."]).current_dir(world.path("source")));
}

fn of(base: &Value) -> Value {
    json!({"image": {"type": "image", "base": base}})
}

fn refusal(world: &World, daemon: &Daemon, base: &Value) -> String {
    fail(world.client_of(daemon, "client").arg("fetch").arg(world.spec("image", &of(base))), 16)
}

#[test]
fn an_archive_is_a_root_file_system_with_all_that_only_archives_have() {
    let world = World::new();
    busybox(&world);
    let daemon = world.daemon();
    let mut images = Vec::new();
    for options in [&["--format=gnu"][..], &["--format=pax", "--sparse", "-z"], &["--format=gnu", "--sparse", "--zstd"]]
    {
        archive(&world, options);
        images.push(Image::of(&world, &daemon, &world.spec("image", &of(&json!({"path": "root.tar"})))));
    }
    assert!(images.iter().all(|image| image.manifest == images[0].manifest), "{images:?}");
    let unpacked = images[0].unpacked(&world, &daemon, "bundle");
    assert_eq!(modes(&unpacked), modes(&world.path("source/root")));
}

#[test]
fn a_tree_over_an_archive_leaves_its_directories_as_they_are() {
    let world = World::new();
    busybox(&world);
    archive(&world, &[]);
    world.write("source/tree/tmp/file", "x");
    world.write("source/tree/etc/new/file", "x");
    let daemon = world.daemon();
    let layers = json!([{"from": {"path": "tree"}}]);
    let environments = json!({"image": {"type": "image", "base": {"path": "root.tar"}, "layers": layers}});
    let image = Image::of(&world, &daemon, &world.spec("image", &environments));
    let modes = modes(&image.unpacked(&world, &daemon, "bundle"));
    let mode = |path: &str| modes.iter().find(|(name, ..)| name == path).expect("there").1;
    assert_eq!((mode("tmp"), mode("etc"), mode("etc/new"), mode("tmp/file")), (0o1777, 0o700, 0o755, 0o644));
}

#[test]
fn what_skopeo_copies_is_the_same_image_however_it_is_compressed() {
    let world = World::new();
    busybox(&world);
    world.write("source/one", "one");
    let daemon = world.daemon();
    let config = json!({"Env": ["A=b"], "Entrypoint": ["/bin/sh"]});
    let layers = json!([{"from": {"path": "one"}, "at": "/one"}]);
    let environments =
        json!({"image": {"type": "image", "base": {"path": "root"}, "layers": layers, "config": config}});
    let image = Image::of(&world, &daemon, &world.spec("image", &environments));
    let layout = image.layout(&world, &daemon, "layout");
    let to = format!("oci:{}:copy", world.path("source/layout").display());
    succeed(Command::new("skopeo").args(["copy", "--quiet"]).arg(format!("oci:{}:image", layout.display())).arg(&to));
    let copy = Image::of(&world, &daemon, &world.spec("image", &of(&json!({"path": "layout"}))));
    assert_eq!((copy.manifest, copy.config, copy.layers), (image.manifest, image.config, image.layers));
}

#[test]
fn an_image_of_umoci_is_a_base_and_its_configuration_is_inherited() {
    let world = World::new();
    busybox(&world);
    let layout = world.path("source/layout");
    let umoci = |arguments: &[&str]| {
        let image = format!("{}:base", layout.display());
        succeed(Command::new("umoci").arg(arguments[0]).arg("--image").arg(image).args(&arguments[1..]));
    };
    succeed(Command::new("umoci").args(["init", "--layout"]).arg(&layout));
    umoci(&["new"]);
    let root = world.path("source/root");
    let bundle = world.path("umoci").display().to_string();
    umoci(&["unpack", "--rootless", &bundle]);
    succeed(Command::new("cp").arg("-a").arg(root.join("bin")).arg(format!("{bundle}/rootfs")));
    umoci(&["repack", &bundle]);
    // Such layers have no end.
    let inserted = world.write("inserted", "inserted").display().to_string();
    umoci(&["insert", &inserted, "/inserted"]);
    umoci(&["config", "--config.entrypoint", "/bin/sh", "--config.cmd", "-c", "--config.env", "A=b"]);
    let daemon = world.daemon();
    let environments = json!({"image": {
        "type": "image", "base": {"path": "layout"}, "config": {"Entrypoint": ["/bin/busybox"], "Env": ["C=d"]},
    }});
    let image = Image::of(&world, &daemon, &world.spec("image", &environments));
    let execution = image.configuration(&daemon).execution;
    assert_eq!(execution.entrypoint, ["/bin/busybox"]);
    assert!(execution.cmd.is_empty() && execution.env.contains(&"A=b".to_owned()));
    let unpacked = image.unpacked(&world, &daemon, "bundle");
    assert_eq!(contents(&unpacked.join("bin")), contents(&root.join("bin")));
    assert_eq!(fs::read_to_string(unpacked.join("inserted")).expect("there"), "inserted");
}

#[test]
fn an_image_environment_is_a_base_whose_layers_are_reused() {
    let world = World::new();
    busybox(&world);
    world.write("source/one", "one");
    let daemon = world.daemon();
    let environments = json!({
        "base": {"type": "image", "base": {"path": "root"}, "config": {"Env": ["PATH=/bin"], "Labels": {"a": "b"}}},
        "image": {"type": "image", "base": {"env": "base"}, "layers": [{"from": {"path": "one"}, "at": "/one"}]},
        "part": {"type": "image", "base": {"env": "base", "path": "root"}},
    });
    let base = Image::of(&world, &daemon, &world.spec("base", &environments));
    let image = Image::of(&world, &daemon, &world.spec("image", &environments));
    assert_eq!(image.layers[..1], base.layers[..]);
    assert_eq!(image.configuration(&daemon).execution, base.configuration(&daemon).execution);
    assert_eq!(contents(&image.unpacked(&world, &daemon, "bundle")).len(), 4);
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("part", &environments)), 16);
    assert!(error.contains("base: it is a part of the image environment"), "{error}");
}

/// Returns the only manifest that a layout names.
fn only(layout: &Path) -> Descriptor {
    let bytes = fs::read(layout.join("index.json")).expect("there");
    Index::parse(&bytes).expect("an index").manifests.remove(0)
}

fn layout(world: &World, daemon: &Daemon) -> PathBuf {
    let image = Image::of(world, daemon, &world.spec("image", &of(&json!({"path": "root"}))));
    image.layout(world, daemon, "source/layout")
}

#[test]
fn of_an_index_the_image_for_the_platform_is_taken_and_never_the_builders() {
    let world = World::new();
    busybox(&world);
    let daemon = world.daemon();
    let layout = layout(&world, &daemon);
    let base = json!({"path": "layout"});
    let only = only(&layout);
    let index = |platforms: &[&str]| {
        let platform = |name: &&str| Descriptor { platform: Some(Platform::linux(name)), ..only.clone() };
        let manifests = platforms.iter().map(platform).collect();
        let index = Index { family: Family::Oci, manifests, annotations: Annotations::default() };
        fs::write(layout.join("index.json"), index.canonical()).expect("temporary");
    };
    index(&["s390x", "amd64"]);
    Image::of(&world, &daemon, &world.spec("image", &of(&base)));
    index(&["s390x", "arm64"]);
    let error = refusal(&world, &daemon, &base);
    assert!(error.contains("none of its 2 images is for `linux/amd64`, but for: linux/s390x, linux/arm64"), "{error}");
    index(&["arm64"]);
    let error = refusal(&world, &daemon, &base);
    assert!(error.contains("its configuration is for `linux/amd64`, the index says `linux/arm64`"), "{error}");
    index(&[]);
    assert!(refusal(&world, &daemon, &base).contains("names no image"));
    index(&["amd64"]);
    let environments =
        json!({"image": {"type": "image", "base": {"path": "layout"}, "config": {"architecture": "arm64"}}});
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("image", &environments)), 16);
    assert!(error.contains("config.architecture is `arm64`, and the base is for `amd64`"), "{error}");
}

#[test]
fn a_layout_that_lies_is_refused_with_the_file_that_does() {
    let world = World::new();
    busybox(&world);
    let daemon = world.daemon();
    let layout = layout(&world, &daemon);
    let blob = |digest: &OciDigest| layout.join("blobs/sha256").join(digest.hash());
    let manifest = only(&layout).digest;
    let manifest_bytes = fs::read(blob(&manifest)).expect("there");
    let parsed = envserve::oci::Manifest::parse(&manifest_bytes).expect("a manifest");
    let named = |media_type: MediaType, bytes: &[u8]| {
        let index = Index {
            family: Family::Oci,
            manifests: vec![Descriptor::of(media_type, bytes)],
            annotations: Annotations::default(),
        };
        fs::write(blob(&OciDigest::of(bytes)), bytes).expect("temporary");
        fs::write(layout.join("index.json"), index.canonical()).expect("temporary");
    };
    let refused = |expected: &str| {
        let error = refusal(&world, &daemon, &json!({"path": "layout"}));
        assert!(error.contains(expected), "{expected}: {error}");
    };
    // Manifests that name other things than there are.
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(manifest_bytes.clone()).expect("text");
        let bad = text.replacen(from, to, 1);
        assert_ne!(text, bad, "{from}");
        named(MediaType::Manifest(Family::Oci), bad.as_bytes());
    };
    let layer_size = parsed.layers[0].size.to_string();
    changed(&format!("\"size\":{layer_size}"), "\"size\":512");
    refused(&format!("`blobs/sha256/{}` is not what names it says: 512 bytes", parsed.layers[0].digest.hash()));
    changed("image.layer.v1.tar\"", "image.layer.nondistributable.v1.tar\"");
    refused("cannot be `application/vnd.oci.image.layer.nondistributable.v1.tar`");
    changed("image.config.v1+json", "image.artifact.v1+json");
    refused("cannot be `application/vnd.oci.image.artifact.v1+json`");
    changed(&parsed.config.digest.hash(), &"0".repeat(64));
    refused(&format!("no file `blobs/sha256/{}`", "0".repeat(64)));
    // A configuration that is none, and one of other layers.
    for (config, expected) in [
        ("no JSON".to_owned(), "an image configuration is not JSON"),
        (
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}).to_string(),
            "has 1 layers, and its configuration names 0",
        ),
        (
            json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [manifest]}})
                .to_string(),
            "the archive of layer 0 is not",
        ),
    ] {
        fs::write(blob(&OciDigest::of(config.as_bytes())), &config).expect("temporary");
        let descriptor = Descriptor::of(MediaType::Config(Family::Oci), config.as_bytes());
        let manifest = envserve::oci::Manifest { config: descriptor, ..parsed.clone() };
        named(MediaType::Manifest(Family::Oci), &manifest.canonical());
        refused(expected);
    }
    // Blobs that are other ones.
    named(MediaType::Manifest(Family::Oci), &manifest_bytes);
    fs::write(blob(&manifest), &manifest_bytes[1..]).expect("temporary");
    refused(&format!("`blobs/sha256/{}` is not what names it says", manifest.hash()));
    fs::write(blob(&manifest), &manifest_bytes).expect("temporary");
    let layer = blob(&parsed.layers[0].digest);
    let mut bytes = fs::read(&layer).expect("there");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("content");
    bytes[last] ^= 1;
    fs::write(&layer, bytes).expect("temporary");
    refused("of layer 0 is not `sha256:");
    fs::write(layout.join("index.json"), "[").expect("temporary");
    refused("`index.json`");
}

#[test]
fn archives_that_are_none_are_refused_with_the_entry_and_leave_nothing_outside() {
    let world = World::new();
    let daemon = world.daemon();
    world.write("source/file", "x");
    let tar = |arguments: &[&str]| {
        let mut tar = Command::new("tar");
        succeed(tar.args(["-c", "-f", "root.tar"]).args(arguments).current_dir(world.path("source")));
    };
    let refused = |expected: &str| {
        let error = refusal(&world, &daemon, &json!({"path": "root.tar"}));
        assert!(error.contains(expected), "{expected}: {error}");
    };
    tar(&["-P", "--transform=s,^,../../,", "file"]);
    refused("entry `../../file` of a layer cannot be taken: its name leads upwards");
    tar(&["-P", "--transform=s,^,/tmp/envserve-was-here-,", "file"]);
    refused("its name is absolute");
    assert!(!Path::new("/tmp/envserve-was-here-file").exists());
    tar(&["file"]);
    let bytes = fs::read(world.path("source/root.tar")).expect("there");
    world.write("source/root.tar", &bytes[..700]);
    refused("a layer ends at byte");
    world.write("source/root.tar", "this is no archive".repeat(100));
    refused("the sum of a header is wrong");
    tar(&["-z", "file"]);
    let mut bytes = fs::read(world.path("source/root.tar")).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    world.write("source/root.tar", bytes);
    refused("base:");
}

#[test]
fn a_base_that_is_named_by_a_tag_is_not_fixed_by_content() {
    let world = World::new();
    let daemon = world.daemon();
    let environments = json!({
        "image": {"type": "image", "base": {"image": "registry.example/library/busybox:1.36"}},
        "above": {"type": "image", "base": {"env": "image"}},
        "wrong": {"type": "image", "base": {"image": "Not A Reference"}},
        "pinned": {"type": "image", "base": {"image": format!("registry.example/busybox@sha256:{}", "0".repeat(64))}},
    });
    for name in ["image", "above"] {
        let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec(name, &environments)), 13);
        assert!(error.contains("`registry.example/library/busybox:1.36` is not fixed by content"), "{error}");
        assert!(error.contains("hint: write `registry.example/library/busybox:1.36@sha256:"), "{error}");
    }
    let error = fail(world.client_of(&daemon, "client").arg("fetch").arg(world.spec("wrong", &environments)), 16);
    assert!(error.contains("`Not A Reference` is not the name of an image"), "{error}");
}

#[test]
fn whichever_blob_of_an_image_is_lost_the_next_answer_is_whole_again() {
    let world = World::new();
    world.write("source/root/etc/name", "value");
    succeed(Command::new("tar").args(["-cf", "root.tar", "-C", "root", "."]).current_dir(world.path("source")));
    world.write("source/one/file", "one");
    let layers = json!([{"from": {"path": "one"}, "at": "/etc"}]);
    let environments = json!({"image": {"type": "image", "base": {"path": "root.tar"}, "layers": layers}});
    let spec = world.spec("image", &environments);
    let mut daemon = world.daemon();
    let image = Image::of(&world, &daemon, &spec);
    let root = daemon.root.clone();
    let (mut blobs, mut number) = (Vec::new(), 0);
    loop {
        assert!(daemon.terminate().success());
        let store = open_store(&root, StoreOptions::default()).expect("the daemon is gone");
        if number == 0 {
            store.list(|digest| blobs.push(digest)).expect("readable");
            assert!(blobs.len() > 12, "{blobs:?}");
        }
        let Some(lost) = blobs.get(number) else { break };
        store.remove(lost).expect("removed");
        drop(store);
        daemon = Daemon::start(&root, &[]);
        assert_eq!(Image::of(&world, &daemon, &spec), image, "without {lost:?}");
        image.layout(&world, &daemon, &format!("layout-{number}"));
        number += 1;
    }
}
