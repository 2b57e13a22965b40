//! Blobs that are gone behind the daemon's back.

use super::*;

/// Removes the large blobs, the program among them.
fn lose(registry: &Registry) {
    let blobs = files(&registry.daemon.root.join("blobs"));
    assert!(!blobs.is_empty());
    blobs.iter().for_each(|blob| fs::remove_file(blob).expect("it can be"));
}

#[test]
fn an_image_whose_blobs_are_gone_is_built_again_and_pulled() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    assert_eq!(registry.daemon.builds(), 1);
    let layout = |name: &str| format!("oci:{}:tag", registry.world.path(name).display());
    let ours = registry.docker(&format!("web-server@{}", image.digest));
    succeed(&mut copy(&[], &ours, &layout("before")));
    lose(&registry);
    // It was found whole a moment ago, but the files of a layer are looked for before it is sent.
    succeed(&mut copy(&[], &ours, &layout("after")));
    assert_eq!(registry.daemon.builds(), 2);
    assert_eq!(contents(&registry.world.path("before")), contents(&registry.world.path("after")));
    lose(&registry);
    let Registry { world, daemon } = registry;
    let registry = Registry { daemon: daemon.kill_and_restart(), world };
    assert_eq!(inspect(&registry.docker("web-server:latest")), image.digest);
}

#[test]
fn an_image_whose_sources_are_gone_as_well_is_not_found_and_the_reason_is_told() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    lose(&registry);
    let Registry { world, daemon } = registry;
    fs::remove_dir_all(daemon.root.join("git")).expect("it can be");
    let registry = Registry { daemon: daemon.kill_and_restart(), world };
    let answer = registry.get(&format!("web-server/manifests/{}", image.digest), &[]);
    assert_eq!(answer.status, 404, "{}", answer.text());
    let errors: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(errors["errors"][0]["code"], "MANIFEST_UNKNOWN");
    let message = errors["errors"][0]["message"].as_str().expect("text");
    assert!(message.contains("cannot be built again: source trees are not known here"), "{message}");
    let output = run(&mut copy(&[], &registry.docker("web-server:latest"), "dir:/nonexistent"));
    assert!(text(&output.stderr).contains("cannot be built again"), "{}", text(&output.stderr));
    // A client that has the sources brings it back.
    assert_eq!(registry.image().digest, image.digest);
    assert_eq!(inspect(&registry.docker("web-server:latest")), image.digest);
}
