//! A quick hash for numbers that the kernel gives out (process ids, cgroup ids, inodes): nobody outside can choose many that collide.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps by such a number.
pub(crate) type ByNumber = BuildHasherDefault<Multiply>;

/// Multiplies by a large odd number and folds the halves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
