use super::*;

/// A small archive with all kinds of headers.
fn archive() -> Vec<u8> {
    let fixture = fixture();
    let long = "n".repeat(120);
    std::fs::create_dir_all(fixture.source().join("d")).unwrap();
    std::fs::write(fixture.source().join("d/a"), b"text".repeat(300)).unwrap();
    std::fs::write(fixture.source().join("d").join(&long), "").unwrap();
    symlink(&long, fixture.source().join("d/link")).unwrap();
    // The same bytes in every run, so that a flipped bit is always the same one.
    let same = ["--mtime=@0", "--sort=name", "--owner=0", "--group=0", "--mode=go-w"];
    let mut bytes = run(&fixture.source(), &[&["tar", "-c", "-b", "1"], &same[..], &["d"]].concat());
    // The programs pad; the archive itself ends with two blocks of zeros.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512) + 1024;
    bytes.resize(end, 0);
    bytes
}

fn assert_refused(fixture: &Fixture, kind: ArchiveKind, bytes: &[u8], what: &str) {
    let error = fixture.unpack(kind, bytes, &Limits::default()).expect_err(what);
    let fits = match error {
        ArchiveError::Truncated { .. } | ArchiveError::Read { .. } => true,
        ArchiveError::Zip { .. } => kind == ArchiveKind::Zip,
        _ => false,
    };
    assert!(fits, "{what}: {error}");
}

#[test]
fn an_archive_cut_short_anywhere_gives_no_tree() {
    let (bytes, fixture) = (archive(), fixture());
    let blocks = (0..bytes.len()).step_by(512);
    let odd = (1..bytes.len()).step_by(97);
    for length in blocks.chain(odd).chain([bytes.len() - 1]) {
        let error = fixture.unpack(ArchiveKind::Tar, &bytes[..length], &Limits::default()).expect_err("cut");
        assert!(matches!(error, ArchiveError::Truncated { .. }), "{length}: {error:?}");
    }
    fixture.unpack(ArchiveKind::Tar, &bytes, &Limits::default()).unwrap();
}

#[test]
fn a_compressed_archive_cut_short_anywhere_gives_no_tree() {
    let (bytes, fixture) = (archive(), fixture());
    let lz4: &[&str] = &["lz4", "-q", "-B4", "-BX", "-c"];
    for program in [&["gzip", "-c"][..], &["bzip2", "-c"], &["xz", "-c"], &["zstd", "-q", "-c"], lz4] {
        let packed = compress(program, &bytes);
        for length in 0..packed.len() {
            assert_refused(&fixture, ArchiveKind::Tar, &packed[..length], &format!("{program:?} {length}"));
        }
    }
}

#[test]
fn a_damaged_member_gives_no_tree() {
    let (bytes, fixture) = (archive(), fixture());
    for program in [&["gzip", "-c"][..], &["bzip2", "-c"], &["xz", "-c"], &["zstd", "--check", "-q", "-c"]] {
        let mut packed = compress(program, &bytes);
        let middle = packed.len() / 2;
        packed[middle] ^= 0x10;
        assert_refused(&fixture, ArchiveKind::Tar, &packed, &format!("{program:?}"));
    }
}

#[test]
fn a_zip_archive_cut_short_or_damaged_gives_no_tree() {
    let fixture = fixture();
    sample(&fixture.source());
    run(&fixture.source(), &["zip", "-q", "-y", "-r", "../a.zip", "a", "run", "group"]);
    let bytes = std::fs::read(fixture.directory.path().join("a.zip")).unwrap();
    for length in 0..bytes.len() {
        assert_refused(&fixture, ArchiveKind::Zip, &bytes[..length], &length.to_string());
    }
    let content = bytes.windows(10).position(|window| window == b"#!/bin/sh\n").unwrap();
    let mut damaged = bytes.clone();
    damaged[content] ^= 1;
    assert_refused(&fixture, ArchiveKind::Zip, &damaged, "another byte");
    fixture.unpack(ArchiveKind::Zip, &bytes, &Limits::default()).unwrap();
}

#[test]
fn what_is_no_archive_is_refused() {
    let fixture = fixture();
    for bytes in [&b""[..], b"x", &[b'x'; 1024], &[0; 512], b"\x1f\x8b", b"BZh9", b"PK\x05\x06"] {
        for kind in [ArchiveKind::Tar, ArchiveKind::Zip] {
            assert_refused(&fixture, kind, bytes, &format!("{kind:?} {bytes:?}"));
        }
    }
}
