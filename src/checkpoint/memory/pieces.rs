//! What the files of CRIU are made of: the pieces in the tree of a checkpoint (outcome.rs).
//!
//! Names come from the server, so each is checked.

use super::MemoryError;
use crate::digest::Digest;
use crate::spec::valid_name;
use crate::store::Listing;

/// What the names of pieces end with.
const PACKED: &str = ".zst";

/// A file that CRIU wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageFile {
    pub(crate) name: String,
    /// In their order.
    pub(crate) pieces: Vec<Digest>,
}

/// Returns the files that the memory of a checkpoint comes to.
///
/// # Errors
/// When it has anything that is no piece of a file, or lacks one.
pub(crate) fn image_files(listing: &Listing) -> Result<Vec<ImageFile>, MemoryError> {
    if let Some((path, _)) = listing.symlinks.first() {
        return Err(MemoryError::piece(path)("it is a symlink"));
    }
    let mut files: Vec<ImageFile> = Vec::new();
    for piece in &listing.files {
        let wrong = MemoryError::piece(&piece.path);
        let (name, number) = match piece.path.split_once('/') {
            None => (piece.path.strip_suffix(PACKED).ok_or_else(|| wrong("it is no packed file"))?, None),
            Some((name, number)) => (name, Some(number)),
        };
        if !valid_name(name) {
            return Err(wrong("it is packed of no file"));
        }
        match files.last_mut().filter(|file| file.name == name && number.is_some()) {
            Some(file) if number == Some(&numbered(file.pieces.len())) => file.pieces.push(piece.digest),
            None if number.is_none_or(|number| number == numbered(0)) => {
                files.push(ImageFile { name: name.to_owned(), pieces: vec![piece.digest] });
            }
            Some(_) | None => return Err(wrong("the piece before it is not there")),
        }
    }
    let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(MemoryError::piece(pair[0])("it is there twice"));
    }
    match listing.directories.iter().find(|path| names.binary_search(&path.as_str()).is_err()) {
        Some(path) => Err(MemoryError::piece(path)("it is a directory of no pieces")),
        None => Ok(files),
    }
}

/// Returns the name of a piece.
fn numbered(number: usize) -> String {
    format!("{number:06}{PACKED}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestFunction;
    use crate::store::ListedFile;

    fn digest(path: &str) -> Digest {
        DigestFunction::Blake3.digest(path.as_bytes())
    }

    /// Returns a listing as trees give it: sorted by name in each directory.
    fn listing(directories: &[&str], paths: &[&str]) -> Listing {
        let file = |path: &&str| ListedFile { path: (*path).into(), digest: digest(path), executable: false };
        let directories = directories.iter().map(ToString::to_string).collect();
        Listing { directories, files: paths.iter().map(file).collect(), ..Listing::default() }
    }

    #[test]
    fn files_are_whole_or_in_pieces() {
        let paths = ["core-1.img.zst", "pages-1.img/000000.zst", "pages-1.img/000001.zst", "x.zst"];
        let files = image_files(&listing(&["pages-1.img"], &paths)).expect("good");
        let file = |name: &str, pieces: &[&str]| ImageFile {
            name: name.to_owned(),
            pieces: pieces.iter().map(|path| digest(path)).collect(),
        };
        let expected = [file("core-1.img", &paths[..1]), file("pages-1.img", &paths[1..3]), file("x", &paths[3..])];
        assert_eq!(files, expected);
        assert_eq!(image_files(&Listing::default()).expect("nothing"), []);
    }

    #[test]
    fn what_is_no_piece_or_leaves_a_gap_is_refused() {
        let cases: [(&[&str], &[&str]); 14] = [
            (&[], &["core-1.img"]),
            (&[], &[".zst"]),
            (&[], &["..zst"]),
            (&[], &["...zst"]),
            (&["a"], &["a/000001.zst"]),
            (&["a"], &["a/000000.zst", "a/000002.zst"]),
            (&["a"], &["a/000000.zst", "a/000001"]),
            (&["a"], &["a/0.zst"]),
            (&["a"], &["a/000000.zst", "a/more.zst"]),
            (&["a", "a/b"], &["a/b/000000.zst"]),
            (&["a"], &["a/000000.zst", "a.zst"]),
            (&["a"], &[]),
            (&["a", "a/b"], &["a/000000.zst"]),
            (&["a", "b"], &["a/000000.zst", "b/000001.zst"]),
        ];
        for (directories, paths) in cases {
            let error = image_files(&listing(directories, paths));
            assert!(matches!(error, Err(MemoryError::Piece { .. })), "{directories:?} {paths:?}: {error:?}");
        }
        let link = Listing { symlinks: vec![("a.zst".into(), "b".into())], ..Listing::default() };
        assert!(image_files(&link).is_err());
    }
}
