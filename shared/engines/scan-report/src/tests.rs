//! Each form of one small report.

use super::*;

fn report() -> Report {
    let finding = |package, severity| Finding {
        id: "CVE-1".to_owned(),
        package,
        installed_version: "1.0".to_owned(),
        status: "affected".to_owned(),
        severity,
        title: "a <b> & \"c\"\u{1}".to_owned(),
        ..Finding::default()
    };
    let package = |name: &str, id: &str, needs: &[&str]| Package {
        id: id.to_owned(),
        name: name.to_owned(),
        version: "1.0".to_owned(),
        purl: format!("pkg:npm/{name}@1.0").parse().ok(),
        depends_on: needs.iter().map(|need| (*need).to_owned()).collect(),
        ..Package::default()
    };
    let list = |path: &str| PackageList {
        kind: "npm".to_owned(),
        path: path.to_owned(),
        packages: vec![package("a", "a@1", &["b@1", "gone"]), package("b", "b@1", &["a@1"])],
        findings: vec![finding(1, Severity::High), finding(0, Severity::Low)],
        ..PackageList::default()
    };
    Report {
        artifact: "docker.io/library/own:1".to_owned(),
        kind: ArtifactKind::ContainerImage,
        digest: None,
        repository_digests: vec![format!("own@sha256:{}", "ab".repeat(32))],
        repository_tags: Vec::new(),
        image_id: format!("sha256:{}", "cd".repeat(32)).parse().ok(),
        diff_ids: Vec::new(),
        image_config: serde_json::json!({ "architecture": "amd64" }),
        architecture: "amd64".to_owned(),
        is_end_of_life: true,
        is_partial: false,
        operating_system: Some(("debian".to_owned(), "12".to_owned())),
        created: "2026-11-23T10:00:00.123Z".parse().unwrap(),
        uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
        tool: ("biotope".to_owned(), "0".to_owned()),
        lists: vec![list("app/package-lock.json"), list("b c/package-lock.json")],
        files: Vec::new(),
    }
}

#[test]
fn trivy_names_its_fields() {
    let value = trivy::render(&report(), true);
    assert_eq!(value["SchemaVersion"], 2);
    assert_eq!(value["Metadata"]["OS"]["Family"], "debian");
    let result = &value["Results"][0];
    assert_eq!((&result["Class"], &result["Type"]), (&"lang-pkgs".into(), &"npm".into()));
    let first = &result["Vulnerabilities"][0];
    assert_eq!((&first["PkgName"], &first["Severity"]), (&"b".into(), &"HIGH".into()));
    assert_eq!(first["PkgIdentifier"]["PURL"], "pkg:npm/b@1.0");
    let uid = |value: &Value| value["UID"].as_str().unwrap().to_owned();
    let all: std::collections::BTreeSet<String> = (0..2)
        .flat_map(|list| value["Results"][list]["Packages"].as_array().unwrap().clone())
        .map(|package| uid(&package["Identifier"]))
        .collect();
    assert_eq!(all.len(), 4, "one for each package of each file");
    assert_eq!(uid(&first["PkgIdentifier"]), uid(&result["Packages"][1]["Identifier"]));
    assert!(first.get("FixedVersion").is_none());
    assert!(trivy::render(&report(), false)["Results"][0].get("Packages").is_none());
}

#[test]
fn sarif_has_one_rule_for_many_results() {
    let value = sarif::render(&report());
    let run = &value["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 1);
    assert_eq!(run["results"].as_array().unwrap().len(), 4);
    let place = &run["results"][2]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], "b%20c/package-lock.json");
}

