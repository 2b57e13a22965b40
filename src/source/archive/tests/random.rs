use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>, bool),
    Link(String),
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        3 => (vec(any::<u8>(), 0..2000), any::<bool>()).prop_map(|(bytes, run)| Thing::File(bytes, run)),
        1 => "[a-c./]{1,9}".prop_map(Thing::Link),
    ]
}

fn make(directory: &Path, path: &str, thing: &Thing) {
    let place = directory.join(path);
    // One name may be a file and a directory; the first wins.
    if std::fs::create_dir_all(place.parent().unwrap()).is_err() || place.symlink_metadata().is_ok() {
        return;
    }
    match thing {
        Thing::File(bytes, run) => {
            std::fs::write(&place, bytes).unwrap();
            let mode = if *run { 0o700 } else { 0o600 };
            std::fs::set_permissions(&place, PermissionsExt::from_mode(mode)).unwrap();
        }
        Thing::Link(target) => symlink(target, &place).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_tree_has_the_id_that_git_computes(
        things in btree_map("[a-cä.]?[a-c-]{1,3}(/[a-c]{1,2}){0,3}", thing(), 0..25),
        format in prop_oneof!["gnu", "posix"],
    ) {
        let fixture = fixture();
        // A link in place of a directory would lead elsewhere, so links come last.
        for links in [false, true] {
            for (path, thing) in &things {
                if links == matches!(thing, Thing::Link(_)) {
                    make(&fixture.source(), path, thing);
                }
            }
        }
        let archive = run(&fixture.source(), &["tar", &format!("--format={format}"), "-c", "."]);
        let tree = fixture.unpack(ArchiveKind::Tar, &archive, &Limits::default()).unwrap();
        prop_assert_eq!(tree.to_string(), git_tree(&fixture.source()));
        run(fixture.git.path(), &["git", "fsck", "--strict", "--full"]);
    }

    #[test]
    fn any_bytes_are_unpacked_whole_or_not_at_all(bytes in vec(any::<u8>(), 0..3000)) {
        properties::archive(&bytes);
    }

    #[test]
    fn an_archive_with_other_bytes_in_it_is_unpacked_whole_or_not_at_all(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        checked in any::<bool>(),
    ) {
        let kind = ::tar::EntryType::Symlink;
        let mut bytes = tar_of(&[Item::File("a/b", b"x"), Item::Link(kind, "l", "a/b"), Item::File("c", &[1; 700])]);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
            if checked && at < 512 {
                let mut header = ::tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[..512]);
                header.set_cksum();
                bytes[..512].copy_from_slice(header.as_bytes());
            }
        }
        properties::archive(&bytes);
    }
}
