//! Putting closures into stores.

use super::*;
use crate::store::remove_tree;

#[tokio::test]
async fn paths_have_the_modes_and_times_of_nix_and_share_their_files_with_the_client() {
    let world = World::new();
    let root = world.store();
    let known = world.closure().await;
    assert!(matches!(world.make(&root, &known, Registering::No).await, Ok(Made::Whole { downloaded: 0, .. })));
    assert_eq!(assert_canonical(&root), 14);
    let text = root.real(&path(LIBRARY)).join("lib/text");
    assert!(fs::metadata(text).expect("there").nlink() > 1);
    let run = fs::metadata(root.real(&path(PROGRAM)).join("bin/run")).expect("there");
    assert_eq!(run.mode() & 0o777, 0o555);
    assert_eq!(
        fs::read_link(root.real(&path(LINK))).expect("a link"),
        Path::new("/nix/store").join(PROGRAM).join("bin/run")
    );
    assert_eq!(leftovers(&root), [] as [PathBuf; 0]);
    assert!(!root.path().join("registration").exists());
}

#[tokio::test]
async fn a_path_that_is_there_stays_and_one_that_was_removed_comes_again() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    world.make(&root, &known, Registering::No).await.expect("made");
    let inode = |name: &str| fs::symlink_metadata(root.real(&path(name))).expect("there").ino();
    let library = inode(LIBRARY);
    remove_tree(&root.real(&path(PROGRAM))).expect("removed");
    fs::remove_file(root.real(&path(LINK))).expect("removed");
    world.make(&root, &known, Registering::No).await.expect("made");
    assert_eq!(inode(LIBRARY), library);
    assert_eq!(assert_canonical(&root), 14);
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_cleared() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    drop(root.lock().expect("free"));
    let left = root.path().join("nix/.envserve/making-killed");
    fs::create_dir_all(left.join("paths/a/b")).expect("temporary");
    fs::set_permissions(left.join("paths/a"), std::os::unix::fs::PermissionsExt::from_mode(0o555)).expect("ours");
    // A directory that was renamed, and not closed yet.
    fs::create_dir_all(root.real(&path(LIBRARY))).expect("temporary");
    world.make(&root, &known, Registering::No).await.expect("made");
    assert_eq!(leftovers(&root), [] as [PathBuf; 0]);
    assert_eq!(fs::metadata(root.real(&path(LIBRARY))).expect("there").mode() & 0o777, 0o555);
}

#[tokio::test]
async fn of_many_at_once_one_makes_the_paths() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    let making = root.lock().expect("free");
    let inodes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("made");
                    runtime.block_on(world.make(&root, &known, Registering::No)).expect("made");
                    fs::metadata(root.real(&path(PROGRAM))).expect("there").ino()
                })
            })
            .collect();
        // Whoever comes waits.
        assert!(!root.real(&path(PROGRAM)).exists());
        drop(making);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "{inodes:?}");
    assert_eq!(assert_canonical(&root), 14);
    assert_eq!(leftovers(&root), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn on_another_file_system_blobs_are_copied() {
    let world = World::new();
    let other = TempDir::new_in("/dev/shm").expect("a file system in memory");
    let device = |path: &Path| fs::metadata(path).expect("there").dev();
    assert_ne!(device(other.path()), device(world.directory.path()), "these tests run on a disk");
    let (root, known) = (StoreRoot::new(other.path().join("store")), world.closure().await);
    world.make(&root, &known, Registering::No).await.expect("made");
    assert_eq!(assert_canonical(&root), 14);
    assert_eq!(fs::read_to_string(root.real(&path(LIBRARY)).join("lib/text")).expect("there"), "library");
    assert_eq!(fs::metadata(root.real(&path(LIBRARY)).join("lib/text")).expect("there").nlink(), 1);
    assert_eq!(leftovers(&root), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_store_is_open_to_those_to_whom_its_root_is() {
    let world = World::new();
    let (root, known) = (world.store(), world.closure().await);
    fs::create_dir(root.path()).expect("temporary");
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).expect("ours");
    world.make(&root, &known, Registering::No).await.expect("made");
    for name in ["nix", "nix/store", "nix/.envserve"] {
        assert_eq!(fs::metadata(root.path().join(name)).expect("made").mode() & 0o7777, 0o1777, "{name}");
    }
    assert_eq!(fs::metadata(root.path().join("nix/.envserve/lock")).expect("made").mode() & 0o7777, 0o666);
}
