//! PEM: blocks of base64 between lines that name their type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: Vec<u8>,
}

/// The first block, and what follows it. A block begins at the start of a line; one that is damaged is stepped over.
pub(crate) fn decode(text: &[u8]) -> (Option<Block>, &[u8]) {
    let mut rest = text;
    loop {
        let start =
            if rest.starts_with(BEGIN) { Some(0) } else { find(rest, b"\n-----BEGIN ").map(|at| at.saturating_add(1)) };
        let Some(start) = start else { return (None, text) };
        let body = rest.get(start.saturating_add(BEGIN.len())..).unwrap_or_default();
        rest = body;
        let (line, after) = line(body);
        let Some(kind) = line.strip_suffix(b"-----") else { continue };
        if let Some((block, after)) = read(kind, after) {
            return (Some(block), after);
        }
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";

fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

/// A line without its end and trailing blanks, and what follows.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n');
    let (line, rest) = match end {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(1)..).unwrap_or_default()),
        None => (text, &[][..]),
    };
    (line.trim_ascii_end(), rest)
}

fn read<'a>(kind: &[u8], mut rest: &'a [u8]) -> Option<(Block, &'a [u8])> {
    let mut headers = Vec::new();
    loop {
        let (line, after) = line(rest);
        let text = std::str::from_utf8(line).ok()?;
        let Some((name, value)) = text.split_once(':').filter(|_| !rest.is_empty()) else { break };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
        rest = after;
    }
    let (end, end_marker) =
        if headers.is_empty() && rest.starts_with(b"-----END ") { (0, 0) } else { (find(rest, b"\n-----END ")?, 1) };
    let body = rest.get(..end)?;
    let tail = rest.get(end.saturating_add(end_marker).saturating_add("-----END ".len())..)?;
    let tail = tail.strip_prefix(kind)?.strip_prefix(b"-----")?;
    let (left, after) = line(tail);
    if !left.is_empty() {
        return None;
    }
    let solid: Vec<u8> = body.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t')).collect();
    let bytes = STANDARD.decode(solid).ok()?;
    Some((Block { kind: String::from_utf8_lossy(kind).into_owned(), headers, bytes }, after))
}

/// A block as text, in lines of 64.
pub(crate) fn encode(kind: &str, bytes: &[u8]) -> String {
    encode_with(kind, &[], bytes)
}

pub(crate) fn encode_block(block: &Block) -> String {
    encode_with(&block.kind, &block.headers, &block.bytes)
}

fn encode_with(kind: &str, headers: &[(String, String)], bytes: &[u8]) -> String {
    let mut out = format!("-----BEGIN {kind}-----\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\n"));
    }
    if !headers.is_empty() {
        out.push('\n');
    }
    for line in STANDARD.encode(bytes).as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {kind}-----\n"));
    out
}
