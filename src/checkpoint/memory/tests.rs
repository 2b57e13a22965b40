//! Frames that are not what they should be.

use std::fs;
use std::io::Cursor;

use super::pieces::ImageFile;
use super::*;
use crate::checkpoint::tests::{bytes, stated, unstated};
use crate::digest::DigestFunction;
use crate::store::StoreError;

const LIMIT: u64 = 4 << 20;

/// Unpacks a file of these pieces.
fn unpacked(pieces: &[Vec<u8>]) -> Result<Vec<u8>, MemoryError> {
    let digest = |bytes: &[u8]| DigestFunction::Blake3.digest(bytes);
    let open = |wanted: &_| {
        let found = pieces.iter().find(|bytes| digest(bytes) == *wanted).cloned().map(Cursor::new);
        found.ok_or(StoreError::Missing { digest: *wanted, role: "piece" })
    };
    let directory = tempfile::tempdir().expect("temporary");
    let images = directory.path().join("images");
    let digests = pieces.iter().map(|bytes| digest(bytes)).collect();
    let files = [ImageFile { name: "pages".to_owned(), pieces: digests }];
    let lengths = unpack(&files, open, &images, LIMIT)?;
    let bytes = fs::read(images.join("pages")).expect("there");
    assert_eq!(lengths["pages"], bytes.len() as u64);
    Ok(bytes)
}

#[test]
fn no_frame_grows_beyond_bounds() {
    let (fits, bomb) = (vec![0; 4 << 20], vec![0; (4 << 20) + 1]);
    for packed in [stated, unstated] {
        assert!(unpacked(&[packed(&fits)]).expect("at the limit") == fits);
        for pieces in [vec![packed(&bomb)], vec![packed(&fits), packed(b"one more")]] {
            let error = unpacked(&pieces).expect_err("too much");
            assert!(matches!(error, MemoryError::TooLarge { limit: LIMIT }), "{error:?}");
        }
    }
    // It states next to nothing, and more follows.
    let mut longer = stated(b"little");
    longer.extend(stated(&bomb));
    let error = unpacked(&[longer, stated(b"next")]).expect_err("another length");
    assert!(matches!(error, MemoryError::Piece { .. }), "{error:?}");
}

#[test]
fn what_is_no_whole_frame_is_refused() {
    let good = stated(&bytes(100_000));
    let (mut torn, mut trailing) = (good.clone(), good.clone());
    torn.truncate(good.len() / 2);
    trailing.extend_from_slice(b"more");
    for wrong in [torn, trailing, b"no frame at all".to_vec(), Vec::new()] {
        let error = unpacked(&[good.clone(), wrong]).expect_err("no frame");
        assert!(matches!(error, MemoryError::Unpack { .. }), "{error:?}");
    }
}
