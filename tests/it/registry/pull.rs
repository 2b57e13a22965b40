//! Images are pulled.

use super::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

#[test]
fn skopeo_finds_an_image_by_every_name_and_copies_it() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    for name in ["web-server:latest", &format!("web-server:{}", image.key), &format!("web-server@{}", image.digest)] {
        assert_eq!(inspect(&registry.docker(name)), image.digest, "{name}");
    }
    for (number, name) in
        [format!("web-server:{}", image.key), format!("web-server@{}", image.digest)].iter().enumerate()
    {
        let layout = registry.world.path(&format!("layout-{number}"));
        succeed(&mut copy(&["--preserve-digests"], &registry.docker(name), &format!("oci:{}:tag", layout.display())));
        let index: Value =
            serde_json::from_slice(&fs::read(layout.join("index.json")).expect("written")).expect("JSON");
        assert_eq!(index["manifests"][0]["digest"], image.digest);
        // What umoci unpacks is what was put in.
        let bundle = registry.world.path(&format!("bundle-{number}"));
        let tagged = format!("{}:tag", layout.display());
        succeed(Command::new("umoci").args(["unpack", "--rootless", "--image", &tagged]).arg(&bundle));
        let mut expected = contents(&registry.world.path("source/root"));
        expected.push(("opt/hello".into(), 0o644, b"hello from the image\n".to_vec()));
        expected.sort();
        assert_eq!(contents(&bundle.join("rootfs")), expected);
    }
    let tags: Value = serde_json::from_slice(&registry.get("web-server/tags/list", &[]).body).expect("JSON");
    assert_eq!(tags, json!({"name": "web-server", "tags": [image.key, "latest"]}));
}

#[test]
fn compressed_forms_and_dockers_are_copied_and_hold_the_same_layers() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    let layers = |directory: &PathBuf| {
        let read = |path: PathBuf| fs::read(path).expect("written");
        let manifest: Value = serde_json::from_slice(&read(directory.join("manifest.json"))).expect("JSON");
        let layers = manifest["layers"].as_array().expect("a list").clone();
        let archive = |layer: &Value| {
            let name = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
            let bytes = read(directory.join(name));
            match bytes.get(..2) {
                Some(b"\x1f\x8b") => {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
                    std::io::Read::read_to_end(&mut decoder, &mut plain).expect("gzip");
                    plain
                }
                Some(b"\x28\xb5") => zstd::decode_all(&bytes[..]).expect("zstd"),
                _ => bytes,
            }
        };
        layers.iter().map(archive).collect::<Vec<_>>()
    };
    let copied = |tag: &str, arguments: &[&str]| {
        let directory = registry.world.path(&format!("{tag}{}", arguments.len()));
        let name = registry.docker(&format!("web-server:{tag}"));
        succeed(&mut copy(arguments, &name, &format!("dir:{}", directory.display())));
        layers(&directory)
    };
    let plain = copied("latest", &[]);
    assert_eq!(plain.len(), 2);
    assert_eq!(copied("latest-gzip", &[]), plain);
    assert_eq!(copied("latest-zstd", &[]), plain);
    assert_eq!(copied("latest", &["--format", "v2s2"]), plain);
    // Who takes nothing but Docker's form gets it; by digest it is what it was, whatever is accepted.
    let docker = registry.get(&format!("web-server/manifests/{}", image.key), &[("Accept", DOCKER)]);
    assert_eq!((docker.status, docker.header("content-type")), (200, Some(DOCKER)));
    let digest = docker.header("docker-content-digest").expect("given").to_owned();
    assert_ne!(digest, image.digest);
    let again = registry.get(&format!("web-server/manifests/{digest}"), &[("Accept", OCI)]);
    assert_eq!((again.status, again.body), (200, docker.body));
    assert_eq!(inspect(&registry.docker(&format!("web-server@{digest}"))), digest);
}

#[test]
fn podman_pulls_an_image_and_runs_it() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    let name = format!("{}/web-server@{}", registry.daemon.address, image.digest);
    succeed(&mut registry.podman(&["pull", "--tls-verify=false", &name]));
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];
    let arguments = [&["run", "--rm", "--network", "none"][..], &limits, &[&name]].concat();
    assert_eq!(succeed(&mut registry.podman(&arguments)), "hello from the image");
}

#[test]
fn layers_are_sent_whole_in_part_or_not_at_all() {
    let registry = Registry::new(&[]);
    let image = registry.image();
    let manifest: Value =
        serde_json::from_slice(&registry.get(&format!("x/manifests/{}", image.digest), &[]).body).expect("JSON");
    let layer = format!("x/blobs/{}", manifest["layers"][0]["digest"].as_str().expect("a digest"));
    let whole = registry.get(&layer, &[]);
    assert!(whole.status == 200 && whole.whole);
    let size = manifest["layers"][0]["size"].as_u64().expect("a size");
    assert_eq!(whole.body.len() as u64, size);
    let head = request(&registry.daemon.address, "HEAD", &format!("/v2/{layer}"), &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some(&*size.to_string()), 0));
    let part = registry.get(&layer, &[("Range", "bytes=1000-1999")]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[1000..2000]));
    assert_eq!(registry.get(&layer, &[("Range", &format!("bytes={size}-"))]).status, 416);
    // The image is known after a restart, without anybody asking for its environment again.
    let Registry { world, daemon } = registry;
    let registry = Registry { daemon: daemon.kill_and_restart(), world };
    assert_eq!(inspect(&registry.docker("web-server:latest")), image.digest);
}

#[test]
fn an_image_that_another_one_uses_can_be_pulled_as_well() {
    let registry = Registry::new(&[]);
    let base = json!({"type": "image", "base": {"path": "root"}});
    let top = json!({"type": "image", "base": {"env": "base"}, "config": {"Cmd": ["sh"]}});
    let spec = registry.world.spec("top", &json!({"base": base, "top": top}));
    succeed(registry.world.client_of(&registry.daemon, "client").args(["fetch", "--absent"]).arg(spec));
    let [base, top] = ["base:latest", "top:latest"].map(|name| inspect(&registry.docker(name)));
    assert_ne!(base, top);
}
