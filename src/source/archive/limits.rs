//! How much an archive may come to, and what may be in it.

/// Limits of one archive. They are checked while it is read, before what exceeds them is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most entries, directories that are only implied among them.
    pub max_entries: usize,
    /// Most bytes in all, unpacked.
    pub max_bytes: u64,
    /// Most bytes of one file. A file is in memory as a whole when it is put into the CAS.
    pub max_file_bytes: u64,
    /// Most unpacked bytes for one that is packed. Sources rarely exceed 20; `gzip` reaches 1,030 with zeros.
    pub max_ratio: u64,
    /// Unpacked bytes up to which the ratio does not matter.
    pub ratio_free_bytes: u64,
    /// What happens to names that differ in case only.
    pub case_collisions: CaseCollisions,
}

/// What happens to two names in one directory that are the same in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaseCollisions {
    /// Both are unpacked. Trees made for Linux have such names, and not by mistake: the headers
    /// `xt_MARK.h` and `xt_mark.h` of the kernel, which every C toolchain carries.
    #[default]
    Allow,
    /// The archive is refused.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_bytes: 16 << 30,
            max_file_bytes: 4 << 30,
            max_ratio: 200,
            ratio_free_bytes: 64 << 20,
            case_collisions: CaseCollisions::default(),
        }
    }
}