#[test]
fn references_of_components_are_unique() {
    let value = cyclonedx::render(&report());
    let mut references: Vec<&str> =
        value["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    let count = references.len();
    references.sort_unstable();
    references.dedup();
    assert_eq!((references.len(), count), (6, 6));
    assert_eq!(value["vulnerabilities"][0]["affects"].as_array().unwrap().len(), 4);
    let wanted =
        format!("pkg:oci/own@sha256:{}?arch=amd64&repository_url=index.docker.io/library/own", "ab".repeat(32));
    assert_eq!(
        value["metadata"]["component"]["purl"].as_str().map(|purl| purl.replace("%3A", ":").replace("%2F", "/")),
        Some(wanted)
    );
}

#[test]
fn spdx_times_have_no_fraction() {
    let value = spdx::render(&report());
    assert_eq!(value["creationInfo"]["created"], "2026-11-23T10:00:00Z");
    assert_eq!(value["packages"].as_array().unwrap().len(), 7);
}

#[test]
fn junit_is_well_formed() {
    let xml = junit::render(&report());
    assert!(xml.contains("message=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{xml}");
    assert_eq!(xml.matches("<failure").count(), 4);
}

#[test]
fn ids_are_of_the_repository() {
    let hashed = artifact_id("sha256:abc", "example.org/a/b:1");
    assert_eq!(hashed, artifact_id("sha256:abc", "example.org/a/b:2"));
    assert_ne!(hashed, artifact_id("sha256:abc", "example.org/a/c:1"));
    assert_eq!((artifact_id("", "a"), artifact_id("sha256:abc", "")), (String::new(), "sha256:abc".to_owned()));
    assert!(image_purl(&["nonsense".to_owned()], "").is_err() && image_purl(&[], "").unwrap().is_none());
}

#[test]
fn a_partial_report_says_so() {
    for is_partial in [false, true] {
        let report = Report { is_partial, ..report() };
        let marks = [
            trivy::render(&report, true)["Metadata"]["Partial"] == true,
            sarif::render(&report)["runs"][0]["invocations"][0]["executionSuccessful"] == false,
            cyclonedx::render(&report)["compositions"][0]["aggregate"] == "incomplete",
            spdx::render(&report)["creationInfo"]["comment"].is_string(),
        ];
        assert_eq!(marks, [is_partial; 4]);
    }
}

#[test]
fn digests_stand_with_the_files_that_they_are_of() {
    let mut report = report();
    let sha1 = |sign: &str| format!("sha1:{}", sign.repeat(40));
    let jar = |package: &mut Package| {
        package.path = "app/a.jar".to_owned();
        package.digest = sha1("a");
    };
    report.lists[0].packages.iter_mut().for_each(jar);
    report.lists[1].packages[0].digest = format!("md5:{}", "c".repeat(32));
    report.files =
        vec![File { path: "bin/x".to_owned(), digests: vec![sha1("b"), format!("sha256:{}", "b".repeat(64))] }];
    let value = spdx::render(&report);
    let names: Vec<&str> =
        value["files"].as_array().unwrap().iter().map(|file| file["fileName"].as_str().unwrap()).collect();
    assert_eq!(names, ["app/a.jar", "bin/x"], "two packages of one archive share its file");
    let holders = |file: &str| {
        let id =
            value["files"].as_array().unwrap().iter().find(|one| one["fileName"] == file).unwrap()["SPDXID"].clone();
        let contains = |one: &&Value| one["relationshipType"] == "CONTAINS" && one["relatedSpdxElement"] == id;
        value["relationships"].as_array().unwrap().iter().filter(contains).count()
    };
    assert_eq!((holders("app/a.jar"), holders("bin/x")), (2, 1));
    let packages = value["packages"].as_array().unwrap();
    let of = |key: &str| packages.iter().filter(|one| !one[key].is_null()).count();
    assert_eq!((of("packageVerificationCode"), of("checksums")), (2, 1));
    let code = packages.iter().find_map(|one| one["packageVerificationCode"]["packageVerificationCodeValue"].as_str());
    // `printf %040d 0 | tr 0 a | sha1sum`
    assert_eq!(code, Some("a56559418dc7908ce5f0b24b05c78e055cb863dc"));
    let text = spdx::tag_value(&report);
    assert!(text.contains("FileName: bin/x\nSPDXID: SPDXRef-File-1\nFileChecksum: SHA1: bbbb"), "{text}");
    assert_eq!(text.matches("FilesAnalyzed: true\nPackageVerificationCode: ").count(), 2);
    assert!(text.find("FileName").unwrap() < text.find("PackageName").unwrap());

    let value = cyclonedx::render(&report);
    let components = value["components"].as_array().unwrap();
    let file = components.iter().find(|one| one["type"] == "file").unwrap();
    assert_eq!((&file["name"], file["hashes"].as_array().unwrap().len()), (&"bin/x".into(), 2));
    assert_eq!(components.iter().filter(|one| one["hashes"][0]["alg"] == "SHA-1").count(), 3);
}
