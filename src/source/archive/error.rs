//! What can be wrong with an archive.

use std::path::PathBuf;

use crate::spec::RelativePath;
use crate::store::StoreError;

/// Why an archive was not unpacked. Nothing of it is then in the Git cache.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be opened.
    #[error("cannot open the archive `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be read, or is damaged.
    #[error("cannot read the archive {place}")]
    Read {
        /// After which entry.
        place: Place,
        /// What the decoder or the system says.
        #[source]
        source: std::io::Error,
    },
    /// It ends too early.
    #[error("the archive ends too early, {place}")]
    Truncated {
        /// After which entry.
        place: Place,
    },
    /// It is no zip archive, or one that cannot be read.
    #[error("cannot read the zip archive {place}")]
    Zip {
        /// After which entry.
        place: Place,
        /// What the reader says.
        #[source]
        source: zip::result::ZipError,
    },
    /// It is no 7z archive, or one that cannot be read.
    #[error("cannot read the 7z archive {place}")]
    SevenZ {
        /// After which entry.
        place: Place,
        /// What the reader says.
        #[source]
        source: sevenz_rust2::Error,
    },
    /// A name is not UTF-8.
    #[error("the name of entry `{entry}` is not UTF-8")]
    NotUtf8 {
        /// The entry.
        entry: String,
    },
    /// A name begins at the root of the file system.
    #[error("the path of entry `{entry}` is absolute")]
    Absolute {
        /// The entry.
        entry: String,
    },
    /// A name has a component `..`.
    #[error("the path of entry `{entry}` leads upwards")]
    Upwards {
        /// The entry.
        entry: String,
    },
    /// A name that no entry of a tree can have.
    #[error("entry `{entry}` cannot be part of a tree: its path {what}")]
    Name {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry named `.git`, which Git itself never takes into a tree.
    #[error("entry `{entry}` lies in `.git`, which cannot be part of a Git tree")]
    GitDirectory {
        /// The entry.
        entry: String,
    },
    /// Neither a file nor a directory nor a link.
    #[error("entry `{entry}` is {what}, which cannot be part of a tree")]
    Unsupported {
        /// The entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// Two entries of one path.
    #[error("entry `{entry}` is there twice")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// A path that leads through something that is no directory.
    #[error("entry `{entry}` lies in `{file}`, which is no directory")]
    NotADirectory {
        /// The entry.
        entry: String,
        /// What is no directory.
        file: String,
    },
    /// Two names in one directory that differ in case only.
    #[error("entries `{entry}` and `{other}` differ in case only")]
    CaseCollision {
        /// One.
        entry: String,
        /// The other.
        other: String,
    },
    /// A hard link to what is not an earlier file of the archive.
    #[error("entry `{entry}` is a hard link to `{target}`, which is no earlier file of the archive")]
    HardLink {
        /// The entry.
        entry: String,
        /// What it is linked to.
        target: String,
    },
    /// A symlink to what no path can name.
    #[error("the target of symlink `{entry}` {what}")]
    Target {
        /// The entry.
        entry: String,
        /// What is wrong with its target.
        what: &'static str,
    },
    /// An entry that is larger or smaller than the archive says.
    #[error("entry `{entry}` is not of {expected} bytes, as the archive says")]
    Size {
        /// The entry.
        entry: String,
        /// The size that is said.
        expected: u64,
    },
    /// Content that was made to have the id of other content.
    #[error("entry `{entry}` was made to collide with other content under one Git id")]
    Collision {
        /// The entry.
        entry: String,
    },
    /// An entry that is packed in a way that is not known here.
    #[error("entry `{entry}` is encrypted, or packed by an unknown method")]
    Method {
        /// The entry.
        entry: String,
    },
    /// A list of entries that is itself packed in a way that is not known here.
    #[error("the list of entries is encrypted, or packed by an unknown method")]
    ListMethod,
    /// More memory than allowed.
    #[error("the archive takes {bytes} bytes of memory to unpack, and it may take {limit}, {place}")]
    Memory {
        /// After which entry.
        place: Place,
        /// What it takes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More entries than allowed.
    #[error("the archive has more than {limit} entries")]
    Entries {
        /// The limit.
        limit: usize,
    },
    /// More bytes than allowed.
    #[error("the archive comes to more than {limit} bytes unpacked, {place}")]
    Bytes {
        /// After which entry.
        place: Place,
        /// The limit.
        limit: u64,
    },
    /// A file with more bytes than allowed.
    #[error("entry `{entry}` has {bytes} bytes, and a file may have {limit}")]
    FileBytes {
        /// The entry.
        entry: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Far more bytes unpacked than packed.
    #[error("the archive unpacks to more than {limit} times its size, {place}")]
    Ratio {
        /// After which entry.
        place: Place,
        /// The limit.
        limit: u64,
    },
    /// A header beyond all measure.
    #[error("the archive has a header of more than {limit} bytes {place}")]
    Header {
        /// After which entry.
        place: Place,
        /// The limit.
        limit: u64,
    },
    /// The directory asked for is not in it.
    #[error("the archive has no directory `{subdir}`, or nothing in it")]
    NoSubdir {
        /// The directory.
        subdir: RelativePath,
    },
}

/// How far an archive was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub(super) Option<String>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            None => f.write_str("before its first entry"),
            Some(entry) => write!(f, "in or after entry `{entry}`"),
        }
    }
}
