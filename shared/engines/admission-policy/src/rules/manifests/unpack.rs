//! Texts that are packed into an annotation: base64 of a gzip stream, which may hold a tape archive. Bounded, for whoever may write an
//! object may write these.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::gzip::{GzipError, unpack};
use crate::yaml;

/// What a signature is over, and the manifests in it.
#[derive(Debug)]
pub(super) struct Message {
    /// What was signed, byte for byte: the annotation unpacked once.
    pub(super) signed: Vec<u8>,
    pub(super) manifests: Vec<Value>,
}

impl Message {
    /// Reads the annotation.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let packed = STANDARD
            .decode(text.trim())
            .map_err(|error| format!("failed to decode base64 message in the annotation: {error}"))?;
        let signed = unpacked(&packed)?.unwrap_or(packed);
        let manifests =
            manifests(&signed).map_err(|what| format!("failed to read YAMLs in the gzipped message: {what}"))?;
        Ok(Self { signed, manifests })
    }
}

/// A certificate or a log's entry as text: base64 of what may be compressed.
pub(super) fn text(packed: &str) -> Option<String> {
    let bytes = STANDARD.decode(packed.trim()).ok()?;
    let bytes = unpacked(&bytes).ok()?.unwrap_or(bytes);
    String::from_utf8(bytes).ok()
}

/// The content of a gzip stream; `None` for what is none.
fn unpacked(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    match unpack(bytes) {
        Ok(content) => Ok(Some(content)),
        Err(GzipError::Broken) => Ok(None),
        Err(error @ GzipError::TooLong) => Err(error.to_string()),
    }
}

/// The YAML documents of a text, or of the files in a compressed tape archive.
fn manifests(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let of_text = std::str::from_utf8(bytes).map(documents).unwrap_or_default();
    if !of_text.is_empty() {
        return Ok(of_text);
    }
    let archive = unpacked(bytes)?.ok_or("it is neither YAML nor a compressed archive")?;
    let mut files = files(&archive)?;
    files.sort();
    let is_yaml = |name: &str| name.ends_with(".yaml") || name.ends_with(".yml");
    let texts = files.iter().filter(|(name, _)| is_yaml(name) && !name.starts_with(".."));
    Ok(texts.filter_map(|(_, content)| std::str::from_utf8(content).ok()).flat_map(documents).collect())
}

/// The documents up to the first that is broken.
fn documents(text: &str) -> Vec<Value> {
    let all = yaml::documents(text).into_iter();
    all.map_while(Result::ok).map(|document| document.value).filter(Value::is_object).take(MAX_MANIFESTS).collect()
}

/// The regular files of a tape archive (POSIX ustar, with the long names of pax and GNU) by name.
fn files(archive: &[u8]) -> Result<Vec<(String, &[u8])>, String> {
    let mut found = Vec::new();
    let (mut rest, mut long_name) = (archive, None);
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let broken = || "the archive is broken".to_owned();
        let size = octal(part(header, 124, 12)).ok_or_else(broken)?;
        let (content, behind) = after.split_at_checked(size).ok_or_else(broken)?;
        let padding = size.next_multiple_of(BLOCK).saturating_sub(size);
        rest = behind.get(padding..).unwrap_or_default();
        match header.get(156) {
            Some(b'x') => long_name = pax_name(content),
            Some(b'L') => long_name = Some(name(content)),
            Some(b'g' | b'5') => long_name = None,
            Some(b'0' | 0) => {
                let plain = || match name(part(header, 345, 155)) {
                    prefix if prefix.is_empty() => name(part(header, 0, 100)),
                    prefix => format!("{prefix}/{}", name(part(header, 0, 100))),
                };
                found.push((long_name.take().unwrap_or_else(plain), content));
            }
            _ => return Err("the archive holds something besides files and folders".to_owned()),
        }
    }
    Ok(found)
}

fn part(header: &[u8], from: usize, length: usize) -> &[u8] {
    header.get(from..from.saturating_add(length)).unwrap_or_default()
}

fn octal(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(name(digits).trim(), 8).ok()
}

/// A text that ends with its first zero byte.
fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// The `path` among records `length key=value`.
fn pax_name(records: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(records).ok()?;
    text.lines().find_map(|line| Some(line.split_once(' ')?.1.strip_prefix("path=")?.to_owned()))
}

/// A block of a tape archive, in bytes.
const BLOCK: usize = 512;
/// Most manifests of one message that are looked at.
const MAX_MANIFESTS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::{MAX_UNPACKED, pack};

    fn packed(bytes: &[u8]) -> Vec<u8> {
        pack(bytes).unwrap()
    }

    fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block.extend_from_slice(content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    #[test]
    fn reads_text_and_archives_and_refuses_bombs() {
        let manifest = b"kind: Service\n---\nkind: Pod\n";
        let plain = Message::read(&STANDARD.encode(packed(manifest))).unwrap();
        assert_eq!((plain.signed.as_slice(), plain.manifests.len()), (manifest.as_slice(), 2));

        let long = format!("52 path={}/b.yaml\n", "d".repeat(37));
        let parts = [
            entry("a", b'5', b""),
            entry("a/z.yaml", b'0', b"kind: Z"),
            entry("x", b'x', long.as_bytes()),
            entry("cut", b'0', b"kind: B"),
            entry("../up.yaml", b'0', b"kind: Up"),
            entry("notes.txt", b'0', b"kind: No"),
            vec![0; 1024],
        ];
        let archive = packed(&parts.concat());
        let message = Message::read(&STANDARD.encode(packed(&archive))).unwrap();
        let kinds: Vec<_> = message.manifests.iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Z", "B"], "in the order of their names");
        assert_eq!(message.signed, archive);

        let bomb = packed(&vec![b' '; MAX_UNPACKED + 1]);
        for (text, expected) in [
            (STANDARD.encode(&bomb), "larger than"),
            (STANDARD.encode(packed(&bomb)), "larger than"),
            ("%%".to_owned(), "base64"),
            (STANDARD.encode(packed(&packed(&entry("l", b'2', b"")))), "besides files"),
            (STANDARD.encode(packed(&packed(&entry("l", b'0', &[1; 600])[..700]))), "broken"),
            (STANDARD.encode([0xff, 0xfe]), "neither YAML"),
        ] {
            let what = Message::read(&text).unwrap_err();
            assert!(what.contains(expected), "{what}");
        }
    }
}
