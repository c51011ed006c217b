//! Programs that say what they were built from: Go (`buildinfo`) and Rust (`cargo auditable`).

use std::io::Read;

use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::analyzer::{File, is_binary};
use crate::found::{FileDigests, Found};
use crate::language::graph::package;
use crate::language::other::golang::named;
use crate::package::{ApplicationKind, Package, Relationship};
use crate::text::{ParseError, hex};
use crate::tree::json;

/// Anything that may be executed: its first bytes decide.
pub(crate) fn wants(_path: &str, mode: u32) -> bool {
    mode & 0o111 != 0
}

pub(crate) fn analyze_go(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    // A program that is not of Go, or is broken, is nothing to report.
    if let Some(info) = build_info(file.bytes) {
        found.application(ApplicationKind::GoBinary, file.path, go_packages(&info, file.bytes));
    }
    Ok(())
}

pub(crate) fn analyze_rust(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    if let Some(packed) = rust_section(file.bytes) {
        found.application(ApplicationKind::RustBinary, file.path, rust_packages(&packed)?);
    }
    Ok(())
}

/// The digests of a program, by which others may know it.
pub(crate) fn hash(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    if is_binary(file.bytes) {
        let digests = FileDigests { sha1: hex(&Sha1::digest(file.bytes)), sha256: hex(&Sha256::digest(file.bytes)) };
        found.programs.insert(file.path.to_owned(), digests);
    }
    Ok(())
}

/// Packages of a Go program.
pub(crate) fn parse_go(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    object::File::parse(bytes).map_err(|_| ParseError::new("unrecognized executable format"))?;
    Ok(build_info(bytes).map(|info| go_packages(&info, bytes)).unwrap_or_default())
}

/// Packages of a Rust program.
pub(crate) fn parse_rust(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    object::File::parse(bytes).map_err(|_| ParseError::new("unrecognized executable format"))?;
    rust_section(bytes).map_or(Ok(Vec::new()), |packed| rust_packages(&packed))
}

struct BuildInfo {
    go: String,
    modules: String,
}

/// Finds the block that begins with the magic, on a boundary of 16 bytes, in the writable data or a section of its own.
fn build_info(bytes: &[u8]) -> Option<BuildInfo> {
    let program = object::File::parse(bytes).ok()?;
    let named = [".go.buildinfo", "__go_buildinfo"];
    let section = |name: &str| program.section_by_name(name)?.data().ok();
    // ELF and Mach-O have a section for it, PE keeps it in `.data`; without sections it is in a writable segment.
    let block = match named.iter().find_map(|name| section(name)) {
        Some(data) => find_magic(data)?,
        None if matches!(program.format(), object::BinaryFormat::Pe) => find_magic(section(".data")?)?,
        None if program.sections().next().is_none() => {
            program.segments().filter_map(|segment| segment.data().ok()).find_map(find_magic)?
        }
        None => return None,
    };
    let flags = *block.get(15)?;
    if flags & 2 != 0 {
        let (go, rest) = text_with_length(block.get(32..)?)?;
        let (modules, _) = text_with_length(rest)?;
        return Some(BuildInfo { go: lossy(go), modules: without_sentinels(modules) });
    }
    // Before Go 1.18: pointers to string headers.
    let pointer = usize::from(*block.get(14)?);
    let big = flags & 1 != 0;
    let text = |at: usize| {
        let header = number(block.get(at..at.saturating_add(pointer))?, big)?;
        let header = at_address(&program, header, (pointer as u64).saturating_mul(2))?;
        let (start, length) = header.split_at_checked(pointer)?;
        at_address(&program, number(start, big)?, number(length, big)?)
    };
    let go = text(16)?;
    let modules = text(16_usize.saturating_add(pointer)).unwrap_or_default();
    Some(BuildInfo { go: lossy(go), modules: without_sentinels(modules) })
}

fn find_magic(data: &[u8]) -> Option<&[u8]> {
    data.chunks(16).position(|chunk| chunk.starts_with(MAGIC)).and_then(|index| data.get(index.saturating_mul(16)..))
}

