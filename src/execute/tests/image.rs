//! Actions that run in an image.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::fixture::{FUNCTION, Fixture, properties, shell};
use super::super::{ExecuteError, Images, LocalExecution};
use crate::digest::Digest;
use crate::oci::{Attributes, ImageConfig, OciDigest, Platform, StoredImage, StoredLayer};
use crate::proto::reapi;
use crate::spec::RelativePath;
use crate::store::{BlobStore, MerkleTree, Node, StoreError};

struct One(OciDigest, Digest);

#[async_trait]
impl Images for One {
    async fn tree(&self, manifest: &OciDigest) -> Result<Option<Digest>, StoreError> {
        Ok((*manifest == self.0).then_some(self.1))
    }
}

/// A store with one image, and an executor that knows it.
struct World {
    fixture: Fixture,
    manifest: OciDigest,
    root: Digest,
}

/// The image has a shell, and what the test adds: files, or symlinks with `->` before their target.
async fn world(added: &[(&str, &str)], change: impl FnOnce(&mut ImageConfig)) -> World {
    let mut fixture = Fixture::new();
    let path = |text: &str| RelativePath::parse(text).unwrap();
    let mut tree = MerkleTree::default();
    let busybox = fixture.put(std::fs::read("/bin/busybox").unwrap()).await;
    tree.insert(&path("bin/busybox"), Node::File { digest: busybox, executable: true }).unwrap();
    for name in ["sh", "cat", "ls", "id", "test", "touch", "env"] {
        tree.insert(&path(&format!("bin/{name}")), Node::Symlink { target: "busybox".into() }).unwrap();
    }
    for (at, text) in added {
        let node = match text.strip_prefix("->") {
            Some(target) => Node::Symlink { target: target.to_owned() },
            None => Node::File { digest: fixture.put((*text).to_owned()).await, executable: false },
        };
        tree.insert(&path(at), node).unwrap();
    }
    let (root, blobs) = tree.encode(FUNCTION);
    fixture.store.put_batch(blobs).await.unwrap();
    let mut config = ImageConfig::new(Platform::linux("amd64"));
    config.execution.env = vec!["PATH=/bin".into(), "FROM=image".into(), "BOTH=image".into()];
    change(&mut config);
    let attributes = fixture.put(Attributes::default().canonical()).await;
    let layer = StoredLayer { root, attributes };
    let manifest = fixture.put("a manifest").await;
    let config = fixture.put(config.canonical()).await;
    let image = StoredImage { manifest, config, layers: vec![layer], root_file_system: layer };
    let mut tree = MerkleTree::default();
    image.nodes().into_iter().for_each(|(path, node)| tree.insert(&path, node).unwrap());
    let (whole, blobs) = tree.encode(FUNCTION);
    fixture.store.put_batch(blobs).await.unwrap();
    let manifest = OciDigest::of(b"a manifest");
    let execution = LocalExecution::new(fixture.store.clone(), fixture.actions.clone(), Default::default());
    fixture.execution = execution.with_images(Arc::new(One(manifest, whole)));
    World { fixture, manifest, root }
}

impl World {
    async fn execute(
        &self,
        command: reapi::Command,
        more: &[(&str, &str)],
    ) -> Result<reapi::ActionResult, ExecuteError> {
        let image = format!("docker://registry.example/name@{}", self.manifest);
        let pairs = [&[("container-image", image.as_str())], more].concat();
        let action = self.fixture.action_with(command, &[("input", "in\n")], properties(&pairs)).await;
        Ok(self.fixture.execute(action).await?.result)
    }
}

