use super::*;

/// A tar archive of one file of zeros, compressed as it is made.
fn zeros(bytes: u64, mut packed: impl Write) {
    let mut header = ::tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_cksum();
    packed.write_all(header.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(bytes + 1024), &mut packed).unwrap();
}

#[test]
fn a_gibibyte_of_zeros_in_a_mebibyte_is_refused_early() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zeros(1 << 30, &mut gzip);
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < 2 << 20, "{}", gzip.len());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    zeros(1 << 30, &mut zstd);
    for bomb in [gzip, zstd.finish().unwrap()] {
        let mut read = Counted { inner: Cursor::new(&bomb), bytes: 0 };
        let git = fixture();
        let tree = unpack_from(&git.git, &mut read, ArchiveKind::Tar, &RelativePath::root(), &Limits::default());
        let error = tree.unwrap_err();
        assert!(matches!(&error, ArchiveError::Ratio { place, .. } if place.to_string().contains("zeros")), "{error}");
        assert!(read.bytes <= 256 << 10, "{}", read.bytes);
    }
}

struct Counted<R> {
    inner: R,
    bytes: usize,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count;
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, position: std::io::SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(position)
    }
}

#[test]
fn a_name_without_end_is_refused_before_it_is_in_memory() {
    let size = 1 << 30;
    for kind in [::tar::EntryType::GNULongName, ::tar::EntryType::GNULongLink, ::tar::EntryType::XHeader] {
        let mut header = ::tar::Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        // Random enough to be allowed by the ratio.
        let archive = [header.as_bytes().as_slice(), &b"long name ".repeat(300_000)].concat();
        let error = unpack_bytes(ArchiveKind::Tar, &archive).unwrap_err();
        assert!(matches!(error, ArchiveError::Header { .. }), "{error}");
    }
}

#[test]
fn entries_bytes_and_files_are_limited() {
    let archive = tar_of(&[Item::File("a/b/c", &[7; 3000]), Item::File("d", &[8; 5000])]);
    let unpack = |limits: Limits| fixture().unpack(ArchiveKind::Tar, &archive, &limits);
    let limits = Limits::default();
    assert!(unpack(Limits { max_entries: 4, max_bytes: 12_000, max_file_bytes: 5000, ..limits.clone() }).is_ok());
    let error = unpack(Limits { max_entries: 3, ..limits.clone() }).unwrap_err();
    assert!(matches!(error, ArchiveError::Entries { limit: 3 }), "{error}");
    let error = unpack(Limits { max_bytes: 5000, ..limits.clone() }).unwrap_err();
    assert!(matches!(error, ArchiveError::Bytes { limit: 5000, .. }), "{error}");
    let error = unpack(Limits { max_file_bytes: 4999, ..limits }).unwrap_err();
    assert!(matches!(&error, ArchiveError::FileBytes { entry, bytes: 5000, .. } if entry == "d"), "{error}");
}

#[test]
fn holes_of_a_sparse_file_count() {
    let fixture = fixture();
    let file = std::fs::File::create(fixture.source().join("hole")).unwrap();
    file.set_len(3 << 30).unwrap();
    let archive = run(&fixture.source(), &["tar", "--sparse", "--format=gnu", "-c", "hole"]);
    let error = unpack_bytes(ArchiveKind::Tar, &archive).unwrap_err();
    assert!(matches!(error, ArchiveError::Ratio { .. }), "{error}");
}