fn at_address<'a>(program: &object::File<'a>, address: u64, length: u64) -> Option<&'a [u8]> {
    let mut segments = program.segments();
    segments.find_map(|segment| segment.data_range(address, length).ok().flatten())
}

fn number(bytes: &[u8], big: bool) -> Option<u64> {
    match (bytes.len(), big) {
        (4, false) => bytes.try_into().ok().map(u32::from_le_bytes).map(u64::from),
        (4, true) => bytes.try_into().ok().map(u32::from_be_bytes).map(u64::from),
        (8, false) => bytes.try_into().ok().map(u64::from_le_bytes),
        (8, true) => bytes.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

/// A text behind its length as a varint.
fn text_with_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift, mut used) = (0_usize, 0_u32, 0_usize);
    for byte in bytes.iter().take(9) {
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift = shift.saturating_add(7);
        used = used.saturating_add(1);
        if byte & 0x80 == 0 {
            return bytes.get(used..)?.split_at_checked(length);
        }
    }
    None
}

/// The module text stands between two marks of 16 bytes.
fn without_sentinels(bytes: &[u8]) -> String {
    let inner = bytes.len().checked_sub(16).and_then(|end| bytes.get(16..end));
    inner.filter(|inner| inner.ends_with(b"\n")).map(lossy).unwrap_or_default()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn go_packages(info: &BuildInfo, bytes: &[u8]) -> Vec<Package> {
    let mut root: Option<(String, String)> = None;
    let mut modules: Vec<(String, String)> = Vec::new();
    let mut flags = String::new();
    for line in info.modules.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let version = |at: usize| fields.get(at).copied().unwrap_or_default().trim_start_matches("(devel)").to_owned();
        match fields.as_slice() {
            ["mod", name, ..] => root = Some(((*name).to_owned(), version(2))),
            ["dep", name, ..] => modules.push(((*name).to_owned(), version(2))),
            ["=>", name, ..] => {
                if let Some(last) = modules.last_mut() {
                    *last = ((*name).to_owned(), version(2));
                }
            }
            ["build", setting, ..] => {
                if let Some(value) = setting.strip_prefix("-ldflags=") {
                    flags = unquoted(value);
                }
            }
            _ => {}
        }
    }
    let mut packages: Vec<Package> = modules
        .into_iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, version)| named(&name, &version))
        .collect();
    let library = stdlib_version(&info.go);
    if !library.is_empty() {
        packages.push(Package { relationship: Relationship::Direct, ..named("stdlib", &library) });
    }
    if let Some((name, version)) = root.filter(|(name, _)| !name.is_empty()) {
        let flags = shell_words(&flags);
        let version = main_version(&version, &version_of_flags(&name, &flags), &symbol_version(bytes, &name));
        let mut needs: Vec<String> = packages.iter().map(|one| one.id.clone()).collect();
        needs.sort();
        packages.push(Package { relationship: Relationship::Root, depends_on: needs, ..named(&name, &version) });
    }
    packages
}

/// `go1.22.1 X:experiment`, `go1.26.5 (vendor)` and `go1.26.0-X:experiment` are the standard library of that number.
pub(crate) fn stdlib_version(go: &str) -> String {
    let version = go.split([' ', '-']).next().unwrap_or_default().trim_start_matches("go");
    if version.starts_with(|c: char| c.is_ascii_digit()) { format!("v{version}") } else { String::new() }
}

/// The version of the main module: a released one stands; else that of the linker flags, else that of a symbol, else as it is.
pub(crate) fn main_version(stated: &str, flags: &str, symbol: &str) -> String {
    if !stated.is_empty() && !is_pseudo(stated) {
        return stated.to_owned();
    }
    let better = [flags, symbol].into_iter().find(|version| !version.is_empty());
    better.unwrap_or(stated).to_owned()
}

