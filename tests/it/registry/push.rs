//! Images are pushed, and pulled as they were.

use super::*;

#[test]
fn an_image_goes_to_dockers_registry_and_comes_back_as_it_was() {
    let registry = Registry::new(&["--registry-push"]);
    let image = registry.image();
    let other = DockerRegistry::open(&registry.world);
    let ours = registry.docker(&format!("web-server@{}", image.digest));
    succeed(&mut copy(&["--preserve-digests"], &ours, &docker_in(&other, "web:1")));
    assert_eq!(inspect(&docker_in(&other, "web:1")), image.digest);
    succeed(&mut copy(&["--preserve-digests"], &docker_in(&other, "web:1"), &registry.docker("back:1")));
    assert_eq!(inspect(&registry.docker("back:1")), image.digest);
    // To a daemon that has nothing of it, all of it is sent.
    let empty = Registry::new(&["--registry-push"]);
    succeed(&mut copy(&["--preserve-digests"], &docker_in(&other, "web:1"), &empty.docker("back:1")));
    assert_eq!(inspect(&empty.docker("back:1")), image.digest);
    let [there, here] = [&docker_in(&other, "web:1"), &empty.docker("back:1")].map(|name| {
        let directory = empty.world.path(&format!("copy-{}", name.len()));
        succeed(&mut copy(&["--preserve-digests"], name, &format!("dir:{}", directory.display())));
        contents(&directory)
    });
    assert_eq!(there, here);
}

#[test]
fn podman_and_skopeo_push_what_they_pull_back() {
    let registry = Registry::new(&["--registry-push"]);
    let image = registry.image();
    let name = format!("{}/web-server@{}", registry.daemon.address, image.digest);
    succeed(&mut registry.podman(&["pull", "--tls-verify=false", &name]));
    for (format, tag) in [("oci", "up/podman:oci"), ("v2s2", "up/podman:docker")] {
        let target = registry.docker(tag);
        succeed(&mut registry.podman(&["push", "--tls-verify=false", "--format", format, &name, &target]));
        let digest = inspect(&target);
        assert_eq!(inspect(&registry.docker(&format!("up/podman@{digest}"))), digest);
        let pulled = registry.world.path(&format!("pulled-{format}"));
        succeed(&mut copy(&["--preserve-digests"], &target, &format!("dir:{}", pulled.display())));
        // Once more, by skopeo, under another name.
        let again = registry.docker(&format!("up/skopeo:{format}"));
        succeed(&mut copy(&["--preserve-digests"], &format!("dir:{}", pulled.display()), &again));
        assert_eq!(inspect(&again), digest);
    }
    let Registry { world, daemon } = registry;
    let registry = Registry { daemon: daemon.kill_and_restart(), world };
    assert!(inspect(&registry.docker("up/podman:oci")).starts_with("sha256:"));
    assert!(!registry.daemon.root.join("registry-tmp").read_dir().expect("there").any(|_| true));
}

#[test]
fn nothing_is_pushed_where_the_operator_does_not_allow_it() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    let ours = registry.docker(&format!("web-server@{}", image.digest));
    let layout = format!("oci:{}:tag", registry.world.path("layout").display());
    succeed(&mut copy(&[], &ours, &layout));
    let output = run(&mut copy(&[], &layout, &registry.docker("up:1")));
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("denied"), "{}", text(&output.stderr));
}

#[test]
fn images_are_pushed_through_a_daemon_whose_store_is_elsewhere() {
    let endpoint = Endpoint::start(Kind::Own);
    let registry = Registry::new(&["--registry-push", "--remote", &endpoint.address]);
    let image = registry.image();
    let other = DockerRegistry::open(&registry.world);
    let ours = registry.docker("web-server:latest");
    assert_eq!(inspect(&ours), image.digest);
    succeed(&mut copy(
        &["--preserve-digests"],
        &registry.docker("web-server:latest-gzip"),
        &docker_in(&other, "web:gzip"),
    ));
    let digest = inspect(&docker_in(&other, "web:gzip"));
    let elsewhere = Registry::new(&["--registry-push", "--remote", &endpoint.address]);
    succeed(&mut copy(&["--preserve-digests"], &docker_in(&other, "web:gzip"), &elsewhere.docker("up:1")));
    assert_eq!(inspect(&elsewhere.docker("up:1")), digest);
    let pulled = elsewhere.world.path("pulled");
    succeed(&mut copy(&["--preserve-digests"], &elsewhere.docker("up:1"), &format!("dir:{}", pulled.display())));
}
