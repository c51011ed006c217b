//! Kyverno's `x509_decode`.

use super::{Arguments, Outcome};

pub(super) fn decode<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    Err(arguments.unavailable("a certificate reader"))
}
