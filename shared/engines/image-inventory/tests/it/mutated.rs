//! Valid files of every format, broken at random: no analyzer may panic, and none may take long.

use image_inventory::{Entry, EntryKind, LayerReader, Limits, Scope, analyze, analyzers, parse, sbom};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::hostile::zip;

/// A small valid file for each analyzer that reads text, with its format where it has one.
const SAMPLES: &[(&str, &str, &str, &str)] = &[
    ("os-release", "", "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
    ("debian", "", "etc/debian_version", "12.5\n"),
    ("ubuntu", "", "etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n"),
    ("redhat", "", "etc/redhat-release", "Red Hat Enterprise Linux release 9.4 (Plow)\n"),
    ("apk-repo", "", "etc/apk/repositories", "https://example.org/alpine/v3.20/main\n"),
    (
        "dpkg",
        "",
        "var/lib/dpkg/status",
        "Package: a\nStatus: install ok installed\nVersion: 1:2.3-4\nSource: s (1.0)\nDepends: b (>= 1), c | d\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n",
    ),
    (
        "apk",
        "",
        "lib/apk/db/installed",
        "P:musl\nV:1.2-r0\nL:MIT\no:musl\nC:Q1AAAA=\np:so:c\nD:so:x\nF:lib\nR:c.so\n\n",
    ),
    (
        "dpkg-license",
        "",
        "usr/share/doc/a/copyright",
        "Files: *\nLicense: GPL-2+ and MIT, Apache-2.0\n see /usr/share/common-licenses/GPL-2'.\n",
    ),
    (
        "python-pkg",
        "python-pkg",
        "a.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: a\nVersion: 1.0\nLicense: MIT\nClassifier: License :: OSI Approved :: MIT License\n\nText",
    ),
    (
        "node-pkg",
        "node-pkg",
        "a/package.json",
        "{\"name\":\"@s/a\",\"version\":\"1.0.0\",\"license\":{\"type\":\"MIT\"},\"licenses\":[\"x\"]}",
    ),
    (
        "npm",
        "npm",
        "package-lock.json",
        "{\"lockfileVersion\":3,\"packages\":{\"\":{\"workspaces\":[\"p/*\"]},\"node_modules/a\":{\"version\":\"1\",\"dependencies\":{\"b\":\"^1\"}},\"node_modules/b\":{\"link\":true,\"resolved\":\"p/b\"},\"p/b\":{\"version\":\"2\"}}}",
    ),
    (
        "npm",
        "npm",
        "package-lock.json",
        "{\"lockfileVersion\":1,\"dependencies\":{\"a\":{\"version\":\"1\",\"requires\":{\"b\":\"1\"},\"dependencies\":{\"b\":{\"version\":\"1\"}}}}}",
    ),
    (
        "yarn",
        "yarn",
        "yarn.lock",
        "\"a@npm:^1, a@npm:^1.0\":\n  version: 1.0.0\n  dependencies:\n    b: ^2\n\nb@^2:\n  version \"2.0.0\"\n",
    ),
    (
        "pnpm",
        "pnpm",
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: ^1\n        version: 1.0.0(b@2.0.0)\npackages:\n  a@1.0.0: {}\nsnapshots:\n  a@1.0.0(b@2.0.0):\n    dependencies:\n      b: 2.0.0\n",
    ),
    (
        "pnpm",
        "pnpm",
        "pnpm-lock.yaml",
        "lockfileVersion: 5.4\ndependencies:\n  a: 1.0.0\npackages:\n  /a/1.0.0_b@2:\n    dev: false\n    dependencies:\n      b: 2.0.0\n",
    ),
    (
        "bun",
        "bun",
        "bun.lock",
        "{\"lockfileVersion\":1,\"workspaces\":{\"\":{\"dependencies\":{\"a\":\"1\"}}},\"packages\":{\"a\":[\"a@1.0.0\",\"\",{\"dependencies\":{\"b\":\"1\"}}],},}",
    ),
    ("pip", "pip", "requirements.txt", "a==1.0 # c\nb[x]>=2,<3; python_version > '3' --hash=x\nc==1.*\n"),
    ("pipenv", "pipenv", "Pipfile.lock", "{\"default\":{\"a\":{\"version\":\"==1.0\"}}}"),
    (
        "poetry",
        "poetry",
        "poetry.lock",
        "[[package]]\nname = \"a\"\nversion = \"1.0\"\n[package.dependencies]\nb = \">=1,<2\"\n\n[[package]]\nname = \"b\"\nversion = \"1.5\"\n",
    ),
    (
        "uv",
        "uv",
        "uv.lock",
        "[[package]]\nname = \"r\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"a\" }]\n\n[[package]]\nname = \"a\"\nversion = \"1\"\n",
    ),
    ("pylock", "pylock", "pylock.toml", "[[packages]]\nname = \"a\"\nversion = \"1\"\n"),
    (
        "bundler",
        "bundler",
        "Gemfile.lock",
        "GEM\n  specs:\n    a (1.0)\n      b (~> 2)\n    b (2.1)\n\nDEPENDENCIES\n  a!\n",
    ),
    (
        "gemspec",
        "gemspec",
        "specifications/a.gemspec",
        "Gem::Specification.new do |s|\n  s.name = \"a\".freeze\n  s.version = \"1.0\"\n  s.licenses = [\"MIT\".freeze]\nend\n",
    ),
    (
        "cargo",
        "cargo",
        "Cargo.lock",
        "version = 3\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b 2.0.0\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n",
    ),
    (
        "cargo",
        "",
        "Cargo.toml",
        "[workspace]\nmembers = [\"a*\"]\n[workspace.dependencies]\nx = \"1\"\n[target.'cfg(unix)'.dependencies]\ny = { version = \"1\", package = \"z\" }\n",
    ),
    (
        "composer",
        "composer",
        "composer.lock",
        "{\"packages\":[{\"name\":\"a/b\",\"version\":\"1\",\"license\":[\"MIT\"],\"require\":{\"php\":\"8\"}}],\"packages-dev\":[]}",
    ),
    (
        "conan",
        "conan",
        "conan.lock",
        "{\"graph_lock\":{\"nodes\":{\"0\":{\"requires\":[\"1\"]},\"1\":{\"ref\":\"a/1.0@u/c#r\"}}}}",
    ),
    (
        "conda-environment",
        "conda-environment",
        "environment.yml",
        "name: x\ndependencies:\n  - c::a=1.0=h\n  - pip:\n    - b==2\n",
    ),
    (
        "conda-pkg",
        "conda-pkg",
        "envs/x/conda-meta/a-1-0.json",
        "{\"name\":\"a\",\"version\":\"1\",\"license\":\"MIT\"}",
    ),
    (
        "dotnet-core",
        "dotnet-core",
        "a.deps.json",
        "{\"runtimeTarget\":{\"name\":\"t\"},\"targets\":{\"t\":{\"a/1\":{\"runtime\":{\"x\":{}},\"dependencies\":{\"b\":\"2\"}}}},\"libraries\":{\"a/1\":{\"type\":\"package\"}}}",
    ),
    (
        "nuget",
        "nuget",
        "packages.lock.json",
        "{\"dependencies\":{\"net6\":{\"A\":{\"type\":\"Direct\",\"resolved\":\"1\",\"dependencies\":{\"B\":\"2\"}}}}}",
    ),
    (
        "nuget",
        "nuget-config",
        "packages.config",
        "<packages><package id=\"A\" version=\"1\" developmentDependency='true'/></packages>",
    ),
    (
        "packages-props",
        "packages-props",
        "Directory.Packages.props",
        "<Project><ItemGroup><PackageVersion Include=\"A\" Version=\"1\" /></ItemGroup></Project>",
    ),
    (
        "gomod",
        "gomod",
        "go.mod",
        "module m\n\ngo 1.22\n\nrequire (\n\ta.b/c v1.0.0\n\td v0.1.0 // indirect\n)\nreplace a.b/c => ../c\n",
    ),
    ("gomod", "gosum", "go.sum", "a.b/c v1.0.0 h1:x=\na.b/c v1.0.0/go.mod h1:x=\n"),
    ("gradle", "gradle", "gradle.lockfile", "# c\na:b:1=compileClasspath,testRuntime\nempty=\n"),
    (
        "pom",
        "",
        "pom.xml",
        "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>${v}</version></parent><artifactId>a</artifactId><properties><v>${w}</v><w>${v}</w></properties><modules><module>.</module></modules><dependencies><dependency><groupId>g</groupId><artifactId>b</artifactId><version>[1]</version></dependency></dependencies></project>",
    ),
    (
        "sbt",
        "sbt",
        "build.sbt.lock",
        "{\"dependencies\":[{\"org\":\"o\",\"name\":\"n\",\"version\":\"1\",\"configurations\":[\"compile\"]}]}",
    ),
    ("hex", "hex", "mix.lock", "%{\n  \"a\": {:hex, :a, \"1.0\", \"x\", [:mix], [], \"hexpm\", \"y\"},\n}\n"),
    (
        "pub",
        "pub",
        "pubspec.lock",
        "packages:\n  a:\n    dependency: \"direct main\"\n    source: sdk\n    description: flutter\n    version: \"0.0.0\"\nsdks:\n  flutter: \">=3.0.0 <4\"\n",
    ),
    (
        "swift",
        "swift",
        "Package.resolved",
        "{\"version\":2,\"pins\":[{\"location\":\"https://a/b.git\",\"state\":{\"version\":\"1\"}}]}",
    ),
    ("cocoapods", "cocoapods", "Podfile.lock", "PODS:\n  - A (1.0):\n    - B (= 2)\n  - B (2)\n"),
    (
        "julia",
        "julia",
        "Manifest.toml",
        "manifest_format = \"2.0\"\n[[deps.A]]\nuuid = \"u\"\nversion = \"1\"\ndeps = [\"B\"]\n\n[[deps.B]]\nuuid = \"w\"\n",
    ),
    ("wordpress", "wordpress", "wp-includes/version.php", "<?php\n/* c */\n$wp_version = '6.4';\n"),
    (
        "sbom",
        "",
        "opt/a.cdx.json",
        "{\"bomFormat\":\"CycloneDX\",\"components\":[{\"bom-ref\":\"r\",\"type\":\"library\",\"name\":\"a\",\"version\":\"1\",\"purl\":\"pkg:npm/a@1\",\"licenses\":[{\"license\":{\"id\":\"MIT\"}}],\"hashes\":[{\"alg\":\"SHA-1\",\"content\":\"x\"}]}],\"dependencies\":[{\"ref\":\"r\",\"dependsOn\":[\"r\"]}]}",
    ),
    (
        "sbom",
        "",
        "opt/a.spdx",
        "{\"spdxVersion\":\"SPDX-2.3\",\"packages\":[{\"SPDXID\":\"a\",\"name\":\"a\",\"versionInfo\":\"1\",\"licenseDeclared\":\"MIT AND ISC\",\"externalRefs\":[{\"referenceType\":\"purl\",\"referenceLocator\":\"pkg:deb/debian/a@1-2?epoch=1\"}]}],\"relationships\":[{\"spdxElementId\":\"a\",\"relatedSpdxElement\":\"a\",\"relationshipType\":\"CONTAINS\"}]}",
    ),
    ("content-manifest", "", "root/buildinfo/content_manifests/a.json", "{\"content_sets\":[\"x\"]}"),
    (
        "buildinfo-dockerfile",
        "",
        "root/buildinfo/Dockerfile-a-1-2",
        "FROM x\nLABEL com.redhat.component=\"a\" \\\n architecture=\"x86_64\"\n",
    ),
    (
        "rpmqa",
        "",
        "var/lib/rpmmanifest/container-manifest-2",
        "a\t1-2.cm2\t1\t2\tMicrosoft\t(none)\t3\tx86_64\t0\ta-1-2.cm2.src.rpm\n",
    ),
];

#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Drop(Index, usize),
    Repeat(Index, usize),
    Insert(Index, String),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(vec![
        "[",
        "{",
        "\"",
        "${",
        "}",
        "\n",
        "0",
        "-1",
        "99999999999999999999",
        "\u{0}",
        "..",
        "<a>",
        "@",
        ":",
        "é",
        "= [",
        "'''",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), 1_usize..30).prop_map(|(at, length)| Change::Drop(at, length)),
        (any::<Index>(), 1_usize..60).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), words).prop_map(|(at, word)| Change::Insert(at, word.to_owned())),
    ]
}

