use ::zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

/// Makes a zip archive of files with the given modes; a mode of 0 is left unsaid.
fn zip_of(files: &[(&str, &[u8], u32)], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, _) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    // The writer knows neither devices nor symlinks of this kind, so modes are put in by hand.
    let mut at = 0;
    for (name, _, mode) in files {
        at += bytes[at..].windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        assert_eq!(&bytes[at + 46..at + 46 + name.len()], name.as_bytes());
        bytes[at + 5] = 3;
        bytes[at + 38..at + 42].copy_from_slice(&(mode << 16).to_le_bytes());
        at += 46;
    }
    bytes
}

fn refused(name: &str, mode: u32) -> ArchiveError {
    let bytes = zip_of(&[(name, b"x", mode)], SimpleFileOptions::default());
    unpack_bytes(ArchiveKind::Zip, &bytes).unwrap_err()
}

#[test]
fn a_zip_archive_of_any_method_gives_the_tree_that_git_computes() {
    let fixture = fixture();
    sample(&fixture.source());
    // A backslash in a zip archive may mean either.
    std::fs::remove_dir_all(fixture.source().join("näme")).unwrap();
    for options in ["-0", "-9", "-Zbzip2", "-D"] {
        let file = fixture.directory.path().join("a.zip");
        let _ = std::fs::remove_file(&file);
        run(&fixture.source(), &["zip", "-q", "-y", "-r", options, file.to_str().unwrap(), "."]);
        let tree = unpack_bytes(ArchiveKind::Zip, &std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(tree.to_string(), git_tree(&fixture.source()), "{options}");
    }
}

#[test]
fn names_that_are_utf_8_without_saying_so_are_taken_as_such() {
    let fixture = fixture();
    std::fs::write(fixture.source().join("näme"), "x").unwrap();
    run(&fixture.source(), &["zip", "-q", "../a.zip", "näme"]);
    let bytes = std::fs::read(fixture.directory.path().join("a.zip")).unwrap();
    assert_eq!(unpack_bytes(ArchiveKind::Zip, &bytes).unwrap().to_string(), git_tree(&fixture.source()));
}

#[test]
fn zstd_in_zip_is_read_and_modes_may_be_left_unsaid() {
    let options = SimpleFileOptions::default().compression_method(::zip::CompressionMethod::Zstd);
    let bytes = zip_of(&[("a", b"1", 0), ("b", b"2", 0o100_755), ("l", b"a", 0o120_777)], options);
    let fixture = fixture();
    std::fs::write(fixture.source().join("a"), "1").unwrap();
    std::fs::write(fixture.source().join("b"), "2").unwrap();
    std::fs::set_permissions(fixture.source().join("b"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("a", fixture.source().join("l")).unwrap();
    assert_eq!(unpack_bytes(ArchiveKind::Zip, &bytes).unwrap().to_string(), git_tree(&fixture.source()));
}

#[test]
fn what_no_tree_can_hold_is_refused() {
    assert!(matches!(refused("../x", 0), ArchiveError::Upwards { .. }));
    assert!(matches!(refused("a/../x", 0), ArchiveError::Upwards { .. }));
    assert!(matches!(refused("/x", 0), ArchiveError::Absolute { .. }));
    assert!(matches!(refused("a\\x", 0), ArchiveError::Name { .. }));
    assert!(matches!(refused("a/.git/x", 0), ArchiveError::GitDirectory { .. }));
    for (mode, said) in [
        (0o010_644, "a fifo"),
        (0o020_644, "a character device"),
        (0o060_644, "a block device"),
        (0o140_644, "a socket"),
        (0o170_644, "of an unknown type"),
    ] {
        let error = refused("x", mode);
        assert!(matches!(&error, ArchiveError::Unsupported { what, .. } if *what == said), "{error}");
    }
    let long = "t".repeat(5000);
    let bytes = zip_of(&[("l", long.as_bytes(), 0o120_777)], SimpleFileOptions::default());
    let error = unpack_bytes(ArchiveKind::Zip, &bytes).unwrap_err();
    assert!(matches!(error, ArchiveError::Target { .. }), "{error}");
}

#[test]
fn a_name_is_there_once() {
    let mut bytes = zip_of(&[("name-a", b"1", 0), ("name-b", b"2", 0)], SimpleFileOptions::default());
    for at in 0..bytes.len() - 6 {
        if &bytes[at..at + 6] == b"name-b" {
            bytes[at + 5] = b'a';
        }
    }
    let error = unpack_bytes(ArchiveKind::Zip, &bytes).unwrap_err();
    assert!(matches!(&error, ArchiveError::Duplicate { entry } if entry == "name-a"), "{error}");
}

#[test]
fn an_encrypted_entry_is_refused() {
    let fixture = fixture();
    std::fs::write(fixture.source().join("secret"), "x").unwrap();
    run(&fixture.source(), &["zip", "-q", "-P", "word", "../a.zip", "secret"]);
    let bytes = std::fs::read(fixture.directory.path().join("a.zip")).unwrap();
    let error = unpack_bytes(ArchiveKind::Zip, &bytes).unwrap_err();
    assert!(matches!(&error, ArchiveError::Method { entry } if entry == "secret"), "{error}");
}

#[test]
fn a_bomb_is_refused_early() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros", SimpleFileOptions::default()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(300 << 20), &mut writer).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let error = unpack_bytes(ArchiveKind::Zip, &bytes).unwrap_err();
    assert!(matches!(error, ArchiveError::Ratio { .. }), "{error}");
}

#[test]
fn entries_that_lie_about_their_size_are_refused() {
    let bytes = zip_of(&[("a", &[b'x'; 100], 0)], SimpleFileOptions::default());
    let central = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for size in [99_u32, 101, 0, u32::MAX - 1] {
        let mut lying = bytes.clone();
        lying[central + 24..central + 28].copy_from_slice(&size.to_le_bytes());
        let error = unpack_bytes(ArchiveKind::Zip, &lying).unwrap_err();
        assert!(matches!(error, ArchiveError::Size { .. } | ArchiveError::Read { .. }), "{size}: {error:?}");
    }
}
