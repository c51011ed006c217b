//! What is in an image, and what is known against it.

use std::cmp::Ordering;

use image_inventory::jars::{self, JarIndex};
use image_inventory::{analyze, analyzers};
use vulnerability_matching::AdvisoryIndex;
use vulnerability_matching::bolt::Bolt;
use vulnerability_matching::constraint::{Constraints, Options, Syntax};
use vulnerability_matching::database::Buckets;
use vulnerability_matching::packed::{Packed, Packing};
use vulnerability_matching::version::Scheme;
use vulnerability_matching::vex::Document;

use crate::parts;

/// An OSV file.
pub(crate) fn advisory(bytes: &[u8]) {
    drop(AdvisoryIndex::build([("fuzz.json", bytes)]));
}

/// A path, a NUL and the content of a file of an image, which each analyzer gets, wanted or not.
pub(crate) fn all_analyzers(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (path, content) = bytes.split_at(cut);
    let path = std::str::from_utf8(path).unwrap_or("usr/bin/program");
    for name in analyzers() {
        drop(analyze(name, [(path, content.get(1..).unwrap_or_default())]));
    }
}

/// A file of a vulnerability database in each of the forms that it comes in.
pub(crate) fn database(bytes: &[u8]) {
    if let Ok(bolt) = Bolt::open(bytes.to_vec()) {
        ask(&bolt);
        let mut packing = Packing::new(Vec::new()).ok();
        let packed = bolt.each(&mut |path, key, value| match &mut packing {
            Some(packing) => packing.put(path, key, value),
            None => Ok(()),
        });
        if let Some(Ok(made)) = packing.filter(|_| packed.is_ok()).map(Packing::finish) {
            assert!(Packed::open(made).is_ok(), "what was packed cannot be read");
        }
    }
    if let Ok(packed) = Packed::open(bytes) {
        ask(&packed);
    }
    drop(jars::write(bytes, &mut Vec::new()));
    if let Ok(index) = JarIndex::open(bytes) {
        drop((
            index.by_sha1("00"),
            index.by_sha1(&"07".repeat(20)),
            index.group_of("jstl", "1.2"),
            index.exists("a", "b"),
        ));
    }
}

fn ask(database: &dyn Buckets) {
    for bucket in database.buckets("").into_iter().take(20) {
        drop((database.stored(&bucket, "x"), database.entries(&[&bucket, "x"]), database.value(&[&bucket], "x")));
    }
    drop(database.brief("CVE-1"));
}

/// A bill of material, or a VEX document.
pub(crate) fn document(bytes: &[u8]) {
    drop(image_inventory::sbom::read(bytes));
    drop(Document::parse("fuzz.json", bytes, None));
}

/// A lock file or manifest, read as each format in turn.
pub(crate) fn lock_files(bytes: &[u8]) {
    for format in FORMATS {
        drop(image_inventory::parse(format, bytes));
    }
}

/// Two versions with a NUL between: comparison is antisymmetric in every scheme.
pub(crate) fn version(bytes: &[u8]) {
    let Some((a, b)) = parts(bytes) else { return };
    for scheme in SCHEMES {
        let (forth, back) = (scheme.compare(a, b), scheme.compare(b, a));
        assert_eq!(forth.map(Ordering::reverse), back, "{scheme:?}: {a:?} and {b:?}");
        if let Some(same) = scheme.compare(a, a) {
            assert_eq!(same, Ordering::Equal, "{scheme:?}: {a:?} is not equal to itself");
        }
    }
}

/// A constraint and a version with a NUL between.
pub(crate) fn constraint(bytes: &[u8]) {
    let Some((constraint, version)) = parts(bytes) else { return };
    for syntax in SYNTAXES {
        if let Ok(constraint) = Constraints::parse(syntax, constraint, Options::for_advisories()) {
            drop(constraint.check(version));
        }
    }
}

const SCHEMES: [Scheme; 15] = [
    Scheme::Debian,
    Scheme::Alpine,
    Scheme::Rpm,
    Scheme::Pep440,
    Scheme::Semver,
    Scheme::Npm,
    Scheme::Maven,
    Scheme::Gem,
    Scheme::NuGet,
    Scheme::Packagist,
    Scheme::Pub,
    Scheme::Cran,
    Scheme::Hackage,
    Scheme::Bitnami,
    Scheme::Generic,
];

const SYNTAXES: [Syntax; 9] = [
    Syntax::Generic,
    Syntax::Semver,
    Syntax::Npm,
    Syntax::Python,
    Syntax::Maven,
    Syntax::MavenInterval,
    Syntax::Gem,
    Syntax::Bitnami,
    Syntax::Package(Scheme::Rpm),
];

const FORMATS: [&str; 34] = [
    "bun",
    "bundler",
    "cargo",
    "cocoapods",
    "composer",
    "conan",
    "conda-environment",
    "conda-pkg",
    "dotnet-core",
    "gemspec",
    "gobinary",
    "gomod",
    "gosum",
    "gradle",
    "hex",
    "jar",
    "julia",
    "node-pkg",
    "npm",
    "nuget",
    "nuget-config",
    "packages-props",
    "pip",
    "pipenv",
    "pnpm",
    "poetry",
    "pub",
    "pylock",
    "python-pkg",
    "rustbinary",
    "sbt",
    "swift",
    "uv",
    "yarn",
];
