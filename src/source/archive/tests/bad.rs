use ::tar::EntryType;

use super::*;

fn refused(items: &[Item]) -> ArchiveError {
    unpack_bytes(ArchiveKind::Tar, &tar_of(items)).unwrap_err()
}

fn file(name: &str) -> Item<'_> {
    Item::File(name, b"x")
}

#[test]
fn a_path_stays_in_the_tree() {
    for name in ["..", "../x", "a/../b", "a/..", "./../x"] {
        let error = refused(&[file(name)]);
        assert!(matches!(&error, ArchiveError::Upwards { entry } if entry == name), "{name}: {error}");
    }
    for name in ["/", "/etc/passwd", "//x"] {
        let error = refused(&[file(name)]);
        assert!(matches!(&error, ArchiveError::Absolute { entry } if entry == name), "{name}: {error}");
    }
}

#[test]
fn a_path_is_one_that_a_tree_can_hold() {
    for name in ["", "."] {
        let error = refused(&[file(name)]);
        assert!(matches!(error, ArchiveError::Name { .. }), "{name:?}: {error}");
    }
    for name in [".git", ".GIT/config", "a/.git/hooks/x", "./.Git"] {
        let error = refused(&[file(name)]);
        assert!(matches!(&error, ArchiveError::GitDirectory { entry } if entry == name), "{name}: {error}");
    }
    for (name, what) in [
        (vec![b'a'; 256], "255"),
        ([b"a/".as_slice(), &b"b/".repeat(300), b"c"].concat(), "256 directories"),
        ([b"a".repeat(200), b"/".to_vec()].concat().repeat(21), "4096"),
        (b"nul\0inside".to_vec(), "NUL"),
    ] {
        let error = super::super::name::entry_path(&name).unwrap_err();
        assert!(matches!(&error, ArchiveError::Name { what: said, .. } if said.contains(what)), "{error}");
    }
    let error = super::super::name::entry_path(b"\xff\x1b").unwrap_err();
    assert_eq!(error.to_string(), "the name of entry `\u{fffd}\\u{1b}` is not UTF-8");
}

#[test]
fn only_files_directories_and_links_are_taken() {
    for (kind, said) in [
        (EntryType::Fifo, "a fifo"),
        (EntryType::Char, "a character device"),
        (EntryType::Block, "a block device"),
        (EntryType::new(b'M'), "of an unknown type"),
    ] {
        let error = refused(&[file("before"), Item::Type(kind, "x")]);
        assert!(
            matches!(&error, ArchiveError::Unsupported { entry, what } if entry == "x" && *what == said),
            "{error}"
        );
    }
}

#[test]
fn a_path_is_there_once() {
    let symlink = Item::Link(EntryType::Symlink, "a", "b");
    let directory = Item::Type(EntryType::Directory, "a");
    for items in [
        [file("a"), file("a")],
        [file("a"), file("./a")],
        [file("a"), symlink],
        [symlink, file("a")],
        [file("a"), directory],
        [directory, file("a")],
        [symlink, directory],
        [file("a/b"), file("a")],
    ] {
        let error = refused(&items);
        assert!(matches!(&error, ArchiveError::Duplicate { entry } if entry == "a"), "{error}");
    }
}

#[test]
fn nothing_is_written_through_a_symlink_or_below_a_file() {
    for first in [Item::Link(EntryType::Symlink, "a", "/tmp"), file("a")] {
        let error = refused(&[first, file("a/b/c")]);
        let ArchiveError::NotADirectory { entry, file } = error else { panic!("{error}") };
        assert_eq!((entry.as_str(), file.as_str()), ("a/b/c", "a"));
    }
}

#[test]
fn a_hard_link_leads_to_an_earlier_file_of_the_archive() {
    for target in ["/etc/passwd", "../x", "later", "directory", "", "h"] {
        let error = refused(&[
            Item::Type(EntryType::Directory, "directory"),
            Item::Link(EntryType::Link, "h", target),
            file("later"),
        ]);
        assert!(matches!(&error, ArchiveError::HardLink { entry, .. } if entry == "h"), "{target}: {error}");
    }
}

#[test]
fn a_symlink_has_a_target() {
    let error = refused(&[Item::Link(EntryType::Symlink, "l", "")]);
    assert!(matches!(&error, ArchiveError::Target { entry, .. } if entry == "l"), "{error}");
}

#[test]
fn names_that_differ_in_case_are_refused_where_that_is_asked_for() {
    let archive = tar_of(&[file("net/xt_MARK.h"), file("net/xt_mark.h"), file("Ä"), file("ä")]);
    assert!(unpack_bytes(ArchiveKind::Tar, &archive).is_ok());
    let limits = Limits { case_collisions: CaseCollisions::Refuse, ..Limits::default() };
    let error = fixture().unpack(ArchiveKind::Tar, &archive, &limits).unwrap_err();
    assert!(matches!(error, ArchiveError::CaseCollision { .. }), "{error}");
    let apart = tar_of(&[file("a/x"), file("b/X")]);
    assert!(fixture().unpack(ArchiveKind::Tar, &apart, &limits).is_ok());
}

#[test]
fn an_attribute_of_another_size_than_the_header_decides() {
    // As written for files beyond 8 GiB; here the two must not be taken for one another.
    let mut archive = ::tar::Builder::new(Vec::new());
    archive.append_pax_extensions([("size", b"1".as_slice())]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("a").unwrap();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, std::io::empty()).unwrap();
    let mut bytes = archive.into_inner().unwrap();
    let end = bytes.len() - 1024;
    bytes.splice(end..end, [b"x".as_slice(), &[0; 511]].concat());
    let expected = unpack_bytes(ArchiveKind::Tar, &tar_of(&[Item::File("a", b"x")])).unwrap();
    assert_eq!(unpack_bytes(ArchiveKind::Tar, &bytes).unwrap(), expected);
}