/// `vX.Y.Z-[pre.0.]yyyymmddhhmmss-abcdefabcdef` (Go modules reference, "Pseudo-versions").
fn is_pseudo(version: &str) -> bool {
    let version = version.split('+').next().unwrap_or_default();
    let mut parts = version.rsplit('-');
    let (commit, time) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let time = time.rsplit('.').next().unwrap_or_default();
    commit.len() == 12
        && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
        && time.len() == 14
        && time.bytes().all(|byte| byte.is_ascii_digit())
}

/// A version that was set by `-X package.version=value`: those of the module's commands first, then of well-known packages, then
/// others; several of one rank decide nothing.
pub(crate) fn version_of_flags(name: &str, flags: &[String]) -> String {
    let mut ranks: [Vec<&str>; 3] = Default::default();
    let mut pending = false;
    for flag in flags {
        let flag = flag.trim_matches(['\'', '"']);
        let body = match flag.strip_prefix("-X=").or_else(|| flag.strip_prefix("-X")) {
            Some("") => {
                pending = true;
                continue;
            }
            Some(body) => body,
            None if pending => flag,
            None => continue,
        };
        pending = false;
        let Some((key, value)) = body.trim_matches(['\'', '"']).split_once('=') else { continue };
        let value = value.trim_matches(['\'', '"']);
        let variable = key.rsplit_once('.').map_or(key, |(_, variable)| variable).to_ascii_lowercase();
        let is_version = matches!(variable.as_str(), "version" | "ver") && is_semantic(value);
        if !is_version {
            continue;
        }
        let home = key.rsplit_once('.').map_or("", |(home, _)| home);
        let last = home.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let rank = if key.starts_with(&format!("{name}/cmd/")) {
            0
        } else if matches!(last.as_str(), "main" | "common" | "version" | "cmd") {
            1
        } else {
            2
        };
        if let Some(found) = ranks.get_mut(rank).filter(|found| !found.contains(&value)) {
            found.push(value);
        }
    }
    let first = ranks.iter().find(|found| !found.is_empty());
    match first.map(Vec::as_slice) {
        Some([one]) => (*one).to_owned(),
        _ => String::new(),
    }
}

/// A version as Go's tools have it: with or without `v`; minor and patch may be left out where nothing follows.
fn is_semantic(version: &str) -> bool {
    let version = version.strip_prefix('v').unwrap_or(version);
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| {
        let is_padded = part.len() > 1 && part.starts_with('0');
        !part.is_empty() && !is_padded && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_pre = |part: &str| is_word(part) && (is_number(part) || part.bytes().any(|byte| !byte.is_ascii_digit()));
    let count = core.split('.').count();
    core.split('.').all(is_number)
        && (count == 3 || count < 3 && pre.is_none() && build.is_none())
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

/// A setting of the build, which is a Go string where it has blanks or quotes.
fn unquoted(value: &str) -> String {
    if let Some(raw) = value.strip_prefix('`') {
        return raw.strip_suffix('`').unwrap_or(raw).to_owned();
    }
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(one) = rest.next() {
        match one {
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            one => text.push(one),
        }
    }
    text
}

/// Words as a shell splits them: quotes hold blanks together, a backslash outside of single quotes takes the next character as it is.
fn shell_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    let mut rest = text.chars();
    while let Some(one) = rest.next() {
        match (one, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            (one, Some(open)) if one == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(one);
                word.get_or_insert_default();
            }
            (one, None) if one.is_whitespace() => words.extend(word.take()),
            (one, _) => word.get_or_insert_default().push(one),
        }
    }
    words.extend(word);
    words
}

