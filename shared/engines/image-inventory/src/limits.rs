//! What a layer may cost.

/// Bounds of the reading of one layer. What goes beyond is refused with a fault that names the entry and the bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries of one layer. Default 2,000,000.
    pub max_entries: u64,
    /// Most bytes of one file that is read whole. Default 128 MiB.
    pub max_file_bytes: u64,
    /// Most bytes of one executable that is looked into. Default 256 MiB.
    pub max_executable_bytes: u64,
    /// Most bytes that are kept for analyzers that need several files. Default 512 MiB.
    pub max_kept_bytes: u64,
    /// Longest path of an entry, in bytes. Default 4096 (PATH_MAX of Linux).
    pub max_path_bytes: usize,
    /// Most folders above an entry. Default 256.
    pub max_path_depth: usize,
    /// Most packages of one layer. Default 500,000.
    pub max_packages: usize,
    /// Most faults that are kept; the rest are counted. Default 100.
    pub max_faults: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 2_000_000,
            max_file_bytes: 128 << 20,
            max_executable_bytes: 256 << 20,
            max_kept_bytes: 512 << 20,
            max_path_bytes: 4096,
            max_path_depth: 256,
            max_packages: 500_000,
            max_faults: 100,
        }
    }
}
