//! An rpm that is not installed: a lead of 96 bytes, a header of signatures, and the header that says what the package is.

use model::PackageUrl;

use super::header::Header;
use super::{ARCH, EPOCH, LICENSE, MODULARITY, NAME, RELEASE, SOURCE_RPM, VENDOR, VERSION};
use crate::analyzer::File;
use crate::found::Found;
use crate::package::Package;
use crate::system::red_hat::source_of;
use crate::text::ParseError;

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    path.ends_with(".rpm")
}

/// One package, which belongs to no database: without an id, and with the file that it is.
pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let header = header(file.bytes)?;
    let (name, version) = (header.text(NAME), header.text(VERSION));
    if name.is_empty() || version.is_empty() {
        return Err(ParseError::new("the header of the rpm names no package or no version"));
    }
    let epoch = header.number(EPOCH).unwrap_or(0);
    let (source_name, source_version, source_release) = source_of(header.text(SOURCE_RPM)).unwrap_or_default();
    let mut package = Package {
        name: name.to_owned(),
        version: version.to_owned(),
        release: header.text(RELEASE).to_owned(),
        epoch,
        arch: header.text(ARCH).to_owned(),
        source_name: source_name.to_owned(),
        source_version: source_version.to_owned(),
        source_release: source_release.to_owned(),
        source_epoch: epoch,
        licenses: header.texts(LICENSE).filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        maintainer: header.text(VENDOR).to_owned(),
        modularity: header.text(MODULARITY).to_owned(),
        file_path: file.path.to_owned(),
        ..Package::default()
    };
    package.purl = Some(url(&package));
    found.package_list(file.path, vec![package]);
    Ok(())
}

/// Behind the lead and the signatures, which end on a boundary of eight bytes.
fn header(bytes: &[u8]) -> Result<Header, ParseError> {
    if !bytes.starts_with(b"\xed\xab\xee\xdb") {
        return Err(ParseError::new("it is no rpm: its lead does not begin as one"));
    }
    let cut = || ParseError::new("the rpm ends within its headers");
    let signatures = after_magic(bytes.get(LEAD..).ok_or_else(cut)?)?;
    let length = Header::length(signatures).ok_or_else(cut)?;
    let end = LEAD.saturating_add(MAGIC.len()).saturating_add(length).next_multiple_of(8);
    Header::parse(after_magic(bytes.get(end..).ok_or_else(cut)?)?)
}

fn after_magic(bytes: &[u8]) -> Result<&[u8], ParseError> {
    bytes.strip_prefix(MAGIC).ok_or_else(|| ParseError::new("the rpm has no header where one must be"))
}

/// The vendor tells the distribution, for there is no system that it is installed in.
fn url(package: &Package) -> PackageUrl {
    let vendor = package.maintainer.to_lowercase();
    let known = [("red hat", "redhat"), ("fedora", "fedora"), ("opensuse", "opensuse"), ("suse", "suse")];
    let namespace = known.into_iter().find(|(name, _)| vendor.contains(name)).map_or("", |(_, namespace)| namespace);
    PackageUrl::new("rpm", namespace, &package.name, &package.full_version()).with("arch", &package.arch)
}

const LEAD: usize = 96;
/// Three bytes, a version, and four bytes that are reserved.
const MAGIC: &[u8] = b"\x8e\xad\xe8\x01\0\0\0\0";
