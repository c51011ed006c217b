//! `biotope scan`: what is scanned, and what is left out.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A folder with an archive of an image, advisories for it, and a cache.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// What `docker save` would write of a Debian image with a Python package.
fn archive() -> Vec<u8> {
    let status = "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64\nSource: zlib\nMaintainer: M <m@debian.org>\n\n";
    let base = tar(&[("etc/debian_version", b"12.5\n"), ("var/lib/dpkg/status", status.as_bytes())]);
    let metadata = b"Metadata-Version: 2.1\nName: urllib3\nVersion: 1.26.4\n\n";
    let application = tar(&[("usr/lib/python3/dist-packages/urllib3-1.26.4.dist-info/METADATA", metadata)]);
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&base), digest(&application)]}})
    .to_string();
    let manifest = json!([{"Config": "config.json", "RepoTags": ["own:1"], "Layers": ["1.tar", "2.tar"]}]).to_string();
    tar(&[
        ("manifest.json", manifest.as_bytes()),
        ("config.json", config.as_bytes()),
        ("1.tar", &base),
        ("2.tar", &application),
    ])
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let osv = folder.path().join("advisories");
        fs::create_dir(&osv).unwrap();
        let fixed = json!({
            "id": "GHSA-test-0001", "aliases": ["CVE-2021-33503"], "summary": "regular expression takes \"very\" long",
            "database_specific": {"severity": "HIGH"},
            "affected": [{"package": {"ecosystem": "PyPI", "name": "urllib3"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.5"}]}]}],
        });
        let unfixed = json!({
            "id": "DEBIAN-CVE-2023-45853", "aliases": ["CVE-2023-45853"],
            "affected": [{"package": {"ecosystem": "Debian:12", "name": "zlib"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}],
        });
        fs::write(osv.join("urllib3.json"), fixed.to_string()).unwrap();
        fs::write(osv.join("zlib.json"), unfixed.to_string()).unwrap();
        fs::write(folder.path().join("image.tar"), archive()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `biotope scan` in the folder.
    pub(crate) fn scan(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_biotope"));
        command
            .arg("scan")
            .args(arguments)
            .current_dir(self.path())
            .env("BIOTOPE_CACHE_DIR", self.path().join("cache"));
        command.output().unwrap()
    }

    /// The standard output of a run that must succeed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.scan(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = arguments.iter().copied().chain(["-f", "json"]).collect();
        serde_json::from_str(&self.said(&all)).unwrap()
    }

    fn ids(&self, arguments: &[&str]) -> Vec<String> {
        let report = self.json(arguments);
        let results = report["Results"].as_array().unwrap();
        let findings = results.iter().flat_map(|one| one["Vulnerabilities"].as_array().cloned().unwrap_or_default());
        findings.map(|one| one["VulnerabilityID"].as_str().unwrap().to_owned()).collect()
    }
}

const ZLIB: &str = "CVE-2023-45853";
const URLLIB3: &str = "CVE-2021-33503";

#[test]
fn findings_are_filtered_as_the_peer_does() {
    let place = Place::new();
    let openvex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "own", "author": "a", "version": 1,
        "timestamp": "2026-01-01T00:00:00Z", "statements": [{"vulnerability": {"name": URLLIB3}, "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path", "products": [{"@id": "pkg:pypi/urllib3@1.26.4"}]}]});
    fs::write(place.path().join("own.vex.json"), openvex.to_string()).unwrap();
    fs::write(place.path().join("ignore"), format!("# a comment\n{ZLIB}\n")).unwrap();
    for (arguments, expected) in [
        (&[][..], &[ZLIB, URLLIB3][..]),
        (&["--severity", "HIGH,CRITICAL"], &[URLLIB3]),
        (&["-s", "unknown"], &[ZLIB]),
        (&["--ignore-unfixed"], &[URLLIB3]),
        (&["--ignore-status", "affected"], &[URLLIB3]),
        (&["--ignore-status", "fixed,will_not_fix"], &[ZLIB]),
        (&["--pkg-types", "os"], &[ZLIB]),
        (&["--pkg-types", "library"], &[URLLIB3]),
        (&["--ignorefile", "ignore"], &[URLLIB3]),
        (&["--vex", "own.vex.json"], &[ZLIB]),
        (&["--vex", "own.vex.json", "--ignorefile", "ignore"], &[]),
        (&["--skip-files", "/var/lib/dpkg/status"], &[URLLIB3]),
        (&["--skip-dirs", "usr/lib"], &[ZLIB]),
        (&["--skip-dirs", "**/*.dist-info"], &[ZLIB]),
    ] {
        let all: Vec<&str> = ["--input", "image.tar"].iter().chain(arguments).copied().collect();
        assert_eq!(place.ids(&all), expected, "{arguments:?}");
    }
    let bad = |arguments: &[&str], wanted: &str| {
        let output = place.scan(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(wanted), "{arguments:?}: {error}");
    };
    bad(&["image.tar", "--severity", "BAD"], "it is UNKNOWN, LOW, MEDIUM, HIGH or CRITICAL");
    bad(&["image.tar", "--vex", "ignore"], "`ignore` is neither OpenVEX, CycloneDX nor CSAF in JSON");
    bad(&["image.tar", "--format", "template"], "go together");
    bad(&["sbom:image.tar"], "image.tar is no bill of material");
    bad(&[], "required");
}

#[test]
fn what_is_suppressed_is_told_when_asked_for() {
    let place = Place::new();
    fs::write(
        place.path().join(".trivyignore.yaml"),
        format!("vulnerabilities:\n  - id: {ZLIB}\n    statement: not reachable\n"),
    )
    .unwrap();
    let output = place.scan(&["image.tar"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 findings are suppressed"));
    let report = place.json(&["image.tar", "--show-suppressed"]);
    let modified = &report["Results"][0]["ExperimentalModifiedFindings"][0];
    assert_eq!(modified["Status"], "ignored");
    assert_eq!(modified["Statement"], "not reachable");
    assert_eq!(modified["Source"], ".trivyignore.yaml");
    assert_eq!(modified["Finding"]["VulnerabilityID"], ZLIB);
    let text = place.said(&["image.tar", "--show-suppressed"]);
    assert!(text.contains("Suppressed in image.tar (debian 12.5) (Total: 1)"), "{text}");
}

#[test]
fn exit_codes_are_those_that_were_asked_for() {
    let place = Place::new();
    for (arguments, code) in [
        (&["image.tar"][..], 0),
        (&["image.tar", "--exit-code", "7"], 7),
        (&["image.tar", "--exit-code", "7", "--severity", "CRITICAL"], 0),
        (&["nowhere.tar", "--offline"], 1),
        (&["registry.example/a/b:1", "--offline"], 1),
    ] {
        assert_eq!(place.scan(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn layers_are_cached_and_what_is_left_out_is_not() {
    let place = Place::new();
    place.said(&["image.tar", "--skip-dirs", "usr"]);
    assert!(place.said(&["image.tar"]).contains("2 packages in 2 layers, "));
    assert!(place.said(&["image.tar"]).contains("2 packages in 2 layers, 2 of them known"));
    assert!(place.said(&["image.tar", "--no-cache"]).contains("2 packages in 2 layers, "));
}

#[test]
fn folders_and_bills_of_material_are_scanned() {
    let place = Place::new();
    let project = place.path().join("project/vendored");
    fs::create_dir_all(&project).unwrap();
    for folder in [place.path().join("project"), project] {
        fs::write(folder.join("requirements.txt"), "urllib3==1.26.4\n").unwrap();
    }
    let whole = place.json(&["project"]);
    assert_eq!(whole["ArtifactType"], "filesystem");
    assert_eq!(whole["Results"].as_array().unwrap().len(), 2);
    assert_eq!(place.json(&["project", "--skip-dirs", "vendored"])["Results"].as_array().unwrap().len(), 1);
    assert_eq!(place.ids(&["project", "--skip-files", "**/requirements.txt"]), [""; 0]);

    for (form, kind) in [("cyclonedx", "cyclonedx"), ("spdx-json", "spdx")] {
        place.said(&["image.tar", "-f", form, "--output", "bom.json"]);
        let report = place.json(&["bom.json"]);
        assert_eq!((&report["ArtifactType"], &report["ArtifactName"]), (&kind.into(), &"bom.json".into()));
        assert_eq!(place.ids(&["sbom:bom.json"]), [ZLIB, URLLIB3], "{form}");
    }
    let bill: Value = {
        place.said(&["image.tar", "-f", "cyclonedx", "--output", "bom.json"]);
        serde_json::from_slice(&fs::read(place.path().join("bom.json")).unwrap()).unwrap()
    };
    let serial = bill["serialNumber"].as_str().unwrap().trim_start_matches("urn:uuid:");
    let link = format!("urn:cdx:{serial}/1#pkg:pypi/urllib3@1.26.4");
    let vex = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "vulnerabilities": [
        {"id": URLLIB3, "analysis": {"state": "not_affected", "justification": "code_not_reachable"}, "affects": [{"ref": link}]}]});
    fs::write(place.path().join("vex.json"), vex.to_string()).unwrap();
    assert_eq!(place.ids(&["bom.json", "--vex", "vex.json"]), [ZLIB]);
}