fn apply(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes {
        if bytes.is_empty() {
            return;
        }
        let end = |at: usize, length: usize| (at + length).min(bytes.len());
        match change {
            Change::Flip(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Change::Drop(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *length));
            }
            Change::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let part = bytes[at..end(at, *length)].to_vec();
                bytes.splice(at..at, part);
            }
            Change::Insert(at, word) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, word.bytes());
            }
        }
    }
}

/// Binary samples: databases, archives, programs.
fn binaries() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let jar = zip(&[
        ("META-INF/MANIFEST.MF", b"Implementation-Title: a\nImplementation-Version: 1\nImplementation-Vendor-Id: g\nBundle-License: \"MIT\";link=x\n"),
        ("META-INF/maven/g/a/pom.properties", b"groupId=g\nartifactId=a\nversion=1\n"),
        ("META-INF/LICENSE", b"Permission is hereby granted"),
        ("lib/b-1.0.jar", &zip(&[("x.class", b"0")])),
    ]);
    let egg =
        zip(&[("EGG-INFO/PKG-INFO", b"Name: a\nVersion: 1\nLicense-File: LICENSE\n"), ("EGG-INFO/LICENSE", b"x")]);
    // This very program is an ELF file with symbols; its head and tables are what parsers look at.
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let program = program[..program.len().min(64 << 10)].to_vec();
    vec![
        ("jar", "a.jar", jar),
        ("python-egg", "a.egg", egg),
        ("rpm", "var/lib/rpm/rpmdb.sqlite", include_bytes!("../fixtures/rpmdb.sqlite").to_vec()),
        ("rpm", "var/lib/rpm/Packages", include_bytes!("../fixtures/Packages.bdb").to_vec()),
        ("gobinary", "usr/bin/a", program.clone()),
        ("rustbinary", "usr/bin/a", program),
    ]
}

