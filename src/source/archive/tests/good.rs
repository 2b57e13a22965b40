use super::*;

fn id(kind: ArchiveKind, bytes: &[u8]) -> String {
    unpack_bytes(kind, bytes).unwrap().to_string()
}

const PROGRAMS: [&[&str]; 7] = [
    &["cat"],
    &["gzip", "-c"],
    &["bzip2", "-c"],
    &["xz", "-c"],
    &["xz", "-9", "--check=crc32", "-c"],
    &["zstd", "-q", "-c"],
    &["lz4", "-q", "-c"],
];

#[test]
fn a_tar_archive_of_any_form_and_compression_gives_the_tree_that_git_computes() {
    let fixture = fixture();
    sample(&fixture.source());
    let expected = git_tree(&fixture.source());
    for format in ["gnu", "posix"] {
        let archive = run(&fixture.source(), &["tar", &format!("--format={format}"), "-c", "."]);
        for program in PROGRAMS {
            let packed = compress(program, &archive);
            assert_eq!(id(ArchiveKind::Tar, &packed), expected, "{format} {program:?}");
        }
    }
}

#[test]
fn old_formats_are_read_too() {
    let fixture = fixture();
    std::fs::create_dir_all(fixture.source().join("a/b")).unwrap();
    std::fs::write(fixture.source().join("a/b/c"), "x").unwrap();
    symlink("b/c", fixture.source().join("a/link")).unwrap();
    let expected = git_tree(&fixture.source());
    for format in ["v7", "ustar", "oldgnu"] {
        let archive = run(&fixture.source(), &["tar", &format!("--format={format}"), "-c", "a"]);
        assert_eq!(id(ArchiveKind::Tar, &archive), expected, "{format}");
    }
}

#[test]
fn a_compressed_archive_may_have_several_members() {
    let fixture = fixture();
    sample(&fixture.source());
    let archive = run(&fixture.source(), &["tar", "-c", "."]);
    let (one, two) = archive.split_at(100_000);
    for program in PROGRAMS {
        let packed = [compress(program, one), compress(program, two)].concat();
        assert_eq!(id(ArchiveKind::Tar, &packed), git_tree(&fixture.source()), "{program:?}");
    }
}

#[test]
fn an_archive_of_git_itself_is_read() {
    let fixture = fixture();
    sample(&fixture.source());
    // A backslash in a zip archive may mean either.
    std::fs::remove_dir_all(fixture.source().join("näme")).unwrap();
    let tree = super::super::super::import_path(&fixture.git, &fixture.source()).unwrap();
    let archive = run(fixture.git.path(), &["git", "archive", "--format=tar.gz", &tree.to_string()]);
    assert_eq!(id(ArchiveKind::Tar, &archive), tree.to_string());
    let archive = run(fixture.git.path(), &["git", "archive", "--format=zip", &tree.to_string()]);
    assert_eq!(id(ArchiveKind::Zip, &archive), tree.to_string());
}

#[test]
fn hard_links_are_the_same_file() {
    let fixture = fixture();
    std::fs::write(fixture.source().join("one"), "x").unwrap();
    std::fs::set_permissions(fixture.source().join("one"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::hard_link(fixture.source().join("one"), fixture.source().join("two")).unwrap();
    symlink("one", fixture.source().join("link")).unwrap();
    run(&fixture.source(), &["ln", "-P", "link", "same"]);
    let archive = run(&fixture.source(), &["tar", "-c", "."]);
    assert_eq!(id(ArchiveKind::Tar, &archive), git_tree(&fixture.source()));
}

#[test]
fn a_sparse_file_has_its_holes() {
    let fixture = fixture();
    let mut file = std::fs::File::create(fixture.source().join("sparse")).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(3 << 20)).unwrap();
    file.write_all(b"end").unwrap();
    drop(file);
    let tar = |format| run(&fixture.source(), &["tar", "--sparse", format, "-c", "sparse"]);
    assert_eq!(id(ArchiveKind::Tar, &tar("--format=gnu")), git_tree(&fixture.source()));
    let error = unpack_bytes(ArchiveKind::Tar, &tar("--format=posix")).unwrap_err();
    assert!(matches!(error, ArchiveError::Unsupported { .. }), "{error}");
}

#[test]
fn directories_may_be_implied_repeated_or_come_last() {
    let directory = ::tar::EntryType::Directory;
    let archive = tar_of(&[
        Item::File("a/b/c", b"1"),
        Item::Type(directory, "a/b"),
        Item::Type(directory, "empty/"),
        Item::File("./a//d", b"2"),
        Item::Type(directory, "a"),
        Item::Type(directory, "a/"),
    ]);
    let fixture = fixture();
    std::fs::create_dir_all(fixture.source().join("a/b")).unwrap();
    std::fs::write(fixture.source().join("a/b/c"), "1").unwrap();
    std::fs::write(fixture.source().join("a/d"), "2").unwrap();
    assert_eq!(id(ArchiveKind::Tar, &archive), git_tree(&fixture.source()));
}

#[test]
fn an_empty_archive_is_the_empty_tree() {
    assert_eq!(id(ArchiveKind::Tar, &tar_of(&[])), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

#[test]
fn a_directory_of_the_archive_is_given_by_itself() {
    let fixture = fixture();
    sample(&fixture.source());
    let file = fixture.directory.path().join("a.tar");
    run(&fixture.source(), &["tar", "-cf", file.to_str().unwrap(), "."]);
    let unpack = |subdir: &str| {
        let subdir = RelativePath::parse(subdir).unwrap();
        unpack(&fixture.git, &file, ArchiveKind::Tar, &subdir, &Limits::default())
    };
    std::fs::rename(fixture.source().join("a"), fixture.directory.path().join("a")).unwrap();
    let inner = fixture.directory.path().join("a");
    assert_eq!(unpack("a").unwrap().to_string(), git_tree(&inner));
    for missing in ["b", "run", "run/x", "empty"] {
        assert!(matches!(unpack(missing), Err(ArchiveError::NoSubdir { .. })), "{missing}");
    }
}
