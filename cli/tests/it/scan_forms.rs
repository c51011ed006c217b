//! `biotope scan --format`: each form, read by programs that are not ours where there are any.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::scan::Place;

#[test]
fn the_table_has_a_summary_and_totals() {
    let text = Place::new().said(&["image.tar"]);
    for wanted in [
        "Report Summary",
        "│ image.tar (debian 12.5)",
        "Total: 1 (UNKNOWN: 0, LOW: 0, MEDIUM: 0, HIGH: 1, CRITICAL: 0)",
        "│ Library",
        "CVE-2021-33503",
        "https://avd.aquasec.com/nvd/cve-2021-33503",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
}

#[test]
fn the_json_has_the_fields_of_the_peer() {
    let place = Place::new();
    let report = place.json(&["image.tar", "--list-all-pkgs"]);
    assert_eq!((&report["SchemaVersion"], &report["ArtifactType"]), (&2.into(), &"container_image".into()));
    let metadata = &report["Metadata"];
    assert_eq!(metadata["OS"], serde_json::json!({"Family": "debian", "Name": "12.5"}));
    assert_eq!(metadata["DiffIDs"].as_array().unwrap().len(), 2);
    assert!(metadata["ImageID"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(metadata["ImageConfig"]["config"]["Env"][0], "A=b");
    let system = &report["Results"][0];
    assert_eq!(
        (&system["Target"], &system["Class"], &system["Type"]),
        (&"image.tar (debian 12.5)".into(), &"os-pkgs".into(), &"debian".into())
    );
    let package = &system["Packages"][0];
    for (key, wanted) in [
        ("ID", "zlib1g@1:1.2.13.dfsg-1"),
        ("Name", "zlib1g"),
        ("Version", "1.2.13.dfsg"),
        ("Release", "1"),
        ("SrcName", "zlib"),
        ("SrcVersion", "1.2.13.dfsg"),
        ("SrcRelease", "1"),
        ("Arch", "amd64"),
    ] {
        assert_eq!(package[key], wanted, "{key}");
    }
    assert_eq!((&package["Epoch"], &package["SrcEpoch"]), (&1.into(), &1.into()));
    let finding = &report["Results"][1]["Vulnerabilities"][0];
    for (key, wanted) in [
        ("VulnerabilityID", "CVE-2021-33503"),
        ("PkgName", "urllib3"),
        ("PkgPath", "usr/lib/python3/dist-packages/urllib3-1.26.4.dist-info/METADATA"),
        ("InstalledVersion", "1.26.4"),
        ("FixedVersion", "1.26.5"),
        ("Status", "fixed"),
        ("Severity", "HIGH"),
        ("PrimaryURL", "https://avd.aquasec.com/nvd/cve-2021-33503"),
    ] {
        assert_eq!(finding[key], wanted, "{key}");
    }
    assert_eq!(finding["PkgIdentifier"]["PURL"], "pkg:pypi/urllib3@1.26.4");
    assert_eq!(finding["Layer"]["DiffID"], metadata["DiffIDs"][1]);
    // `-o json` is another word for it.
    let again: Value = serde_json::from_str(&place.said(&["image.tar", "-o", "json"])).unwrap();
    assert_eq!(again["Results"][1]["Vulnerabilities"], report["Results"][1]["Vulnerabilities"]);
}

#[test]
fn templates_of_ones_own_see_every_field() {
    let place = Place::new();
    let template = "{{- range . }}{{ $target := .Target }}{{ range .Vulnerabilities }}\
        {{ $target | escapeXML }}|{{ .VulnerabilityID }}|{{ .Vulnerability.Severity | toLower }}|{{ .Title | escapeXML }}|{{ .PkgIdentifier.PURL }}|{{ .FixedVersion }}\n\
        {{ end }}{{ if not .Misconfigurations }}none{{ end }}\n{{ end }}";
    fs::write(place.path().join("own.tpl"), template).unwrap();
    let text = place.said(&["image.tar", "--format", "template", "--template", "@own.tpl"]);
    assert!(
        text.contains(
            "|CVE-2021-33503|high|regular expression takes &#34;very&#34; long|pkg:pypi/urllib3@1.26.4|1.26.5\n"
        ),
        "{text}"
    );
    assert!(text.contains("image.tar (debian 12.5)|CVE-2023-45853|unknown||"), "{text}");
    // What published templates for other services ask for: scores of a vendor that says nothing, words, hashes, times.
    let template = "{{- $first := true }}[{{- range . }}{{ $image := .Target | regexFind \"[^\\\\s]+\" }}{{ range .Vulnerabilities -}}\
        {{- if $first }}{{ $first = false }}{{ else }},{{ end }}\
        {\"score\": {{ (index .CVSS \"nvd\").V3Score }}, \"vector\": \"{{ (index .CVSS \"nvd\").V3Vector }}\", \"image\": \"{{ $image }}\",\
        \"print\": \"{{ list .VulnerabilityID .PkgName $image | join \"\" | sha1sum }}\", \"text\": {{ abbrev 20 .Title | printf \"%q\" }},\
        \"year\": {{ now | date \"2006\" }}, \"short\": {{ (trunc 3 .VulnerabilityID) | printf \"%v ..\" | printf \"%q\" }}}\
        {{- end }}{{ end }}]";
    let text = place.said(&["image.tar", "--format", "template", "--template", template]);
    let rows: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(
        (rows.as_array().unwrap().len(), &rows[0]["score"], &rows[0]["image"]),
        (2, &0.into(), &"image.tar".into())
    );
    assert_eq!((rows[0]["print"].as_str().unwrap().len(), &rows[0]["short"]), (40, &"CVE ..".into()));
    let output = place.scan(&["image.tar", "--format", "template", "--template", "{{ .No.Such }}"]);
    assert!(!output.status.success());
}

#[test]
fn sarif_and_junit_are_well_formed() {
    let place = Place::new();
    let sarif: Value = serde_json::from_str(&place.said(&["image.tar", "-f", "sarif"])).unwrap();
    assert_eq!((&sarif["version"], sarif["runs"].as_array().unwrap().len()), (&"2.1.0".into(), 1));
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
    for form in ["junit", "sarif"] {
        place.said(&["image.tar", "-f", form, "--output", "report"]);
        assert!(fs::read_to_string(place.path().join("report")).unwrap().contains("CVE-2021-33503"), "{form}");
    }
}

/// The tools folder has programs of others that know the official schemas.
#[test]
fn reports_are_valid_by_the_official_schemas() {
    let python = parts::tools_folder().join("validators-2/bin/python3");
    if !python.is_file() {
        return testkit::require::skip("validators", "tests/tools/install.sh installs them");
    }
    let place = Place::new();
    place.said(&["image.tar", "-f", "cyclonedx", "--output", "bom.cdx.json"]);
    place.said(&["image.tar", "-f", "spdx-json", "--output", "bom.spdx.json"]);
    place.said(&["image.tar", "-f", "spdx", "--output", "bom.spdx"]);
    place.said(&["image.tar", "-f", "junit", "--output", "junit.xml"]);
    place.said(&["image.tar", "-f", "sarif", "--output", "report.sarif"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/validate.py");
    let output = Command::new(python).arg(script).current_dir(place.path()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("valid ")).count(), 5, "{said}");
}

#[test]
fn what_github_and_cosign_read_has_their_fields() {
    let place = Place::new();
    let form = |form: &str| -> Value { serde_json::from_str(&place.said(&["image.tar", "-f", form])).unwrap() };
    let snapshot = form("github");
    assert_eq!((&snapshot["version"], &snapshot["detector"]["name"]), (&0.into(), &"biotope".into()));
    let system = &snapshot["manifests"]["image.tar (debian 12.5)"];
    let package = &system["resolved"]["zlib1g"];
    assert_eq!((&system["name"], &package["scope"]), (&"debian".into(), &"runtime".into()));
    assert!(package["package_url"].as_str().unwrap().starts_with("pkg:deb/debian/zlib1g@1.2.13.dfsg-1"), "{package}");
    assert_eq!(package["relationship"], "direct");

    let predicate = form("cosign-vuln");
    assert_eq!(predicate["scanner"]["result"]["SchemaVersion"], 2);
    assert!(predicate["metadata"]["scanFinishedOn"].as_str().unwrap().ends_with('Z'));
    assert_eq!(predicate["invocation"]["builder.id"], "");
}

#[test]
fn policies_in_rego_are_refused_with_what_to_do_instead() {
    let output = Place::new().scan(&["image.tar", "--ignore-policy", "policy.rego"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("not evaluated") && said.contains("--ignorefile"), "{said}");
}

#[test]
fn digests_of_files_stand_in_bills_of_material() {
    let place = Place::new();
    let project = place.path().join("project");
    fs::create_dir_all(project.join("etc")).unwrap();
    fs::create_dir_all(project.join("app")).unwrap();
    fs::write(project.join("etc/os-release"), "ID=alpine\nVERSION_ID=3.20.1\n").unwrap();
    fs::write(project.join("app/package.json"), r#"{"name":"own","version":"1.0.0"}"#).unwrap();
    for (name, content) in [("program", &b"\x7fELF\x01\x02"[..]), ("script", b"#!/bin/sh\n")] {
        let path = project.join("app").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let said = |program: &str, path: &str| {
        let output = Command::new(program).arg(project.join(path)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let spdx = |more: &[&str]| -> Value {
        let all: Vec<&str> = ["project", "-f", "spdx-json"].iter().chain(more).copied().collect();
        serde_json::from_str(&place.said(&all)).unwrap()
    };
    let checksums = |bill: &Value, path: &str| -> Option<Vec<(String, String)>> {
        let file = bill["files"].as_array().unwrap().iter().find(|file| file["fileName"] == path)?;
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let all = file["checksums"].as_array().unwrap().iter();
        Some(all.map(|one| (text(one, "algorithm"), text(one, "checksumValue"))).collect::<Vec<_>>())
    };
    let bill = spdx(&[]);
    let manifest = vec![("SHA1".to_owned(), said("sha1sum", "app/package.json"))];
    assert_eq!(checksums(&bill, "app/package.json"), Some(manifest));
    assert_eq!(checksums(&bill, "app/program"), None, "only when it is asked for");
    let bill = spdx(&["--checksums"]);
    let both = ["sha1sum", "sha256sum"].map(|program| said(program, "app/program"));
    let both = vec![("SHA1".to_owned(), both[0].clone()), ("SHA256".to_owned(), both[1].clone())];
    assert_eq!(checksums(&bill, "app/program"), Some(both));
    assert_eq!(checksums(&bill, "app/script"), None, "a script is a text");
    // A bill that is read has the digest again, and findings are the same.
    place.said(&["project", "-f", "spdx-json", "--checksums", "--output", "bill.json"]);
    let again = place.json(&["bill.json", "--list-all-pkgs"]);
    let package = &again["Results"][0]["Packages"][0];
    assert_eq!(package["Digest"], format!("sha1:{}", said("sha1sum", "app/package.json")));
    assert_eq!(place.json(&["project", "--list-all-pkgs"])["Results"][0]["Packages"][0]["Digest"], Value::Null);
}