#[test]
fn the_samples_are_valid() {
    for (name, _, path, content) in SAMPLES {
        assert!(analyzers().any(|known| known == *name), "{name}");
        let found = analyze(name, [(*path, content.as_bytes())]);
        assert!(found.faults.is_empty(), "{name}: {:?}", found.faults);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn broken_texts_make_no_parser_panic(changes in prop::collection::vec(change(), 1..5)) {
        for (name, format, path, content) in SAMPLES {
            let mut bytes = content.as_bytes().to_vec();
            apply(&mut bytes, &changes);
            let _ = analyze(name, [(*path, bytes.as_slice())]);
            if !format.is_empty() {
                let _ = parse(format, &bytes);
            }
            let _ = sbom::read(&bytes);
        }
    }

    #[test]
    fn broken_binaries_make_no_parser_panic(changes in prop::collection::vec(change(), 1..5)) {
        for (name, path, mut bytes) in binaries() {
            apply(&mut bytes, &changes);
            let _ = analyze(name, [(path, bytes.as_slice())]);
        }
    }

    #[test]
    fn the_order_of_entries_makes_no_difference(order in Just((0..SAMPLES.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let read = |order: &[usize]| {
            let mut reader = LayerReader::new("sha256:x", Limits::default()).with_scope(Scope::Everything);
            for index in order {
                let (_, _, path, content) = SAMPLES[*index];
                // Each in a folder of its own, for some have one name.
                let path = if path.starts_with("etc/") || path.starts_with("var/") { path.to_owned() } else { format!("d{index}/{path}") };
                let entry = Entry { path: path.as_bytes(), kind: EntryKind::File, size: content.len() as u64, mode: 0o644 };
                reader.offer(&entry, &mut content.as_bytes()).unwrap();
            }
            let mut inventory = reader.finish();
            inventory.found.faults.sort_by_key(ToString::to_string);
            inventory
        };
        let straight: Vec<usize> = (0..SAMPLES.len()).collect();
        prop_assert_eq!(read(&order), read(&straight));
    }
}