#[tokio::test]
async fn an_action_sees_the_image_and_not_the_host() {
    let world = world(&[("opt/tool", "of the image\n")], |_| ()).await;
    let script = "cat /opt/tool input; ls /; pwd; id -u; echo $FROM $BOTH; echo x >out; echo y >/tmp/y; test -c /dev/null
        if touch /opt/x 2>/dev/null || touch /x 2>/dev/null; then exit 9; fi; test -e /proc/self/status; cat /etc/hosts";
    let mut command = shell(script, &["out"]);
    let variable =
        |name: &str, value: &str| reapi::command::EnvironmentVariable { name: name.into(), value: value.into() };
    command.environment_variables = vec![variable("BOTH", "command")];
    for _ in 0..2 {
        let result = world.execute(command.clone(), &[]).await.unwrap();
        assert_eq!(result.exit_code, 0, "{}", world.fixture.stderr(&result).await);
        let stdout = world.fixture.stdout(&result).await;
        let seen = "of the image\nin\nbin\nbuild\ndev\netc\nopt\nproc\ntmp\n/build\n1000\nimage command\n127.0.0.1 localhost\n::1 localhost\n";
        assert_eq!(stdout, seen);
        assert_eq!(result.output_files.len(), 1);
        command.arguments.push("again".into());
    }
    assert_eq!(world.fixture.leftovers(), 0);
    let result =
        world.execute(shell("pwd; cat input", &[]), &[("InputRootAbsolutePath", "/workspace/x")]).await.unwrap();
    assert_eq!(world.fixture.stdout(&result).await, "/workspace/x\nin\n");
}

#[tokio::test]
async fn symlinks_of_an_image_do_not_lead_what_is_mounted_to_the_host() {
    for (at, target) in [
        ("build", "->/tmp"),
        ("tmp", "->/oldroot/etc"),
        ("proc", "->dev"),
        ("etc", "->/oldroot/etc"),
        ("dev", "a file"),
    ] {
        let world = world(&[(at, target)], |_| ()).await;
        let error = world.execute(shell("true", &[]), &[]).await.expect_err(at);
        assert!(matches!(error, ExecuteError::Invalid { field: "platform", .. }), "{at}: {error:?}");
        assert_eq!(world.fixture.leftovers(), 0);
    }
    let world = world(&[("etc/hosts", "->/etc/passwd"), ("etc/passwd", "p")], |_| ()).await;
    let result = world.execute(shell("cat /etc/passwd; test ! -L /etc/hosts", &[]), &[]).await.unwrap();
    assert_eq!((result.exit_code, world.fixture.stdout(&result).await.as_str()), (0, "p"));
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_named() {
    let world = world(&[], |config| config.platform.architecture = "riscv64".into()).await;
    let error = world.execute(shell("true", &[]), &[]).await.expect_err("of another architecture");
    assert!(matches!(&error, ExecuteError::Image { reason, .. } if reason.contains("linux/riscv64")), "{error}");
    let other = format!("x@{}", OciDigest::of(b"other"));
    for (value, unknown) in [(other.as_str(), true), ("docker://x", false), ("x:tag", false), ("x@sha256:12", false)] {
        let command = shell("true", &[]);
        let action = world.fixture.action_with(command, &[], properties(&[("container-image", value)])).await;
        let error = world.fixture.execute(action).await.expect_err(value);
        assert_eq!(matches!(error, ExecuteError::UnknownImage { .. }), unknown, "{error:?}");
        assert_eq!(matches!(error, ExecuteError::Invalid { .. }), !unknown, "{error:?}");
    }
    let error = world.execute(shell("true", &[]), &[("user-ids", "range")]).await.expect_err("both");
    assert!(matches!(error, ExecuteError::Invalid { field: "platform", .. }), "{error:?}");
}

#[tokio::test]
async fn blobs_of_an_image_that_are_gone_are_named() {
    let world = world(&[("file", "gone")], |_| ()).await;
    let gone = FUNCTION.digest(b"gone");
    world.fixture.store.remove(&gone).unwrap();
    let error = world.execute(shell("true", &[]), &[]).await.expect_err("it is not whole");
    assert!(matches!(&error, ExecuteError::MissingBlobs { digests } if *digests == [gone]), "{error:?}");
    world.fixture.put("gone").await;
    world.execute(shell("true", &[]), &[]).await.expect("it is whole again");
    assert!(world.fixture.store.find_missing(&[world.root]).await.unwrap().is_empty());
}
