//! How far a scan is: counters that a reader may look at any time.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one scan; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    layers: AtomicU64,
    layers_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl Progress {
    /// Layers that were read or known, of how many.
    #[must_use]
    pub fn layers(&self) -> (u64, u64) {
        (self.0.layers_done.load(Ordering::Relaxed), self.0.layers.load(Ordering::Relaxed))
    }

    /// Packed bytes that went by, of how many; of a source that tells no sizes, of 0.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.bytes_done.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn expect(&self, layers: usize, bytes: u64) {
        self.0.layers.fetch_add(layers as u64, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A layer need not be read.
    pub(crate) fn passed(&self, bytes: u64) {
        self.0.bytes_done.fetch_add(bytes, Ordering::Relaxed);
        self.finished();
    }

    pub(crate) fn finished(&self) {
        self.0.layers_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counting<R>(&self, inner: R) -> Counting<R> {
        Counting { inner, progress: self.clone() }
    }
}

/// A reader whose bytes are counted.
pub(crate) struct Counting<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.0.bytes_done.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