/// The version in a variable that the linker set, by the symbol table of an ELF program that has not been stripped: the same names count
/// as on its command line.
pub(crate) fn symbol_version(bytes: &[u8], module: &str) -> String {
    if !bytes.starts_with(b"\x7fELF") {
        return String::new();
    }
    let Ok(program) = object::File::parse(bytes) else { return String::new() };
    let pointer: u64 = if program.is_64() { 8 } else { 4 };
    let big = !program.is_little_endian();
    let mut flags = Vec::new();
    for symbol in program.symbols() {
        let Some(name) = symbol.name().ok().filter(|name| is_version_variable(name, module)) else { continue };
        // A Go string is a pointer and a length.
        let header = at_address(&program, symbol.address(), pointer.saturating_mul(2));
        let value = header.and_then(|header| {
            let (start, length) = header.split_at_checked(usize::try_from(pointer).ok()?)?;
            at_address(
                &program,
                number(start, big)?,
                number(length, big).filter(|length| *length <= MAX_VERSION_BYTES)?,
            )
        });
        if let Some(value) = value.and_then(|value| std::str::from_utf8(value).ok()) {
            flags.extend(["-X".to_owned(), format!("{name}={value}")]);
        }
    }
    version_of_flags(module, &flags)
}

fn is_version_variable(symbol: &str, module: &str) -> bool {
    let Some((home, variable)) = symbol.rsplit_once('.') else { return false };
    let is_near = home == "main" || home == module || home.starts_with(&format!("{module}/"));
    is_near && matches!(variable.to_ascii_lowercase().as_str(), "version" | "ver")
}

const MAX_VERSION_BYTES: u64 = 256;

/// The section of `cargo auditable`, inflated under a bound.
fn rust_section(bytes: &[u8]) -> Option<Vec<u8>> {
    let program = object::File::parse(bytes).ok()?;
    let section = [".dep-v0", ".rust-deps-v0", "rust-deps-v0", "__DATA,.dep-v0"]
        .iter()
        .find_map(|name| program.section_by_name(name))?;
    let mut content = Vec::new();
    let data = section.data().ok()?;
    flate2::read::ZlibDecoder::new(data).take(MAX_AUDIT_BYTES).read_to_end(&mut content).ok()?;
    Some(content)
}

fn rust_packages(content: &[u8]) -> Result<Vec<Package>, ParseError> {
    let tree = json(content, false)?;
    let nodes = tree.get("packages").items();
    let name = |index: usize| {
        nodes.get(index).map(|node| crate::language::graph::id(node.get("name").text(), node.get("version").text()))
    };
    let used = |node: &crate::tree::Node| !matches!(node.get("kind").text(), "build" | "buildtime" | "development");
    let mut packages = Vec::new();
    for node in nodes.iter().filter(|node| used(node)) {
        let mut one = package(node.get("name").text(), node.get("version").text());
        let needs = node.get("dependencies").items().iter().filter_map(|need| need.text().parse::<usize>().ok());
        one.depends_on = needs.filter(|index| nodes.get(*index).is_some_and(used)).filter_map(name).collect();
        one.depends_on.sort();
        if node.get("root").is_true() {
            one.relationship = Relationship::Root;
        }
        packages.push(one);
    }
    Ok(packages)
}

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// As the reference reader allows.
const MAX_AUDIT_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_split_as_a_shell_does() {
        for (setting, version) in [
            (r#""-s -w -X main.version=1.2.3""#, "1.2.3"),
            (r#""-X \"main.version=1.2.3\"""#, "1.2.3"),
            ("\"-X 'main.version=v1.2'\"", "v1.2"),
            (r#""-X 'main.title=a b' -X=main.Version=0.1.0-rc.1""#, "0.1.0-rc.1"),
            ("`-X \"example.com/m/cmd/a.version=2.0.0\" -X main.version=1.0.0`", "2.0.0"),
            ("-X=main.version=01.2.3", ""),
            (r#""-X main.version=1.0.0 -X common.version=1.0.1""#, ""),
        ] {
            assert_eq!(version_of_flags("example.com/m", &shell_words(&unquoted(setting))), version, "{setting}");
        }
    }

    #[test]
    fn versions_are_those_of_go() {
        let good = ["v1.2.3", "1.2.3", "v1", "1.2", "v1.2.3-pre+meta", "0.0.0-20240101000000-abcdefabcdef"];
        assert!(good.into_iter().all(is_semantic));
        let bad = ["", "v", "1.2.3.4", "v1.2-pre", "v01.2.3", "1.2.3-01", "1.2.3-", "dev", "1.x"];
        assert!(!bad.into_iter().any(is_semantic));
    }
}
