//! From an uploaded archive and its narinfo to an object that others may fetch.
//!
//! Everything that the narinfo says is checked against the archive. Blobs come into the CAS meanwhile, where nobody
//! finds them; the record that makes them an object is written last.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::room::RoomError;
use super::pending::{MAX_BYTES, Upload};
use super::upload::Uploads;
use super::{Cache, CacheError};
use crate::nix::{Compression, NarInfo, ReferenceScanner, Unpacked, ValidPath, unpack_nar};
use crate::serve::resolve::Resolver;
use crate::source::{self, Decoder};
use crate::store::blocking;

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;

impl Cache {
    /// Makes an object of an archive that was uploaded.
    ///
    /// # Errors
    /// When the narinfo is not signed as it has to be, or does not tell the truth.
    ///
    /// # Cancel safety
    /// Some of its blobs may be stored; the object is not known.
    pub(super) async fn register(&self, uploads: &Uploads, hash_part: &str, text: &str) -> Result<(), CacheError> {
        let narinfo = NarInfo::parse(text)?;
        let path = &narinfo.path;
        if path.hash_part() != hash_part {
            return Err(CacheError::OtherName { path: path.clone() });
        }
        if !uploads.trusted.is_empty() && !narinfo.is_signed_by(&uploads.trusted) {
            return Err(CacheError::NotSigned { path: path.clone() });
        }
        if narinfo.info.nar.size() > MAX_BYTES {
            return Err(RoomError::TooLarge { limit: MAX_BYTES }.into());
        }
        if let Some(known) = self.find(hash_part).await? {
            let same = known.object.path == *path && known.object.info.nar == narinfo.info.nar;
            return if same { Ok(()) } else { Err(CacheError::Taken { path: path.clone() }) };
        }
        for reference in narinfo.info.references.iter().filter(|reference| *reference != path) {
            if self.find(reference.hash_part()).await?.is_none_or(|found| found.object.path != *reference) {
                let reference = reference.clone();
                return Err(CacheError::UnknownReference { path: path.clone(), reference });
            }
        }
        let not_uploaded = || CacheError::NotUploaded { path: path.clone(), url: narinfo.url.clone() };
        let upload = uploads.pending.get(&narinfo.url).ok_or_else(not_uploaded)?;
        let _one_of_few = uploads.unpacking.acquire().await.expect("it is never closed");
        let resolver = self.backend.resolver().await?;
        let unpacked = self.unpack(resolver, &narinfo, &upload).await?;
        let NarInfo { path, info, deriver, url, .. } = narinfo;
        let object = ValidPath::of(resolver.store(), path, unpacked.root, info, deriver).await?;
        resolver.paths().put(&object).await?;
        uploads.pending.forget(&url, &upload);
        tracing::info!(path = %object.path, "took an object into the binary cache");
        Ok(())
    }

    /// Unpacks an archive, which must be what its narinfo says.
    async fn unpack(
        &self,
        resolver: &Resolver,
        narinfo: &NarInfo,
        upload: &Arc<Upload>,
    ) -> Result<Unpacked, CacheError> {
        let NarInfo { path, info, compression, .. } = narinfo;
        let (upload, compression) = (Arc::clone(upload), *compression);
        let decoder = blocking(move || open(&upload, compression)).await.map_err(CacheError::Io)?;
        let scanner = Arc::new(Mutex::new(ReferenceScanner::new(info.references.iter().cloned())));
        let scanned = BufReader::with_capacity(BUFFER, Scanned { decoder, scanner: Arc::clone(&scanner) });
        let (store, function) = (resolver.store(), resolver.function());
        let unpacked = unpack_nar(scanned, store, function, &self.scratch, info.nar.size()).await;
        let unpacked = unpacked.map_err(|source| CacheError::Archive { path: path.clone(), source })?;
        if unpacked.nar != info.nar {
            return Err(CacheError::OtherArchive { path: path.clone() });
        }
        let scanner = Arc::into_inner(scanner).expect("who read the archive has ended");
        let found = scanner.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
        match info.references.difference(&found).next() {
            Some(reference) => Err(CacheError::FalseReference { path: path.clone(), reference: reference.clone() }),
            None => Ok(unpacked),
        }
    }
}

/// Returns the bytes of an archive as they were before they were compressed. Blocks.
fn open(upload: &Upload, compression: Compression) -> io::Result<Decoder<BufReader<File>>> {
    let compression = match compression {
        Compression::None => source::Compression::None,
        Compression::Bzip2 => source::Compression::Bzip2,
        Compression::Gzip => source::Compression::Gzip,
        Compression::Lz4 => source::Compression::Lz4,
        Compression::Xz => source::Compression::Xz,
        Compression::Zstd => source::Compression::Zstd,
    };
    Decoder::new(compression, BufReader::with_capacity(BUFFER, upload.file.reopen()?))
}

/// A reader in whose bytes references are looked for.
struct Scanned<R> {
    decoder: R,
    scanner: Arc<Mutex<ReferenceScanner>>,
}

impl<R: Read> Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.scanner.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..count]);
        Ok(count)
    }
}
