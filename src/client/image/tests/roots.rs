//! Root file systems on the disk.

use super::*;

/// Writes a file at a full second, as layers have times.
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("temporary");
    age(path, 5);
    age(path.parent().expect("not the root"), 5);
}

#[tokio::test]
async fn a_root_file_system_is_what_was_packed() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let root = world.root(world.image(&[&packed]).await).await.expect("made");
    assert_same(&root, &packed);
    assert_eq!(inode(&root.join("bin/ping")), inode(&root.join("bin/ping6")));
    assert_eq!(inode(&root.join("etc/shadow")), inode(&root.join("usr/lib/shadow")));
    assert_ne!(inode(&root.join("etc/same")), inode(&root.join("etc/note")), "they differ in an attribute");
    let images = fs::metadata(world.path("client/images/owned")).expect("made");
    assert_eq!(images.mode() & 0o777, 0o700, "there are programs in it that set user ids");
}

#[tokio::test]
async fn a_changed_image_shares_what_did_not_change_and_leaves_blobs_as_they_are() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let first = world.root(world.image(&[&packed]).await).await.expect("made");
    write(&packed.join("bin/run"), "#!changed");
    // The same content, once more with another mode.
    write(&packed.join("etc/copy"), "raw");
    let second = world.root(world.image(&[&packed]).await).await.expect("made");
    assert_ne!(first, second);
    assert_same(&second, &packed);
    for path in ["bin/ping", "etc/closed/large", "etc/note"] {
        assert_eq!(inode(&first.join(path)), inode(&second.join(path)), "{path}");
    }
    assert_eq!(fs::read(first.join("bin/run")).expect("there"), b"#!");
    let digest = FUNCTION.digest(b"secret");
    let blob = fs::metadata(world.store().await.path(&digest, false)).expect("kept");
    assert_eq!((blob.mode() & 0o7777, blob.uid(), blob.mtime(), blob.nlink()), (0o444, 0, 1, 1));
}

#[tokio::test]
async fn a_kept_file_that_was_changed_is_made_anew() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let first = world.root(world.image(&[&packed]).await).await.expect("made");
    // Through the image: the kept file is the same one. Its size stays, its time does not.
    fs::write(first.join("bin/ping"), "PONG").expect("root");
    fs::set_permissions(first.join("etc/note"), Permissions::from_mode(0o666)).expect("root");
    write(&packed.join("etc/more"), "more");
    let second = world.root(world.image(&[&packed]).await).await.expect("made");
    assert_same(&second, &packed);
}

#[tokio::test]
async fn what_is_kept_serves_when_its_blob_is_gone() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    world.root(world.image(&[&packed]).await).await.expect("made");
    change(&packed.join("etc/closed/large"), 0o400, 7, 7);
    age(&packed.join("etc/closed/large"), 9);
    let changed = world.image(&[&packed]).await;
    let digest = FUNCTION.digest(&[7; 3 << 20]);
    fs::remove_file(world.store().await.path(&digest, false)).expect("there");
    let root = world.root(changed).await.expect("made");
    assert_same(&root, &packed);
}

#[tokio::test]
async fn a_file_with_as_many_names_as_it_can_have_is_copied() {
    let world = World::new();
    let packed = world.path("packed");
    fs::create_dir_all(packed.join("names")).expect("temporary");
    for name in 0..150 {
        fs::write(packed.join(format!("names/{name}")), "").expect("temporary");
    }
    below(&packed).iter().for_each(|path| age(path, 3));
    let root = world.root(world.image(&[&packed]).await).await.expect("made");
    let mut inodes: Vec<u64> = below(&root).iter().filter(|path| path.is_file()).map(|path| inode(path)).collect();
    assert_eq!(inodes.len(), 150);
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes.len(), 2);
}

#[tokio::test]
async fn a_copy_is_the_users_own_and_links_only_what_is_one_file() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let root = world.root(world.image(&[&packed]).await).await.expect("made");
    let copy = world.path("copies/copy");
    install_root(&RootFileSystem::at(&root), &copy).expect("free");
    assert_same(&copy, &packed);
    assert_eq!(inode(&copy.join("bin/ping")), inode(&copy.join("bin/ping6")));
    assert_ne!(inode(&copy.join("etc/same")), inode(&copy.join("etc/same-too")));
    fs::write(copy.join("bin/run"), "changed").expect("ours");
    assert_eq!(fs::read(root.join("bin/run")).expect("there"), b"#!");
    let taken = install_root(&RootFileSystem::at(&root), &copy);
    assert!(matches!(taken, Err(ClientError::Occupied { .. })), "{taken:?}");
}

#[tokio::test]
async fn what_was_half_made_is_cleared() {
    let world = World::new();
    let packed = world.path("packed");
    everything(&packed);
    let image = world.image(&[&packed]).await;
    let home = RootFileSystem::of(world.client.root(), &image.root, Owner::Image).directory();
    let partial = home.parent().expect("not the root").with_extension("partial");
    fs::create_dir_all(partial.join("root/bin")).expect("temporary");
    fs::write(partial.join("root/bin/left"), "x").expect("temporary");
    assert_same(&world.root(image).await.expect("made"), &packed);
    assert!(!partial.exists());
}
