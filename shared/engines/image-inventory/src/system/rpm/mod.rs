//! rpm: the package database of Red Hat, SUSE and their relatives, in its three forms: SQLite since rpm 4.16, ndb on SUSE, BerkeleyDB
//! before.

pub(crate) mod archive;
mod berkeley;
mod header;
mod ndb;

use std::collections::{BTreeSet, HashMap};

use crate::analyzer::File;
use crate::found::Found;
use crate::package::Package;
use crate::system::red_hat::source_of;
use crate::text::{ParseError, file_name, folder};
use header::Header;

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    matches!(folder(path), "var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm")
        && matches!(file_name(path), "Packages" | "Packages.db" | "rpmdb.sqlite")
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let blobs = if file.bytes.starts_with(b"SQLite format 3\0") {
        crate::sqlite::blobs(file.bytes, "Packages")?
    } else if ndb::is_one(file.bytes) {
        ndb::blobs(file.bytes)?
    } else if berkeley::is_one(file.bytes) {
        berkeley::blobs(file.bytes)?
    } else if file.bytes.is_empty() {
        // rpm makes the file before it installs the first package.
        return Ok(());
    } else {
        return Err(ParseError::new("it is no package database of rpm: neither SQLite, ndb nor a BerkeleyDB hash"));
    };
    let mut packages = Vec::new();
    for blob in blobs {
        let header = Header::parse(&blob)?;
        packages.extend(package(&header).map(|package| (package, header)));
    }
    let packages = related(packages);
    for package in packages.iter().filter(|package| package.third_party == Some(false)) {
        found.system_files.extend(package.installed_files.iter().cloned());
    }
    found.package_list(file.path, packages);
    Ok(())
}

fn package(header: &Header) -> Option<Package> {
    let (name, version, release) = (header.text(NAME), header.text(VERSION), header.text(RELEASE));
    // Keys of repositories are kept like packages, but are none.
    if name.is_empty() || name == "gpg-pubkey" {
        return None;
    }
    let (arch, epoch, vendor) = (header.text(ARCH), header.number(EPOCH).unwrap_or(0), header.text(VENDOR));
    let (source_name, source_version, source_release) = source_of(header.text(SOURCE_RPM)).unwrap_or(("", "", ""));
    let license = header.text(LICENSE);
    let has_source = !source_name.is_empty();
    Some(Package {
        id: format!("{name}@{version}-{release}.{arch}"),
        name: name.to_owned(),
        version: version.to_owned(),
        release: release.to_owned(),
        epoch,
        arch: arch.to_owned(),
        source_name: source_name.to_owned(),
        source_version: source_version.to_owned(),
        source_release: source_release.to_owned(),
        source_epoch: if has_source { epoch } else { 0 },
        licenses: if license.is_empty() { Vec::new() } else { vec![license.to_owned()] },
        maintainer: vendor.to_owned(),
        modularity: header.text(MODULARITY).to_owned(),
        third_party: Some(!DISTRIBUTORS.iter().any(|known| vendor.starts_with(known))),
        digest: header.hex(SIGNATURE_MD5).map_or_else(String::new, |hex| format!("md5:{hex}")),
        installed_files: files(header),
        ..Package::default()
    })
}

/// Needs are capabilities: the package that provides one is what is needed.
fn related(packages: Vec<(Package, Header)>) -> Vec<Package> {
    let mut providers: HashMap<String, String> = HashMap::new();
    for (package, header) in &packages {
        let provided = header.texts(PROVIDES).map(|name| (name.to_owned(), package.id.clone()));
        providers.extend(provided);
    }
    let relate = |(mut package, header): (Package, Header)| {
        let ids: BTreeSet<String> = header.texts(REQUIRES).filter_map(|name| providers.get(name).cloned()).collect();
        package.depends_on = ids.into_iter().filter(|id| *id != package.id).collect();
        package
    };
    packages.into_iter().map(relate).collect()
}

/// Base names, each with the number of its folder.
fn files(header: &Header) -> Vec<String> {
    let folders: Vec<&str> = header.texts(FOLDERS).collect();
    let numbers = header.numbers(FOLDER_NUMBERS);
    let join = |(name, number): (&str, u32)| {
        let folder = folders.get(usize::try_from(number).ok()?)?;
        Some(format!("{folder}{name}"))
    };
    header.texts(FILES).zip(numbers).filter_map(join).collect()
}

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;
const SOURCE_RPM: u32 = 1044;
const PROVIDES: u32 = 1047;
const REQUIRES: u32 = 1049;
const FOLDER_NUMBERS: u32 = 1116;
const FILES: u32 = 1117;
const FOLDERS: u32 = 1118;
const MODULARITY: u32 = 5096;
const SIGNATURE_MD5: u32 = 261;

/// Vendors of distributions; what another vendor built is matched by other advisories.
const DISTRIBUTORS: &[&str] = &[
    "AlmaLinux",
    "Alibaba",
    "Amazon",
    "Amazon Linux",
    "CentOS",
    "CloudLinux",
    "Fedora Project",
    "Microsoft Corporation",
    "Oracle America",
    "Red Hat",
    "Rocky",
    "SUSE",
    "VMware",
    "openSUSE",
];
