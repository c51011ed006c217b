//! Each way in which bytes can be wrong has its own error.

use proptest::prelude::*;
use schemas::wire::{MAX_BYTES, MAX_DEPTH, WireError, check};

use crate::samples;

#[test]
fn each_fault_has_its_name() {
    let (_, good) = samples::all().remove(0);
    check(&good).unwrap();
    let mut trailing = good.clone();
    trailing.push(0xc0);
    assert_eq!(check(&trailing), Err(WireError::TrailingBytes { bytes: 1 }));
    assert_eq!(check(&good[..good.len() - 1]), Err(WireError::Truncated));
    assert_eq!(check(&vec![0xc0; MAX_BYTES + 1]), Err(WireError::TooLarge { bytes: MAX_BYTES + 1 }));
    assert_eq!(check(&[0x91; MAX_DEPTH + 2]), Err(WireError::TooDeep));
    assert_eq!(check(&[0xc1]), Err(WireError::ReservedByte));
    // An array that promises 4 billion values, and a text that promises 4 GiB.
    assert_eq!(check(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(WireError::Truncated));
    assert_eq!(check(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'a']), Err(WireError::Truncated));
}

proptest! {
    #[test]
    fn never_panics_and_agrees_with_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if check(&bytes).is_ok() {
            let mut rest = bytes.as_slice();
            let decoded: Result<serde::de::IgnoredAny, _> = rmp_serde::from_read(&mut rest);
            prop_assert!(decoded.is_ok(), "{bytes:?}");
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn every_truncation_is_noticed(cut in 0usize..10_000) {
        let (_, good) = samples::all().remove(1);
        let cut = cut % good.len();
        prop_assert_eq!(check(&good[..cut]), Err(WireError::Truncated));
    }
}
