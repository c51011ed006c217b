//! What one image may cost.

use serde::Deserialize;

/// Bounds of the reading of one image. A layer that goes beyond is set aside with a fault that names it and the bound.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most layers of an image. Default 512.
    pub max_layers: usize,
    /// Most bytes of a manifest or an image configuration. Default 4 MiB.
    pub max_manifest_bytes: u64,
    /// Most bytes that a layer may have when it is unpacked. Default 32 GiB.
    pub max_layer_bytes: u64,
    /// Most unpacked bytes for each packed byte, once `ratio_from_bytes` are unpacked. Default 250.
    pub max_ratio: u64,
    /// Unpacked bytes from which on `max_ratio` counts. Default 512 MiB.
    pub ratio_from_bytes: u64,
    /// Most entries of a layer. Default 2,000,000.
    pub max_entries: u64,
    /// Most bytes of one file that is looked into. Default 128 MiB.
    pub max_file_bytes: u64,
    /// Layers that are read at the same time. Default 3.
    pub parallel_layers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_layers: 512,
            max_manifest_bytes: 4 << 20,
            max_layer_bytes: 32 << 30,
            max_ratio: 250,
            ratio_from_bytes: 512 << 20,
            max_entries: 2_000_000,
            max_file_bytes: 128 << 20,
            parallel_layers: 3,
        }
    }
}
