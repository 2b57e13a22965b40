//! What each form needs, and is made of.

use std::os::unix::fs::MetadataExt;

use super::super::here::boot;
use super::*;
use crate::checkpoint::tests::{bytes, unstated};

/// A small file, and a large one in pieces of both kinds, two of them the same.
fn memory() -> (Vec<u8>, Vec<(&'static str, Vec<u8>)>) {
    let (large, empty) = (bytes(3 << 20), Vec::new());
    let (one, two) = large.split_at(2 << 20);
    let files = vec![
        ("core-1.img.zst", stated(b"core")),
        ("empty.img.zst", stated(&empty)),
        ("pages-1.img/000000.zst", stated(one)),
        ("pages-1.img/000001.zst", unstated(two)),
        ("pages-1.img/000002.zst", stated(one)),
    ];
    ([one, two, one].concat(), files)
}

/// Copies what the layers over an image come to.
fn merged(world: &World, lowers: &[PathBuf], name: &str) -> PathBuf {
    let copy = world.path(name);
    let lowers = if lowers.len() == 1 { [lowers, &[world.path("nothing")]].concat() } else { lowers.to_vec() };
    fs::create_dir_all(world.path("nothing")).expect("temporary");
    script(&format!("{}; cp -a /mnt {}", overlay(&lowers, None), copy.display()));
    copy
}

#[tokio::test]
async fn layers_over_the_image_come_to_what_the_service_had_written() {
    let checkpoint = Checkpoint::new(&memory().1).await;
    let world = &checkpoint.world;
    let uppers = [world.path("image"), world.path("layer-0"), world.path("layer-1")];
    for (start, layers) in [(FormName::Memory, 1), (FormName::Filesystem, 2)] {
        let prepared = checkpoint.bring(Start::In(start)).await.expect("made");
        assert_eq!((prepared.choice.form, prepared.layers.len()), (start, layers));
        let lowers: Vec<PathBuf> = std::iter::once(&prepared.root).chain(&prepared.layers).cloned().collect();
        let expected = merged(world, &uppers[..=layers], &format!("expected-{layers}"));
        let made = merged(world, &lowers, &format!("made-{layers}"));
        assert!(!made.join("etc/gone").exists() && !made.join("old/inner").exists());
        assert!(made.join("etc/stays").exists());
        assert_same(&made, &expected);
        assert!(fs::read(&prepared.config).is_ok());
    }
    let first =
        fs::symlink_metadata(checkpoint.present(Start::Fastest).await.expect("here").layers[0].join("etc/gone"));
    assert_eq!(first.expect("there").rdev(), 0, "it is gone by a device");
}

#[tokio::test]
async fn the_memory_is_unpacked_for_those_who_may_get_to_it() {
    let (large, files) = memory();
    let checkpoint = Checkpoint::new(&files).await;
    assert!(checkpoint.present(Start::Fastest).await.is_none());
    let prepared = checkpoint.bring(Start::Fastest).await.expect("made");
    assert_eq!(prepared.choice.why, "memory: 95 ms where it was made, file system 400 ms, cold 2100 ms");
    let images = prepared.images.expect("it is the form");
    assert_eq!(fs::read(images.join("core-1.img")).expect("there"), b"core");
    assert_eq!(fs::read(images.join("empty.img")).expect("there"), b"");
    assert!(fs::read(images.join("pages-1.img")).expect("there") == large);
    assert_eq!(fs::read_dir(&images).expect("there").count(), 3);
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o7777;
    assert_eq!((mode(&images), mode(&images.join("pages-1.img"))), (0o755, 0o644));
    assert_eq!(mode(&checkpoint.world.path("client/checkpoints")), 0o700, "it is secret");
    assert_eq!(mode(&checkpoint.world.path("client/images/owned")), 0o700);
    let again = checkpoint.present(Start::Fastest).await.expect("here");
    assert_eq!(again.images, Some(images));
    assert_eq!(again.choice.form, FormName::Memory);
}

#[tokio::test]
async fn a_form_needs_nothing_of_the_others() {
    let checkpoint = Checkpoint::new(&memory().1).await;
    let packed = checkpoint.world.store().await.path(&FUNCTION.digest(&stated(b"core")), false);
    fs::remove_file(packed).expect("there");
    let home = home(checkpoint.world.client.root(), &checkpoint.descriptor.root);
    let cold = checkpoint.bring(Start::In(FormName::Cold)).await.expect("made");
    assert_eq!((cold.layers.len(), cold.images), (0, None));
    assert!(cold.root.join("etc/gone").exists() && !home.join("layers").exists());
    assert!(checkpoint.present(Start::In(FormName::Filesystem)).await.is_none());
    let mut other = checkpoint.facts.made.host.clone();
    other.cpu_flags.push_str(" avx512f");
    checkpoint.be_like(&other);
    let prepared = checkpoint.bring(Start::Fastest).await.expect("made");
    assert_eq!((prepared.choice.form, prepared.images), (FormName::Filesystem, None));
    assert!(prepared.choice.why.ends_with("; the memory form needs CPU flags: nothing more there, avx512f here"));
    assert!(!home.join("memory").exists());
    let error = checkpoint.bring(Start::In(FormName::Memory)).await.expect_err("another host");
    assert!(matches!(&error, ClientError::Choice(error) if error.is_of_host()), "{error}");
}

#[tokio::test]
async fn what_was_changed_or_half_made_is_made_anew() {
    let (large, files) = memory();
    let checkpoint = Checkpoint::new(&files).await;
    let home = home(checkpoint.world.client.root(), &checkpoint.descriptor.root);
    for half in [home.join("memory.partial/images"), home.join("layers/000.partial/etc")] {
        fs::create_dir_all(&half).expect("temporary");
        fs::write(half.join("left"), "x").expect("temporary");
    }
    let images = checkpoint.bring(Start::Fastest).await.expect("made").images.expect("it is the form");
    assert!(!images.join("left").exists() && !home.join("memory.partial").exists());
    let pages = images.join("pages-1.img");
    let made = home.join("memory/files.json");
    let before =
        || fs::write(&made, fs::read_to_string(&made).expect("there").replace(&boot().expect("Linux"), "before"));
    let spoil: [&dyn Fn(); 4] = [
        &|| fs::write(&pages, "short").expect("root"),
        &|| fs::write(&pages, vec![1; large.len()]).expect("root"),
        &|| fs::remove_file(&pages).expect("root"),
        // When this host was another time up.
        &|| before().expect("root"),
    ];
    for spoil in spoil {
        spoil();
        assert!(checkpoint.present(Start::Fastest).await.is_none());
        checkpoint.bring(Start::Fastest).await.expect("made");
        assert!(fs::read(&pages).expect("there") == large);
        assert!(checkpoint.present(Start::Fastest).await.is_some());
    }
}
