use super::*;

#[test]
fn names_in_7z_that_no_tree_can_hold_are_refused() {
    let bytes = small(&[]);
    let named = |name: &str| {
        assert_eq!(name.len(), 8);
        refused(&replaced(&bytes, &utf_16("d/name-a"), &utf_16(name)))
    };
    assert!(matches!(named("../evil-"), ArchiveError::Upwards { .. }));
    assert!(matches!(named("d/../../"), ArchiveError::Upwards { .. }));
    assert!(matches!(named("/etc/abs"), ArchiveError::Absolute { .. }));
    assert!(matches!(named("d\\name-a"), ArchiveError::Name { .. }));
    assert!(matches!(named("d/.git/a"), ArchiveError::GitDirectory { .. }));
    // Which of the two comes first is up to the program.
    for name in ["run/name", "link/abc"] {
        let error = named(name);
        assert!(matches!(error, ArchiveError::NotADirectory { .. } | ArchiveError::Duplicate { .. }), "{error}");
    }
    let error = named("d/name-b");
    assert!(matches!(&error, ArchiveError::Duplicate { entry } if entry == "d/name-b"), "{error}");
    let error = refused(&replaced(&bytes, &utf_16("d/name-a"), &[0, 0xd8].repeat(8)));
    assert!(matches!(error, ArchiveError::SevenZ { .. }), "{error}");
}

#[test]
fn attributes_in_7z_say_what_an_entry_is() {
    let bytes = small(&[]);
    let attributes = |mode: u32, low: u32| (mode << 16 | low).to_le_bytes();
    let archive = attributes(0o100_755, 0x8020);
    let mode = |mode, low| unpack_bytes(ArchiveKind::Zip, &replaced(&bytes, &archive, &attributes(mode, low)));
    for (mode_said, said) in [
        (0o010_644, "a fifo"),
        (0o020_644, "a character device"),
        (0o060_644, "a block device"),
        (0o140_644, "a socket"),
        (0o170_644, "of an unknown type"),
    ] {
        let error = mode(mode_said, 0x8020).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::Unsupported { entry, what } if entry == "run" && *what == said),
            "{error}"
        );
    }
    let error = mode(0, 0x420).unwrap_err();
    assert!(matches!(error, ArchiveError::Unsupported { what: "a reparse point of Windows", .. }), "{error}");
    // A mode that is not said to be there is none, so the file is not executable.
    assert_ne!(mode(0o100_755, 0x20).unwrap(), unpack_bytes(ArchiveKind::Zip, &bytes).unwrap());
    assert_eq!(mode(0o100_755, 0x20).unwrap(), mode(0, 0x20).unwrap());
}

#[test]
fn another_version_of_the_format_is_refused() {
    let mut bytes = small(&[]);
    bytes[6] = 1;
    assert!(matches!(refused(&bytes), ArchiveError::SevenZ { .. }));
}

#[test]
fn a_note_that_a_file_is_gone_is_refused() {
    // One file without content, which is empty and to be removed, named `a`.
    let list = [1, 5, 1, 0x0e, 1, 0x80, 0x0f, 1, 0x80, 0x10, 1, 0x80, 0x11, 5, 0, b'a', 0, 0, 0, 0, 0];
    let error = refused(&only(&list));
    assert!(matches!(&error, ArchiveError::Unsupported { entry, .. } if entry == "a"), "{error}");
}

#[test]
fn an_encrypted_7z_archive_is_refused() {
    let fixture = fixture();
    std::fs::write(fixture.source().join("secret"), "x").unwrap();
    let error = refused(&pack(&fixture, &["-pword"]));
    assert!(matches!(&error, ArchiveError::Method { entry } if entry == "secret"), "{error}");
    let error = refused(&pack(&fixture, &["-pword", "-mhe=on"]));
    assert!(matches!(error, ArchiveError::ListMethod), "{error}");
}

#[test]
fn an_unknown_method_is_refused() {
    let fixture = packable();
    let error = refused(&pack(&fixture, &["-m0=Deflate64"]));
    assert!(matches!(error, ArchiveError::Method { .. }), "{error}");
    // Methods within one another multiply what a small file comes to.
    let error = refused(&pack(&fixture, &["-m0=LZMA", "-m1=LZMA"]));
    assert!(matches!(error, ArchiveError::Method { .. }), "{error}");
}

