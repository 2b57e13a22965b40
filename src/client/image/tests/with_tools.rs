//! Images and the programs of others: umoci and skopeo.

use super::*;
use std::process::Output;

fn tool(program: &str, arguments: &[&str], directory: &Path) -> Output {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// An image of two layers, of which the upper one changes and removes something.
async fn two_layers(world: &World) -> Parts {
    let (lower, upper) = (world.path("lower"), world.path("upper"));
    everything(&lower);
    fs::create_dir_all(upper.join("etc")).expect("temporary");
    fs::write(upper.join("etc/.wh.same-too"), "").expect("temporary");
    fs::write(upper.join("etc/shadow"), "other").expect("temporary");
    change(&upper.join("etc/shadow"), 0o600, 0, 0);
    age(&upper.join("etc"), 77);
    world.image(&[&lower, &upper]).await
}

async fn layout(world: &World, parts: &Parts, compression: LayerCompression, name: &str) -> PathBuf {
    let place = world.path(name);
    let made = world.client.bring_layout(parts, compression, place.clone(), &nowhere(), &Quiet).await;
    assert!(matches!(made, Ok(Brought::Here { downloaded: 0, .. })), "{:?}", made.err());
    place
}

#[tokio::test]
async fn umoci_unpacks_the_layout_to_the_same_root_file_system() {
    let world = World::new();
    let parts = two_layers(&world).await;
    for (compression, name) in [(LayerCompression::None, "plain"), (LayerCompression::Gzip, "gzip")] {
        layout(&world, &parts, compression, name).await;
        let image = format!("{name}:latest");
        let bundle = format!("bundle-{name}");
        tool("umoci", &["unpack", "--image", &image, &bundle], world.directory.path());
    }
    let (manifest, facts) = (parts.image.manifest, parts.facts.clone());
    let root = world.root(parts).await.expect("made");
    for bundle in ["bundle-plain", "bundle-gzip"] {
        let unpacked = world.path(bundle).join("rootfs");
        assert_same(&root, &unpacked);
        assert_eq!(inode(&unpacked.join("bin/ping")), inode(&unpacked.join("bin/ping6")));
        assert_ne!(
            inode(&unpacked.join("etc/shadow")),
            inode(&unpacked.join("usr/lib/shadow")),
            "the upper is another"
        );
    }
    assert_eq!(inode(&root.join("bin/ping")), inode(&root.join("bin/ping6")));
    assert_ne!(inode(&root.join("etc/shadow")), inode(&root.join("usr/lib/shadow")));
    // Its manifest is the one that registries know.
    let blob = world.path("plain/blobs/sha256").join(facts.manifest.hash());
    assert_eq!(FUNCTION.digest(&fs::read(blob).expect("there")), manifest);
}

#[tokio::test]
async fn skopeo_copies_the_layout_whatever_its_compression() {
    let world = World::new();
    let parts = two_layers(&world).await;
    let compressions = [LayerCompression::None, LayerCompression::Gzip, LayerCompression::Zstd];
    for (compression, name) in compressions.into_iter().zip(["none", "gzip", "zstd"]) {
        layout(&world, &parts, compression, name).await;
        let image = format!("oci:{name}:latest");
        let output = tool("skopeo", &["inspect", &image], world.directory.path());
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(found["Architecture"], "amd64");
        let target = format!("dir:copied-{name}");
        tool("skopeo", &["--insecure-policy", "copy", &image, &target], world.directory.path());
    }
    let digest = tool("skopeo", &["manifest-digest", "copied-none/manifest.json"], world.directory.path());
    let digest = String::from_utf8(digest.stdout).expect("text");
    assert_eq!(digest.trim(), format!("sha256:{}", parts.facts.manifest.hash()));
}

#[tokio::test]
async fn skopeo_reads_the_archive_for_docker_and_finds_the_same_layers() {
    let world = World::new();
    let parts = two_layers(&world).await;
    let place = world.path("image.tar");
    let made = world.client.bring_archive(&parts, "web/image:key-0", place.clone(), &nowhere(), &Quiet).await;
    assert!(matches!(made, Ok(Brought::Here { .. })), "{:?}", made.err());
    let first = fs::read(&place).expect("there");
    tool("skopeo", &["--insecure-policy", "copy", "docker-archive:image.tar", "oci:copied:x"], world.directory.path());
    tool("umoci", &["unpack", "--image", "copied:x", "bundle"], world.directory.path());
    let listed = tool("tar", &["-xOf", "image.tar", "manifest.json"], world.directory.path());
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["RepoTags"], serde_json::json!(["web/image:key-0"]));
    fs::remove_file(&place).expect("there");
    world.client.bring_archive(&parts, "web/image:key-0", place.clone(), &nowhere(), &Quiet).await.expect("again");
    assert!(fs::read(&place).expect("there") == first, "always the same bytes");
    assert_same(&world.root(parts).await.expect("made"), &world.path("bundle/rootfs"));
}

#[tokio::test]
async fn layers_are_written_from_kept_files_when_their_blobs_are_gone() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let parts = world.image(&[&packed]).await;
    world.root(world.image(&[&packed]).await).await.expect("made");
    let store = world.store().await;
    for bytes in [&b"ping"[..], &[7; 3 << 20]] {
        fs::remove_file(store.path(&FUNCTION.digest(bytes), false)).expect("there");
    }
    layout(&world, &parts, LayerCompression::None, "layout").await;
}
