mod hostile;

use super::super::properties::{list_of, seal};
use super::*;

/// Packs the directory of a fixture by the program `7z`.
fn pack(fixture: &Fixture, options: &[&str]) -> Vec<u8> {
    let file = fixture.directory.path().join("a.7z");
    let _ = std::fs::remove_file(&file);
    let command = ["7z", "a", "-bso0", "-bsp0", "-snl"].iter().chain(options);
    run(&fixture.source(), &command.copied().chain([file.to_str().unwrap(), "."]).collect::<Vec<_>>());
    std::fs::read(&file).unwrap()
}

/// Makes the sample, with a program in it for the filters, without a backslash, which may mean either.
fn packable() -> Fixture {
    let fixture = fixture();
    sample(&fixture.source());
    std::fs::remove_dir_all(fixture.source().join("näme")).unwrap();
    std::fs::write(fixture.source().join("ß"), "odd").unwrap();
    let program = std::fs::read("/proc/self/exe").unwrap();
    std::fs::write(fixture.source().join("program.exe"), &program[..program.len().min(600_000)]).unwrap();
    fixture
}

/// Makes an archive of a few small files with its list in the clear.
fn small(options: &[&str]) -> Vec<u8> {
    let fixture = fixture();
    std::fs::create_dir_all(fixture.source().join("d/empty")).unwrap();
    for (name, content) in [("d/name-a", "text".repeat(50)), ("d/name-b", String::new()), ("run", "#!/bin/sh".into())] {
        std::fs::write(fixture.source().join(name), content).unwrap();
    }
    std::fs::set_permissions(fixture.source().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("d/name-a", fixture.source().join("link")).unwrap();
    pack(&fixture, &[&["-mhc=off", "-mtm=off"], options].concat())
}

/// Makes an archive that has a list and nothing else.
fn only(list: &[u8]) -> Vec<u8> {
    let mut bytes = [b"7z\xbc\xaf\x27\x1c\0\x04".as_slice(), &[0; 24], list].concat();
    bytes[20..28].copy_from_slice(&(list.len() as u64).to_le_bytes());
    seal(&mut bytes);
    bytes
}

/// Replaces some bytes of a list wherever they are.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut bytes, list) = (bytes.to_vec(), list_of(bytes).unwrap());
    let mut found = 0;
    for at in list.start..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert_ne!(found, 0, "{from:?} is not there");
    seal(&mut bytes);
    bytes
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn refused(bytes: &[u8]) -> ArchiveError {
    unpack_bytes(ArchiveKind::Zip, bytes).unwrap_err()
}

#[test]
fn a_7z_archive_of_any_method_gives_the_tree_that_git_computes() {
    let fixture = packable();
    let expected = git_tree(&fixture.source());
    let methods: [&[&str]; 20] = [
        &["-m0=LZMA"],
        &["-m0=LZMA2"],
        &["-m0=PPMd"],
        &["-m0=BZip2"],
        &["-m0=Deflate"],
        &["-m0=Copy"],
        &["-mx=0"],
        &["-mx=9"],
        &["-ms=off"],
        &["-ms=on", "-mqs=on"],
        &["-mhc=off"],
        &["-m0=LZMA2:d=64k:c=128k"],
        &["-mf=BCJ"],
        &["-mf=BCJ2"],
        &["-m0=BCJ2", "-m1=LZMA:d20", "-m2=LZMA:d20", "-m3=LZMA:d20"],
        &["-mf=Delta:4"],
        &["-mf=ARM"],
        &["-mf=ARMT"],
        &["-mf=PPC"],
        &["-mf=SPARC"],
    ];
    for options in methods {
        let tree = unpack_bytes(ArchiveKind::Zip, &pack(&fixture, options)).unwrap();
        assert_eq!(tree.to_string(), expected, "{options:?}");
    }
}

#[test]
fn a_7z_archive_without_entries_is_the_empty_tree() {
    for bytes in [only(&[]), only(&[1, 0])] {
        let tree = unpack_bytes(ArchiveKind::Zip, &bytes).unwrap();
        assert_eq!(tree.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }
}

#[test]
fn a_7z_archive_cut_short_anywhere_gives_no_tree() {
    let (bytes, fixture) = (small(&[]), fixture());
    for length in 0..bytes.len() {
        let error = fixture.unpack(ArchiveKind::Zip, &bytes[..length], &Limits::default()).expect_err("cut");
        let fits = matches!(error, ArchiveError::Truncated { .. }) || length < 6;
        assert!(fits, "{length}: {error:?}");
    }
    fixture.unpack(ArchiveKind::Zip, &bytes, &Limits::default()).unwrap();
}

#[test]
fn a_7z_archive_with_a_flipped_bit_gives_the_same_tree_or_none() {
    for options in [&["-m0=LZMA"][..], &["-m0=LZMA2"], &["-m0=PPMd"], &["-m0=Copy", "-mhc=on"]] {
        let (bytes, fixture) = (small(options), fixture());
        let tree = fixture.unpack(ArchiveKind::Zip, &bytes, &Limits::default()).unwrap();
        // Behind the magic and the version, which nothing is computed of.
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let fixture = self::fixture();
            match fixture.unpack(ArchiveKind::Zip, &damaged, &Limits::default()) {
                // Some bytes that a decoder reads at its end mean nothing.
                Ok(found) => assert_eq!(found, tree, "{options:?} {at}"),
                Err(error) => assert!(
                    matches!(
                        error,
                        ArchiveError::SevenZ { .. }
                            | ArchiveError::Read { .. }
                            | ArchiveError::Truncated { .. }
                            | ArchiveError::Size { .. }
                    ),
                    "{options:?} {at}: {error:?}"
                ),
            }
        }
    }
}

#[test]
fn entries_bytes_and_files_of_7z_are_limited() {
    let bytes = small(&[]);
    let unpack = |limits: Limits| fixture().unpack(ArchiveKind::Zip, &bytes, &limits);
    let limits = Limits::default();
    assert!(unpack(Limits { max_entries: 7, max_bytes: 217, max_file_bytes: 200, ..limits.clone() }).is_ok());
    let error = unpack(Limits { max_entries: 5, ..limits.clone() }).unwrap_err();
    assert!(matches!(error, ArchiveError::Entries { limit: 5 }), "{error}");
    let error = unpack(Limits { max_file_bytes: 199, ..limits.clone() }).unwrap_err();
    assert!(matches!(&error, ArchiveError::FileBytes { bytes: 200, .. }), "{error}");
    // Of a block it is known before, of several when they are unpacked.
    let error = unpack(Limits { max_bytes: 216, ..limits.clone() }).unwrap_err();
    assert!(matches!(error, ArchiveError::Bytes { limit: 216, .. }), "{error}");
    let apart = small(&["-ms=off"]);
    let error = fixture().unpack(ArchiveKind::Zip, &apart, &Limits { max_bytes: 210, ..limits }).unwrap_err();
    assert!(matches!(error, ArchiveError::Bytes { limit: 210, .. }), "{error}");
}