#[test]
fn more_memory_than_bearable_is_not_taken() {
    let bytes = small(&["-m0=LZMA2"]);
    // The method, that it has properties, and those.
    let lzma2 = |bits| replaced(&bytes, &[0x21, 0x21, 1], &[0x21, 0x21, 1, bits]);
    assert!(unpack_bytes(ArchiveKind::Zip, &lzma2(36)).is_ok());
    for bits in [37, 40] {
        let error = refused(&lzma2(bits));
        assert!(matches!(error, ArchiveError::Memory { limit: 0x4000_0000, .. }), "{error}");
    }
    assert!(matches!(refused(&lzma2(41)), ArchiveError::Method { .. }));
    let bytes = small(&["-m0=LZMA"]);
    let of_lzma = [0x23, 3, 1, 1, 5, 0x5d];
    let huge = replaced(&bytes, &of_lzma, &[&of_lzma[..], &[0xff; 4]].concat());
    assert!(matches!(refused(&huge), ArchiveError::Memory { bytes: 0xffff_ffff, .. }));
}

#[test]
fn a_list_that_declares_more_than_it_has_is_refused_before_there_is_room_for_it() {
    let million = [0xe0, 0, 0, 0x40];
    let zeros = vec![0; 5 << 20];
    for (what, start) in [
        ("files", &[1, 5][..]),
        ("packed streams", &[1, 4, 6, 0]),
        ("blocks", &[1, 4, 7, 11]),
        ("steps", &[1, 4, 7, 11, 1, 0]),
    ] {
        let error = refused(&only(&[start, &million, &zeros].concat()));
        assert!(matches!(error, ArchiveError::Entries { limit: 1_000_000 }), "{what}: {error:?}");
    }
}

#[test]
fn a_list_beyond_all_measure_is_refused_before_it_is_in_memory() {
    let long = vec![0; (64 << 20) + 1];
    assert!(matches!(refused(&only(&long)), ArchiveError::Header { .. }));
    // A packed list of 65 MiB by what it says of itself, and of 2 GiB of dictionary.
    let packed = |size: u32, bits: u8| {
        let size = [&[0xf0][..], &size.to_le_bytes()].concat();
        only(&[&[0x17, 6, 0, 1, 9, 1, 0, 7, 11, 1, 0, 1, 0x21, 0x21, 1, bits, 12], &size[..], &[0, 0]].concat())
    };
    let error = refused(&packed(65 << 20, 20));
    assert!(matches!(error, ArchiveError::Header { .. }), "{error:?}");
    let error = refused(&packed(100, 38));
    assert!(matches!(error, ArchiveError::Memory { .. }), "{error:?}");
}

#[test]
fn a_7z_bomb_is_refused_early() {
    let fixture = fixture();
    std::fs::File::create(fixture.source().join("zeros")).unwrap().set_len(300 << 20).unwrap();
    std::fs::File::create(fixture.source().join("more")).unwrap().set_len(300 << 20).unwrap();
    for options in [&["-m0=LZMA2", "-mx=1"][..], &["-m0=BZip2"]] {
        let bytes = pack(&fixture, options);
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        let error = refused(&bytes);
        assert!(matches!(error, ArchiveError::Ratio { .. }), "{error}");
    }
}

#[test]
fn content_of_a_directory_counts_too() {
    let fixture = fixture();
    std::fs::File::create(fixture.source().join("a")).unwrap().set_len(300 << 20).unwrap();
    std::fs::write(fixture.source().join("b"), "x").unwrap();
    let bytes = pack(&fixture, &["-mx=1", "-mhc=off"]);
    let archive = ((0o100_644_u32 << 16) | 0x8020).to_le_bytes();
    let error = refused(&replaced(&bytes, &archive, &((0o040_755_u32 << 16) | 0x8010).to_le_bytes()));
    assert!(matches!(error, ArchiveError::Ratio { .. }), "{error}");
}

#[test]
fn a_7z_archive_with_other_bytes_in_it_is_unpacked_whole_or_not_at_all() {
    let methods: [&[&str]; 6] =
        [&["-m0=LZMA"], &["-ms=off"], &["-m0=PPMd"], &["-m0=BZip2"], &["-m0=Deflate"], &["-mf=BCJ2", "-m0=LZMA2"]];
    let archives = methods.map(small);
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..500 {
        let mut bytes = archives[round % archives.len()].clone();
        let list = list_of(&bytes).unwrap().start;
        for _ in 0..random.usize(1..5) {
            let from = if random.bool() { 32 } else { list };
            let at = random.usize(from..bytes.len());
            bytes[at] = if random.bool() { random.u8(..) } else { bytes[at] ^ 1 << random.u8(..8) };
        }
        properties::archive(&bytes);
    }
}
