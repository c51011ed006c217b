//! Bytes that registries hand out, read as everything that may lie beside an image: the door for those who search for bytes that break a
//! reader. It returns whatever the bytes are; that it does is what the search is about.

/// Reads bytes as a bundle of Sigstore with all that is in it, as a timestamp, a certificate, a trusted root and a layer of cosign's
/// older form.
pub fn read_signature(bytes: &[u8]) {
    crate::signatures::read_any(bytes);
}
